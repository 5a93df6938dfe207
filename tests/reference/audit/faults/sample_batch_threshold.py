"""Dynamic thresholding with the quantile of the whole batch instead of that of each sample."""

import numpy as np

CAUGHT_BY = "sample by itself"
CLAIMS = {"time": "0-based"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def sample(denoise, x, steps, seed):
    times = np.linspace(999, 0, steps).round().astype(int)
    for i, t in enumerate(times):
        now = alpha_bar[t]
        after = alpha_bar[times[i + 1]] if i + 1 < steps else 1.0
        x0 = (x - np.sqrt(1 - now) * denoise(x, t)) / np.sqrt(now)
        size = max(0.6, np.quantile(np.abs(x0), 0.995))
        x0 = np.clip(x0, -size, size) / size * 0.6 if size > 0.6 else x0
        eps = (x - np.sqrt(now) * x0) / np.sqrt(1 - now)
        x = np.sqrt(after) * x0 + np.sqrt(1 - after) * eps
    return x
