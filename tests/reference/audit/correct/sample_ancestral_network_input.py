"""Ancestral steps in sigma whose network sees x / sqrt(1 + sigma^2) and a time from 0 to 999."""

import numpy as np

CLAIMS = {"prediction": "noise", "sampler": "sde", "time": "0-based"}
RECOGNISED = {"start": "x of unit variance, scaled by the target", "network input": "x / sqrt(1 + sigma^2)"}
alpha_bar = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)


def add_noise(x0, noise, t):
    return x0 + np.sqrt(1 / alpha_bar[t] - 1) * noise


def sample(denoise, x, steps, seed):
    rng = np.random.default_rng(seed)
    times = np.linspace(999, 0, steps).round().astype(int)
    sigmas = np.append(np.sqrt(1 / alpha_bar[times] - 1), 0.0)
    x = x * np.sqrt(1 + sigmas[0] ** 2)
    for t, sigma, after in zip(times, sigmas[:-1], sigmas[1:]):
        eps = denoise(x / np.sqrt(1 + sigma**2), t)
        up = after * np.sqrt(max(0.0, 1 - (after / sigma) ** 2))
        x = x + (after**2 / sigma - sigma) * eps + up * rng.standard_normal(x.shape)
    return x
