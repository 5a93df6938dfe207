"""Heun's method in sigma for predictions of the noise: order 2, the last step by Euler."""

from itertools import pairwise

import numpy as np

CLAIMS = {"time": "sigma", "prediction": "noise", "order": 2}


def sample(denoise, x, steps, seed):
    ramp = np.linspace(0, 1, steps)
    sigmas = (14.6 ** (1 / 7) + ramp * (0.03 ** (1 / 7) - 14.6 ** (1 / 7))) ** 7
    sigmas = np.append(sigmas, 0.0)
    for sigma, after in pairwise(sigmas):
        first = denoise(x, sigma)
        following = x + (after - sigma) * first
        if after > 0:
            following = x + (after - sigma) * (first + denoise(following, after)) / 2
        x = following
    return x
