"""Ancestral steps in float32 with sigma_down = sqrt(sigma_to^2 - sigma_up^2), whose argument is
negative by rounding for some steps (huggingface/diffusers#14221).
"""

from itertools import pairwise

import numpy as np

CAUGHT_BY = "sample at few and many steps"
CLAIMS = {"time": "sigma", "prediction": "x0", "dtype": "float32"}


def sample(denoise, x, steps, seed):
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 1, steps)
    sigmas = np.append((157 ** (1 / 7) + ramp * (0.0292 ** (1 / 7) - 157 ** (1 / 7))) ** 7, 0)
    sigmas = sigmas.astype(np.float32)
    for sigma, after in pairwise(sigmas):
        up = after / sigma * np.sqrt(sigma**2 - after**2)
        down = np.sqrt(after**2 - up**2)
        x = x + (down - sigma) * (x - denoise(x, sigma)) / sigma
        x = x + up * rng.standard_normal(x.shape, dtype=np.float32)
    return x
