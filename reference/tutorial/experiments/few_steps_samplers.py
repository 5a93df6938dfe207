"""The samplers of the experiment ``few_steps``, all with one process and one grid: levels of Karras
et al. from sigma / alpha = 80 to 0.002, and then the mean of x_0, as one evaluation more.

Not listed: InDI and Euler's method of a flow, which are DDIM; Milstein's method, which is Euler and
Maruyama's where the noise does not depend on x; solvers with steps of their own choice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from reference.diffusion.schedules import of_sigmas
from reference.runs.solvers import integrate
from reference.samplers.ancestral import ancestral
from reference.samplers.annealed_langevin import annealed_langevin
from reference.samplers.ddim import ddim
from reference.samplers.edm import edm, sigmas
from reference.sde.sde import VP
from reference.tutorial.experiments.few_steps_exact import HIGH, LOW, karras

SEED = 1
LANGEVIN_STEPS = 4  # at each level
CHURN = 10.0


class Process(VP):
    """VP that computes each time of a grid once."""

    time_of_log_snr = cache(VP.time_of_log_snr)


# until sigma / alpha is HIGH
PROCESS = Process(t_max=VP().time_of_log_snr(-2 * float(np.log(HIGH))), min_noise_ratio=LOW)


@dataclass(frozen=True)
class Method:
    """``states(score, steps, x, sample, ops)``: a sampler from x = alpha x_0 + sigma eps at the end
    of PROCESS, with ``score(x, alpha, sigma)``.  ``stages``: evaluations a step.  ``order``: in
    theory, None for none.
    """

    states: Callable
    stages: int = 1
    order: int | None = 1
    noisy: bool = False


def _solver(name, **own):
    """A solver of runs/solvers.py, in the time of PROCESS."""

    def states(score, steps, x, sample, ops):
        at = lambda x, t: score(x, *PROCESS.marginal(t))
        return integrate(PROCESS, at, x, sample, name, SEED, steps, "karras", ops=ops, **own)

    return states


def _exploding(sampler):
    """A sampler of x_0 + sigma eps on the N + 1 levels of N steps, and then 0."""
    return lambda score, steps, x, sample, ops: sampler(
        score, karras(steps), x * (1 / PROCESS.signal(PROCESS.t_max)), sample, ops
    )


def _chain(step, **options):
    """A sampler of discrete times, such as ``ddim``."""

    def states(score, levels, x, sample, ops):
        schedule = of_sigmas(levels)
        noise = lambda x, t: score(x, 1.0, schedule.noise_scale(t)) * -schedule.noise_scale(t)
        grid = schedule.timesteps(len(levels))
        return step(noise, schedule, grid, x, SEED, sample, ops=ops, **options)

    return _exploding(states)


def _edm(score, levels, x, sample, ops, churn=0.0):
    denoise = lambda x, sigma: x + sigma**2 * score(x, 1.0, sigma)
    falling = sigmas(len(levels), levels[0], levels[-1])
    return edm(denoise, falling, x, SEED, sample, churn, largest=falling[0], ops=ops)


def _langevin(score, levels, x, sample, ops):
    at, fewer = lambda x, sigma: score(x, 1.0, sigma), karras(len(levels) - 2)
    return annealed_langevin(at, fewer[::-1], x, LANGEVIN_STEPS, SEED, sample, ops=ops)


CORRECTED = {"predictor": "reverse-diffusion", "corrections": 1, "corrector_step": 0.1}
METHODS = {
    "DDIM": Method(_chain(ddim)),
    "Euler": Method(_solver("ode-euler")),
    "midpoint": Method(_solver("ode-midpoint"), 2, 2),
    "Heun": Method(_solver("ode-heun"), 2, 2),
    "EDM": Method(_exploding(_edm), 2, 2),
    "RK4": Method(_solver("ode-rk4"), 4, 4),
    "DPM-Solver-2": Method(_solver("dpm-solver-2"), 2, 2),
    "DPM-Solver-3": Method(_solver("dpm-solver-3"), 3, 3),
    "DPM-Solver++ 2M": Method(_solver("dpm-solver++"), 1, 2),
    "DDPM": Method(_chain(ancestral), noisy=True),
    "DDPM, variance beta": Method(_chain(ancestral, variance="beta"), noisy=True),
    "Euler-Maruyama": Method(_solver("euler-maruyama"), noisy=True),
    "EDM, churn": Method(_exploding(partial(_edm, churn=CHURN)), 2, 2, True),
    "SDE-DPM-Solver++ 2M": Method(_solver("sde-dpm-solver++"), 1, 2, True),
    "stochastic Heun": Method(_solver("stochastic-heun"), 2, 2, True),
    "predictor-corrector": Method(_solver("predictor-corrector", **CORRECTED), 2, noisy=True),
    "annealed Langevin": Method(_exploding(_langevin), LANGEVIN_STEPS, None, True),
}
