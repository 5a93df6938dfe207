"""NCSN as it was published: t is an index into sigmas that fall, and each level has many Langevin steps."""

import numpy as np

RECOGNISED = {"time": "0-based", "direction of time": "the noise falls with t", "prediction": "score", "form of x": "variance exploding"}
CLAIMS = {"prediction": "score"}
sigmas = np.geomspace(50, 0.01, 10)


def add_noise(x0, noise, t):
    return x0 + sigmas[t] * noise


def loss(denoise, x0, t, noise):
    x = x0 + sigmas[t] * noise
    return sigmas[t] ** 2 * ((denoise(x, t) + (x - x0) / sigmas[t] ** 2) ** 2).sum(axis=1).mean() / 2


def sample(denoise, x, steps, seed):
    rng = np.random.default_rng(seed)
    for t, sigma in enumerate(sigmas):
        size = 2e-5 * (sigma / sigmas[-1]) ** 2
        for _ in range(20):
            x = x + size * denoise(x, t) + np.sqrt(2 * size) * rng.standard_normal(x.shape)
    return x + sigmas[-1] ** 2 * denoise(x, 9)
