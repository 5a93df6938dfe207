"""DDPM's mean subtracts sqrt(beta_t), the factor of the noise of one step, where beta_t / sqrt(1 - alpha_bar_t) belongs.

hojonathanho/diffusion#5, hmdolatabadi/denoising_diffusion#2: the two forms of the mean are confused.
"""

import numpy as np

CAUGHT_BY = "step prediction"
CLAIMS = {"time": "0-based"}

betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def step(prediction, t, x, noise):
    mean = (x - np.sqrt(betas[t]) * prediction) / np.sqrt(1 - betas[t])
    return mean + np.sqrt(betas[t]) * noise * (t > 0)
