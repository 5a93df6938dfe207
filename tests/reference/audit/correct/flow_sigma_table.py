"""Flow matching with shifted sigmas in a table that falls from 1 to 0; the time is sigma itself."""

import numpy as np

RECOGNISED = {"time": "sigma", "form of x": "flow", "prediction": "velocity"}

_uniform = np.linspace(1, 0, 51)
sigmas = 3 * _uniform / (1 + 2 * _uniform)


def add_noise(x0, noise, sigma):
    return (1 - sigma) * x0 + sigma * noise


def step(model_output, sigma, x, sigma_next):
    return x + (sigma_next - sigma) * model_output
