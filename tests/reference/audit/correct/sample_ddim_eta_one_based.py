"""DDIM with eta = 0.7 for predictions of v, times 1 to 400, a trailing grid, cosine schedule."""

from itertools import pairwise

import numpy as np

CLAIMS = {"T": 400}
RECOGNISED = {"time": "1-based", "sampler": "sde", "prediction": "v", "grid of sample": "trailing"}


def alpha_bar(T=400):
    f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.cumprod(np.minimum(1, np.maximum(f[1:] / f[:-1], 0.001)))


def sample(denoise, x, steps, seed):
    rng = np.random.default_rng(seed)
    table = np.concatenate([[1.0], alpha_bar()])
    times = np.linspace(400, 0, steps + 1).round().astype(int)
    for t, s in pairwise(times):
        a, b = table[t], table[s]
        v = denoise(x, np.full(len(x), t))
        x0, eps = np.sqrt(a) * x - np.sqrt(1 - a) * v, np.sqrt(1 - a) * x + np.sqrt(a) * v
        fresh = 0.7 * np.sqrt((1 - b) / (1 - a) * (1 - a / b))
        x = np.sqrt(b) * x0 + np.sqrt(1 - b - fresh**2) * eps
        x = x + fresh * rng.standard_normal(x.shape)
    return x
