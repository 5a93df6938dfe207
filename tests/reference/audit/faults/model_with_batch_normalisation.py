"""The model normalises by the mean and deviation of the batch, as batch normalisation does in training.

A result that depends on the batch, as in the threads crowsonkb/k-diffusion#44 and huggingface/diffusers#6222.
"""

import numpy as np

CAUGHT_BY = "model by sample"
CLAIMS = {"time": "0-based", "prediction": "noise"}
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
    output = exact(x, t)
    return (output - output.mean(axis=0)) / (output.std(axis=0) + 1e-5)
