"""SiLU and softmax: formulas as in reference/ops/activation.py."""

from numba import njit, prange

from accelerated.cpu.blocks import block_count, items_per_block, span
from accelerated.cpu.contiguous import SUM
from accelerated.cpu.elementary import FUSED, exp, logistic
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import aligned_empty
from reference.ops.activation import check_softmax
from reference.ops.checks import check, takes_out


@takes_out
def silu(x):
    """x[...] -> x / (1 + e^-x)."""
    check("x[...]", x)
    y = aligned_empty(x.shape, x.dtype)
    _silu(x, y)
    return y


@kernel("r* w*")
def _silu(x, y):
    for block in prange(block_count(x.size)):
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
    dx = aligned_empty(x.shape, x.dtype)
    _silu_backward(dy, x, dx)
    return dx


@kernel("r* r* w*")
def _silu_backward(dy, x, dx):
    for block in prange(block_count(x.size)):
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


@takes_out
def silu_second(dy, v, x):
    """dy[...], v[...], x[...] -> dy v silu''(x): the gradient with respect to x of ``silu_backward(v, x)`` for upstream gradient dy."""
    check("dy[...] v[...] x[...]", dy, v, x)
    dx = aligned_empty(x.shape, x.dtype)
    _silu_second(dy, v, x, dx)
    return dx


@kernel("r* r* r* w*")
def _silu_second(dy, v, x, dx):
    for block in prange(block_count(x.size)):
        begin, end = span(block, x.size)
        _silu_second_part(dy[begin:end], v[begin:end], x[begin:end], dx[begin:end])


@njit(fastmath=FUSED)
def _silu_second_part(dy, v, x, dx):
    one, two = x.dtype.type(1), x.dtype.type(2)
    for i in range(len(x)):
        g = logistic(x[i])
        dx[i] = dy[i] * v[i] * (g * (one - g) * (two + x[i] * (one - two * g)))


@takes_out
def softmax(x):
    """x[...,n] -> y[...,n], positive and with sum 1 along the last axis."""
    check_softmax(x)
    y = aligned_empty(x.shape, x.dtype)
    _softmax(x, y, x.shape[-1])
    return y


@kernel("r* w* i")
def _softmax(x, y, n):
    rows = x.size // n
    for block in prange(block_count(rows, items_per_block(n))):
        begin, end = span(block, rows, items_per_block(n))
        for row in range(begin, end):
            softmax_row(x[row * n : (row + 1) * n], y[row * n : (row + 1) * n])


@njit
def softmax_row(x, y):
    """y = softmax(x) of one row."""
    largest = largest_of(x)
    for i in range(len(x)):
        y[i] = exp(x[i] - largest)
    total = _sum(y)
    for i in range(len(x)):
        y[i] /= total


@njit
def largest_of(x):
    largest = x[0]
    for i in range(len(x)):
        largest = max(largest, x[i])
    return largest


@njit(fastmath=SUM)
def _sum(x):
    total = x.dtype.type(0)
    for i in range(len(x)):
        total += x[i]
    return total
