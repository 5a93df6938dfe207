"""v and its conversion, with x_0 clipped to [-1, 1]."""

import numpy as np

RECOGNISED = {"velocity": "v", "clipping in predict_x0": "x_0 is clipped at 1"}

betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def velocity(x0, noise, t):
    return alpha_bar[t] ** 0.5 * noise - (1 - alpha_bar[t]) ** 0.5 * x0


def predict_x0(prediction, t, x):
    x0 = alpha_bar[t] ** 0.5 * x - (1 - alpha_bar[t]) ** 0.5 * prediction
    return np.clip(x0, -1, 1)
