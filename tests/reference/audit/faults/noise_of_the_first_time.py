"""A batch with a time for each sample gets the noise level of the first time.

The kind of huggingface/diffusers#6222: the samples of a batch are not treated one by one.
"""

import numpy as np

CAUGHT_BY = "add_noise with a time for each sample"

alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def add_noise(x0, noise, t):
    power = alpha_bar[np.ravel(t)[0]]
    return np.sqrt(power) * x0 + np.sqrt(1 - power) * noise
