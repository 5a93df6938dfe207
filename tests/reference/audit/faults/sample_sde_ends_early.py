"""Euler and Maruyama's method that leaves out t < 0.3 and returns x_0 there: with any number of steps, samples vary too little."""

from itertools import pairwise

import numpy as np

CLAIMS = {"time": "real", "schedule": "vp", "prediction": "score"}
CAUGHT_BY = "sample law"


def sample(score, x, steps, seed):
    rng = np.random.default_rng(seed)
    times = np.linspace(1, 0.3, steps)
    for t, after in pairwise(times):
        beta, dt = 0.1 + 19.9 * t, t - after
        x = x + (beta / 2 * x + beta * score(x, t)) * dt + np.sqrt(beta * dt) * rng.standard_normal(x.shape)
    alpha_bar = np.exp(-(0.1 * times[-1] + 9.95 * times[-1] ** 2))
    return (x + (1 - alpha_bar) * score(x, times[-1])) / np.sqrt(alpha_bar)
