"""x gets the level of t + 1, while the network is told t.

A table with alpha_bar_0 = 1 in front, beside code for a table without it; offsets of grids differ (huggingface/diffusers#2585, #5921).
"""

import numpy as np

CAUGHT_BY = "loss time"
CLAIMS = {"time": "0-based", "prediction": "noise"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


table = np.append(alpha_bar[1:], alpha_bar[-1] * (1 - betas[-1]))


def add_noise(x0, noise, t):
    return alpha_bar[t] ** 0.5 * x0 + (1 - alpha_bar[t]) ** 0.5 * noise


def loss(denoise, x0, t, noise):
    x = table[t] ** 0.5 * x0 + (1 - table[t]) ** 0.5 * noise
    return ((denoise(x, t) - noise) ** 2).mean()
