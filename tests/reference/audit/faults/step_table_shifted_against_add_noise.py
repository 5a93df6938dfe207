"""The step reads the level of t_prev one entry before add_noise does: x has less noise than the network is told.

huggingface/diffusers#444, CompVis/latent-diffusion#136: samplers that shift the time by one.
"""

import numpy as np

CAUGHT_BY = "step mean"

alpha_bar = np.cos(np.linspace(0, 1.5, 101)) ** 2


def add_noise(x0, noise, t):
    return np.sqrt(alpha_bar[t]) * x0 + np.sqrt(1 - alpha_bar[t]) * noise


def step(prediction, t, x, t_prev):
    past = alpha_bar[max(t_prev - 1, 0)]
    x0 = (x - np.sqrt(1 - alpha_bar[t]) * prediction) / np.sqrt(alpha_bar[t])
    return np.sqrt(past) * x0 + np.sqrt(1 - past) * prediction
