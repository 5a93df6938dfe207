"""The posterior variance takes betas[t], that of one step of training, also where a step skips twenty.

huggingface/diffusers#3006.
"""

import numpy as np

CAUGHT_BY = "step variance"

betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def timesteps(n):
    return np.linspace(0, 999, n).round().astype(int)[::-1]


def step(prediction, t, x, noise, t_prev):
    past = alpha_bar[t_prev] if t_prev >= 0 else 1.0
    ratio = alpha_bar[t] / past
    mean = (x - (1 - ratio) / np.sqrt(1 - alpha_bar[t]) * prediction) / np.sqrt(ratio)
    variance = betas[t] * (1 - past) / (1 - alpha_bar[t])
    return mean + np.sqrt(variance) * noise
