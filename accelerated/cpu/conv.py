"""Two-dimensional convolution on NHWC images: Winograd's algorithm where it serves, else the product over patches of the reference.

The patches of a block of output pixels are gathered, multiplied and left behind before the next block's: all of them never exist.
"""

import numpy as np
from numba import njit, prange

from accelerated.cpu import winograd
from accelerated.cpu.blocks import blocks, span
from accelerated.cpu.kernel import kernel
from accelerated.cpu.linear import SOME, TERMS, product, transposed_product
from accelerated.cpu.product import accumulate, filled_up, multiply, padded, panels
from accelerated.cpu.simd import LANES
from reference.ops.checks import takes_out
from reference.ops.conv import check_backward, check_forward

GATHERED = 96  # pixels whose patches are gathered for a weight gradient


@takes_out
def conv2d(x, w, b, stride=1, add=None):
    """x[b,h,w,i], w[k,k,i,o], b[o] -> y[b,h',w',o], as the reference's."""
    shape = check_forward(x, w, b, stride, add)
    if winograd.serves(x, w, stride):
        return winograd.forward(x, w, b, add)
    return direct(x, w, b, stride, add, shape)


@takes_out
def conv2d_backward(dy, x, w, stride=1, add=None):
    """Gradients of ``conv2d``.  dy[b,h',w',o] -> dx[b,h,w,i], dw[k,k,i,o], db[o], dadd in add's shape (None without)."""
    check_backward(dy, x, w, stride, add)
    dx, dw = winograd.backward(dy, x, w) if winograd.serves(x, w, stride) else direct_backward(dy, x, w, stride)
    return dx, dw, *sums(dy, add)


def sums(dy, add):
    """db and dadd."""
    by_sample = np.empty((len(dy), dy.shape[3]), dy.dtype)
    _sums(dy, by_sample)
    if add is None:
        return by_sample.sum(axis=0), None
    return by_sample.sum(axis=0), dy.copy() if add.shape == dy.shape else by_sample.reshape(add.shape)


@kernel("r4 w2")
def _sums(dy, by_sample):
    for sample in prange(len(dy)):
        by_sample[sample] = 0
        for row in range(dy.shape[1]):
            for column in range(dy.shape[2]):
                _add(dy[sample, row, column], by_sample[sample])


@njit
def _add(row, total):
    for c in range(len(row)):
        total[c] += row[c]


# products over patches


def direct(x, w, b, stride, add, shape):
    """``conv2d`` for any shapes."""
    y = np.empty(shape, x.dtype)
    _direct(x, panels(w.reshape(-1, w.shape[3])), filled_up(b), *winograd.added(add, y), stride, len(w), y)
    return y


@njit
def _gather(x, k, stride, shape, begin, end, patches):
    """The patches of output pixels begin .. end, of all samples counted on: patches[end-begin,k,k,i]."""
    _, h, w, i = x.shape
    for pixel in range(begin, end):
        sample, place = pixel // (shape[1] * shape[2]), pixel % (shape[1] * shape[2])
        top, left = place // shape[2] * stride - k // 2, place % shape[2] * stride - k // 2
        for u in range(k):
            for v in range(k):
                target = patches[pixel - begin, u, v]
                if 0 <= top + u < h and 0 <= left + v < w:
                    _copy(x[sample, top + u, left + v], target)
                else:
                    target[:] = 0


@njit
def _copy(source, target):
    for c in range(len(source)):
        target[c] = source[c]


@kernel("r4 r* r1 r* i i i i w4")
def _direct(x, w, bias, add, add_sample, add_pixel, stride, k, y):
    shape, terms = y.shape, k * k * x.shape[3]
    pixels, o = shape[1] * shape[2], shape[3]
    for block in prange(blocks(shape[0] * pixels, SOME)):
        begin, end = span(block, shape[0] * pixels, SOME)
        patches = np.empty((SOME, k, k, x.shape[3]), x.dtype)
        _gather(x, k, stride, shape, begin, end, patches)
        multiply(end - begin, terms, patches.ravel(), 0, terms, 1, w, o, y.ravel(), begin * o, bias)
        if add_sample:
            for pixel in range(begin, end):
                at = pixel // pixels * add_sample + pixel % pixels * add_pixel
                _add(add[at : at + o], y.ravel()[pixel * o : (pixel + 1) * o])


def direct_backward(dy, x, w, stride):
    """dx and dw of ``conv2d_backward`` for any shapes."""
    k, _, i, o = w.shape
    dx = np.zeros(x.shape, x.dtype)
    _scatter(dy, panels(w.reshape(-1, o).T), np.zeros(padded(k * k * i), x.dtype), stride, k, dx)
    n = dy[..., 0].size
    parts = max(1, min(8, n // TERMS))
    dw = np.zeros((parts, k * k * i, padded(o)), x.dtype)
    _weight_gradient(filled_up(dy), x, stride, k, dw)
    return dx, np.ascontiguousarray(dw.sum(axis=0)[:, :o]).reshape(w.shape)


@kernel("r4 r* r1 i i w4")
def _scatter(dy, w, zeros, stride, k, dx):
    """(2) of the reference's derivation: each patch's gradient goes back to the pixels that it was read from."""
    for sample in prange(len(dy)):
        _scatter_sample(dy[sample], w, zeros, stride, k, dx[sample])


@njit
def _scatter_sample(dy, w, zeros, stride, k, dx):
    (m, n, o), (height, width, i) = dy.shape, dx.shape
    patches = np.empty((SOME, k, k, i), dx.dtype)
    for begin in range(0, m * n, SOME):
        end = min(m * n, begin + SOME)
        multiply(end - begin, o, dy.ravel(), begin * o, o, 1, w, k * k * i, patches.ravel(), 0, zeros)
        for pixel in range(begin, end):
            top, left = pixel // n * stride - k // 2, pixel % n * stride - k // 2
            for u in range(max(0, -top), min(k, height - top)):
                for v in range(max(0, -left), min(k, width - left)):
                    _add(patches[pixel - begin, u, v], dx[top + u, left + v])


@kernel("r4 r4 i i w3")
def _weight_gradient(dy, x, stride, k, dw):
    for part in prange(len(dw)):
        _weight_gradient_part(dy, x, stride, k, dw[part].ravel(), part, len(dw))


@njit
def _weight_gradient_part(dy, x, stride, k, dw, part, parts):
    pixels, o, terms = dy.shape[0] * dy.shape[1] * dy.shape[2], dy.shape[3], k * k * x.shape[3]
    patches = np.empty((GATHERED, k, k, x.shape[3]), x.dtype)
    last = (part + 1) * pixels // parts
    for begin in range(part * pixels // parts, last, GATHERED):
        end = min(last, begin + GATHERED)
        _gather(x, k, stride, dy.shape, begin, end, patches)
        for column in range(0, o, LANES):
            accumulate(terms, end - begin, patches.ravel(), 0, 1, terms, dy.ravel(), begin * o + column, o, dw, column, o)
