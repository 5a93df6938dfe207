"""v with alpha_bar and 1 - alpha_bar in place of their roots.

The misprint E6 of the training algorithm, in the velocity.
"""

import numpy as np

CAUGHT_BY = "velocity"
CLAIMS = {"time": "0-based", "prediction": "v"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def velocity(x0, noise, t):
    return alpha_bar[t] * noise - (1 - alpha_bar[t]) * x0
