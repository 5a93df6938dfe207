"""The sampler of consistency models: x_0 at each step, with fresh noise.  It is right for a consistency function, which is no denoiser."""

import numpy as np

RECOGNISED = {"time": "sigma", "prediction": "x0", "sampler": "sde"}
CLAIMS = {"prediction": "x0", "time": "sigma"}


def sample(denoise, x, steps, seed):
    rng, sigmas = np.random.default_rng(seed), np.geomspace(80, 0.002, max(steps, 2))[:steps]
    x = denoise(x, sigmas[0])
    for sigma in sigmas[1:]:
        x = denoise(x + np.sqrt(sigma**2 - 0.002**2) * rng.standard_normal(x.shape), sigma)
    return x
