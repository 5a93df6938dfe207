"""The target is sigma eps - alpha x_0: signal and noise are exchanged in v.

v = alpha eps - sigma x_0 (Salimans and Ho 2022). Both are of size 1, so the loss looks right.
"""

import numpy as np

CAUGHT_BY = "loss prediction"
CLAIMS = {"time": "0-based", "prediction": "v"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def loss(denoise, x0, t, noise):
    alpha, sigma = alpha_bar[t] ** 0.5, (1 - alpha_bar[t]) ** 0.5
    target = sigma * noise - alpha * x0
    return ((denoise(alpha * x0 + sigma * noise, t) - target) ** 2).mean()
