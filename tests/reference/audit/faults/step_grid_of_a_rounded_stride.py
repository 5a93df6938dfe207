"""The grid is range(0, T, T // n): 3 steps give 4 times, and so do many other numbers.

huggingface/diffusers#465, #479: 3, 9 and 27 steps crash.
"""

import numpy as np

CAUGHT_BY = "timesteps of 1 to T steps"

alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def timesteps(n):
    return np.arange(0, 1000, 1000 // n)[::-1]
