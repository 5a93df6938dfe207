"""Solvers of SDEs, and Gaussian data for them, that several test files share."""

import numpy as np
import pytest

from reference.samplers.sde import euler_maruyama, milstein, stochastic_heun
from tests.oracles import SDE_EXAMPLES, gaussian_score

MEAN, VARIANCE = 0.7, 0.4
every_sde = pytest.mark.parametrize("sde", SDE_EXAMPLES.values(), ids=SDE_EXAMPLES)
SAMPLE = np.arange(3)
COUNTS = np.array([40, 80, 160, 320, 640])


def forward(sde):
    """(drift, diffusion) of the forward SDE."""
    return lambda x, t: sde.drift_coefficient(t) * x, lambda x, t: sde.diffusion(t)


def score_of(sde):
    return lambda x, t: gaussian_score(sde, t, MEAN, VARIANCE)[2](x)


def distribution(sde, t):
    return gaussian_score(sde, t, MEAN, VARIANCE)[:2]


SOLVERS = {
    "euler-maruyama": euler_maruyama,
    "milstein": lambda drift, diffusion, *rest, **more: milstein(drift, diffusion, lambda x, t: 0.0, *rest, **more),
    "stochastic-heun": stochastic_heun,
}
every_solver = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
