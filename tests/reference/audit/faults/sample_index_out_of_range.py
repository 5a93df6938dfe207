"""DDIM on a leading grid with the offset 1, which leaves the table at T steps
(huggingface/diffusers#2585, #444).
"""

import numpy as np

CAUGHT_BY = "sample at few and many steps"
CLAIMS = {"time": "0-based"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def sample(denoise, x, steps, seed):
    times = np.arange(steps)[::-1] * (1000 // steps) + 1
    for i, t in enumerate(times):
        now = alpha_bar[t]
        after = alpha_bar[times[i + 1]] if i + 1 < steps else 1.0
        eps = denoise(x, t)
        x0 = (x - np.sqrt(1 - now) * eps) / np.sqrt(now)
        x = np.sqrt(after) * x0 + np.sqrt(1 - after) * eps
    return x
