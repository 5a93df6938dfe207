"""The noise of the loss is that of the batch in another order: a shuffle between two lines of a training loop."""

import numpy as np

CAUGHT_BY = "loss by sample"
CLAIMS = {"time": "0-based"}
alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def loss(denoise, x0, t, noise):
    x = alpha_bar[t] ** 0.5 * x0 + (1 - alpha_bar[t]) ** 0.5 * noise
    return ((denoise(x, t) - noise[::-1]) ** 2).mean()
