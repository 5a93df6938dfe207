"""A grid by arange with a fractional stride, which rounding makes longer than n for some n, such as 61."""

import numpy as np

CAUGHT_BY = "timesteps of 1 to T steps"

alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def timesteps(n):
    return np.arange(0, 1000, 1000 / n).astype(int)[::-1]
