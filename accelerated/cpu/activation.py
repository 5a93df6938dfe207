"""SiLU and softmax: formulas as in reference/ops/activation.py."""

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import blocks, span
from accelerated.cpu.elementary import FUSED, logistic
from accelerated.cpu.kernel import kernel
from reference.ops.checks import check, takes_out


@takes_out
def silu(x):
    """x[...] -> x / (1 + e^-x)."""
    check("x[...]", x)
    y = np.empty(x.shape, x.dtype)
    _silu(x, y)
    return y


@kernel("r* w*")
def _silu(x, y):
    for block in prange(blocks(x.size)):
        begin, end = span(block, x.size)
        _silu_part(x[begin:end], y[begin:end])


@njit
def _silu_part(x, y):
    for i in range(len(x)):
        y[i] = x[i] * logistic(x[i])


@takes_out
def silu_backward(dy, x):
    """dy[...], x[...] -> dx = dy silu'(x)."""
    check("dy[...] x[...]", dy, x)
    dx = np.empty(x.shape, x.dtype)
    _silu_backward(dy, x, dx)
    return dx


@kernel("r* r* w*")
def _silu_backward(dy, x, dx):
    for block in prange(blocks(x.size)):
        begin, end = span(block, x.size)
        _silu_backward_part(dy[begin:end], x[begin:end], dx[begin:end])


@njit(fastmath=FUSED)
def _silu_backward_part(dy, x, dx):
    for i in range(len(x)):
        dx[i] = dy[i] * silu_slope(x[i])


@njit(fastmath=FUSED)
def silu_slope(x):
    """silu'(x)."""
    one, g = type(x)(1), logistic(x)
    return g * (one + x * (one - g))
