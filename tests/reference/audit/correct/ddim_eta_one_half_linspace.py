"""DDIM with eta = 0.5 on a grid by linspace; x comes first, and the noise last."""

import numpy as np

RECOGNISED = {"grid of timesteps": "linspace", "variance of a step": "eta", "arguments of step": "x_t, t, s, eps_pred, z"}

alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
eta = 0.5


def timesteps(num_inference_steps):
    return np.linspace(0, 999, num_inference_steps).round().astype(int)[::-1]


def step(x_t, t, s, eps_pred, z):
    now, past = alpha_bar[t], alpha_bar[s] if s >= 0 else 1.0
    deviation = eta * np.sqrt((1 - past) / (1 - now) * (1 - now / past))
    x0 = (x_t - np.sqrt(1 - now) * eps_pred) / np.sqrt(now)
    return np.sqrt(past) * x0 + np.sqrt(1 - past - deviation**2) * eps_pred + deviation * z
