"""A model of v, exact for its Gaussian data, with held-out data. Nothing is declared but the time base."""

import numpy as np

CLAIMS = {"time": "0-based"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


generator = np.random.default_rng(0)
factor = generator.standard_normal((6, 6)) / 6**0.5
data = 0.5 * generator.standard_normal((1024, 6)) @ factor
held_out = 0.5 * generator.standard_normal((512, 6)) @ factor
variances, vectors = np.linalg.eigh(0.25 * factor.T @ factor)


def exact(x, t):
    """E[noise | x] of the Gaussian data."""
    power = alpha_bar[t] * variances + 1 - alpha_bar[t]
    return (1 - alpha_bar[t]) ** 0.5 * (x @ vectors / power) @ vectors.T


def denoise(x, t):
    alpha, sigma = alpha_bar[t] ** 0.5, (1 - alpha_bar[t]) ** 0.5
    return (exact(x, t) - sigma * x) / alpha
