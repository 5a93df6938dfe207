"""DDIM on a linspace grid with the previous time t minus a constant stride, which the grid has not
(huggingface/diffusers#11347).
"""

import numpy as np

CAUGHT_BY = "sample levels"
CLAIMS = {"time": "0-based"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def sample(denoise, x, steps, seed):
    stride = 1000 // steps
    for t in np.linspace(0, 999, steps).round().astype(int)[::-1]:
        now, after = alpha_bar[t], alpha_bar[t - stride] if t >= stride else 1.0
        eps = denoise(x, t)
        x0 = (x - np.sqrt(1 - now) * eps) / np.sqrt(now)
        x = np.sqrt(after) * x0 + np.sqrt(1 - after) * eps
    return x
