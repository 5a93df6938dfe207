"""The solvers of the reverse SDE and of the probability-flow ODE, applied to a trained run."""

from typing import Any

import numpy as np

from reference import ops as reference_ops
from reference.runs.devices import to_device, to_host
from reference.runs.views import posterior_mean_of, score_of, sde_of
from reference.samplers import with_denoising_step
from reference.samplers.ancestral import prior
from reference.samplers.dpm_solver import dpm_solver, dpm_solver_plus_plus
from reference.samplers.edm import check_churn, edm, sigmas
from reference.samplers.grids import GRIDS
from reference.samplers.ode import rk45, runge_kutta
from reference.samplers.sde import (
    PREDICTORS,
    euler_maruyama,
    milstein,
    predictor_corrector,
    stochastic_heun,
)

STEPS = {  # the default number of steps; ode-rk45 chooses its own
    "euler-maruyama": 500,
    "milstein": 500,
    "stochastic-heun": 250,
    "predictor-corrector": 250,
    "ode-euler": 100,
    "ode-midpoint": 30,
    "ode-heun": 30,
    "ode-rk4": 20,
    "ode-rk45": None,
    "dpm-solver-1": 50,
    "dpm-solver-2": 20,
    "dpm-solver-3": 15,
    "dpm-solver++": 25,
    "sde-dpm-solver++": 25,
    "edm": 18,
}
STOCHASTIC: dict[str, Any] = {
    "euler-maruyama": euler_maruyama,
    "milstein": milstein,
    "stochastic-heun": stochastic_heun,
}
# The other solvers also evaluate the score at a step's end, so their steps are even in log-SNR.
EVEN_IN_T = ("euler-maruyama", "milstein", "predictor-corrector")
OPTIONS = {  # of each solver
    **{name: ("steps", "grid") for name in STEPS},
    **{name: ("steps", "grid", "reverse_noise") for name in (*STOCHASTIC, "sde-dpm-solver++")},
    "predictor-corrector": ("steps", "grid", "predictor", "corrections", "corrector_step"),
    "ode-rk45": ("tolerance",),
    "edm": ("steps", "churn", "churn_noise", "churn_interval"),
}


def fill_defaults(sampler, **given):
    """The checked options of a solver, with defaults in place of None."""
    defaults = {
        "steps": STEPS[sampler],
        "grid": "t" if sampler in EVEN_IN_T else "log-snr",
        "reverse_noise": 1.0,
        "predictor": "reverse-diffusion",
        "corrections": 1,
        "corrector_step": 0.1,
        "tolerance": 1e-4,
        "churn": 0.0,
        "churn_noise": 1.0,
        "churn_interval": None,
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
    for name in ("corrector_step", "tolerance"):
        if name in how and not 0 < how[name] < float("inf"):
            option = name.replace("_", "-")
            raise ValueError(f"{option} must be a positive number, got {how[name]}")
    if not 0 <= how.get("reverse_noise", 0.0) < float("inf"):
        raise ValueError(f"reverse-noise must not be negative, got {how['reverse_noise']}")
    if sampler == "edm":
        check_churn(how["churn"], how["churn_noise"], how["churn_interval"])
        if not how["churn"] and (how["churn_noise"], how["churn_interval"]) != (1.0, None):
            raise ValueError("churn-noise and churn-interval need a churn above 0")
    return how


def prior_sample(run, sample, seed, ops=reference_ops):
    """x at the SDE's end [b,...]: the prior, with the data's own variance where the signal is left
    as it is.
    """
    sde = sde_of(run)
    scale = np.hypot(
        sde.signal(sde.t_max) * run.model.data_variance**0.5, sde.noise_scale(sde.t_max)
    )
    return prior(seed, sample, run.model.network.sample_shape, scale=float(scale), ops=ops)


def clipped_score(run, ops, clip=None):
    """The run's score(x, alpha, sigma), after ``clip`` (a ``Clip``) held the mean of x_0 that
    belongs to it.
    """
    if clip is None:
        return score_of(run, ops)
    mean = posterior_mean_of(run, ops)
    return lambda x, alpha, sigma: (alpha * clip(mean(x, alpha, sigma)) - x) * (1 / sigma**2)


def solve(run, ops, sample, sampler, seed, steps=None, score=None, clip=None, **own):
    """The solver as a generator of (t, x, None), ending in the mean of x_0: for the samples of the
    indices ``sample`` [b].

    ``score(x, alpha, sigma)``: the run's own unless given, its mean of x_0 held by ``clip``.
    """
    sde, x = sde_of(run), prior_sample(run, sample, seed, ops)
    score = clipped_score(run, ops, clip) if score is None else score
    if sampler == "edm":
        ratio = sde.noise_scale(sde.t_max) / sde.signal(sde.t_max)
        denoise = lambda x, sigma: ops.reverse_step(x, score(x, 1.0, sigma), 1.0, sigma**2, 0, None)
        levels = sigmas(steps, sde.min_noise_ratio, ratio).tolist()
        x = x * (1 / sde.signal(sde.t_max))
        return edm(denoise, levels, x, seed, sample, largest=levels[0], ops=ops, **own)
    at = lambda x, t: score(x, *sde.marginal(t))
    return integrate(sde, at, x, sample, sampler, seed, steps, ops=ops, **own)


def integrate(
    sde,
    at,
    x,
    sample,
    sampler,
    seed,
    steps=None,
    grid="t",
    reverse_noise=1.0,
    tolerance=None,
    ops=reference_ops,
    **own,
):
    """As ``solve``, from x[b,...] at the end of any SDE, with the score ``at(x, t)``; not for
    ``edm``.
    """
    times: Any = (sde.t_max, sde.t_min) if sampler == "ode-rk45" else GRIDS[grid](sde, steps)
    if sampler in STOCHASTIC:
        # the diffusion does not depend on x
        slope = (lambda x, t: 0.0,) if sampler == "milstein" else ()
        states: Any = STOCHASTIC[sampler](
            *sde.reverse(at, reverse_noise), *slope, times, x, seed, sample, ops=ops
        )
    elif sampler == "predictor-corrector":
        step = own.pop("corrector_step")
        states = predictor_corrector(sde, at, times, x, seed, sample, ops=ops, step=step, **own)
    elif "dpm-solver" in sampler:
        predict_noise = lambda x, t: at(x, t) * -sde.noise_scale(t)
        if sampler.endswith("++"):
            how = (seed, sample, reverse_noise if sampler.startswith("sde") else 0.0, ops)
            states = dpm_solver_plus_plus(sde, predict_noise, times, x, *how)
        else:
            states = dpm_solver(sde, predict_noise, times, x, int(sampler[-1]))
    else:
        flow, _ = sde.reverse(at, 0.0)
        if sampler == "ode-rk45":
            states = _rk45(flow, times, x, tolerance, ops)
        else:
            states = runge_kutta(flow, times, x, sampler.removeprefix("ode-"))
    return with_denoising_step(states, lambda x, t: _denoise(sde, at, x, t, ops))


def _rk45(flow, times, x, tolerance, ops):
    """``rk45``.  It needs NumPy arrays: where x is on a device, each call of ``flow`` copies both
    ways.
    """
    if isinstance(x, np.ndarray):
        return rk45(flow, times, x, tolerance, tolerance)
    on_host = lambda x, t: to_host(flow(to_device(x, ops), t), ops)
    states = rk45(on_host, times, to_host(x, ops), tolerance, tolerance)
    return ((t, to_device(x, ops), x0) for t, x, x0 in states)


def _denoise(sde, at, x, t, ops):
    """E[x_0 | x] by Tweedie's formula, (x + sigma^2 score) / alpha."""
    alpha, sigma = sde.marginal(t)
    return ops.reverse_step(x, at(x, t), 1 / alpha, sigma**2 / alpha, 0, None)
