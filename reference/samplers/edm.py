"""EDM's deterministic sampler, Algorithm 1 of Karras et al. (2022): the probability-flow ODE in
sigma, dx/dsigma = (x - denoise(x, sigma)) / sigma, by Heun's method.  Their stochastic sampler,
Algorithm 2 with S_churn, is not implemented.

``denoise(x, sigma)`` is E[x_0 | x] for x = x_0 + sigma eps.  Not in the tutorial, which cites it.
"""

from itertools import pairwise

import numpy as np

from reference.samplers import check_grid


def sigmas(n, sigma_min=0.002, sigma_max=80.0, rho=7.0):
    """n levels from sigma_max to sigma_min, even in sigma^{1/rho}, followed by 0."""
    if n < 2 or not 0 < sigma_min < sigma_max:
        raise ValueError(
            "n must be at least 2 and 0 < sigma_min < sigma_max,"
            f" got {n}, {sigma_min} and {sigma_max}"
        )
    return np.append(np.linspace(sigma_max ** (1 / rho), sigma_min ** (1 / rho), n) ** rho, 0.0)


def edm(denoise, levels, x):
    """From x[b,...] at levels[0] down to levels[-1] = 0; yields (sigma, x, None).

    n steps cost 2 n - 1 evaluations: the slope is not defined at sigma = 0, so the last step is
    Euler's.
    """
    for sigma, sigma_next in pairwise(check_grid(levels)):
        slope = (x - denoise(x, sigma)) * (1 / sigma)
        predicted = x + (sigma_next - sigma) * slope
        if sigma_next > 0:
            slope_next = (predicted - denoise(predicted, sigma_next)) * (1 / sigma_next)
            slope = (slope + slope_next) * 0.5
            predicted = x + (sigma_next - sigma) * slope
        x = predicted
        yield sigma_next, x, None
