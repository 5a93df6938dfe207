"""A grid that ends at sigma = 1, from where the last step returns x_0: with any number of steps, samples vary too little."""

from itertools import pairwise

import numpy as np

CLAIMS = {"time": "sigma", "prediction": "x0"}
CAUGHT_BY = "sample law"


def sample(denoise, x, steps, seed):
    for sigma, after in pairwise([*np.geomspace(80, 1, steps), 0.0]):
        x0 = denoise(x, sigma)
        x = x0 + after / sigma * (x - x0)
    return x
