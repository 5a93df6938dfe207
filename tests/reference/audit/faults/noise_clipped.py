"""add_noise clips its result to the range of images.  Noise beyond it is lost, and x_t is not Gaussian.

Denoising auto-encoders do so (the TensorFlow tutorial "Intro to Autoencoders"); the noise of a diffusion model has no bound.
"""

import numpy as np

CAUGHT_BY = "add_noise by sample"

alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def add_noise(x0, noise, t):
    return np.clip(np.sqrt(alpha_bar[t]) * x0 + np.sqrt(1 - alpha_bar[t]) * noise, -1, 1)
