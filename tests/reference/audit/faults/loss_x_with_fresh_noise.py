"""x holds noise that is drawn anew; the given noise is only the target.

The other half of the mistake of calling randn twice: the loss can't fall below 1.
"""

import numpy as np

CAUGHT_BY = "loss x"
CLAIMS = {"time": "0-based", "prediction": "noise"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


generator = np.random.default_rng(0)


def loss(denoise, x0, t, noise):
    x = alpha_bar[t] ** 0.5 * x0 + (1 - alpha_bar[t]) ** 0.5 * generator.standard_normal(x0.shape)
    return ((denoise(x, t) - noise) ** 2).mean()
