"""add_noise takes the table one entry later than the claimed time base.  At t = 0 the index -1 is the noisiest level.

huggingface/diffusers#2585, CompVis/latent-diffusion#136: times that are off by one.
"""

import numpy as np

CAUGHT_BY = "add_noise coefficients"
CLAIMS = {"time": "0-based"}

alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def add_noise(x0, noise, t):
    return np.sqrt(alpha_bar[t - 1]) * x0 + np.sqrt(1 - alpha_bar[t - 1]) * noise
