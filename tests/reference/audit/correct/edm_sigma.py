"""Karras et al. 2022: no t, sigma itself, a denoiser that predicts x_0, Euler's step in sigma, Karras's grid down to 0."""

import numpy as np

RECOGNISED = {"time": "sigma", "form of x": "variance exploding", "prediction": "x0", "variance of a step": "none"}
CLAIMS = {"time": "sigma"}


def timesteps(n):
    share = np.arange(n) / max(n - 1, 1)
    return np.append((80 ** (1 / 7) + share * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7, 0.0)


def step(denoised, t_cur, x, t_next):
    derivative = (x - denoised) / t_cur
    return x + (t_next - t_cur) * derivative
