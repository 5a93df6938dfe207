"""EDM's samplers (Karras et al. 2022), both of them one loop over falling noise levels.

Without churn it is Algorithm 1: the probability-flow ODE in sigma,
dx/dsigma = (x - denoise(x, sigma)) / sigma, by Heun's method.  With churn it is Algorithm 2: each
step first adds noise that raises the level from sigma to sigma_hat = (1 + gamma) sigma, and then
goes down to the next level from there.  New noise of variance sigma_hat^2 - sigma^2 turns the
density of x_0 + sigma eps into that of x_0 + sigma_hat eps exactly, and so it replaces old noise
and the errors in it.

    gamma = min(churn / N, sqrt(2) - 1) at levels within the interval, else 0, for N steps.

The bound: no step adds more noise than x has, sigma_hat^2 <= 2 sigma^2.  ``churn``, the ends of the
interval and ``churn_noise`` are the paper's S_churn, S_tmin, S_tmax and S_noise.

``denoise(x, sigma)`` is E[x_0 | x] for x = x_0 + sigma eps.  Not in the tutorial, which cites it.
"""

from itertools import pairwise

import numpy as np

from reference import ops as reference_ops
from reference.ops.random import Key, Purpose
from reference.samplers import check_grid


def sigmas(n, sigma_min=0.002, sigma_max=80.0, rho=7.0):
    """n levels from sigma_max to sigma_min, even in sigma^{1/rho}, followed by 0."""
    if n < 2 or not 0 < sigma_min < sigma_max:
        raise ValueError(
            "n must be at least 2 and 0 < sigma_min < sigma_max,"
            f" got {n}, {sigma_min} and {sigma_max}"
        )
    return np.append(np.linspace(sigma_max ** (1 / rho), sigma_min ** (1 / rho), n) ** rho, 0.0)


def check_churn(churn, churn_noise, churn_interval):
    """ValueError unless churn and its noise are finite and not negative, and the interval is None
    or a level and a higher one.
    """
    for name, value in (("churn", churn), ("churn-noise", churn_noise)):
        if not 0 <= value < float("inf"):
            raise ValueError(f"{name} must be finite and not negative, got {value:g}")
    low, high = churn_interval or (0, 1)
    if not 0 <= low < high:
        raise ValueError(
            f"churn-interval must be a low and a higher noise level, got {low:g} {high:g}"
        )


def edm(
    denoise,
    levels,
    x,
    seed=0,
    sample=None,
    churn=0.0,
    churn_noise=1.0,
    churn_interval=None,
    largest=float("inf"),
    ops=reference_ops,
):
    """From x[b,...] at levels[0] down to levels[-1] = 0; yields (sigma, x, None).

    ``churn_noise``: the deviation of the new noise over that of the formula; the paper takes up to
    1.007, for networks that remove too much noise.  ``churn_interval``: (low, high), None for all
    levels.  No level is raised above ``largest``, such as the largest noise that a network knows.
    Churn needs the indices ``sample`` [b].

    n steps cost 2 n - 1 evaluations: the slope is not defined at sigma = 0, so the last step is
    Euler's.
    """
    check_churn(churn, churn_noise, churn_interval)
    levels = check_grid(levels)
    low, high = churn_interval or (0.0, float("inf"))
    gamma = min(churn / (len(levels) - 1), 2**0.5 - 1)
    for step, (sigma, sigma_next) in enumerate(pairwise(levels)):
        sigma_hat = sigma
        if gamma and low <= sigma <= high:
            sigma_hat = min((1 + gamma) * sigma, max(sigma, largest))
            z = ops.normal(*Key(seed, sample, step, Purpose.STEP_NOISE), x.shape[1:], x.dtype)
            x = x + churn_noise * (sigma_hat**2 - sigma**2) ** 0.5 * z
        slope = (x - denoise(x, sigma_hat)) * (1 / sigma_hat)
        predicted = x + (sigma_next - sigma_hat) * slope
        if sigma_next > 0:
            slope_next = (predicted - denoise(predicted, sigma_next)) * (1 / sigma_next)
            slope = (slope + slope_next) * 0.5
            predicted = x + (sigma_next - sigma_hat) * slope
        x = predicted
        yield sigma_next, x, None
