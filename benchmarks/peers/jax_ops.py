"""The forward ops of the networks in JAX.  The reference's networks run on them, and JAX differentiates the result."""

import jax
import jax.numpy as jnp
from jax import lax

silu = jax.nn.silu


def linear(x, w, b):
    return x @ w + b


def conv2d(x, w, b, stride=1, add=None):
    p = w.shape[0] // 2
    y = lax.conv_general_dilated(x, w, (stride, stride), ((p, p), (p, p)), dimension_numbers=("NHWC", "HWIO", "NHWC")) + b
    return y if add is None else y + add


def group_norm(x, scale, shift, groups, eps=1e-5):
    """Without the statistics: only the hand-written backward pass needs them."""
    entries = x.reshape(x.shape[0], -1, groups, x.shape[-1] // groups)
    mean, variance = entries.mean(axis=(1, 3), keepdims=True), entries.var(axis=(1, 3), keepdims=True)
    return ((entries - mean) * lax.rsqrt(variance + eps)).reshape(x.shape) * scale + shift, None, None


def group_norm_silu(x, scale, shift, groups, eps=1e-5):
    y, _, _ = group_norm(x, scale, shift, groups, eps)
    return silu(y), None, None


def attention(q, k, v, heads, mask=None):
    split = lambda a: a.reshape(*a.shape[:2], heads, -1)
    mask = None if mask is None else mask[:, None, None]
    return jax.nn.dot_product_attention(split(q), split(k), split(v), mask=mask).reshape(q.shape), None


def upsample_nearest(x):
    return x.repeat(2, axis=1).repeat(2, axis=2)


def concat(x, y):
    return jnp.concatenate((x, y), axis=-1)


def embedding(labels, table):
    return table[labels]


def timestep_embedding(c, width, shift=0):
    angles = c[:, None] * jnp.asarray([10000.0 ** (-j / (width // 2 - shift)) for j in range(width // 2)], c.dtype)
    return jnp.concatenate((jnp.cos(angles), jnp.sin(angles)), axis=1)
