"""Changes of resolution by 2, and concatenation of channels.  A block is some whole rows of pixels, or some whole pixels."""

from numba import njit, prange

from accelerated.cpu.blocks import block_count, items_per_block, span
from accelerated.cpu.contiguous import copy
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import aligned_empty
from reference.ops.checks import check, takes_out
from reference.ops.resample import check_concat_backward, check_even


@takes_out
def upsample_nearest(x):
    """x[b,h,w,c] -> y[b,2h,2w,c]: every pixel becomes a 2x2 block."""
    check("x[b,h,w,c]", x)
    return _doubled(x, 1.0)


@takes_out
def average_pool_backward(dy):
    """dy[b,h,w,c] -> dx[b,2h,2w,c]: each pixel of a 2x2 block gets a quarter of the gradient."""
    check("dy[b,h,w,c]", dy)
    return _doubled(dy, 0.25)


@takes_out
def upsample_nearest_backward(dy):
    """dy[b,2h,2w,c] -> dx[b,h,w,c]: the gradient of a pixel is the sum over its 2x2 block."""
    check_even("dy", dy)
    return _halved(dy, 1.0)


@takes_out
def average_pool(x):
    """x[b,2h,2w,c] -> y[b,h,w,c]: the mean of every 2x2 block.  ValueError for odd sizes."""
    check_even("x", x)
    return _halved(x, 0.25)


def _doubled(x, factor):
    b, h, w, c = x.shape
    y = aligned_empty((b, 2 * h, 2 * w, c), x.dtype)
    _double(x.reshape(b * h, w, c), factor, y.reshape(b * h, 2, 2 * w, c))
    return y


@kernel("r3 s w4")
def _double(x, factor, y):
    rows, size = len(x), x.shape[1] * x.shape[2]
    for block in prange(block_count(rows, items_per_block(4 * size))):
        begin, end = span(block, rows, items_per_block(4 * size))
        for row in range(begin, end):
            _double_row(x[row], factor, y[row])


@njit
def _double_row(x, factor, y):
    """x[w,c] -> y[2,2w,c]: factor x, for each pixel of a 2x2 block."""
    for j in range(len(x)):
        _scale_twice(x[j], factor, y[0, 2 * j], y[0, 2 * j + 1])
    copy(y[0].reshape(-1), y[1].reshape(-1))


@njit
def _scale_twice(x, factor, y, again):
    for i in range(len(x)):
        y[i] = factor * x[i]
        again[i] = factor * x[i]


def _halved(x, factor):
    b, h, w, c = x.shape
    y = aligned_empty((b, h // 2, w // 2, c), x.dtype)
    _halve(x.reshape(b * h // 2, 2, w, c), factor, y.reshape(b * h // 2, w // 2, c))
    return y


@kernel("r4 s w3")
def _halve(x, factor, y):
    rows, size = len(y), y.shape[1] * y.shape[2]
    for block in prange(block_count(rows, items_per_block(4 * size))):
        begin, end = span(block, rows, items_per_block(4 * size))
        for row in range(begin, end):
            _halve_row(x[row], factor, y[row])


@njit
def _halve_row(x, factor, y):
    """x[2,2w,c] -> y[w,c]: factor times the sum over each 2x2 block."""
    for j in range(len(y)):
        _scaled_sum_of_four(x[0, 2 * j], x[0, 2 * j + 1], x[1, 2 * j], x[1, 2 * j + 1], factor, y[j])


@njit
def _scaled_sum_of_four(x0, x1, x2, x3, factor, y):
    for i in range(len(y)):
        y[i] = factor * ((x0[i] + x1[i]) + (x2[i] + x3[i]))


@takes_out
def concat(x, y):
    """x[b,...,c], y[b,...,d] -> [b,...,c+d]."""
    check("x[b,...,c] y[b,...,d]", x, y)
    c, d = x.shape[-1], y.shape[-1]
    z = aligned_empty((*x.shape[:-1], c + d), x.dtype)
    _concat(x, y, z, c, d)
    return z


@kernel("r* r* w* i i")
def _concat(x, y, z, c, d):
    pixels = z.size // max(1, c + d)
    for block in prange(block_count(pixels, items_per_block(c + d))):
        begin, end = span(block, pixels, items_per_block(c + d))
        for n in range(begin, end):
            copy(x[n * c : (n + 1) * c], z[n * (c + d) : n * (c + d) + c])
            copy(y[n * d : (n + 1) * d], z[n * (c + d) + c : (n + 1) * (c + d)])


@takes_out
def concat_backward(dy, x, y):
    """The gradient dy[b,...,c+d] of ``concat(x, y)`` split into dx[b,...,c] and dy[b,...,d]."""
    check_concat_backward(dy, x, y)
    of_x, of_y = aligned_empty(x.shape, x.dtype), aligned_empty(y.shape, y.dtype)
    _concat_backward(dy, of_x, of_y, x.shape[-1], y.shape[-1])
    return of_x, of_y


@kernel("r* w* w* i i")
def _concat_backward(dz, dx, dy, c, d):
    pixels = dz.size // max(1, c + d)
    for block in prange(block_count(pixels, items_per_block(c + d))):
        begin, end = span(block, pixels, items_per_block(c + d))
        for n in range(begin, end):
            copy(dz[n * (c + d) : n * (c + d) + c], dx[n * c : (n + 1) * c])
            copy(dz[n * (c + d) + c : (n + 1) * (c + d)], dy[n * d : (n + 1) * d])
