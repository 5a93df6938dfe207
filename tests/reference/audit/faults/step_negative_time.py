"""The last step reads the table at t_prev = -1, which is its last entry, the noisiest level.

huggingface/diffusers#2585, #5921: prev_timestep below 0 without a case of its own.
"""

import numpy as np

CAUGHT_BY = "last step"

alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def timesteps(n):
    return np.arange(n)[::-1] * (1000 // n)


def step(prediction, t, x, t_prev):
    x0 = (x - np.sqrt(1 - alpha_bar[t]) * prediction) / np.sqrt(alpha_bar[t])
    return np.sqrt(alpha_bar[t_prev]) * x0 + np.sqrt(1 - alpha_bar[t_prev]) * prediction
