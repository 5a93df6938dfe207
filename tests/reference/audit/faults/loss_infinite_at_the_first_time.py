"""The first time has the weight of the others, 1 / (2 sigma_q^2) = 1/0.

The tutorial's misprint E7 (Thm 2.7): the posterior of t = 1 has variance 0, and its term needs a decoder.
"""

import numpy as np

CAUGHT_BY = "loss finite"
CLAIMS = {"time": "0-based", "prediction": "noise"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def loss(denoise, x0, t, noise):
    before = alpha_bar[t - 1] if t else 1.0
    x = alpha_bar[t] ** 0.5 * x0 + (1 - alpha_bar[t]) ** 0.5 * noise
    variance = betas[t] * (1 - before) / (1 - alpha_bar[t])
    weight = betas[t] ** 2 / (2 * np.float64(variance) * (1 - betas[t]) * (1 - alpha_bar[t]))
    return weight * ((denoise(x, t) - noise) ** 2).mean()
