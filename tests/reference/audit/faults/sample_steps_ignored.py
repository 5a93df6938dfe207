"""DDIM that takes 50 steps, however many are asked for."""

import numpy as np

CAUGHT_BY = "sample evaluations"
CLAIMS = {"time": "0-based"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def sample(denoise, x, steps, seed):
    times = np.linspace(999, 0, 50).round().astype(int)
    for i, t in enumerate(times):
        now = alpha_bar[t]
        after = alpha_bar[times[i + 1]] if i + 1 < len(times) else 1.0
        eps = denoise(x, t)
        x0 = (x - np.sqrt(1 - now) * eps) / np.sqrt(now)
        x = np.sqrt(after) * x0 + np.sqrt(1 - after) * eps
    return x
