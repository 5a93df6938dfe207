"""This project's schedules, steps and samplers as targets, ``reference:NAME`` with the name of a
sampler of the command line.

A chain (``ddpm``, ``ddim``) has the times 1 .. T of its schedule, and a solver has the times of its
SDE.  The times of ``edm`` and ``annealed-langevin`` are noise levels sigma, and ``indi`` has the
times of its path.  The audit's ``denoise`` takes the place of the network.
"""

from functools import cache
from inspect import signature
from typing import Any

import numpy as np

from reference import ops as reference_ops
from reference.audit.levels import PREDICTIONS
from reference.audit.target import TIMES, Target, TargetError
from reference.ddpm.ddpm import VARIANCES
from reference.diffusion.conversions import convert
from reference.diffusion.denoiser import TRAINABLE, Denoiser, simple_loss
from reference.diffusion.forward_process import forward
from reference.diffusion.guidance import guide
from reference.diffusion.schedules import SCHEDULES, as_float, geometric
from reference.diffusion.schedules import zero_terminal_snr as with_zero_terminal_snr
from reference.runs import solvers
from reference.runs.methods import usual_prediction
from reference.runs.sampler_options import SAMPLERS
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral
from reference.samplers.annealed_langevin import annealed_langevin
from reference.samplers.ddim import ddim
from reference.samplers.edm import check_churn, edm, sigmas
from reference.samplers.indi import indi
from reference.sde.sde import SDES

CHAINS: dict[str, Any] = {"ddpm": ancestral, "ddim": ddim}
ORDERS = {  # on the probability-flow ODE, as the docstrings of the solvers state them
    "ode-euler": 1,
    "ode-midpoint": 2,
    "ode-heun": 2,
    "ode-rk4": 4,
    "dpm-solver-1": 1,
    "dpm-solver-2": 2,
    "dpm-solver-3": 3,
    "dpm-solver++": 2,
    "edm": 2,
}
# langevin stays at one noise level, decoder has none, and consistency takes no E[x_0 | x]
NAMES = tuple(name for name in SAMPLERS if name not in ("langevin", "decoder", "consistency"))


def targets(name, options, limit):
    """The targets of ``reference:name``, or of ``reference:all``."""
    if name == "all":
        return [_target(each, options, limit) for each in NAMES]
    if name not in NAMES:
        raise TargetError(f"reference has the samplers {', '.join(NAMES)}, and not {name!r}")
    return [_target(name, options, limit)]


def _target(name, options, limit):
    make = _chain if name in CHAINS else OTHERS.get(name, _solver)
    known = list(signature(make).parameters)[1:]
    for option in options:
        if option not in known:
            raise TargetError(
                f"reference:{name} has the options {', '.join(known)}, and not {option}"
            )
    try:
        pieces, claims = make(name, **options)
    except (ValueError, TypeError) as error:
        raise TargetError(f"reference:{name}: {error}") from error
    return Target(f"reference:{name}", pieces | {"guided": guide}, claims, limit)


def _choice(name, choices, value):
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    return choices[value] if isinstance(choices, dict) else value


class GivenNoise:
    """The reference's ops with one array of noise in place of random numbers."""

    def __init__(self, noise):
        self.noise = noise

    def __getattr__(self, name):
        return getattr(reference_ops, name)

    def reverse_step(self, x, prediction, a, b, c, key):
        noise = None if key is None else self.noise
        return reference_ops.reverse_step(x, prediction, a, b, c, noise)


def pieces_of(schedule, prediction):
    """The pieces that a schedule and a prediction determine."""
    _choice("prediction", tuple(name for name in TRAINABLE if name in PREDICTIONS), prediction)
    network: Any = None
    model, predicts_v = (Denoiser(network, schedule, kind) for kind in (prediction, "v"))

    def predict_x0(prediction, t, x):
        return convert(prediction, x, model.prediction, "x0", *_level(schedule, t))

    def loss(denoise, x0, t, noise):
        times = np.broadcast_to(t, len(x0))
        target = model.target(x0, times, noise)
        return simple_loss(denoise(forward(schedule, x0, times, noise), t), target)[1]

    return {
        "add_noise": lambda x0, noise, t: forward(schedule, x0, t, noise),
        "predict_x0": predict_x0,
        "velocity": lambda x0, noise, t: predicts_v.target(x0, np.broadcast_to(t, len(x0)), noise),
        "loss": loss,
    }


def _level(schedule, t):
    return schedule.signal(t), schedule.noise_scale(t)


def _chain(
    name,
    schedule="linear",
    T=1000,
    prediction=None,
    eta=0.0,
    variance="posterior",
    clip=None,
    zero_terminal_snr=False,
):
    make = _choice("schedule", SCHEDULES, schedule)
    table = lambda T: with_zero_terminal_snr(make(T)) if zero_terminal_snr else make(T)
    prediction = prediction or usual_prediction(table(T))
    own = {"clip": clip, "prediction": prediction}
    if name == "ddim":
        own["eta"] = eta
    else:
        own["variance"] = _choice("variance", VARIANCES[:2], variance)
    pieces, claims = chain_pieces(name, table(T), **own)
    pieces["alpha_bar"] = lambda T=T: table(T).signal_power(np.arange(T + 1))
    return pieces, claims | ({} if zero_terminal_snr else {"schedule": schedule})


def chain_pieces(name, schedule, prediction, **own):
    """(pieces, claims) of ``ddpm`` or ``ddim`` on a ``Schedule``.  ``own``: the arguments of the
    sampler.
    """

    def run(predict, grid, x, seed, ops):
        sample = np.arange(len(x))
        how = own | {"prediction": prediction, "ops": ops}
        return final_sample(CHAINS[name](predict, schedule, grid, x, seed, sample, **how))

    pieces = pieces_of(schedule, prediction) | {
        "timesteps": lambda n: np.array(schedule.timesteps(n)),
        "step": lambda prediction, t, x, noise, t_prev: run(
            lambda x, t: prediction, [t, t_prev], x, 0, GivenNoise(noise)
        ),
        "sample": lambda denoise, x, steps, seed: run(
            denoise, schedule.timesteps(steps), x, seed, reference_ops
        ),
    }
    claims = {"time": "1-based", "T": schedule.T, "prediction": prediction, "grid": "trailing"}
    if name == "ddim" and not own.get("eta"):
        return pieces, claims | {"sampler": "ode", "order": 1}
    return pieces, claims | {"sampler": "sde"}


def _solver(
    name,
    sde="vp",
    prediction="noise",
    min_noise_ratio=0.01,
    grid=None,
    reverse_noise=None,
    predictor=None,
    corrections=None,
    corrector_step=None,
    tolerance=None,
):
    given = {
        "grid": grid,
        "reverse_noise": reverse_noise,
        "predictor": predictor,
        "corrections": corrections,
        "corrector_step": corrector_step,
        "tolerance": tolerance,
    }
    for key, value in given.items():
        if value is not None and key not in solvers.OPTIONS[name]:
            raise ValueError(f"{key} is not one of its options")
    process = _choice("sde", SDES, sde)(min_noise_ratio=min_noise_ratio)
    return solver_pieces(name, process, prediction, **given)


def solver_pieces(name, process, prediction, **given):
    """(pieces, claims) of a solver on an ``SDE``.  ``given``: its options, None where not given."""
    given = {"steps": None} | given
    # the audit runs the same grids many times, and each of their times is found by bisection
    object.__setattr__(process, "time_of_log_snr", cache(process.time_of_log_snr))
    own = {key: value for key, value in given.items() if key in solvers.OPTIONS[name]}
    own = solvers.fill_defaults(name, **own)

    def sample(denoise, x, steps, seed):
        def score(x, t):
            return convert(denoise(x, t), x, prediction, "score", *process.marginal(t))

        how = own | ({"steps": steps} if "steps" in own else {})
        indices = np.arange(len(x))
        return final_sample(solvers.integrate(process, score, x, indices, name, seed, **how))

    pieces = pieces_of(process, prediction) | {
        "sample": sample,
        TIMES: np.linspace(0, process.t_max, 1001),
    }
    pieces["marginal"] = lambda t: _level(process, t)  # also beyond t_max, which the audit asks for
    is_ode = name in ORDERS or name == "ode-rk45" or own.get("reverse_noise") == 0
    claims = {"time": "real", "prediction": prediction, "sampler": "ode" if is_ode else "sde"}
    return pieces, claims | ({"order": ORDERS[name]} if name in ORDERS else {})


class SigmaTime:
    """x = x_0 + sigma eps, where sigma itself is the time."""

    def signal(self, t):
        return as_float(np.ones_like(t, np.float64))

    def noise_scale(self, t):
        return t

    def marginal(self, t):
        return 1.0, float(t)


class Line:
    """InDI's path from x_0 to noise, x = (1 - t) x_0 + t eps."""

    def signal(self, t):
        return 1.0 - t

    def noise_scale(self, t):
        return t

    def marginal(self, t):
        return 1.0 - float(t), float(t)


def _edm(
    name,
    prediction="x0",
    sigma_min=0.002,
    sigma_max=80.0,
    rho=7.0,
    churn=0.0,
    churn_noise=1.0,
    churn_interval=None,
):
    levels, time = lambda n: sigmas(n, sigma_min, sigma_max, rho), SigmaTime()

    def sample(denoise, x, steps, seed):
        mean = lambda x, sigma: convert(denoise(x, sigma), x, prediction, "x0", 1.0, sigma)
        indices = np.arange(len(x))
        churned = (churn, churn_noise, churn_interval)
        return final_sample(edm(mean, levels(steps), x, seed, indices, *churned))

    check_churn(churn, churn_noise, churn_interval)
    pieces = pieces_of(time, prediction) | {"timesteps": levels, "sample": sample}
    pieces["marginal"] = time.marginal
    claims = {"time": "sigma", "prediction": prediction}
    return pieces, claims | ({"sampler": "sde"} if churn else {"sampler": "ode", "order": 2})


def _annealed_langevin(
    name, prediction="noise", levels=12, sigma_min=0.02, sigma_max=10.0, base_step=None
):
    """``base_step``: by default sigma_min^2 / sqrt(steps).  A Langevin step of a fixed length has a
    bias that more steps do not change; with this one they are shorter, and longer in all.
    """
    schedule, time = geometric(levels, sigma_min, sigma_max), SigmaTime()
    rising = schedule.noise_scale(np.arange(1, levels + 1))

    def sample(denoise, x, steps, seed):
        score = lambda x, sigma: convert(denoise(x, sigma), x, prediction, "score", 1.0, sigma)
        step = sigma_min**2 / steps**0.5 if base_step is None else base_step
        indices = np.arange(len(x))
        return final_sample(annealed_langevin(score, rising[::-1], x, steps, seed, indices, step))

    pieces = pieces_of(time, prediction) | {"sigmas": rising, "sample": sample}
    return pieces, {"time": "sigma", "prediction": prediction, "sampler": "sde"}


def _indi(name, prediction="x0"):
    time = Line()

    def sample(denoise, x, steps, seed):
        mean = lambda x, t: convert(denoise(x, t), x, prediction, "x0", *time.marginal(t))
        grid = np.linspace(1.0, 0.0, steps + 1).tolist()
        return final_sample(indi(mean, grid, x, seed, np.arange(len(x))))

    pieces = pieces_of(time, prediction) | {"marginal": time.marginal, "sample": sample}
    return pieces, {"time": "real", "prediction": prediction, "sampler": "ode", "order": 1}


OTHERS: dict[str, Any] = {"edm": _edm, "annealed-langevin": _annealed_langevin, "indi": _indi}
