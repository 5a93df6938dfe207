"""add_noise exchanges the two factors: t = 0 is nearly pure noise, t = 999 nearly clean.

A common slip where the arguments of add_noise are (noise, x_0) in one code and (x_0, noise) in another.
"""

import numpy as np

CAUGHT_BY = "add_noise coefficients"

alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def add_noise(x0, noise, t):
    return np.sqrt(1 - alpha_bar[t]) * x0 + np.sqrt(alpha_bar[t]) * noise
