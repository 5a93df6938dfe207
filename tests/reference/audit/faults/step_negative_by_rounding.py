"""The ancestral step takes the root of sigma_to^2 - sigma_up^2, which float32 may round below 0: NaN.

huggingface/diffusers#14221; sigma_to^2 / sigma_from is the same number without a difference.
"""

import numpy as np

CAUGHT_BY = "step at every pair of times"
CLAIMS = {"time": "sigma", "dtype": "float32"}

f = np.float32
sigmas = np.linspace(0.00195, 1000, 1000).astype(f)


def timesteps(n):
    return np.linspace(1000, 0.00195, n).astype(f)


def step(denoised, t, x, noise, t_prev):
    t, t_prev = f(t), f(t_prev)
    up = np.sqrt(t_prev**2 * (t**2 - t_prev**2) / t**2)
    down = np.sqrt(t_prev**2 - up**2)
    return x + (x - denoised) / t * (down - t) + up * noise
