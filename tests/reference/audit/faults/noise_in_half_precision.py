"""1 - alpha_bar is computed in the type of x_0: in float16 the first levels get no noise at all.

huggingface/diffusers#3005, #9004: "adds no noise at all for step 0".
"""

import numpy as np

CAUGHT_BY = "add_noise in float16, float32, float64"

alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def add_noise(x0, noise, t):
    power = alpha_bar.astype(x0.dtype)[t]
    return np.sqrt(power) * x0 + np.sqrt(1 - power) * noise
