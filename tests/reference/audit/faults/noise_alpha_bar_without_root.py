"""add_noise multiplies x0 by alpha_bar in place of its root.

S. H. Chan, arXiv 2403.18103, training algorithm of Sec. 2.4: x_t = alpha_bar x_0 + ...
"""

import numpy as np

CAUGHT_BY = "add_noise coefficients"

betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def add_noise(x0, noise, t):
    return alpha_bar[t] * x0 + np.sqrt(1 - alpha_bar[t]) * noise
