"""add_noise takes beta_t, the noise of one step, in place of 1 - alpha_bar_t, that of all steps up to t.

The kind of S. H. Chan, arXiv 2403.18103, Sec. 2.6 (E12): alpha_t and its product under one name.
"""

import numpy as np

CAUGHT_BY = "add_noise coefficients"

betas = np.linspace(1e-4, 0.02, 1000)


def add_noise(x0, noise, t):
    return np.sqrt(1 - betas[t]) * x0 + np.sqrt(betas[t]) * noise
