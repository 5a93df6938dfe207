"""score_sde's VE: sigma(t) is a function of the real time, without bound; the predictor of the reverse diffusion, with the score."""

import numpy as np

RECOGNISED = {"time": "real", "form of x": "variance exploding", "prediction": "score", "variance of a step": "beta"}


def sigmas(t):
    return 0.01 * 5000.0**t * (t > 0)  # the data itself has no noise


def timesteps(n):
    return np.linspace(1, 1e-5, n)


def step(score, t, x, z, t_prev):
    added = sigmas(t) ** 2 - sigmas(t_prev) ** 2
    return x + added * score + np.sqrt(added) * z * (t_prev > 0)
