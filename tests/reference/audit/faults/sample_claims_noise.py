"""DDIM for a network of v, which claims to take a prediction of the noise."""

import numpy as np

CAUGHT_BY = "claimed prediction"
CLAIMS = {"time": "0-based", "prediction": "noise"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def sample(denoise, x, steps, seed):
    times = np.linspace(999, 0, steps).round().astype(int)
    for i, t in enumerate(times):
        now = alpha_bar[t]
        after = alpha_bar[times[i + 1]] if i + 1 < steps else 1.0
        v = denoise(x, t)
        x0 = np.sqrt(now) * x - np.sqrt(1 - now) * v
        eps = np.sqrt(1 - now) * x + np.sqrt(now) * v
        x = np.sqrt(after) * x0 + np.sqrt(1 - after) * eps
    return x
