"""add_noise multiplies the noise by its variance 1 - alpha_bar in place of the deviation.

The kind of S. H. Chan, arXiv 2403.18103, E6: a missing root in the training algorithm.
"""

import numpy as np

CAUGHT_BY = "add_noise coefficients"

alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def add_noise(x0, noise, t):
    return np.sqrt(alpha_bar[t]) * x0 + (1 - alpha_bar[t]) * noise
