"""The noise of a step is multiplied by the variance in place of its root.

The kind of huggingface/diffusers#2090: variance, deviation and logarithm are confused.
"""

import numpy as np

CAUGHT_BY = "step variance"

betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)
before = np.concatenate(([1.0], alpha_bar[:-1]))


def step(prediction, t, x, noise):
    mean = (x - betas[t] / np.sqrt(1 - alpha_bar[t]) * prediction) / np.sqrt(1 - betas[t])
    return mean + betas[t] * (1 - before[t]) / (1 - alpha_bar[t]) * noise
