"""Distributions, exact predictions and grids that the oracle tests share."""

import numpy as np
import pytest
from hypothesis import strategies as st

from reference.diffusion.mixtures import Mixture
from reference.diffusion.schedules import SCHEDULES
from reference.samplers import final_sample
from reference.sde.flow import Flow
from reference.sde.sde import SDES, VE, VP, Brownian, OrnsteinUhlenbeck, SubVP


@st.composite
def grids(draw, longest=200, fewest=2):
    """A schedule and some of its times, decreasing from T to 0."""
    T = draw(st.integers(fewest, longest))
    inner = draw(st.lists(st.integers(1, T - 1), unique=True, min_size=fewest - 1, max_size=20)) if T > 1 else []
    return SCHEDULES[draw(st.sampled_from(sorted(SCHEDULES)))](T), [T, *sorted(inner, reverse=True), 0]


def normal_data(mean, variance):
    """The distribution N(mean, variance) in one dimension."""
    return Mixture(np.ones(1), np.array([[mean]]), np.array([variance]))


def gaussian_mmse(schedule, variance):
    """Mean squared error of the exact denoiser for Gaussian data of that variance, as a function of t."""
    return lambda t: variance * schedule.noise_power(t) / (schedule.signal_power(t) * variance + schedule.noise_power(t))


every_schedule = pytest.mark.parametrize("name", sorted(SCHEDULES))

SDE_EXAMPLES = {  # one of each, with unusual parameters
    "vp": VP(beta_min=0.3, beta_max=7.0, t_max=1.3, min_noise_ratio=0.02),
    "ve": VE(sigma_min=0.07, sigma_max=9.0, t_max=0.8, min_noise_ratio=0.03),
    "subvp": SubVP(beta_min=0.5, beta_max=11.0),
    "ou": OrnsteinUhlenbeck(gamma=0.7, q=0.3, t_max=3.0),
    "brownian": Brownian(a=1.7, t_max=2.5),
    "flow": Flow(t_max=0.97, min_noise_ratio=0.02),
}


@st.composite
def sdes(draw):
    """Any SDE whose exponents stay below 64."""
    number = lambda low, high: draw(st.floats(low, high))
    kind, common = draw(st.sampled_from(sorted(SDE_EXAMPLES))), {"t_max": number(0.3, 1.5), "min_noise_ratio": number(1e-3, 0.03)}
    if kind in ("vp", "subvp"):
        beta_min = number(0.5, 10.0)
        return SDES[kind](beta_min=beta_min, beta_max=beta_min * number(1.0, 4.0), **common)
    if kind == "ve":
        sigma_min = number(0.1, 1.0)
        return VE(sigma_min=sigma_min, sigma_max=sigma_min * number(3.0, 1e4), **common)
    if kind == "ou":
        return OrnsteinUhlenbeck(gamma=number(0.1, 5.0), q=number(0.1, 5.0), **common)
    if kind == "flow":
        return Flow(**common | {"t_max": number(0.3, 0.99)})
    return Brownian(a=number(0.1, 5.0), **common)


def gaussian_score(sde, t, mean, variance):
    """(mean, variance, score(x)) of x_t = alpha x_0 + sigma eps for Gaussian data."""
    alpha, sigma = sde.marginal(t)
    m, v = alpha * mean, alpha**2 * variance + sigma**2
    return m, v, lambda x: (m - x) / v


class ImpulsePort:
    """A port with unit impulses as noise: it gives the exact distribution of samplers that are linear in x and in their draws.

    Sample 0 starts at 0 without noise; sample 1 starts at 1; sample 2 + k starts at 0, and its k-th draw is 1 and all others 0.  Their
    differences from sample 0 are the weights of the start and of the draws.  Draws are identified by key: a draw used twice has one weight.
    """

    def __init__(self, draws):
        self.x, self.keys = np.zeros((draws + 2, 1)), {}
        self.x[1] = 1.0

    def normal(self, seed, sample, step, purpose, shape, dtype):
        z = np.zeros(self.x.shape, dtype)
        z[2 + self.keys.setdefault((seed, step, purpose), len(self.keys))] = 1.0
        return z

    def reverse_step(self, x, prediction, a, b, c, noise):
        return a * x + b * prediction + (c * self.normal(*noise, x.shape[1:], x.dtype) if noise is not None else 0.0)

    @staticmethod
    def weights(x):
        """(offset, weight of the start, weights of the draws)."""
        return x[0, 0], x[1, 0] - x[0, 0], x[2:, 0] - x[0, 0]


def moments(sampler, draws, mean, variance):
    """(mean, variance) of the last x of ``sampler(x, port)``, for a start with the given moments."""
    port = ImpulsePort(draws)
    offset, start, noise = port.weights(final_sample(sampler(port.x, port)))
    assert len(port.keys) == draws, f"{len(port.keys)} draws, not {draws}"
    return offset + start * mean, start**2 * variance + noise @ noise


def exact_noise(distribution, schedule):
    """The exact noise prediction for data of that distribution."""
    return lambda x, t: distribution.expected_noise(x, schedule.signal(t), schedule.noise_scale(t))


def point_mass_noise(x0, schedule):
    """The exact noise prediction for data at a single point."""
    return lambda x, t: (x - schedule.signal(t) * x0) / schedule.noise_scale(t)


def gaussian_noise(schedule, variance=0.25):
    """The exact noise prediction for N(0, variance), entry by entry and in the dtype of x."""

    def predict_noise(x, t):
        power = schedule.noise_power(t)
        return x * (power**0.5 / (schedule.signal_power(t) * variance + power))

    return predict_noise
