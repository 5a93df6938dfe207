"""The affine map ``y = x w + b``."""

from accelerated.gpu.device import cuda, op, xp
from accelerated.gpu.kernel import block_size, kernel, thread_index
from accelerated.gpu.product import product
from reference.ops.checks import check

MAX_COLUMNS_PER_BLOCK = 32  # a warp reads 128 consecutive bytes of float32
MAX_ROWS_PER_BLOCK = 256


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
    i = thread_index()
    if i < y.size:
        y[i] += b[i % b.size]


@op
def linear_backward(dy, x, w):
    """Gradients of ``linear``.  dy[n,o], x[n,i], w[i,o] -> dx[n,i], dw[i,o], db[o]."""
    check("dy[n,o] x[n,i] w[i,o]", dy, x, w)
    return product(dy, w.T), product(x.T, dy), column_sums(dy)[0]


def column_sums(x, groups=1):
    """x[n,o] -> [groups,o], the sums over groups of n / groups consecutive rows."""
    while True:  # in parts first, so that many blocks share the work
        parts = max(1, -(-len(x) // max(1, groups) // MAX_ROWS_PER_BLOCK))
        x = _sums_of_parts(x, groups * parts)
        if parts == 1:
            return x


def _sums_of_parts(x, parts):
    sums = xp.empty((parts, x.shape[1]), x.dtype)
    _column_sums.blocks(parts * -(-x.shape[1] // min(MAX_COLUMNS_PER_BLOCK, block_size())))(x, sums, x.shape[1], parts)
    return sums


@kernel("r* w* i i", shared=1)
def _column_sums(x, sums, columns, parts):
    """A block sums some neighbouring columns of a part of the rows.  Neighbouring threads read neighbouring entries.

    The threads of a block form ``block_rows`` rows of ``block_columns`` threads.
    """
    shared = cuda.shared.array(0, x.dtype)
    thread = cuda.threadIdx.x
    block_columns = min(MAX_COLUMNS_PER_BLOCK, cuda.blockDim.x)
    block_rows = cuda.blockDim.x // block_columns
    thread_row, thread_column = thread // block_columns, thread % block_columns
    part = cuda.blockIdx.x % parts
    column = cuda.blockIdx.x // parts * block_columns + thread_column
    rows = x.size // columns
    partial = x.dtype.type(0)
    if column < columns:
        for row in range(part * rows // parts + thread_row, (part + 1) * rows // parts, block_rows):
            partial += x[row * columns + column]
    shared[thread] = partial
    cuda.syncthreads()
    half = block_rows // 2
    while half > 0:
        if thread_row < half:
            shared[thread] += shared[thread + half * block_columns]
        cuda.syncthreads()
        half //= 2
    if thread_row == 0 and column < columns:
        sums[part * columns + column] = shared[thread]
