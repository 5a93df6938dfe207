"""DPM-Solver++(2M) without the factor 1/2 of its slope: a method of order 1 that claims 2."""

import numpy as np

CAUGHT_BY = "sample order"
CLAIMS = {"time": "real", "order": 2}


def marginal(t):
    log_alpha = -0.25 * t**2 * 19.9 - 0.5 * t * 0.1
    return np.exp(log_alpha), np.sqrt(-np.expm1(2 * log_alpha))


def sample(denoise, x, steps, seed):
    times = np.linspace(1.0, 0.001, steps)
    before = None
    for i, t in enumerate(times):
        alpha, sigma = marginal(t)
        x0 = (x - sigma * denoise(x, t)) / alpha
        if i == steps - 1:
            return x0
        alpha_s, sigma_s = marginal(times[i + 1])
        h = np.log(alpha_s / sigma_s) - np.log(alpha / sigma)
        slope = x0 if before is None else x0 + h / before[1] * (x0 - before[0])
        x = sigma_s / sigma * x - alpha_s * np.expm1(-h) * slope
        before = x0, h
