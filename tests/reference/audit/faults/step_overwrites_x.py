"""The step works on x in place: the caller's x is lost, and a second call with it starts from the wrong sample.

huggingface/diffusers#9004: a cast overwrites the tables of an instance; arrays of the caller are the same kind.
"""

import numpy as np

CAUGHT_BY = "changes its arguments"

betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def step(prediction, t, x, noise):
    x -= betas[t] / np.sqrt(1 - alpha_bar[t]) * prediction
    x /= np.sqrt(1 - betas[t])
    x += np.sqrt(betas[t]) * noise * (t > 0)
    return x
