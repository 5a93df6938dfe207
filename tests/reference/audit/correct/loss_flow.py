"""Flow matching with the target x_0 - eps, an absolute error, and times in [0, 1] given to the network in thousandths."""

import numpy as np

CLAIMS = {"time": "real"}
RECOGNISED = {"time of the network in the loss": "500 for t = 0.5", "reduction of the loss": "sum over the batch, sum over entries"}


def loss(denoise, x0, t, noise):
    x = (1 - t) * x0 + t * noise
    return np.abs(denoise(x, 1000 * t) - (x0 - noise)).sum()
