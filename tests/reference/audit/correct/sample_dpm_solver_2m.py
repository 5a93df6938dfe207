"""DPM-Solver++(2M) on a grid that is even in t, real times from 1 to 0.001, then the data."""

import numpy as np

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
        slope = x0
        if before is not None:
            slope = x0 + h / (2 * before[1]) * (x0 - before[0])
        x = sigma_s / sigma * x - alpha_s * np.expm1(-h) * slope
        before = x0, h
