"""The model has memorised its 64 training samples: samples are copies of them.

The denoiser of the empirical distribution is the optimum of an unregularised loss; its training loss is far below any that generalises.
"""

import numpy as np

CAUGHT_BY = "memorisation"
CLAIMS = {"time": "sigma", "prediction": "x0"}
generator = np.random.default_rng(0)
data = 0.5 * generator.standard_normal((64, 16))
held_out = 0.5 * generator.standard_normal((256, 16))


def denoise(x, t):
    squares = ((x[:, None] - data) ** 2).sum(axis=2) / (2 * t**2)
    weights = np.exp(squares.min(axis=1, keepdims=True) - squares)
    return weights / weights.sum(axis=1, keepdims=True) @ data
