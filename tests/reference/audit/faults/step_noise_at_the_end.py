"""DDPM with the variance beta adds noise in its last step, too.

labml.ai's annotated DDPM (p_sample); the papers' algorithm has z = 0 at the last step.
"""

import numpy as np

CAUGHT_BY = "last step"

betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def step(prediction, t, x, noise):
    mean = (x - betas[t] / np.sqrt(1 - alpha_bar[t]) * prediction) / np.sqrt(1 - betas[t])
    return mean + np.sqrt(betas[t]) * noise
