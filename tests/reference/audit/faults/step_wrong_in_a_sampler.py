"""A step with beta as the deviation, and a sampler that is made of it: one cause is one fault."""

import numpy as np

CAUGHT_BY = "step variance"
betas = np.linspace(1e-3, 0.2, 100)
alpha_bar = np.cumprod(1 - betas)


def step(prediction, t, x, noise):
    x = (x - betas[t] / np.sqrt(1 - alpha_bar[t]) * prediction) / np.sqrt(1 - betas[t])
    return x + betas[t] * noise if t > 0 else x


def sample(denoise, x, steps, seed):
    rng = np.random.default_rng(seed)
    for t in range(99, -1, -1):
        x = step(denoise(x, t), t, x, rng.standard_normal(x.shape))
    return x
