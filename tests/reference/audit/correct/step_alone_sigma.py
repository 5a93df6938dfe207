"""Sigmas of a variance-exploding model and Euler's step from sigma to sigma, and nothing else."""

import numpy as np

RECOGNISED = {"time": "sigma", "form of x": "variance exploding"}

sigmas = np.geomspace(80, 0.002, 40)


def step(x, denoised, sigma, sigma_next):
    return denoised + sigma_next / sigma * (x - denoised)
