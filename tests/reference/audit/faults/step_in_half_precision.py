"""1 - alpha_bar is computed in the type of x: in float16 the first levels divide by 0.

huggingface/diffusers#3005, #767.
"""

import numpy as np

CAUGHT_BY = "step in float16, float32, float64"

alpha_bar = np.concatenate(([1.0], np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))))


def step(x0, t, x, t_prev):
    now, past = alpha_bar[t].astype(x.dtype), alpha_bar[t_prev].astype(x.dtype)
    eps = (x - np.sqrt(now) * x0) / np.sqrt(1 - now)
    return np.sqrt(past) * x0 + np.sqrt(1 - past) * eps
