"""Rectified flow from noise at t = 0 to data at t = 1; the network predicts x_0 - eps."""

from itertools import pairwise

import numpy as np

RECOGNISED = {"direction of time": "data at t = 1", "prediction": "reversed velocity", "grid of sample": "trailing"}


def marginal(t):
    return t, 1 - t


def sample(denoise, x, steps, seed):
    times = np.linspace(0, 1, steps + 1)
    for t, after in pairwise(times):
        x = x + (after - t) * denoise(x, t)
    return x
