"""The network is told t - 1 for an x of the level t.

An off-by-one where the index of a loop is passed for the time; public threads ask for [980, 0] or [999, 0] (huggingface/diffusers#2585).
"""

import numpy as np

CAUGHT_BY = "loss time"
CLAIMS = {"time": "0-based", "prediction": "noise"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def loss(denoise, x0, t, noise):
    x = alpha_bar[t] ** 0.5 * x0 + (1 - alpha_bar[t]) ** 0.5 * noise
    return ((denoise(x, t - 1) - noise) ** 2).mean()
