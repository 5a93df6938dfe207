"""The betas of 1,000 levels are used for 100: x_T keeps 60 % of the signal, and samplers begin with none.

huggingface/diffusers#12341: the range of beta is wrong, without a word, for another T.
"""

import numpy as np

CAUGHT_BY = "schedule end"

betas = np.linspace(1e-4, 0.02, 100)
alpha_bar = np.cumprod(1 - betas)


def add_noise(x0, noise, t):
    return np.sqrt(alpha_bar[t]) * x0 + np.sqrt(1 - alpha_bar[t]) * noise
