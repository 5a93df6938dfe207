"""DDIM with v in JAX, compiled, in float32; t = 1 .. T."""

import jax
import jax.numpy as jnp
import numpy as np

NEEDS = "jax"
RECOGNISED = {"time": "1-based", "prediction": "v"}
CLAIMS = {"arrays": "jax", "dtype": "float32"}

alpha_bar = jnp.asarray(np.append(1.0, np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))), jnp.float32)


@jax.jit
def add_noise(x0, noise, t):
    return jnp.sqrt(alpha_bar[t]) * x0 + jnp.sqrt(1 - alpha_bar[t]) * noise


@jax.jit
def step(v, t, x, t_prev):
    now, past = alpha_bar[t], alpha_bar[t_prev]
    x0 = jnp.sqrt(now) * x - jnp.sqrt(1 - now) * v
    eps = jnp.sqrt(now) * v + jnp.sqrt(1 - now) * x
    return jnp.sqrt(past) * x0 + jnp.sqrt(1 - past) * eps
