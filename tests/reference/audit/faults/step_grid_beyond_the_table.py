"""The trailing grid begins at t = 1000, but the table ends at 999.

huggingface/diffusers#10003, #465: index 1000 is out of range at T steps.
"""

import numpy as np

CAUGHT_BY = "timesteps of 1 to T steps"
CLAIMS = {"time": "0-based"}

alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def timesteps(n):
    return np.round(1000 - np.arange(n) * 1000 / n).astype(int)
