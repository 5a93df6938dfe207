"""The affine map ``y = x w + b``."""

from accelerated.gpu.device import cuda, op, xp
from accelerated.gpu.kernel import block, index, kernel
from accelerated.gpu.product import product
from reference.ops.checks import check

COLUMNS = 32  # that a block sums: a warp reads 128 bytes that lie side by side
PART = 256  # rows at most that a block sums


@op
def linear(x, w, b=None):
    """x[n,i], w[i,o], b[o] -> y[n,o] = x w + b."""
    check("x[n,i] w[i,o]", x, w) if b is None else check("x[n,i] w[i,o] b[o]", x, w, b)
    y = product(x, w)
    if b is not None:
        add_bias(b, y)
    return y


def add_bias(b, y):
    """y[...,o] += b[o]."""
    _add_bias[y.size](b, y)


@kernel("r* w*")
def _add_bias(b, y):
    i = index()
    if i < y.size:
        y[i] += b[i % b.size]


@op
def linear_backward(dy, x, w):
    """Gradients of ``linear``.  dy[n,o], x[n,i], w[i,o] -> dx[n,i], dw[i,o], db[o]."""
    check("dy[n,o] x[n,i] w[i,o]", dy, x, w)
    return product(dy, w.T), product(x.T, dy), column_sums(dy)[0]


def column_sums(x, groups=1):
    """x[n,o] -> [groups,o], the sums over so many groups of n / groups rows that follow one another."""
    while True:  # first in parts, so that many blocks have work
        parts = max(1, -(-len(x) // max(1, groups) // PART))
        x = _sums_of_parts(x, groups * parts)
        if parts == 1:
            return x


def _sums_of_parts(x, parts):
    sums = xp.empty((parts, x.shape[1]), x.dtype)
    _column_sums.blocks(parts * -(-x.shape[1] // min(COLUMNS, block())))(x, sums, x.shape[1], parts)
    return sums


@kernel("r* w* i i", shared=1)
def _column_sums(x, sums, columns, parts):
    """A block sums some neighbouring columns of a part of the rows: threads side by side read numbers side by side."""
    shared, thread = cuda.shared.array(0, x.dtype), cuda.threadIdx.x
    wide = min(COLUMNS, cuda.blockDim.x)
    lines, lane, line = cuda.blockDim.x // wide, thread % wide, thread // wide
    part, column = cuda.blockIdx.x % parts, cuda.blockIdx.x // parts * wide + lane
    rows = x.size // columns
    of_line = x.dtype.type(0)
    if column < columns:
        for row in range(part * rows // parts + line, (part + 1) * rows // parts, lines):
            of_line += x[row * columns + column]
    shared[thread] = of_line
    cuda.syncthreads()
    half = lines // 2
    while half > 0:
        if line < half:
            shared[thread] += shared[thread + half * wide]
        cuda.syncthreads()
        half //= 2
    if line == 0 and column < columns:
        sums[part * columns + column] = shared[thread]
