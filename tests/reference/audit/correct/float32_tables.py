"""Tables in float32 as in most code of PyTorch: beta, and its product, are rounded; 100 levels; nothing but betas is a table."""

import numpy as np

RECOGNISED = {"time": "0-based", "T": "100"}

betas = np.linspace(1e-4, 0.2, 100, dtype=np.float32)
_alpha_bar = np.cumprod(1 - betas)


def add_noise(x0, noise, t):
    return np.sqrt(_alpha_bar[t]) * x0 + np.sqrt(1 - _alpha_bar[t]) * noise


def step(eps, t, x, noise):
    past = _alpha_bar[t - 1] if t else np.float32(1)
    variance = betas[t] * (1 - past) / (1 - _alpha_bar[t])
    mean = (x - betas[t] / np.sqrt(1 - _alpha_bar[t]) * eps) / np.sqrt(1 - betas[t])
    return mean + np.sqrt(variance) * noise
