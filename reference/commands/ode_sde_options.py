"""The solvers of the reverse SDE and of the probability-flow ODE, as ``sample`` and ``evaluate``
run them on a trained run.
"""

from typing import Any

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.conversions import log_alpha_bar_of_sigma
from reference.diffusion.schedules import Schedule, VarianceExplodingSchedule
from reference.runs.run import as_posterior_mean, as_score, as_sde
from reference.samplers import with_denoising_step
from reference.samplers.ancestral import prior
from reference.samplers.dpm_solver import dpm_solver, dpm_solver_plus_plus
from reference.samplers.edm import edm, sigmas
from reference.samplers.grids import GRIDS
from reference.samplers.ode import rk45, runge_kutta
from reference.samplers.sde import (
    PREDICTORS,
    euler_maruyama,
    milstein,
    predictor_corrector,
    stochastic_heun,
)
from reference.sde.sde import VE

STEPS = {  # the usual number
    "euler-maruyama": 500,
    "milstein": 500,
    "stochastic-heun": 250,
    "predictor-corrector": 250,
    "ode-euler": 100,
    "ode-midpoint": 30,
    "ode-heun": 30,
    "ode-rk4": 20,
    "ode-rk45": None,  # takes its own
    "dpm-solver-1": 50,
    "dpm-solver-2": 20,
    "dpm-solver-3": 15,
    "dpm-solver++": 25,
    "edm": 18,
}
STOCHASTIC: dict[str, Any] = {
    "euler-maruyama": euler_maruyama,
    "milstein": milstein,
    "stochastic-heun": stochastic_heun,
}
# others ask where a step ends, too: it must be short in log-SNR
EVEN_IN_T = ("euler-maruyama", "milstein", "predictor-corrector")
OPTIONS = {  # of each solver
    **{name: ("steps", "grid") for name in STEPS},
    **{name: ("steps", "grid", "reverse_noise") for name in STOCHASTIC},
    "predictor-corrector": ("steps", "grid", "predictor", "corrections", "step"),
    "ode-rk45": ("tolerance",),
    "edm": ("steps",),
}


def add_solver_options(parser):
    solvers = parser.add_argument_group("solvers of the reverse SDE and the probability-flow ODE")
    how = f"times even in {', '.join(GRIDS)} (default t for {', '.join(EVEN_IN_T)}, else log-snr)"
    solvers.add_argument("--grid", help=how)
    solvers.add_argument(
        "--reverse_noise",
        type=float,
        metavar="X",
        help="noise of the reverse SDE, 1 (default) as usual, 0 none: the ODE",
    )
    solvers.add_argument("--predictor", help=f"{', '.join(PREDICTORS)} (default reverse-diffusion)")
    solvers.add_argument(
        "--corrections",
        type=int,
        metavar="N",
        help="Langevin steps after each prediction (default 1)",
    )
    solvers.add_argument(
        "--step", type=float, metavar="X", help="their length over sigma^2, below 2 (default 0.1)"
    )
    solvers.add_argument(
        "--tolerance",
        type=float,
        metavar="X",
        help="of ode-rk45, absolute and relative (default 1e-4)",
    )


def fill_defaults(sampler, **given):
    """The options of a solver, checked, with defaults for those that are None."""
    defaults = {
        "steps": STEPS[sampler],
        "grid": "t" if sampler in EVEN_IN_T else "log-snr",
        "reverse_noise": 1.0,
        "predictor": "reverse-diffusion",
        "corrections": 1,
        "step": 0.1,
        "tolerance": 1e-4,
    }
    how: dict = {name: defaults[name] if value is None else value for name, value in given.items()}
    least = 2 if sampler == "edm" else 1
    if how.get("steps", least) < least:
        raise ValueError(f"steps must be at least {least}, got {how['steps']}")
    for name, choices in (("grid", GRIDS), ("predictor", PREDICTORS)):
        if name in how and how[name] not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {how[name]!r}")
    if how.get("corrections", 0) < 0:
        raise ValueError(f"corrections must not be negative, got {how['corrections']}")
    for name in ("step", "tolerance"):
        if name in how and not 0 < how[name] < float("inf"):
            raise ValueError(f"{name} must be a positive number, got {how[name]}")
    if not 0 <= how.get("reverse_noise", 0.0) < float("inf"):
        raise ValueError(f"reverse_noise must not be negative, got {how['reverse_noise']}")
    return how


def prior_sample(run, sample, seed, ops=reference_ops):
    """x at the SDE's end [b,...]: the prior, with the data's own variance where the signal is left
    as it is.
    """
    sde = as_sde(run)
    scale = np.hypot(
        sde.signal(sde.t_max) * run.model.data_variance**0.5, sde.noise_scale(sde.t_max)
    )
    return prior(seed, sample, run.model.network.sample_shape, scale=float(scale), ops=ops)


def clipped_score(run, ops, clip=None):
    """The run's score(x, alpha, sigma), after ``clip`` (a ``Clip``) held the mean of x_0 that
    belongs to it.
    """
    if clip is None:
        return as_score(run, ops)
    mean = as_posterior_mean(run, ops)
    return lambda x, alpha, sigma: (alpha * clip(mean(x, alpha, sigma)) - x) * (1 / sigma**2)


def solve(
    run,
    ops,
    sample,
    sampler,
    seed,
    steps=None,
    grid="t",
    reverse_noise=1.0,
    tolerance=None,
    score=None,
    clip=None,
    **own,
):
    """The solver as a generator of (t, x, None), ending in the mean of x_0: for the samples of the
    indices ``sample`` [b].

    ``score(x, alpha, sigma)``: the run's own unless given, its mean of x_0 held by ``clip``.
    """
    sde, score, x = (
        as_sde(run),
        clipped_score(run, ops, clip) if score is None else score,
        prior_sample(run, sample, seed, ops),
    )
    at = lambda x, t: score(x, *sde.marginal(t))
    if sampler == "edm":
        ratio = sde.noise_scale(sde.t_max) / sde.signal(sde.t_max)
        denoise = lambda x, sigma: ops.reverse_step(x, score(x, 1.0, sigma), 1.0, sigma**2, 0, None)
        return edm(
            denoise, sigmas(steps, sde.min_noise_ratio, ratio), x * (1 / sde.signal(sde.t_max))
        )
    times: Any = (sde.t_max, sde.t_min) if sampler == "ode-rk45" else GRIDS[grid](sde, steps)
    if sampler in STOCHASTIC:
        # the noise of a diffusion model is the same everywhere
        slope = (lambda x, t: 0.0,) if sampler == "milstein" else ()
        states: Any = STOCHASTIC[sampler](
            *sde.reverse(at, reverse_noise), *slope, times, x, seed, sample, ops=ops
        )
    elif sampler == "predictor-corrector":
        states = predictor_corrector(sde, at, times, x, seed, sample, ops=ops, **own)
    elif sampler.startswith("dpm"):
        noise, kind = (
            lambda x, t: at(x, t) * -sde.noise_scale(t),
            sampler.removeprefix("dpm-solver"),
        )
        states = (
            dpm_solver_plus_plus(sde, noise, times, x)
            if kind == "++"
            else dpm_solver(sde, noise, times, x, int(kind[1:]))
        )
    else:
        flow, _ = sde.reverse(at, 0.0)
        if sampler == "ode-rk45":
            states = rk45(flow, times, x, tolerance, tolerance)
        else:
            states = runge_kutta(flow, times, x, sampler.removeprefix("ode-"))
    return with_denoising_step(states, lambda x, t: _denoise(sde, at, x, t, ops))


def _denoise(sde, at, x, t, ops):
    """E[x_0 | x] by Tweedie's formula, (x + sigma^2 score) / alpha."""
    alpha, sigma = sde.marginal(t)
    return ops.reverse_step(x, at(x, t), 1 / alpha, sigma**2 / alpha, 0, None)


def as_schedule(run, ops, steps):
    """(schedule, x0_of) for samplers that work on ``steps`` times 1, 2 .. of a schedule: the SDE's
    times, evenly spaced.
    """
    sde, mean = as_sde(run), as_posterior_mean(run, ops)
    times = np.linspace(sde.t_min, sde.t_max, steps) if steps > 1 else np.array([sde.t_max])
    table = np.concatenate(
        ([0.0], log_alpha_bar_of_sigma(sde.noise_scale(times) / sde.signal(times)))
    )
    schedule = (VarianceExplodingSchedule if isinstance(sde, VE) else Schedule)(table)
    return schedule, lambda x, t: mean(x, schedule.signal(t), schedule.noise_scale(t))
