"""SiLU and softmax: formulas as in reference/ops/activation.py.

Elementwise kernels have a thread for each entry.  Softmax has a block for each row, and each thread takes every blockDim-th entry.
"""

from accelerated.gpu.device import cuda, math, op, xp
from accelerated.gpu.kernel import block_max, block_sum, device_function, kernel, thread_index
from reference.ops.activation import check_softmax
from reference.ops.checks import check


@device_function
def logistic(x):
    """1 / (1 + e^{-x}).  For negative x it is computed as e^x / (1 + e^x), down to the smallest numbers."""
    zero, one = type(x)(0), type(x)(1)
    e = math.exp(-math.fabs(x))
    return (e if x < zero else one) / (one + e)


@op
def silu(x):
    """x[...] -> x / (1 + e^{-x})."""
    check("x[...]", x)
    y = xp.empty(x.shape, x.dtype)
    _silu[x.size](x, y)
    return y


@kernel("r* w*")
def _silu(x, y):
    i = thread_index()
    if i < y.size:
        y[i] = x[i] * logistic(x[i])


@op
def silu_backward(dy, x):
    """dy[...], x[...] -> dx = dy silu'(x)."""
    check("dy[...] x[...]", dy, x)
    dx = xp.empty(x.shape, x.dtype)
    _silu_backward[x.size](dy, x, dx)
    return dx


@kernel("r* r* w*")
def _silu_backward(dy, x, dx):
    i = thread_index()
    if i < dx.size:
        dx[i] = silu_vjp(dy[i], x[i])


@device_function
def silu_vjp(dy, x):
    """dy silu'(x), the vector-Jacobian product of SiLU."""
    one, g = type(x)(1), logistic(x)
    return dy * (g * (one + x * (one - g)))


@op
def silu_second(dy, v, x):
    """dy[...], v[...], x[...] -> dy v silu''(x)."""
    check("dy[...] v[...] x[...]", dy, v, x)
    dx = xp.empty(x.shape, x.dtype)
    _silu_second[x.size](dy, v, x, dx)
    return dx


@kernel("r* r* r* w*")
def _silu_second(dy, v, x, dx):
    i = thread_index()
    if i < dx.size:
        one, two = x.dtype.type(1), x.dtype.type(2)
        g = logistic(x[i])
        dx[i] = dy[i] * v[i] * (g * (one - g) * (two + x[i] * (one - two * g)))


@op
def softmax(x):
    """x[...,n] -> y[...,n], positive, with sum 1 along the last axis."""
    check_softmax(x)
    y = xp.empty(x.shape, x.dtype)
    _softmax.blocks(x.size // x.shape[-1])(x, y, x.shape[-1])
    return y


@kernel("r* w* i", shared=1)
def _softmax(x, y, n):
    shared = cuda.shared.array(0, x.dtype)
    begin, end = cuda.blockIdx.x * n, cuda.blockIdx.x * n + n
    first = begin + cuda.threadIdx.x
    maximum = x[begin]
    for i in range(first, end, cuda.blockDim.x):
        maximum = maximum if x[i] <= maximum else x[i]
    maximum = block_max(shared, maximum)
    partial = x.dtype.type(0)
    for i in range(first, end, cuda.blockDim.x):
        y[i] = math.exp(x[i] - maximum)
        partial += y[i]
    row_total = block_sum(shared, partial)
    for i in range(first, end, cuda.blockDim.x):
        y[i] /= row_total
