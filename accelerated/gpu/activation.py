"""SiLU and softmax: formulas as in reference/ops/activation.py.

Elementwise kernels have a thread for each entry, softmax a block for each row, whose threads take every blockDim-th entry.
"""

from accelerated.gpu.device import cuda, math, op, xp
from accelerated.gpu.kernel import device, index, kernel, largest, total
from reference.ops.activation import check_softmax
from reference.ops.checks import check


@device
def logistic(x):
    """1 / (1 + e^-x); for negative x it is e^x / (1 + e^x), which reaches the smallest numbers."""
    zero, one, e = type(x)(0), type(x)(1), math.exp(-math.fabs(x))
    return (e if x < zero else one) / (one + e)


@op
def silu(x):
    """x[...] -> x / (1 + e^-x)."""
    check("x[...]", x)
    y = xp.empty(x.shape, x.dtype)
    _silu[x.size](x, y)
    return y


@kernel("r* w*")
def _silu(x, y):
    i = index()
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
    i = index()
    if i < dx.size:
        dx[i] = below_silu(dy[i], x[i])


@device
def below_silu(dy, x):
    """dy silu'(x)."""
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
    i = index()
    if i < dx.size:
        one, two, g = x.dtype.type(1), x.dtype.type(2), logistic(x[i])
        dx[i] = dy[i] * v[i] * (g * (one - g) * (two + x[i] * (one - two * g)))


@op
def softmax(x):
    """x[...,n] -> y[...,n], positive and of sum one along the last axis."""
    check_softmax(x)
    y = xp.empty(x.shape, x.dtype)
    _softmax.blocks(x.size // x.shape[-1])(x, y, x.shape[-1])
    return y


@kernel("r* w* i", shared=1)
def _softmax(x, y, n):
    shared = cuda.shared.array(0, x.dtype)
    begin, end = cuda.blockIdx.x * n, cuda.blockIdx.x * n + n
    first = begin + cuda.threadIdx.x
    top = x[begin]
    for i in range(first, end, cuda.blockDim.x):
        top = top if x[i] <= top else x[i]
    top = largest(shared, top)
    part = x.dtype.type(0)
    for i in range(first, end, cuda.blockDim.x):
        y[i] = math.exp(x[i] - top)
        part += y[i]
    whole = total(shared, part)
    for i in range(first, end, cuda.blockDim.x):
        y[i] /= whole


@op
def softmax_backward(dy, y):
    """dy[...,n], y[...,n] = softmax(x) -> dx[...,n]."""
    check("dy[...,n] y[...,n]", dy, y)
    dx = xp.empty(y.shape, y.dtype)
    if y.size:
        _softmax_backward.blocks(y.size // y.shape[-1])(dy, y, dx, y.shape[-1])
    return dx


@kernel("r* r* w* i", shared=1)
def _softmax_backward(dy, y, dx, n):
    shared = cuda.shared.array(0, y.dtype)
    begin, end = cuda.blockIdx.x * n, cuda.blockIdx.x * n + n
    first, part = begin + cuda.threadIdx.x, y.dtype.type(0)
    for i in range(first, end, cuda.blockDim.x):
        part += dy[i] * y[i]
    inner = total(shared, part)
    for i in range(first, end, cuda.blockDim.x):
        dx[i] = y[i] * (dy[i] - inner)
