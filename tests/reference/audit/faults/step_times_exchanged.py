"""DDIM exchanges t and t_prev in its two roots of 1 - alpha_bar.

huggingface/diffusers#2585 and others: steps that are off by one in one of the two places.
"""

import numpy as np

CAUGHT_BY = "step mean"
CLAIMS = {"prediction": "noise"}

alpha_bar = np.concatenate(([1.0], np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))))


def timesteps(n):
    return 1000 * (n - np.arange(n)) // n


def step(prediction, t, x, t_prev):
    x0 = (x - np.sqrt(1 - alpha_bar[t_prev]) * prediction) / np.sqrt(alpha_bar[t])
    return np.sqrt(alpha_bar[t_prev]) * x0 + np.sqrt(1 - alpha_bar[t]) * prediction
