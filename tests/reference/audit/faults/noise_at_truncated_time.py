"""The level of a real time is read from a table at the truncated index, where training uses the real time.

crowsonkb/k-diffusion rounds sigma to the nearest trained time only on request; truncation is up to one level off.
"""

import numpy as np

CAUGHT_BY = "add_noise coefficients"
CLAIMS = {"time": "real"}


def marginal(t):
    log_alpha_bar = -(0.1 * t + 19.9 * t * t / 2)
    return np.exp(log_alpha_bar / 2), np.sqrt(-np.expm1(log_alpha_bar))


def add_noise(x0, noise, t):
    alpha, sigma = marginal(int(t * 100) / 100)
    return alpha * x0 + sigma * noise
