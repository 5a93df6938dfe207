"""Heun's method that evaluates the network once more after its last step, and does not use it
(huggingface/diffusers#1889, #1503).
"""

from itertools import pairwise

import numpy as np

CAUGHT_BY = "sample evaluations"
CLAIMS = {"time": "sigma", "prediction": "noise", "order": 2}


def sample(denoise, x, steps, seed):
    ramp = np.linspace(0, 1, steps)
    sigmas = (80 ** (1 / 7) + ramp * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    sigmas = np.append(sigmas, 0.0)
    for sigma, after in pairwise(sigmas):
        first = denoise(x, sigma)
        following = x + (after - sigma) * first
        second = denoise(following, after)
        x = x + (after - sigma) * (first + second) / 2 if after > 0 else following
    return x
