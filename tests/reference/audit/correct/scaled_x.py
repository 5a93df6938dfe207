"""x is scaled by 1 / (1 + sigma), neither of the usual forms; the network predicts x_0, time is the index."""

import numpy as np

RECOGNISED = {"time": "real", "form of x": "other", "prediction": "x0"}


def marginal(t):
    sigma = 0.01 * 8000**t - 0.01
    return 1 / (1 + sigma) ** 0.5, sigma / (1 + sigma) ** 0.5


def add_noise(x0, noise, t):
    alpha, sigma = marginal(t)
    return alpha * x0 + sigma * noise


def timesteps(n):
    return np.arange(n, 0, -1) / n


def step(x0, t, x, t_prev):
    (alpha, sigma), (alpha_prev, sigma_prev) = marginal(t), marginal(t_prev)
    return alpha_prev * x0 + sigma_prev * (x - alpha * x0) / sigma
