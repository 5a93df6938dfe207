"""Euler's method in sigma, as in k-diffusion: x has standard deviation 80, the network predicts x_0."""

from itertools import pairwise

import numpy as np

CLAIMS = {"time": "sigma", "prediction": "x0", "order": 1}
RECOGNISED = {"start": "x of standard deviation 80, scaled by the caller", "network input": "x itself"}


def sample(model, x, steps, seed):
    ramp = np.linspace(0, 1, steps)
    sigmas = (80 ** (1 / 7) + ramp * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    sigmas = np.append(sigmas, 0.0)
    for sigma, after in pairwise(sigmas):
        slope = (x - model(x, sigma)) / sigma
        x = x + (after - sigma) * slope
    return x
