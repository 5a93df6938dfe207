"""The samplers of k-diffusion as targets: ``k_diffusion:NAME``, NAME a function of
``k_diffusion.sampling`` such as ``sample_euler``.

They have no time but sigma, x = x_0 + sigma eps, and ``model(x, sigma)`` is E[x_0 | x].  The levels
come from the package's own functions, by default ``get_sigmas_karras``.  EDM's own code is not a
package; ``reference:edm`` is its sampler, and ``sample_heun`` its counterpart here.
"""

import importlib
import importlib.util
import inspect
import sys
import types
from functools import cache
from typing import Any

from reference.audit.guard import describe
from reference.audit.target import Target, TargetError

PACKAGE = "k_diffusion"
GRIDS = ("karras", "exponential", "polyexponential", "vp")
# The order of the method that a name states, on the probability-flow ODE.  The docstrings of lms,
# which begins with lower orders, of dpm_fast, which ends with them, and of dpm_adaptive state none.
ORDERS = {
    "sample_euler": 1,
    "sample_euler_ancestral": 1,
    "sample_heun": 2,
    "sample_dpm_2": 2,
    "sample_dpm_2_ancestral": 2,
    "sample_dpmpp_2s_ancestral": 2,
    "sample_dpmpp_2m": 2,
}
OWN = ("model", "x", "sigmas", "n", "sigma_min", "sigma_max", "extra_args", "callback", "disable")


def targets(name, options, limit):
    """The targets of ``k_diffusion:name``, or of ``k_diffusion:all``."""
    sampling = _import()
    names = [own for own in vars(sampling) if own.startswith("sample_")]
    if name != "all" and name not in names:
        raise TargetError(f"{PACKAGE} has the samplers {', '.join(names)}, and not {name!r}")
    chosen = names if name == "all" else [name]
    return [_target(sampling, each, options, limit) for each in chosen]


@cache
def _import():
    """The module ``k_diffusion.sampling``, alone where the rest of the package needs more."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        raise TargetError(f"{PACKAGE} is not installed: pip install k-diffusion")
    try:
        return importlib.import_module(f"{PACKAGE}.sampling")
    except ImportError:
        pass
    # the package's __init__ also imports measures of quality and models, and what they need
    _forget()
    package = types.ModuleType(PACKAGE)
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[PACKAGE] = package
    try:
        return importlib.import_module(f"{PACKAGE}.sampling")
    except ImportError as error:
        raise TargetError(f"{PACKAGE}.sampling can't be imported: {describe(error)}") from error
    finally:
        _forget()


def _forget():
    for module in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[module]


def _target(sampling, name, options, limit):
    function = getattr(sampling, name)
    parameters = inspect.signature(function).parameters
    known = {key: p.default for key, p in parameters.items() if key not in OWN}
    options = dict(options)
    levels = {"grid": "karras", "sigma_min": 0.002, "sigma_max": 80.0}
    levels = {key: options.pop(key, value) for key, value in levels.items()}
    if levels["grid"] not in GRIDS:
        raise TargetError(f"grid must be one of {', '.join(GRIDS)}, got {levels['grid']!r}")
    for option in options:
        if option not in known:
            own = ", ".join([*known, "grid", "sigma_min", "sigma_max"])
            raise TargetError(f"{PACKAGE}:{name} has the options {own}, and not {option}")
    pieces = _pieces(sampling, function, options, **levels)
    given = known | options
    noise = given.get("eta") or given.get("s_churn")
    claims: dict[str, Any] = {
        "time": "sigma",
        "prediction": "x0",
        "sampler": "sde" if noise else "ode",
        "arrays": "torch",
    }
    if "sigmas" not in parameters:  # they keep log(sigma) in float32
        claims["dtype"] = "float32"
    if name in ORDERS and not noise:
        claims["order"] = ORDERS[name]
    return Target(f"{PACKAGE}:{name}", pieces, claims, limit)


def _pieces(sampling, function, options, grid, sigma_min, sigma_max):
    import torch

    make = getattr(sampling, f"get_sigmas_{grid}")
    ends = () if grid == "vp" else (sigma_min, sigma_max)
    sigmas = lambda n: make(n, *ends).to(torch.float64)
    parameters = inspect.signature(function).parameters

    def sample(denoise, x, steps, seed):
        torch.manual_seed(seed)
        own = dict(options)
        if "sigmas" in parameters:
            own["sigmas"] = sigmas(steps).to(x.dtype)
        else:
            own |= {"sigma_min": sigma_min, "sigma_max": sigma_max}
        if "n" in parameters:  # the number of evaluations
            own["n"] = steps
        return function(denoise, x, disable=True, **own)

    return {
        "marginal": lambda t: torch.tensor([1.0, float(t)], dtype=torch.float64),
        "timesteps": sigmas,
        "sample": sample,
    }
