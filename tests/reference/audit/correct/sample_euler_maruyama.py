"""Euler and Maruyama's method for the reverse SDE with a score model; the last step adds no noise."""

from itertools import pairwise

import numpy as np

CLAIMS = {"time": "real", "schedule": "vp", "prediction": "score", "sampler": "sde"}


def sample(score, x, N, seed):
    rng = np.random.default_rng(seed)
    times = np.linspace(1, 1e-3, N + 1)
    for t, after in pairwise(times):
        beta, dt = 0.1 + 19.9 * t, t - after
        mean = x + (beta / 2 * x + beta * score(x, t)) * dt
        x = mean + np.sqrt(beta * dt) * rng.standard_normal(x.shape)
    return mean
