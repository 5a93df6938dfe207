"""alpha_bar(t) is a function of the real time, cos^2 of Nichol and Dhariwal; the network predicts x_0."""

import numpy as np

RECOGNISED = {"time": "real", "form of x": "variance preserving", "prediction": "x0"}


def alpha_bar(t):
    return np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2


def step(x_start, t, x, t_prev):
    now, past = alpha_bar(t), alpha_bar(t_prev)
    eps = (x - np.sqrt(now) * x_start) / np.sqrt(1 - now)
    return np.sqrt(past) * x_start + np.sqrt(1 - past) * eps
