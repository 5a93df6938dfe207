"""A flow in JAX, in float32: velocity eps - x_0 of data at -1 and 1."""

import jax.numpy as jnp
import numpy as np

NEEDS = "jax"
CLAIMS = {"arrays": "jax", "dtype": "float32", "time": "real"}


data = np.sign(np.random.default_rng(0).standard_normal((512, 6))).astype(np.float32)


def denoise(x, t):
    alpha = 1 - t
    x0 = jnp.tanh(alpha * x / t**2)
    return (x - alpha * x0) / t - x0
