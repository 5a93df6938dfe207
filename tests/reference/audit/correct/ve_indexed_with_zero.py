"""A variance-exploding table that begins with 0, addressed by its index; the reverse-diffusion step with the larger variance."""

import numpy as np

RECOGNISED = {"time": "1-based", "form of x": "variance exploding", "prediction": "noise", "variance of a step": "beta"}

sigmas = np.append(0.0, np.geomspace(0.05, 60, 300))


def add_noise(x0, noise, i):
    return x0 + sigmas[i] * noise


def step(eps, i, x, z):
    beta = sigmas[i] ** 2 - sigmas[i - 1] ** 2
    return x - beta / sigmas[i] * eps + np.sqrt(beta) * z * (i > 1)
