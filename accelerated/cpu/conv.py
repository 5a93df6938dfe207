"""Two-dimensional convolution on NHWC images: Winograd's algorithm where it serves, else the product over patches of the reference.

The patches of a block of output pixels are gathered, multiplied and left behind before the next block's: all of them never exist.
"""

import numpy as np
from numba import njit, prange

from accelerated.cpu import winograd
from accelerated.cpu.blocks import blocks, span
from accelerated.cpu.kernel import kernel
from accelerated.cpu.linear import SOME, parts_of, product, transposed_product
from accelerated.cpu.memory import empty, scratch
from accelerated.cpu.product import accumulate, filled_up, multiply, padded, panels, tall
from accelerated.cpu.rows import add_to, clear, copy
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
    by_sample = empty((len(dy), dy.shape[3]), dy.dtype)
    _sums(dy, by_sample)
    if add is None:
        return by_sample.sum(axis=0), None
    return by_sample.sum(axis=0), dy.copy() if add.shape == dy.shape else by_sample.reshape(add.shape)


@kernel("r4 w2")
def _sums(dy, by_sample):
    for sample in prange(len(dy)):
        clear(by_sample[sample])
        for row in range(dy.shape[1]):
            for column in range(dy.shape[2]):
                add_to(by_sample[sample], dy[sample, row, column])


# products over patches


def turned(w):
    """w[k,k,i,o] by 180 degrees, from o to i channels: the weights of the adjoint."""
    return w[::-1, ::-1].swapaxes(2, 3)


def direct(x, w, b, stride, add, shape):
    """``conv2d`` for any shapes.

    A convolution of stride 1 is also the scatter of (2) with its weights turned: that way a few output channels fill a panel together.
    """
    k, _, i, o = w.shape
    if k == stride == 1:
        y = product(x.reshape(-1, i), w[0, 0], b).reshape(shape)
    elif stride == 1 and padded(k * k * o) < k * k * padded(o):
        y = empty(shape, x.dtype)
        y[...] = b
        _scatter(x, panels(turned(w).reshape(-1, i), turned=True), np.zeros(padded(k * k * o), x.dtype), stride, k, y)
    else:
        y = empty(shape, x.dtype)
        _gathered(x, panels(w.reshape(-1, o)), filled_up(b), stride, k, y)
    return y if add is None else np.add(y, add, out=y)


def direct_backward(dy, x, w, stride):
    """dx and dw of ``conv2d_backward`` for any shapes."""
    k, _, i, o = w.shape
    if k == stride == 1:
        flat = dy.reshape(-1, o)
        dx, (dw, _) = product(flat, w[0, 0], turned=True), transposed_product(x.reshape(-1, i), flat)
        return dx.reshape(x.shape), dw.reshape(w.shape)
    if stride == 1 and padded(k * k * o) < k * k * padded(o):
        dx = empty(x.shape, x.dtype)
        _gathered(dy, panels(turned(w).reshape(-1, i)), np.zeros(padded(i), x.dtype), stride, k, dx)
        return dx, np.ascontiguousarray(turned(weight_gradient(x, dy, stride, k)))
    dx = np.zeros(x.shape, x.dtype)
    _scatter(dy, panels(w.reshape(-1, o), turned=True), np.zeros(padded(k * k * i), x.dtype), stride, k, dx)
    return dx, weight_gradient(dy, x, stride, k)


def weight_gradient(dy, x, stride, k):
    """P' dY of the reference's derivation, [k,k,i,o]."""
    i, o = x.shape[3], dy.shape[3]
    dw = np.zeros((parts_of(dy[..., 0].size, k * k * i * o, least=2), tall(k * k * i), padded(o)), x.dtype)
    _weight_gradient(filled_up(dy), x, stride, k, dw)
    return np.ascontiguousarray(dw.sum(axis=0)[: k * k * i, :o]).reshape(k, k, i, o)


@njit
def _gather(x, k, stride, shape, begin, end, patches):
    """The patches of output pixels begin .. end, of all samples counted on: patches[end-begin,k,k i].

    A patch's row is as consecutive in x as in the patch, but for what lies outside of the image.
    """
    _, h, w, i = x.shape
    x = x.ravel()
    for pixel in range(begin, end):
        sample, place = pixel // (shape[1] * shape[2]), pixel % (shape[1] * shape[2])
        top, left = place // shape[2] * stride - k // 2, place % shape[2] * stride - k // 2
        first, last = max(0, -left), min(k, w - left)
        for u in range(k):
            target = patches[pixel - begin, u]
            if 0 <= top + u < h and first < last:
                at = ((sample * h + top + u) * w + left) * i
                clear(target[: first * i])
                copy(x[at + first * i : at + last * i], target[first * i : last * i])
                clear(target[last * i :])
            else:
                clear(target)


@kernel("r4 r* r1 i i w4")
def _gathered(x, w, bias, stride, k, y):
    shape, terms = y.shape, k * k * x.shape[3]
    pixels, o = shape[0] * shape[1] * shape[2], shape[3]
    for block in prange(blocks(pixels, SOME)):
        begin, end = span(block, pixels, SOME)
        patches = scratch(SOME * k * k * x.shape[3], x.dtype).reshape(SOME, k, k * x.shape[3])
        _gather(x, k, stride, shape, begin, end, patches)
        multiply(end - begin, terms, patches.ravel(), 0, terms, 1, w, terms * LANES, LANES, o, y.ravel(), begin * o, bias)


@kernel("r4 r* r1 i i w4")
def _scatter(dy, w, zeros, stride, k, dx):
    """(2) of the reference's derivation: each patch's gradient goes back to the pixels that it was read from."""
    for sample in prange(len(dy)):
        _scatter_sample(dy[sample], w, zeros, stride, k, dx[sample])


@njit
def _scatter_sample(dy, w, zeros, stride, k, dx):
    (m, n, o), (height, width, i) = dy.shape, dx.shape
    patches = scratch(SOME * k * k * i, dx.dtype).reshape(SOME, k, k, i)
    for begin in range(0, m * n, SOME):
        end = min(m * n, begin + SOME)
        multiply(end - begin, o, dy.ravel(), begin * o, o, 1, w, o * LANES, LANES, k * k * i, patches.ravel(), 0, zeros)
        for pixel in range(begin, end):
            top, left = pixel // n * stride - k // 2, pixel % n * stride - k // 2
            for u in range(max(0, -top), min(k, height - top)):
                for v in range(max(0, -left), min(k, width - left)):
                    add_to(dx[top + u, left + v], patches[pixel - begin, u, v])


@kernel("r4 r4 i i w3")
def _weight_gradient(dy, x, stride, k, dw):
    for part in prange(len(dw)):
        _weight_gradient_part(dy, x, stride, k, dw[part].ravel(), part, len(dw))


@njit
def _weight_gradient_part(dy, x, stride, k, dw, part, parts):
    pixels, o, terms = dy.shape[0] * dy.shape[1] * dy.shape[2], dy.shape[3], k * k * x.shape[3]
    patches = scratch(GATHERED * terms, x.dtype).reshape(GATHERED, k, k * x.shape[3])
    last = (part + 1) * pixels // parts
    for begin in range(part * pixels // parts, last, GATHERED):
        end = min(last, begin + GATHERED)
        _gather(x, k, stride, dy.shape, begin, end, patches)
        accumulate(terms, end - begin, patches.ravel(), 0, 1, terms, dy.ravel(), begin * o, o, o, dw, 0, o)
