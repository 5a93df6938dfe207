"""Changes of resolution by 2, with a thread for each entry of the smaller image, and concatenation of channels: one pass each."""

from accelerated.gpu.device import op, xp
from accelerated.gpu.kernel import device_function, kernel, thread_index
from reference.ops.checks import check
from reference.ops.resample import check_concat_backward, check_even


@op
def upsample_nearest(x):
    """x[b,h,w,c] -> y[b,2h,2w,c]: every pixel becomes a 2x2 block."""
    check("x[b,h,w,c]", x)
    return _doubled(x, 1)


@op
def average_pool_backward(dy):
    """dy[b,h,w,c] -> dx[b,2h,2w,c]: each of the four pixels had weight 1/4."""
    check("dy[b,h,w,c]", dy)
    return _doubled(dy, 0.25)


@op
def upsample_nearest_backward(dy):
    """dy[b,2h,2w,c] -> dx[b,h,w,c]: a pixel's gradient is the sum over its block."""
    check_even("dy", dy)
    return _halved(dy, 1)


@op
def average_pool(x):
    """x[b,2h,2w,c] -> y[b,h,w,c]: the mean of every 2x2 block.  ValueError for odd sizes."""
    check_even("x", x)
    return _halved(x, 0.25)


@device_function
def corner(i, w, c):
    """The index in y[...,2h,2w,c] of the first entry of the 2x2 block that belongs to entry i of x[...,h,w,c]."""
    row = i // (w * c) * w * c
    return 4 * row + 2 * (i - row) - i % c


def _doubled(x, factor):
    b, h, w, c = x.shape
    y = xp.empty((b, 2 * h, 2 * w, c), x.dtype)
    _double[x.size](x, factor, y, w, c)
    return y


@kernel("r* s w* i i")
def _double(x, factor, y, w, c):
    i = thread_index()
    if i < x.size:
        upper, value = corner(i, w, c), factor * x[i]
        lower = upper + 2 * w * c
        y[upper] = value
        y[upper + c] = value
        y[lower] = value
        y[lower + c] = value


def _halved(x, factor):
    b, h, w, c = x.shape
    y = xp.empty((b, h // 2, w // 2, c), x.dtype)
    _halve[y.size](x, factor, y, w // 2, c)
    return y


@kernel("r* s w* i i")
def _halve(x, factor, y, w, c):
    i = thread_index()
    if i < y.size:
        upper = corner(i, w, c)
        lower = upper + 2 * w * c
        y[i] = factor * ((x[upper] + x[upper + c]) + (x[lower] + x[lower + c]))


@op
def concat(x, y):
    """x[b,...,c], y[b,...,d] -> [b,...,c+d]."""
    check("x[b,...,c] y[b,...,d]", x, y)
    c, d = x.shape[-1], y.shape[-1]
    z = xp.empty((*x.shape[:-1], c + d), x.dtype)
    _concat[z.size](x, y, z, c, d)
    return z


@kernel("r* r* w* i i")
def _concat(x, y, z, c, d):
    i = thread_index()
    if i < z.size:
        pixel, channel = i // (c + d), i % (c + d)
        z[i] = x[pixel * c + channel] if channel < c else y[pixel * d + channel - c]


@op
def concat_backward(dy, x, y):
    """The gradient dy[b,...,c+d] of ``concat(x, y)`` cut in two: dx[b,...,c], dy[b,...,d]."""
    check_concat_backward(dy, x, y)
    d_first, d_second = xp.empty(x.shape, x.dtype), xp.empty(y.shape, y.dtype)
    _concat_backward[dy.size](dy, d_first, d_second, x.shape[-1], y.shape[-1])
    return d_first, d_second


@kernel("r* w* w* i i")
def _concat_backward(dz, dx, dy, c, d):
    i = thread_index()
    if i < dz.size:
        pixel, channel = i // (c + d), i % (c + d)
        if channel < c:
            dx[pixel * c + channel] = dz[i]
        else:
            dy[pixel * d + channel - c] = dz[i]
