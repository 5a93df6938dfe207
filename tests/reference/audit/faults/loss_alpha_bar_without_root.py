"""alpha_bar multiplies x_0 in the training algorithm, in place of its root.

The tutorial's misprint E6, p. 36: at t = 50 of alpha = .97 the mean of x_t is .218 x_0, where .467 x_0 is right.
"""

import numpy as np

CAUGHT_BY = "loss x"
CLAIMS = {"time": "0-based", "prediction": "noise"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def loss(denoise, x0, t, noise):
    x = alpha_bar[t] * x0 + (1 - alpha_bar[t]) ** 0.5 * noise
    return ((denoise(x, t) - noise) ** 2).mean()
