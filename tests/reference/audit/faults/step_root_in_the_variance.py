"""The posterior variance has 1 - sqrt(alpha_bar_prev) in place of 1 - alpha_bar_prev.

S. H. Chan, arXiv 2403.18103, (2.26) (E4): the variance of samples of N(0, 1) is 0.61.
"""

import numpy as np

CAUGHT_BY = "step variance"

betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.concatenate(([1.0], np.cumprod(1 - betas)))


def step(x0, t, x, noise):
    now, past, beta = alpha_bar[t], alpha_bar[t - 1], betas[t - 1]
    mean = ((1 - past) * np.sqrt(1 - beta) * x + beta * np.sqrt(past) * x0) / (1 - now)
    variance = beta * (1 - np.sqrt(past)) / (1 - now)
    return mean + np.sqrt(variance) * noise
