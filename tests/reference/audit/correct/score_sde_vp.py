"""Song et al. 2021, the VP equation: real t in [0, 1], marginal(t), the score, the probability flow's exact exponential step."""

import numpy as np

RECOGNISED = {"time": "real", "form of x": "variance preserving", "prediction": "score"}


def marginal(t):
    log_alpha = -0.25 * t**2 * (20 - 0.1) - 0.5 * t * 0.1
    return np.exp(log_alpha), np.sqrt(-np.expm1(2 * log_alpha))


def add_noise(x, z, t):
    mean, std = marginal(t)
    return mean * x + std * z


def timesteps(n):
    return np.linspace(1, 1e-3, n)


def step(score, t, x, t_prev):
    (alpha, sigma), (alpha_prev, sigma_prev) = marginal(t), marginal(t_prev)
    return alpha_prev * (x + sigma**2 * score) / alpha - sigma_prev * sigma * score
