"""NCSN: the score, with weight sigma^2 and one loss for each sample."""

import numpy as np

RECOGNISED = {"prediction": "score", "loss weight": "SNR on x_0, 1 on the noise, times 2"}

sigmas = np.geomspace(0.01, 50, 232)


def add_noise(x0, noise, t):
    return x0 + sigmas[t] * noise


def loss(denoise, x0, t, noise):
    error = sigmas[t] * denoise(x0 + sigmas[t] * noise, t) + noise
    return (error**2).sum(axis=1) / 2
