"""DDPM's mean is not divided by sqrt(1 - beta): the signal never returns to its size.

S. H. Chan, arXiv 2403.18103, (2.49): mu = (x - (1 - alpha) / sqrt(1 - alpha_bar) eps) / sqrt(alpha).
"""

import numpy as np

CAUGHT_BY = "step mean"
CLAIMS = {"prediction": "noise"}

betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def step(prediction, t, x, noise):
    mean = x - betas[t] / np.sqrt(1 - alpha_bar[t]) * prediction
    return mean + np.sqrt(betas[t]) * noise * (t > 0)
