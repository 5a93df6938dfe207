"""EDM's stochastic sampler: churn, Heun's method, 2 n - 1 evaluations; it scales x itself."""

from itertools import pairwise

import numpy as np

CLAIMS = {"time": "sigma", "prediction": "x0", "sampler": "sde"}
RECOGNISED = {"start": "x of unit variance, scaled by the target"}


def sample(denoise, latents, num_steps, seed):
    rng = np.random.default_rng(seed)
    ramp = np.arange(num_steps) / max(1, num_steps - 1)
    sigmas = np.append((80 ** (1 / 7) + ramp * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7, 0.0)
    x = latents * 80
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        gamma = min(20 / num_steps, 2**0.5 - 1) if sigma > 0.05 else 0.0
        hat = sigma * (1 + gamma)
        x = x + np.sqrt(hat**2 - sigma**2) * rng.standard_normal(x.shape)
        slope = (x - denoise(x, hat)) / hat
        following = x + (after - hat) * slope
        if i < num_steps - 1:
            second = (following - denoise(following, after)) / after
            following = x + (after - hat) * (slope + second) / 2
        x = following
    return x
