"""The noise is multiplied by the root of the log-variance, which is negative: every step ends in NaN.

huggingface/diffusers#14569, #14571: fixed_large_log returns log(beta), and its root is taken.
"""

import numpy as np

CAUGHT_BY = "step at every pair of times"

betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def step(prediction, t, x, noise):
    mean = (x - betas[t] / np.sqrt(1 - alpha_bar[t]) * prediction) / np.sqrt(1 - betas[t])
    return mean + np.sqrt(np.log(betas[t])) * noise * (t > 0)
