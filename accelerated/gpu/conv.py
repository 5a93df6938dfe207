"""Two-dimensional convolution on NHWC images as a product over patches: formulas as in reference/ops/conv.py.

The patches P (im2col), nine times the image, exist for a few samples at a time.  Forward, a kernel gathers P from x, cuBLAS multiplies it
by the weights, and one more pass adds bias and ``add``.  Backward, P is gathered again for dW = Pᵀ dY; then dP = dY Wᵀ overwrites P, and a
kernel computes each entry of dx as the sum of the entries of dP that were read from it, so no two threads add to the same entry.

For a 1x1 kernel P is x itself, or every second pixel of it.
"""

from accelerated.gpu.device import op, xp
from accelerated.gpu.kernel import device_function, kernel, thread_index
from accelerated.gpu.linear import add_bias, column_sums
from accelerated.gpu.product import product
from reference.ops.conv import check_backward, check_forward

MAX_PATCH_BYTES = 2**28  # of all patches at a time; a single sample may need more
THREADS_PER_PIXEL = 32  # a warp: its threads read and write neighbouring channels


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
    """y += b + add, where ``pixels`` neighbouring pixels share an entry of add."""
    i = thread_index()
    if i < y.size:
        channel = i % b.size
        y[i] += b[channel] + add[i // (pixels * b.size) * b.size + channel]


@op
def conv2d_backward(dy, x, w, stride=1, add=None):
    """Gradients of ``conv2d``.  dy[b,h',w',o] -> dx[b,h,w,i], dw[k,k,i,o], db[o], dadd in add's shape (None without)."""
    shape = check_backward(dy, x, w, stride, add)
    k, _, i, o = w.shape
    weights, dw = w.reshape(-1, o), None
    dx = xp.zeros(x.shape, x.dtype) if k < stride else xp.empty(x.shape, x.dtype)  # a 1x1 kernel skips pixels
    for samples, patches in _patches(x, w, stride, shape):
        dx_part, dy_part = dx[samples], dy[samples].reshape(-1, o)
        dw = product(patches.T, dy_part, out=dw, add=dw is not None)
        if k == stride == 1:
            product(dy_part, weights.T, out=dx_part.reshape(-1, i))
        elif k == 1:
            dx_part[:, ::stride, ::stride] = product(dy_part, weights.T).reshape(*shape[:3], i)
        else:
            product(dy_part, weights.T, out=patches)
            _collect[dx_part.size // i * THREADS_PER_PIXEL](patches, dx_part, stride, *x.shape[1:], *shape[1:3])
    dw = xp.zeros(w.shape, w.dtype) if dw is None else dw.reshape(w.shape)
    return dx, dw, *_sums(dy, add)


def _patches(x, w, stride, shape):
    """(slice of the batch, its P in the reference's derivation) for each part of the batch; all parts use the same memory."""
    b, m, n, _ = shape
    k, _, i, _ = w.shape
    if k == 1 and b:
        yield slice(0, b), x[:, ::stride, ::stride].reshape(-1, i)
    elif b:
        samples = min(b, max(1, MAX_PATCH_BYTES // (m * n * 9 * i * x.dtype.itemsize)))
        memory = xp.empty((samples * m * n, 9 * i), x.dtype)
        for begin in range(0, b, samples):
            part = slice(begin, min(b, begin + samples))
            patches = memory[: (part.stop - begin) * m * n]
            _gather[len(patches) * THREADS_PER_PIXEL](x[part], patches, stride, *x.shape[1:], m, n)
            yield part, patches


@kernel("r* w* i i i i i i")
def _gather(x, patches, stride, height, width, channels, m, n):
    """Each of the three rows of a patch is consecutive in x as in P.  Entries outside of the image are 0."""
    pixel = thread_index() // THREADS_PER_PIXEL
    lane = thread_index() % THREADS_PER_PIXEL
    row = 3 * channels  # entries of a row of a patch
    line = width * channels  # entries of a row of the image
    if pixel * 3 * row < patches.size:
        top, left = pixel // n % m * stride - 1, (pixel % n * stride - 1) * channels
        source, target = (pixel // (m * n) * height + top) * line + left, pixel * 3 * row
        for e in range(lane, row, THREADS_PER_PIXEL):
            in_row = (left + e >= 0) & (left + e < line)
            upper = entry(x, source + e, in_row & (top >= 0))
            middle = entry(x, source + e + line, in_row)
            lower = entry(x, source + e + 2 * line, in_row & (top + 2 < height))
            patches[target + e] = upper
            patches[target + e + row] = middle
            patches[target + e + 2 * row] = lower


@device_function
def entry(x, i, inside):
    """x[i], and 0 outside.  It reads x[0] there: with a branch the next read would wait for this one."""
    value = x[i if inside else 0]
    return value if inside else x.dtype.type(0)


@kernel("r* w* i i i i i i")
def _collect(dpatches, dx, stride, height, width, channels, m, n):
    """(2) of the reference's derivation: patches around (i,j) hold the pixel for i = above .. below, j = left .. right, at most 3 x 3."""
    pixel = thread_index() // THREADS_PER_PIXEL
    lane = thread_index() % THREADS_PER_PIXEL
    if pixel * channels < dx.size:
        row, column = pixel // width % height, pixel % width
        first = pixel // (width * height) * m
        above, below = max(0, (row + stride - 2) // stride), min(m - 1, (row + 1) // stride)
        left, right = max(0, (column + stride - 2) // stride), min(n - 1, (column + 1) // stride)
        for channel in range(lane, channels, THREADS_PER_PIXEL):
            value = dx.dtype.type(0)
            for down in range(3):
                i = above + down
                for aside in range(3):
                    j = left + aside
                    patch = (first + i) * n + j
                    tap = (row + 1 - i * stride) * 3 + column + 1 - j * stride
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
