"""DDPM's loop that adds noise at its last step too (labml's p_sample;
rohitg00/ai-engineering-from-scratch#43).
"""

import numpy as np

CAUGHT_BY = "sample last step"
CLAIMS = {"time": "0-based"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def sample(denoise, x, steps, seed):
    rng = np.random.default_rng(seed)
    times = np.linspace(999, 0, steps).round().astype(int)
    for i, t in enumerate(times):
        now = alpha_bar[t]
        before = alpha_bar[times[i + 1]] if i + 1 < steps else 1.0
        beta = 1 - now / before
        mean = (x - beta / np.sqrt(1 - now) * denoise(x, t)) / np.sqrt(1 - beta)
        x = mean + np.sqrt(beta) * rng.standard_normal(x.shape)
    return x
