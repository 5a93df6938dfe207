"""The VP equation by Euler and Maruyama: right to first order in the length of a step, with 1,000 of them."""

import numpy as np

RECOGNISED = {"time": "real", "prediction": "score"}
CLAIMS = {"time": "real", "schedule": "vp", "prediction": "score"}


def timesteps(n):
    return np.linspace(1, 1e-3, n)


def step(score, t, x, z, t_prev):
    beta, dt = 0.1 + t * (20 - 0.1), t - t_prev
    mean = x + dt * beta * (x / 2 + score)
    return mean + np.sqrt(dt * beta) * z * (t_prev > 0)
