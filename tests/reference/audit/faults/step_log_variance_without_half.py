"""The deviation is exp(log_variance) in place of exp(log_variance / 2).

The kind of huggingface/diffusers#2090: a learned or fixed variance, kept as its logarithm.
"""

import numpy as np

CAUGHT_BY = "step variance"

betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def step(prediction, t, x, noise):
    mean = (x - betas[t] / np.sqrt(1 - alpha_bar[t]) * prediction) / np.sqrt(1 - betas[t])
    return mean + np.exp(np.log(betas[t])) * noise * (t > 0)
