"""A variance-exploding model: sigmas from 50 to 0.01 as in NCSN, x_t = x_0 + sigma eps, the ancestral step with the score."""

import numpy as np

RECOGNISED = {"time": "sigma", "form of x": "variance exploding", "prediction": "score", "variance of a step": "posterior"}

sigmas = np.geomspace(50, 0.01, 232)


def add_noise(x0, noise, sigma):
    return x0 + sigma * noise


def step(score, sigma, x, noise, sigma_next):
    power, past = sigma**2, sigma_next**2
    return x + (power - past) * score + np.sqrt(past * (power - past) / power) * noise
