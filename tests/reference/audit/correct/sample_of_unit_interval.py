"""DDIM that returns pictures in [0, 1]: the audit asks for x itself."""

from itertools import pairwise

import numpy as np

RECOGNISED = {"time": "0-based", "sampler": "ode"}
alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def add_noise(x0, noise, t):
    return alpha_bar[t] ** 0.5 * x0 + (1 - alpha_bar[t]) ** 0.5 * noise


def sample(denoise, x, steps, seed):
    times = [1000 * (steps - i) // steps - 1 for i in range(steps + 1)]
    for t, t_prev in pairwise(times):
        now, past = alpha_bar[t], alpha_bar[t_prev] if t_prev >= 0 else 1.0
        eps = denoise(x, t)
        x = (past / now) ** 0.5 * (x - (1 - now) ** 0.5 * eps) + (1 - past) ** 0.5 * eps
    return (x.clip(-1, 1) + 1) / 2
