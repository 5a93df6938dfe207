"""A target to fill in: copy this file, and call your code where DDPM stands here.

1. Keep the functions that you have, and remove the others.  A line that calls yours is enough.
2. Arrays go in and come out as [samples, 4]; t is a number in your own convention.
3. Leave out arguments that you do not need; their order and your own names for them are free.
4. State what you are sure of in CLAIMS, for example {"prediction": "v", "time": "0-based"}.
5. Run ``python -m reference audit FILE.py``.  The last lines say what is wrong, if anything is.
"""

from itertools import pairwise

import numpy as np

T = 1000
betas = np.linspace(1e-4, 0.02, T)
alpha_bar = np.append(1.0, np.cumprod(1 - betas))  # alpha_bar[0] is that of the data


def add_noise(x0, noise, t):
    return np.sqrt(alpha_bar[t]) * x0 + np.sqrt(1 - alpha_bar[t]) * noise


def timesteps(n):
    return [T * (n - i) // n for i in range(n + 1)]  # from T down to 0


def step(prediction, t, x, noise, t_prev):
    now, past = alpha_bar[t], alpha_bar[t_prev]
    x0 = (x - np.sqrt(1 - now) * prediction) / np.sqrt(now)
    variance = (1 - past) / (1 - now) * (1 - now / past)
    return (
        np.sqrt(past) * x0 + np.sqrt(1 - past - variance) * prediction + np.sqrt(variance) * noise
    )


def sample(denoise, x, steps, seed):
    rng, times = np.random.default_rng(seed), timesteps(steps)
    for t, t_prev in pairwise(times):
        x = step(denoise(x, t), t, x, rng.standard_normal(x.shape), t_prev)
    return x
