"""Every sample of a batch gets the noise of its first.

crowsonkb/k-diffusion#25, AUTOMATIC1111/stable-diffusion-webui#5210: samples depend on their batch.
"""

import numpy as np

CAUGHT_BY = "step by sample"

betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def step(prediction, t, x, noise):
    mean = (x - betas[t] / np.sqrt(1 - alpha_bar[t]) * prediction) / np.sqrt(1 - betas[t])
    return mean + np.sqrt(betas[t]) * noise[0] * (t > 0)
