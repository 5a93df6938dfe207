"""Nothing but add_noise, whose table is private: its own coefficients are all that is known of the levels."""

import numpy as np

RECOGNISED = {"time": "1-based", "form of x": "variance preserving"}

_alpha_bar = np.append(1.0, np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)))


def add_noise(x0, noise, t):
    return np.sqrt(_alpha_bar[t]) * x0 + np.sqrt(1 - _alpha_bar[t]) * noise
