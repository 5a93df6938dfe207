"""The last step leads to alpha_bar[0] in place of 1: the noise of the first level stays in every sample.

huggingface/diffusers#6068, #7128: set_alpha_to_one=False.
"""

import numpy as np

CAUGHT_BY = "last step"

alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def timesteps(n):
    return np.arange(n)[::-1] * (1000 // n)


def step(prediction, t, x, t_prev):
    past = alpha_bar[max(t_prev, 0)]
    x0 = (x - np.sqrt(1 - alpha_bar[t]) * prediction) / np.sqrt(alpha_bar[t])
    return np.sqrt(past) * x0 + np.sqrt(1 - past) * prediction
