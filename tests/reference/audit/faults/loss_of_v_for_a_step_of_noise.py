"""The loss asks for v, and the code for sampling reads the output as the noise.

The option of the prediction is left at its default for a model of v; no error is raised, and samples keep a residual of noise.
"""

import numpy as np

CAUGHT_BY = "prediction of predict_x0"
CLAIMS = {"time": "0-based"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def loss(denoise, x0, t, noise):
    alpha, sigma = alpha_bar[t] ** 0.5, (1 - alpha_bar[t]) ** 0.5
    return ((denoise(alpha * x0 + sigma * noise, t) - (alpha * noise - sigma * x0)) ** 2).mean()


def predict_x0(prediction, t, x):
    return (x - (1 - alpha_bar[t]) ** 0.5 * prediction) / alpha_bar[t] ** 0.5
