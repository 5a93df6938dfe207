"""The previous time is t minus a constant stride, which a grid by linspace has not.

huggingface/diffusers#11347.
"""

import numpy as np

CAUGHT_BY = "step mean"

alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
steps = 30


def timesteps(n):
    global steps
    steps = n
    return np.linspace(0, 999, n).round().astype(int)[::-1]


def step(prediction, t, x):
    previous = t - 1000 // steps
    past = alpha_bar[previous] if previous >= 0 else 1.0
    x0 = (x - np.sqrt(1 - alpha_bar[t]) * prediction) / np.sqrt(alpha_bar[t])
    return np.sqrt(past) * x0 + np.sqrt(1 - past) * prediction
