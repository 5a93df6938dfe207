"""DDPM's mean takes the product alpha_bar_t for alpha_t, the factor of one step.

S. H. Chan, arXiv 2403.18103, Sec. 2.6 (E12): alpha_t silently becomes alpha_bar_t.
"""

import numpy as np

CAUGHT_BY = "step prediction"

betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def step(prediction, t, x, noise):
    mean = (x - (1 - alpha_bar[t]) / np.sqrt(1 - alpha_bar[t]) * prediction) / np.sqrt(alpha_bar[t])
    return mean + np.sqrt(betas[t]) * noise * (t > 0)
