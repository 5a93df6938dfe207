"""DDIM with eta = 1 keeps the whole of sqrt(1 - alpha_bar_prev) eps and adds noise to it.

Song et al. 2021, (12): sqrt(1 - alpha_bar_prev - sigma_t^2) multiplies eps.
"""

import numpy as np

CAUGHT_BY = "step variance"

alpha_bar = np.concatenate(([1.0], np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))))


def timesteps(n):
    return 1000 * (n - np.arange(n)) // n


def step(prediction, t, x, noise, t_prev):
    now, past = alpha_bar[t], alpha_bar[t_prev]
    deviation = np.sqrt((1 - past) / (1 - now) * (1 - now / past))
    x0 = (x - np.sqrt(1 - now) * prediction) / np.sqrt(now)
    return np.sqrt(past) * x0 + np.sqrt(1 - past) * prediction + deviation * noise
