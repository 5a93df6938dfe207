"""The code claims to predict the noise, and its loss compares with x_0.

The claim decides how a sampler reads the output. With the wrong one samples are grey.
"""

import numpy as np

CAUGHT_BY = "claimed prediction"
CLAIMS = {"time": "0-based", "prediction": "noise"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def loss(denoise, x0, t, noise):
    x = alpha_bar[t] ** 0.5 * x0 + (1 - alpha_bar[t]) ** 0.5 * noise
    return ((denoise(x, t) - x0) ** 2).mean()
