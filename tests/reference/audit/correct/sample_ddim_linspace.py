"""DDIM on a linspace grid whose next time is the next entry, with clipping."""

import numpy as np

CLAIMS = {"prediction": "noise", "order": 1, "grid": "linspace"}
RECOGNISED = {"sampler": "ode", "clipping in sample": "x_0 is limited to 1", "grid of sample": "linspace"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def add_noise(x0, noise, t):
    return np.sqrt(alpha_bar[t]) * x0 + np.sqrt(1 - alpha_bar[t]) * noise


def sample(denoise, x, steps, seed):
    times = np.linspace(999, 0, steps).round().astype(int)
    for i, t in enumerate(times):
        now = alpha_bar[t]
        after = alpha_bar[times[i + 1]] if i + 1 < steps else 1.0
        x0 = np.clip((x - np.sqrt(1 - now) * denoise(x, t)) / np.sqrt(now), -1, 1)
        eps = (x - np.sqrt(now) * x0) / np.sqrt(1 - now)
        x = np.sqrt(after) * x0 + np.sqrt(1 - after) * eps
    return x
