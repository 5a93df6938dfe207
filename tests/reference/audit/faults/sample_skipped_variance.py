"""DDPM on a sub-grid with the noise of one training step, beta_t, at every skipped step
(huggingface/diffusers#3006).
"""

import numpy as np

CAUGHT_BY = "sample noise"
CLAIMS = {"time": "0-based"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def sample(denoise, x, steps, seed):
    rng = np.random.default_rng(seed)
    stride = 1000 // steps
    for t in np.arange(steps)[::-1] * stride:
        now, before = alpha_bar[t], alpha_bar[t - stride] if t >= stride else 1.0
        a = now / before
        x = (x - (1 - a) / np.sqrt(1 - now) * denoise(x, t)) / np.sqrt(a)
        if t > 0:
            x = x + np.sqrt(betas[t]) * rng.standard_normal(x.shape)
    return x
