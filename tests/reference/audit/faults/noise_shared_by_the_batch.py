"""Every sample of a batch gets the noise of its first.

crowsonkb/k-diffusion#25, huggingface/diffusers#6222: noise that depends on the batch.
"""

import numpy as np

CAUGHT_BY = "add_noise by sample"

alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def add_noise(x0, noise, t):
    return np.sqrt(alpha_bar[t]) * x0 + np.sqrt(1 - alpha_bar[t]) * noise[:1]
