"""Predictor and corrector in sigma whose Langevin corrector adds sqrt(epsilon) z instead of
sqrt(2 epsilon) z, a misprint of the tutorial's Algorithm 1.
"""

from itertools import pairwise

import numpy as np

CAUGHT_BY = "sample noise"
CLAIMS = {"time": "sigma", "prediction": "score", "sampler": "sde"}


def sample(score, x, steps, seed):
    rng = np.random.default_rng(seed)
    sigmas = np.append(np.geomspace(50, 0.01, steps), 0.0)
    for sigma, after in pairwise(sigmas):
        epsilon = 0.1 * sigma**2
        x = x + epsilon * score(x, sigma) + np.sqrt(epsilon) * rng.standard_normal(x.shape)
        x = x + (sigma**2 - after**2) * score(x, sigma)
        fresh = np.sqrt(sigma**2 - after**2) * after / sigma
        x = x + fresh * rng.standard_normal(x.shape)
    return x
