"""The training target is sigma x_0 - alpha eps, and predict_x0 reads alpha eps - sigma x_0.

Both signs of v are in use; one code base must keep to one of them.
"""

import numpy as np

CAUGHT_BY = "x_0 of the velocity"
CLAIMS = {"time": "0-based", "prediction": "v"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def velocity(x0, noise, t):
    return (1 - alpha_bar[t]) ** 0.5 * x0 - alpha_bar[t] ** 0.5 * noise


def predict_x0(prediction, t, x):
    return alpha_bar[t] ** 0.5 * x - (1 - alpha_bar[t]) ** 0.5 * prediction
