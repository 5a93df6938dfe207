"""v with signal and noise exchanged: sigma eps - alpha x_0.

v = alpha eps - sigma x_0 (Salimans and Ho 2022); the loss looks right, because both have size 1.
"""

import numpy as np

CAUGHT_BY = "velocity"
CLAIMS = {"time": "0-based", "prediction": "v"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def velocity(x0, noise, t):
    return (1 - alpha_bar[t]) ** 0.5 * noise - alpha_bar[t] ** 0.5 * x0
