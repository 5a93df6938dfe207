"""SiLU and softmax.

SiLU is y = x g with the logistic g = 1 / (1 + e^{-x}), g' = g (1 - g).  By the product rule

    y'  = g + x g' = g (1 + x (1 - g)),
    y'' = g' + g' + x g'' = g' (2 + x (1 - 2 g)),     since g'' = g' (1 - 2 g).

Softmax is y_i = e^{x_i} / sum_k e^{x_k}.  Subtracting the largest x from all of them leaves y
unchanged and keeps e^x finite.
"""

import numpy as np
from scipy.special import expit

from reference.ops.checks import Array, check, takes_out


@takes_out
def silu(x: Array) -> Array:
    """x[...] -> x / (1 + e^{-x})."""
    check("x[...]", x)
    g: Array = expit(x)
    return x * g


@takes_out
def silu_backward(dy: Array, x: Array) -> Array:
    """dy[...], x[...] -> dx = dy silu'(x)."""
    check("dy[...] x[...]", dy, x)
    g: Array = expit(x)
    return dy * (g * (1 + x * (1 - g)))


@takes_out
def silu_second(dy: Array, v: Array, x: Array) -> Array:
    """dy[...], v[...], x[...] -> dy v silu''(x): the gradient with respect to x of
    ``silu_backward(v, x)``, for the gradient dy at its result.
    """
    check("dy[...] v[...] x[...]", dy, v, x)
    g: Array = expit(x)
    return dy * v * (g * (1 - g) * (2 + x * (1 - 2 * g)))


def check_softmax(x: Array) -> None:
    """Check the argument of ``softmax``."""
    check("x[...,n]", x)
    if x.shape[-1] == 0:
        raise ValueError(f"x must have at least one entry on its last axis, got shape {x.shape}")


@takes_out
def softmax(x: Array) -> Array:
    """x[...,n] -> y[...,n], positive and of sum 1 along the last axis: the responsibilities of a
    mixture's components, from their log-densities.
    """
    check_softmax(x)
    # a difference below the smallest number overflows to -inf; its exponential is 0
    with np.errstate(over="ignore"):
        y = np.exp(x - x.max(axis=-1, keepdims=True))
    p: Array = y / y.sum(axis=-1, keepdims=True)
    return p
