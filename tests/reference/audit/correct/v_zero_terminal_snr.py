"""A linear schedule rescaled to zero terminal signal (Lin et al. 2024), with v: at T, x is pure noise."""

import numpy as np

RECOGNISED = {"time": "1-based", "prediction": "v", "variance of a step": "none"}

root = np.sqrt(np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)))
alpha_bar = np.append(1.0, ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2)


def add_noise(x0, noise, t):
    return np.sqrt(alpha_bar[t]) * x0 + np.sqrt(1 - alpha_bar[t]) * noise


def velocity(x0, noise, t):
    return np.sqrt(alpha_bar[t]) * noise - np.sqrt(1 - alpha_bar[t]) * x0


def predict_x0(v, t, x):
    return np.sqrt(alpha_bar[t]) * x - np.sqrt(1 - alpha_bar[t]) * v


def step(v, t, x, t_prev):
    eps = np.sqrt(alpha_bar[t]) * v + np.sqrt(1 - alpha_bar[t]) * x
    return np.sqrt(alpha_bar[t_prev]) * predict_x0(v, t, x) + np.sqrt(1 - alpha_bar[t_prev]) * eps
