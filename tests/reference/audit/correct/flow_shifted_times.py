"""Stable Diffusion 3: a flow with times from 1,000 to 0, whose grid is shifted toward the noise."""

from itertools import pairwise

import numpy as np

RECOGNISED = {"time": "real", "form of x": "flow", "prediction": "velocity"}
CLAIMS = {"prediction": "velocity", "T": 1000}


def add_noise(x0, noise, t):
    return (1 - t / 1000) * x0 + t / 1000 * noise


def loss(denoise, x0, t, noise):
    return ((denoise(add_noise(x0, noise, t), t) - (noise - x0)) ** 2).mean()


def sample(denoise, x, steps, seed):
    even = np.linspace(1, 0, steps + 1)
    shifted = 3 * even / (1 + 2 * even)
    for s, s_prev in pairwise(shifted):
        x = x + (s_prev - s) * denoise(x, 1000 * s)
    return x
