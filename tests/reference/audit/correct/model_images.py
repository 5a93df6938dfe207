"""Images of 8 bits, a model of x_0 at sigma in units of their values, no held-out data."""

import numpy as np

CLAIMS = {"time": "sigma"}
RECOGNISED = {"prediction": "x0", "data range": "0 .. 255"}
sigmas = np.geomspace(1.0, 5000.0, 100)


generator = np.random.default_rng(0)
data = (255 * (generator.random((600, 3, 4)) > 0.5)).astype(np.uint8)


def denoise(x, t):
    return 127.5 + 127.5 * np.tanh(127.5 * (x - 127.5) / t**2)
