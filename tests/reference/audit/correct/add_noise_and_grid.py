"""add_noise with a private table that counts from 0, and a leading grid of its times that rises, to be read backward."""

import numpy as np

RECOGNISED = {"time": "0-based", "grid of timesteps": "leading"}

_alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def add_noise(x0, noise, t):
    return np.sqrt(_alpha_bar[t]) * x0 + np.sqrt(1 - _alpha_bar[t]) * noise


def timesteps(n):
    return np.arange(n) * (1000 // n)
