"""The model was trained on images in [-1, 1], and the data are given in [0, 1].

The loader leaves out 2 x - 1; a common answer to "why are my samples grey?".
"""

import numpy as np

CAUGHT_BY = "data range of the model"
CLAIMS = {"time": "sigma", "prediction": "x0"}
generator = np.random.default_rng(0)
data = (generator.random((1024, 8)) > 0.5).astype(np.float64)


def denoise(x, t):
    """E[x_0 | x] for entries -1 and 1, each as probable."""
    return np.tanh(x / t**2)
