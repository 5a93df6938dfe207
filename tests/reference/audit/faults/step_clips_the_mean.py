"""The mean of the step is clipped to [-1, 1], where x_0 is meant: the noise of x is cut off."""

import numpy as np

CAUGHT_BY = "clipping in step"
CLAIMS = {"time": "0-based"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def step(eps, t, x, noise):
    mean = (x - betas[t] / (1 - alpha_bar[t]) ** 0.5 * eps) / (1 - betas[t]) ** 0.5
    return mean.clip(-1, 1) + (t > 0) * betas[t] ** 0.5 * noise
