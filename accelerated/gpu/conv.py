"""Two-dimensional convolution on NHWC images as a product over patches: formulas as in reference/ops/conv.py.

The patches P, nine times the image, exist for a few samples at a time, and their gradient takes their place.  Forward a kernel gathers P
from x, cuBLAS multiplies it by the weights, and one more pass adds bias and ``add``.  Backward P is gathered again, for dW = P' dY; then
dP = dY W' overwrites it, and every entry of dx sums the entries of dP that were read from it: no number is added to by two threads.

For a 1x1 kernel P is x itself, or every other of its pixels.
"""

from accelerated.gpu.device import op, xp
from accelerated.gpu.kernel import device, index, kernel
from accelerated.gpu.linear import add_bias, column_sums
from accelerated.gpu.product import product
from reference.ops.conv import check_backward, check_forward

PATCHES = 2**28  # bytes that patches may take, unless those of a single sample take more
LANES = 32  # threads for a pixel: a warp, which reads and writes channels that lie side by side


@op
def conv2d(x, w, b, stride=1, add=None):
    """x[b,h,w,i], w[k,k,i,o], b[o] -> y[b,h',w',o], as the reference's."""
    shape = check_forward(x, w, b, stride, add)
    weights, y = w.reshape(-1, shape[3]), xp.empty(shape, x.dtype)
    for samples, patches in _patches(x, w, stride, shape):
        product(patches, weights, out=y[samples].reshape(-1, shape[3]))
    if add is None:
        add_bias(b, y)
    else:
        _add_both[y.size](b, add, y, 1 if add.shape == shape else shape[1] * shape[2])
    return y


@kernel("r* r* w* i")
def _add_both(b, add, y, pixels):
    """y += b + add, where so many pixels share an entry of add."""
    i = index()
    if i < y.size:
        channel = i % b.size
        y[i] += b[channel] + add[i // (pixels * b.size) * b.size + channel]


@op
def conv2d_backward(dy, x, w, stride=1, add=None):
    """Gradients of ``conv2d``.  dy[b,h',w',o] -> dx[b,h,w,i], dw[k,k,i,o], db[o], dadd in add's shape (None without)."""
    shape = check_backward(dy, x, w, stride, add)
    k, _, i, o = w.shape
    weights, dw = w.reshape(-1, o), None
    dx = xp.zeros(x.shape, x.dtype) if k < stride else xp.empty(x.shape, x.dtype)  # a 1x1 kernel passes over pixels
    for samples, patches in _patches(x, w, stride, shape):
        of_x, of_y = dx[samples], dy[samples].reshape(-1, o)
        dw = product(patches.T, of_y, out=dw, add=dw is not None)
        if k == stride == 1:
            product(of_y, weights.T, out=of_x.reshape(-1, i))
        elif k == 1:
            of_x[:, ::stride, ::stride] = product(of_y, weights.T).reshape(*shape[:3], i)
        else:
            product(of_y, weights.T, out=patches)
            _collect[of_x.size // i * LANES](patches, of_x, stride, *x.shape[1:], *shape[1:3])
    dw = xp.zeros(w.shape, w.dtype) if dw is None else dw.reshape(w.shape)
    return dx, dw, *_sums(dy, add)


def _patches(x, w, stride, shape):
    """P of the reference's derivation, by slices of the batch: all in the same memory."""
    b, m, n, _ = shape
    k, _, i, _ = w.shape
    if k == 1 and b:
        yield slice(0, b), x[:, ::stride, ::stride].reshape(-1, i)
    elif b:
        samples = min(b, max(1, PATCHES // (m * n * 9 * i * x.dtype.itemsize)))
        memory = xp.empty((samples * m * n, 9 * i), x.dtype)
        for begin in range(0, b, samples):
            part = slice(begin, min(b, begin + samples))
            patches = memory[: (part.stop - begin) * m * n]
            _gather[len(patches) * LANES](x[part], patches, stride, *x.shape[1:], m, n)
            yield part, patches


@kernel("r* w* i i i i i i")
def _gather(x, patches, stride, height, width, channels, m, n):
    """Each of the three rows of a patch is as consecutive in x as in P, but for what lies outside of the image: there are zeros."""
    pixel, lane, row, line = index() // LANES, index() % LANES, 3 * channels, width * channels
    if pixel * 3 * row < patches.size:
        top, left = pixel // n % m * stride - 1, (pixel % n * stride - 1) * channels
        source, target = (pixel // (m * n) * height + top) * line + left, pixel * 3 * row
        for e in range(lane, row, LANES):
            beside = (left + e >= 0) & (left + e < line)
            upper = entry(x, source + e, beside & (top >= 0))
            middle = entry(x, source + e + line, beside)
            lower = entry(x, source + e + 2 * line, beside & (top + 2 < height))
            patches[target + e] = upper
            patches[target + e + row] = middle
            patches[target + e + 2 * row] = lower


@device
def entry(x, i, inside):
    """x[i], and 0 outside: something is read all the same, for a branch would have to wait for it before the next read."""
    value = x[i if inside else 0]
    return value if inside else x.dtype.type(0)


@kernel("r* w* i i i i i i")
def _collect(dpatches, dx, stride, height, width, channels, m, n):
    """(2) of the reference's derivation: a pixel lies in the patches around (i,j) for i from ``above`` to ``below``, at most three."""
    pixel, lane = index() // LANES, index() % LANES
    if pixel * channels < dx.size:
        row, column, first = pixel // width % height, pixel % width, pixel // (width * height) * m
        above, below = max(0, (row + stride - 2) // stride), min(m - 1, (row + 1) // stride)
        left, right = max(0, (column + stride - 2) // stride), min(n - 1, (column + 1) // stride)
        for channel in range(lane, channels, LANES):
            value = dx.dtype.type(0)
            for down in range(3):
                i = above + down
                for aside in range(3):
                    j = left + aside
                    patch, tap = (first + i) * n + j, (row + 1 - i * stride) * 3 + column + 1 - j * stride
                    value += entry(dpatches, (patch * 9 + tap) * channels + channel, (i <= below) & (j <= right))
            dx[pixel * channels + channel] = value


def _sums(dy, add):
    """db and dadd."""
    rows = dy.reshape(-1, dy.shape[3])
    if add is None:
        return column_sums(rows)[0], None
    if add.shape == dy.shape:
        return column_sums(rows)[0], dy.copy()
    by_sample = column_sums(rows, len(dy))
    return column_sums(by_sample)[0], by_sample.reshape(add.shape)
