"""DDIM with t = 1 .. T, alpha_bar_0 = 1 in the table, on the trailing grid, with (t, t_prev) given."""

import numpy as np

RECOGNISED = {"time": "1-based", "grid of timesteps": "trailing", "prediction": "noise", "variance of a step": "none"}

betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
alpha_bar = np.append(1.0, np.cumprod(1 - betas))


def add_noise(x0, noise, t):
    t = np.reshape(t, (-1, 1)) if np.ndim(t) else t  # a time for each sample
    return np.sqrt(alpha_bar[t]) * x0 + np.sqrt(1 - alpha_bar[t]) * noise


def timesteps(n):
    return [1000 * (n - i) // n for i in range(n + 1)]


def step(prediction, t, x, t_prev):
    x0 = (x - np.sqrt(1 - alpha_bar[t]) * prediction) / np.sqrt(alpha_bar[t])
    return np.sqrt(alpha_bar[t_prev]) * x0 + np.sqrt(1 - alpha_bar[t_prev]) * prediction
