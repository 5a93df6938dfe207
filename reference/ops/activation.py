"""SiLU and softmax.

SiLU is y = x g with the logistic g = 1 / (1 + e^-x), g' = g (1 - g).  By the product rule

    y'  = g + x g' = g (1 + x (1 - g)),
    y'' = g' + g' + x g'' = g' (2 + x (1 - 2 g)),     since g'' = g' (1 - 2 g).

Softmax is y_i = e^(x_i) / sum_k e^(x_k).  Its Jacobian is dy_i/dx_j = y_i (delta_ij - y_j), so that

    dx_j = sum_i dy_i y_i (delta_ij - y_j) = y_j (dy_j - sum_i dy_i y_i).

Subtracting the largest x from all leaves y as it is and keeps e^x finite.
"""

import numpy as np
from scipy.special import expit

from reference.ops.checks import check, takes_out


@takes_out
def silu(x):
    """x[...] -> x / (1 + e^-x)."""
    check("x[...]", x)
    return x * expit(x)


@takes_out
def silu_backward(dy, x):
    """dy[...], x[...] -> dx = dy silu'(x)."""
    check("dy[...] x[...]", dy, x)
    g = expit(x)
    return dy * (g * (1 + x * (1 - g)))


@takes_out
def silu_second(dy, v, x):
    """dy[...], v[...], x[...] -> dy v silu''(x): what a gradient dy at ``silu_backward(v, x)``
    sends back to x.
    """
    check("dy[...] v[...] x[...]", dy, v, x)
    g = expit(x)
    return dy * v * (g * (1 - g) * (2 + x * (1 - 2 * g)))


def check_softmax(x):
    check("x[...,n]", x)
    if x.shape[-1] == 0:
        raise ValueError(f"x must have at least one entry on its last axis, got shape {x.shape}")


@takes_out
def softmax(x):
    """x[...,n] -> y[...,n], positive and of sum one along the last axis."""
    check_softmax(x)
    # a difference too large to be written is -inf, whose exponential is 0
    with np.errstate(over="ignore"):
        y = np.exp(x - x.max(axis=-1, keepdims=True))
    return y / y.sum(axis=-1, keepdims=True)


@takes_out
def softmax_backward(dy, y):
    """dy[...,n], y[...,n] = softmax(x) -> dx[...,n]."""
    check("dy[...,n] y[...,n]", dy, y)
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))
