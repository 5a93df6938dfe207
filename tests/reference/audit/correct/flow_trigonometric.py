"""TrigFlow: alpha = cos t, sigma = sin t, and the times end at pi / 2."""

from itertools import pairwise

import numpy as np

RECOGNISED = {"time": "real", "form of x": "variance preserving", "prediction": "v"}


def add_noise(x0, noise, t):
    return np.cos(t) * x0 + np.sin(t) * noise


def step(v, t, x, t_prev):
    return np.cos(t - t_prev) * x - np.sin(t - t_prev) * v


def sample(denoise, x, steps, seed):
    times = np.linspace(np.pi / 2, 0, steps + 1)
    for t, t_prev in pairwise(times):
        x = step(denoise(x, t), t, x, t_prev)
    return x
