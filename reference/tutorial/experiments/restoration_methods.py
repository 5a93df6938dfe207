"""The samplers of the experiment ``restoration`` by name, for a prior with exact denoisers, on the
levels of Karras et al. from sigma = 80 to 0.002 and a last step to 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from reference.diffusion.schedules import of_sigmas
from reference.restoration.ddrm import ddrm
from reference.restoration.diffpir import diffpir
from reference.restoration.dps import dps
from reference.restoration.guided_denoisers import (
    dmps_denoiser,
    likelihood_denoiser,
    pigdm_denoiser,
)
from reference.samplers.ancestral import ancestral
from reference.samplers.ddim import ddim
from reference.samplers.edm import sigmas

HIGH = 80.0  # the largest level, the deviation of the start


@dataclass(frozen=True)
class Problem:
    """y[b,...] = A x_0 + ``noise`` n.  ``denoise`` and ``denoise_and_pullback``: of the prior,
    whose entries have this variance.  ``exact``(x, alpha, sigma) is E[x_0 | x, y].
    """

    operator: Any
    y: np.ndarray
    noise: float
    denoise: Callable
    denoise_and_pullback: Callable
    exact: Callable
    data_variance: float


@cache
def levels(N):
    """(schedule, grid) of N steps."""
    schedule = of_sigmas(sigmas(N, sigma_max=HIGH)[-2::-1])
    return schedule, schedule.timesteps(N)


def _guided(denoiser, sampler=ancestral):
    """A sampler of the prior that takes another denoiser."""

    def states(problem, N, x, seed, sample, ops):
        (schedule, grid), guided = levels(N), denoiser(problem)
        predict = lambda x, t: guided(x, schedule.signal(t), schedule.noise_scale(t))
        return sampler(predict, schedule, grid, x, seed, sample, ops=ops, prediction="x0")

    return states


def _dps(rule):
    def states(problem, N, x, seed, sample, ops):
        (schedule, grid), operator = levels(N), problem.operator
        pair = problem.denoise_and_pullback
        return dps(pair, operator, problem.y, schedule, grid, x, seed, sample, 1.0, rule, ops)

    return states


def _with_noise(sampler, *options):
    def states(problem, N, x, seed, sample, ops):
        of = problem.denoise, problem.operator, problem.y, problem.noise
        return sampler(*of, *levels(N), x, seed, sample, *options, ops=ops)

    return states


EXACT, EXACT_ODE, PIGDM = "exact score, ancestral", "exact score, ODE", "PiGDM"
LIKELIHOOD, DPS, DMPS, DDRM = "likelihood score", "DPS, squared norm", "DMPS", "DDRM"
DPS_OF_PAPER, DPS_OF_CODE = "DPS, step of the paper", "DPS, step of the code"
WIDE_DIFFPIR, DIFFPIR = "DiffPIR, λ 7, ζ .3", "DiffPIR, λ 1, ζ 1"
METHODS = {  # name -> states(problem, N, x, seed, sample, ops): a generator
    EXACT: _guided(lambda p: p.exact),
    EXACT_ODE: _guided(lambda p: p.exact, ddim),
    PIGDM: _guided(
        lambda p: pigdm_denoiser(p.denoise_and_pullback, p.operator, p.y, p.noise, p.data_variance)
    ),
    DPS: _dps("squared"),
    DPS_OF_PAPER: _dps("normalised"),
    DPS_OF_CODE: _dps("norm"),
    LIKELIHOOD: _guided(
        lambda p: likelihood_denoiser(p.denoise_and_pullback, p.operator, p.y, p.noise)
    ),
    DMPS: _guided(lambda p: dmps_denoiser(p.denoise, p.operator, p.y, p.noise)),
    DDRM: _with_noise(ddrm, 0.85, 1.0),
    WIDE_DIFFPIR: _with_noise(diffpir, 7.0, 0.3),
    DIFFPIR: _with_noise(diffpir, 1.0, 1.0),
}
NOT_LINEAR = (DPS_OF_PAPER, DPS_OF_CODE)
