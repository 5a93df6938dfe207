"""Two-dimensional convolution on NHWC images: Winograd's algorithm for the sizes it supports, else the reference's product over patches.

The patches of one block of output pixels are gathered and multiplied at a time; the matrix of all patches is never stored.
"""

import numpy as np
from numba import njit, prange

from accelerated.cpu import winograd_forward, winograd_weights
from accelerated.cpu.blocks import block_count, span
from accelerated.cpu.contiguous import add_to, clear, copy
from accelerated.cpu.kernel import kernel
from accelerated.cpu.linear import ROW_BLOCK, product, split_count, transposed_product
from accelerated.cpu.memory import aligned_empty, aligned_scratch
from accelerated.cpu.product import gemm_accumulate, gemm_bias, pack_panels, pad_last_axis, padded_columns, padded_rows
from accelerated.cpu.simd import LANES
from reference.ops.checks import takes_out
from reference.ops.conv import check_backward, check_forward

PATCH_BLOCK = 96  # pixels whose patches are gathered at a time for the gradient of the weights


@takes_out
def conv2d(x, w, b, stride=1, add=None):
    """x[b,h,w,i], w[k,k,i,o], b[o] -> y[b,p,q,o], as in reference/ops/conv.py."""
    shape = check_forward(x, w, b, stride, add)
    if winograd_forward.supports(x, w, stride):
        return winograd_forward.forward(x, w, b, add)
    return direct(x, w, b, stride, add, shape)


@takes_out
def conv2d_backward(dy, x, w, stride=1, add=None):
    """Gradients of ``conv2d``.  dy[b,p,q,o] -> dx[b,h,w,i], dw[k,k,i,o], db[o], dadd in add's shape (None without)."""
    check_backward(dy, x, w, stride, add)
    if winograd_forward.supports(x, w, stride):
        dx, dw = winograd_forward.input_gradient(dy, w), winograd_weights.weight_gradient(dy, x)
    else:
        dx, dw = direct_backward(dy, x, w, stride)
    return dx, dw, *addend_gradients(dy, add)


def addend_gradients(dy, add):
    """db, the sum of dy over samples and pixels; dadd, dy or its sum over pixels, in the shape of ``add`` (None without)."""
    by_sample = aligned_empty((len(dy), dy.shape[3]), dy.dtype)
    _sum_pixels(dy, by_sample)
    if add is None:
        return by_sample.sum(axis=0), None
    return by_sample.sum(axis=0), dy.copy() if add.shape == dy.shape else by_sample.reshape(add.shape)


@kernel("r4 w2")
def _sum_pixels(dy, by_sample):
    """by_sample[b,o] = the sum of dy over the pixels of each sample."""
    for sample in prange(len(dy)):
        clear(by_sample[sample])
        for row in range(dy.shape[1]):
            for column in range(dy.shape[2]):
                add_to(by_sample[sample], dy[sample, row, column])


# products over patches


def turned(w):
    """w[k,k,i,o] turned by 180 degrees, from o to i channels: the weights of the adjoint."""
    return w[::-1, ::-1].swapaxes(2, 3)


def direct(x, w, b, stride, add, shape):
    """``conv2d`` for any shapes.

    A convolution of stride 1 is also a scatter, (2) of the reference, with its weights turned.  Few output channels then share a panel.
    """
    k, _, i, o = w.shape
    if k == stride == 1:
        y = product(x.reshape(-1, i), w[0, 0], b).reshape(shape)
    elif stride == 1 and padded_columns(k * k * o) < k * k * padded_columns(o):
        y = aligned_empty(shape, x.dtype)
        y[...] = b
        _scatter(x, pack_panels(turned(w).reshape(-1, i), transposed=True), np.zeros(padded_columns(k * k * o), x.dtype), stride, k, y)
    else:
        y = aligned_empty(shape, x.dtype)
        _product_over_patches(x, pack_panels(w.reshape(-1, o)), pad_last_axis(b), stride, k, y)
    return y if add is None else np.add(y, add, out=y)


def direct_backward(dy, x, w, stride):
    """dx and dw of ``conv2d_backward`` for any shapes."""
    k, _, i, o = w.shape
    if k == stride == 1:
        flat = dy.reshape(-1, o)
        dx, (dw, _) = product(flat, w[0, 0], transposed=True), transposed_product(x.reshape(-1, i), flat)
        return dx.reshape(x.shape), dw.reshape(w.shape)
    if stride == 1 and padded_columns(k * k * o) < k * k * padded_columns(o):
        dx = aligned_empty(x.shape, x.dtype)
        _product_over_patches(dy, pack_panels(turned(w).reshape(-1, i)), np.zeros(padded_columns(i), x.dtype), stride, k, dx)
        return dx, np.ascontiguousarray(turned(weight_gradient(x, dy, stride, k)))
    dx = np.zeros(x.shape, x.dtype)
    _scatter(dy, pack_panels(w.reshape(-1, o), transposed=True), np.zeros(padded_columns(k * k * i), x.dtype), stride, k, dx)
    return dx, weight_gradient(dy, x, stride, k)


def weight_gradient(dy, x, stride, k):
    """Pᵀ dY of the reference's derivation, [k,k,i,o]."""
    i, o = x.shape[3], dy.shape[3]
    dw = np.zeros((split_count(dy[..., 0].size, k * k * i * o, least=2), padded_rows(k * k * i), padded_columns(o)), x.dtype)
    _weight_gradient(pad_last_axis(dy), x, stride, k, dw)
    return np.ascontiguousarray(dw.sum(axis=0)[: k * k * i, :o]).reshape(k, k, i, o)


@njit
def _gather(x, k, stride, shape, begin, end, patches):
    """The patches of output pixels begin .. end - 1, counted through all samples: patches[end-begin,k,k i].

    A row of a patch is contiguous in x; its entries outside of the image are 0.
    """
    _, h, w, i = x.shape
    x = x.ravel()
    for pixel in range(begin, end):
        sample, position = pixel // (shape[1] * shape[2]), pixel % (shape[1] * shape[2])
        top, left = position // shape[2] * stride - k // 2, position % shape[2] * stride - k // 2
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
def _product_over_patches(x, w, bias, stride, k, y):
    """y = P w + bias, for the patches P of x."""
    shape, terms = y.shape, k * k * x.shape[3]
    pixels, o = shape[0] * shape[1] * shape[2], shape[3]
    for block in prange(block_count(pixels, ROW_BLOCK)):
        begin, end = span(block, pixels, ROW_BLOCK)
        patches = aligned_scratch(ROW_BLOCK * k * k * x.shape[3], x.dtype).reshape(ROW_BLOCK, k, k * x.shape[3])
        _gather(x, k, stride, shape, begin, end, patches)
        gemm_bias(end - begin, terms, patches.ravel(), 0, terms, 1, w, terms * LANES, LANES, o, y.ravel(), begin * o, bias)


@kernel("r4 r* r1 i i w4")
def _scatter(dy, w, zeros, stride, k, dx):
    """Equation (2) of the reference's derivation: the gradient of each patch is added to the pixels of the patch."""
    for sample in prange(len(dy)):
        _scatter_sample(dy[sample], w, zeros, stride, k, dx[sample])


@njit
def _scatter_sample(dy, w, zeros, stride, k, dx):
    (m, n, o), (height, width, i) = dy.shape, dx.shape
    patches = aligned_scratch(ROW_BLOCK * k * k * i, dx.dtype).reshape(ROW_BLOCK, k, k, i)
    for begin in range(0, m * n, ROW_BLOCK):
        end = min(m * n, begin + ROW_BLOCK)
        gemm_bias(end - begin, o, dy.ravel(), begin * o, o, 1, w, o * LANES, LANES, k * k * i, patches.ravel(), 0, zeros)
        for pixel in range(begin, end):
            top, left = pixel // n * stride - k // 2, pixel % n * stride - k // 2
            for u in range(max(0, -top), min(k, height - top)):
                for v in range(max(0, -left), min(k, width - left)):
                    add_to(dx[top + u, left + v], patches[pixel - begin, u, v])


@kernel("r4 r4 i i w3")
def _weight_gradient(dy, x, stride, k, dw):
    for split in prange(len(dw)):
        _weight_gradient_part(dy, x, stride, k, dw[split].ravel(), split, len(dw))


@njit
def _weight_gradient_part(dy, x, stride, k, dw, split, splits):
    """dw += Pᵀ dY over one part of the pixels."""
    pixels = dy.shape[0] * dy.shape[1] * dy.shape[2]
    o = dy.shape[3]
    terms = k * k * x.shape[3]
    patches = aligned_scratch(PATCH_BLOCK * terms, x.dtype).reshape(PATCH_BLOCK, k, k * x.shape[3])
    last = (split + 1) * pixels // splits
    for begin in range(split * pixels // splits, last, PATCH_BLOCK):
        end = min(last, begin + PATCH_BLOCK)
        _gather(x, k, stride, dy.shape, begin, end, patches)
        gemm_accumulate(terms, end - begin, patches.ravel(), 0, 1, terms, dy.ravel(), begin * o, o, o, dw, 0, o)
