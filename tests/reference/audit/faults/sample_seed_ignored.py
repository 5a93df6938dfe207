"""DDPM's loop that draws from the global generator and ignores its seed
(huggingface/diffusers#1514; crowsonkb/k-diffusion#44).
"""

import numpy as np

CAUGHT_BY = "sample by seed"
CLAIMS = {"time": "0-based"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def sample(denoise, x, steps, seed):
    times = np.linspace(999, 0, steps).round().astype(int)
    for i, t in enumerate(times):
        now = alpha_bar[t]
        before = alpha_bar[times[i + 1]] if i + 1 < steps else 1.0
        beta = 1 - now / before
        mean = (x - beta / np.sqrt(1 - now) * denoise(x, t)) / np.sqrt(1 - beta)
        deviation = np.sqrt(beta * (1 - before) / (1 - now))
        x = mean + deviation * np.random.standard_normal(x.shape)  # noqa: NPY002
    return x
