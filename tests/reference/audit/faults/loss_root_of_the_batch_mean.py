"""The root of the mean square over the whole batch.

The norm of Ho et al. is squared; the unsquared one over a batch, as in the code of DPS (DPS2022/diffusion-posterior-sampling#6), makes the
weight of a sample depend on the others.
"""

import numpy as np

CAUGHT_BY = "loss by sample"
CLAIMS = {"time": "0-based", "prediction": "noise"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def loss(denoise, x0, t, noise):
    x = alpha_bar[t] ** 0.5 * x0 + (1 - alpha_bar[t]) ** 0.5 * noise
    return ((denoise(x, t) - noise) ** 2).mean() ** 0.5
