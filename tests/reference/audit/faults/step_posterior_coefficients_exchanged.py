"""The posterior's two coefficients are exchanged: that of x_t multiplies x_0.

hojonathanho/diffusion#5, lucidrains/denoising-diffusion-pytorch#135 ask about posterior_mean_coef1 and coef2.
"""

import numpy as np

CAUGHT_BY = "step prediction"

betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)
before = np.concatenate(([1.0], alpha_bar[:-1]))
coefficient_of_x = betas * np.sqrt(before) / (1 - alpha_bar)
coefficient_of_x0 = (1 - before) * np.sqrt(1 - betas) / (1 - alpha_bar)


def step(prediction, t, x, noise):
    variance = betas[t] * (1 - before[t]) / (1 - alpha_bar[t])
    return coefficient_of_x0[t] * prediction + coefficient_of_x[t] * x + np.sqrt(variance) * noise
