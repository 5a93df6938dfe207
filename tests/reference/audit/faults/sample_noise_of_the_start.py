"""DDIM that goes back to the next level with the noise of its start, not with the predicted noise.

It is exact for a point mass, and does not have the data's distribution otherwise.
"""

import numpy as np

CAUGHT_BY = "sample order"
CLAIMS = {"time": "0-based"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def sample(denoise, x, steps, seed):
    times = np.linspace(999, 0, steps).round().astype(int)
    start = None
    for i, t in enumerate(times):
        now = alpha_bar[t]
        after = alpha_bar[times[i + 1]] if i + 1 < steps else 1.0
        eps = denoise(x, t)
        x0 = (x - np.sqrt(1 - now) * eps) / np.sqrt(now)
        start = eps if start is None else start
        x = np.sqrt(after) * x0 + np.sqrt(1 - after) * start
    return x
