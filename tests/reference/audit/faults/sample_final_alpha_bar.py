"""DDIM whose last step leads to the first entry of alpha_bar instead of to 1
(huggingface/diffusers#6068, #7128).
"""

import numpy as np

CAUGHT_BY = "sample last step"
CLAIMS = {"time": "0-based"}
betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
alpha_bar = np.cumprod(1 - betas)


def sample(denoise, x, steps, seed):
    stride = 1000 // steps
    for t in np.arange(steps)[::-1] * stride:
        now, after = alpha_bar[t], alpha_bar[max(t - stride, 0)]
        eps = denoise(x, t)
        x0 = (x - np.sqrt(1 - now) * eps) / np.sqrt(now)
        x = np.sqrt(after) * x0 + np.sqrt(1 - after) * eps
    return x
