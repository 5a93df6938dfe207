"""add_noise multiplies the noise by 1 - sqrt(alpha_bar) in place of sqrt(1 - alpha_bar).

S. H. Chan, arXiv 2403.18103, (2.26) (E4) misplaces the root in the same way.
"""

import numpy as np

CAUGHT_BY = "add_noise coefficients"

alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def add_noise(x0, noise, t):
    signal = np.sqrt(alpha_bar[t])
    return signal * x0 + (1 - signal) * noise
