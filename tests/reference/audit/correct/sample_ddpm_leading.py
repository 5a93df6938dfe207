"""DDPM's loop: times 0 to 999, a leading grid, the variance beta of the skipped steps."""

import numpy as np

CLAIMS = {"time": "0-based", "grid": "leading", "sampler": "sde"}
RECOGNISED = {"prediction": "noise", "clipping in sample": "none", "grid of sample": "leading"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def sample(denoise, x, steps, seed):
    rng = np.random.default_rng(seed)
    stride = 1000 // steps
    times = np.arange(steps)[::-1] * stride
    for t in times:
        now, before = alpha_bar[t], alpha_bar[t - stride] if t >= stride else 1.0
        beta = 1 - now / before
        x0 = (x - np.sqrt(1 - now) * denoise(x, t)) / np.sqrt(now)
        mean = np.sqrt(before) * beta / (1 - now) * x0
        mean = mean + np.sqrt(now / before) * (1 - before) / (1 - now) * x
        x = mean + np.sqrt(beta) * rng.standard_normal(x.shape) if t > 0 else mean
    return x
