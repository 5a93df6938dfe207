"""DDPM's loop over all of its 200 times, whatever number of steps is asked for, with the posterior variance."""

import numpy as np

CLAIMS = {"time": "0-based", "sampler": "sde"}
RECOGNISED = {"T": "200", "prediction": "noise"}
betas = np.linspace(5e-4, 0.1, 200)
alpha_bar = np.cumprod(1 - betas)


def sample(denoise, x, steps, seed):
    rng = np.random.default_rng(seed)
    for t in range(199, -1, -1):
        before = alpha_bar[t - 1] if t > 0 else 1.0
        x = (x - betas[t] / np.sqrt(1 - alpha_bar[t]) * denoise(x, t)) / np.sqrt(1 - betas[t])
        deviation = np.sqrt(betas[t] * (1 - before) / (1 - alpha_bar[t]))
        x = x + deviation * rng.standard_normal(x.shape) if t > 0 else x
    return x
