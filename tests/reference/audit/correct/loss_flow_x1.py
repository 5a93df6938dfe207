"""Flow matching from noise x_0 at t = 0 to data x_1 at t = 1."""

import numpy as np

RECOGNISED = {"arguments of loss": "x_1 is the data", "prediction": "reversed velocity"}


def marginal(t):
    return np.array([t, 1 - t])


def loss(denoise, x_0, x_1, t):
    return ((denoise((1 - t) * x_0 + t * x_1, t) - (x_1 - x_0)) ** 2).mean()
