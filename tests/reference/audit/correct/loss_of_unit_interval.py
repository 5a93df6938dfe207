"""A loss that takes images in [0, 1] and trains on 2 x_0 - 1; the network predicts that x_0."""

import numpy as np

CLAIMS = {"time": "0-based"}
RECOGNISED = {"prediction": "x0", "x_0 of the network": "2 x_0 - 1"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def loss(denoise, x0, t, noise):
    x0 = 2 * x0 - 1
    x = alpha_bar[t] ** 0.5 * x0 + (1 - alpha_bar[t]) ** 0.5 * noise
    return ((denoise(x, t) - x0) ** 2).mean()
