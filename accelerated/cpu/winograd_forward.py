"""Winograd's convolution: formulas, a figure and sources in winograd_transforms.py.

A block of tiles is transformed, multiplied and transformed back while it stays in the nearer caches.  The products of a block meanwhile
prefetch the inputs of the next one, a row of tiles further down, since a tile reads a pixel below itself.
"""

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import block_count, span
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import aligned_empty, aligned_scratch
from accelerated.cpu.product import MR, NR, micro_kernel_one_panel, micro_kernel_two_panels, row_offsets
from accelerated.cpu.simd import LANES, always_inline, load, load6, repeat6, splat, store, store6
from accelerated.cpu.winograd_tiles import half_offset, next_tile, prefetch_tiles, tile_count, tile_origin, transform_inputs
from accelerated.cpu.winograd_transforms import output_transform, weight_transform

TILE_BLOCK = 2 * MR  # tiles of a block: the rows of two register tiles
WEIGHT_BLOCK = 48  # input channels of a task of the weights' transform
OUTPUT_GROUP = 128  # output channels of a task, at most: so that few tiles of many channels keep several threads busy


def supports(x, w, stride):
    """Whether the kernels can do this convolution: 3x3, stride 1, whole vectors of channels, and no empty axis."""
    return stride == 1 and w.shape[0] == 3 and w.shape[2] % LANES == 0 and w.shape[3] % LANES == 0 and min(x.shape) > 0


def forward(x, w, b, add):
    """As ``conv2d``, where ``supports`` allows."""
    y = aligned_empty((*x.shape[:3], w.shape[3]), x.dtype)
    transformed = aligned_empty((36 * w.shape[2] * w.shape[3],), x.dtype)
    _transform_weights(w, False, transformed)
    _forward(x, transformed, b, *addend_strides(add, y), y)
    return y


def input_gradient(dy, w):
    """dx of ``conv2d_backward``: the convolution of dy with the weights turned by 180 degrees, from o to i channels."""
    dx = aligned_empty((*dy.shape[:3], w.shape[2]), dy.dtype)
    transformed = aligned_empty((36 * w.shape[2] * w.shape[3],), dy.dtype)
    _transform_weights(w, True, transformed)
    _forward(dy, transformed, np.zeros(w.shape[2], dy.dtype), *addend_strides(None, dx), dx)
    return dx


def addend_strides(add, y):
    """``add``, and its strides from sample to sample and from pixel to pixel of y; stride 0 repeats it.  None becomes zeros."""
    if add is None:
        return np.zeros(y.shape[3], y.dtype), 0, 0
    pixels = add.shape[1] * add.shape[2]
    return add, pixels * y.shape[3], y.shape[3] if add.shape == y.shape else 0


# weights: w[3,3,i,o] -> transformed[36,o/LANES,i,LANES], 36 matrices in packed panels


@always_inline
def weight_offset(plane, panel, channel, i, o):
    """Offset of a vector of output channels in the transformed weights."""
    return ((plane * (o // LANES) + panel) * i + channel) * LANES


@kernel("r4 b w*")
def _transform_weights(w, turned, transformed):
    """G g Gᵀ; if ``turned``, of the weights turned by 180 degrees, from o to i channels."""
    i, o = (w.shape[3], w.shape[2]) if turned else (w.shape[2], w.shape[3])
    across = block_count(i, WEIGHT_BLOCK)
    for task in prange(across * (o // LANES)):
        begin, end = span(task % across, i, WEIGHT_BLOCK)
        _transform_weights_of(task // across, begin, end, w.ravel(), turned, i, o, transformed)


@njit
def _transform_weights_of(panel, begin, end, w, turned, i, o, transformed):
    """Of one panel of output channels and the input channels begin .. end - 1."""
    g, half = aligned_scratch(9 * LANES, w.dtype), aligned_scratch(18 * LANES, w.dtype)
    for c in range(begin, end):
        for tap in range(9):
            if turned:
                at = ((8 - tap) * o + panel * LANES) * i + c
                for lane in range(LANES):
                    g[tap * LANES + lane] = w[at + lane * i]
            else:
                store(g, tap * LANES, load(w, (tap * i + c) * o + panel * LANES))
        for column in range(3):
            at = half_offset(0, column, 3)
            rows = weight_transform(load(g, at), load(g, at + 3 * LANES), load(g, at + 6 * LANES))
            for row in range(6):
                store(half, half_offset(row, column, 3), rows[row])
        for row in range(6):
            at = half_offset(row, 0, 3)
            columns = weight_transform(load(half, at), load(half, at + LANES), load(half, at + 2 * LANES))
            for column in range(6):
                store(transformed, weight_offset(6 * row + column, panel, c, i, o), columns[column])


# images


@always_inline
def product_offset(panel, plane, slot):
    """Offset of a vector in products[2,36,TILE_BLOCK,LANES]; ``slot`` is the tile's index in its block."""
    return ((panel * 36 + plane) * TILE_BLOCK + slot) * LANES


@kernel("r4 r* r1 r* i i w4")
def _forward(x, weights, bias, add, add_sample, add_pixel, y):
    """A task is a block of tiles and a group of output channels."""
    tiles, o = tile_count(x.shape), y.shape[3]
    across = block_count(tiles, TILE_BLOCK)
    for task in prange(across * block_count(o, OUTPUT_GROUP)):
        first, last = span(task // across, o, OUTPUT_GROUP)
        _forward_block(task % across, first, last, x.shape, x.ravel(), weights, bias, add, add_sample, add_pixel, o, y.ravel(), tiles)


@njit
def _forward_block(block, first, last, shape, x, weights, bias, add, add_sample, add_pixel, o, y, tiles):
    """One block of tiles, output channels first .. last - 1."""
    _, h, w, i = shape
    begin, end = span(block, tiles, TILE_BLOCK)
    transformed = aligned_scratch(36 * TILE_BLOCK * i, x.dtype)
    products = aligned_scratch(2 * 36 * TILE_BLOCK * LANES, x.dtype)
    half = aligned_scratch(36 * LANES, x.dtype)
    zeros = repeat6(splat(x.dtype.type(0)))
    transform_inputs(x, shape, begin, end, TILE_BLOCK, i, half, transformed)
    for c in range(first, last, NR):
        two = c + LANES < last
        for plane in range(36):
            if c == first:
                prefetch_tiles(x, tiles, end + block_count(w, 4), TILE_BLOCK, plane, 36)
                prefetch_tiles(y, tiles, begin, TILE_BLOCK, plane, 36)
            b_offset = weight_offset(plane, c // LANES, 0, i, o)
            for slot in range(0, TILE_BLOCK, MR):
                a_rows = row_offsets((plane * TILE_BLOCK + slot) * i, i)
                if two:
                    sums, more = micro_kernel_two_panels(i, transformed, a_rows, 1, weights, b_offset, i * LANES, LANES, zeros, zeros)
                    store6(products, product_offset(1, plane, slot), LANES, more)
                else:
                    sums = micro_kernel_one_panel(i, transformed, a_rows, 1, weights, b_offset, LANES, zeros)
                store6(products, product_offset(0, plane, slot), LANES, sums)
        for panel in range(1 + two):
            _transform_outputs(products, panel, begin, end, h, w, o, c + panel * LANES, bias, add, add_sample, add_pixel, half, y)


@njit
def _transform_outputs(products, panel, begin, end, h, w, o, c, bias, add, add_sample, add_pixel, half, y):
    """y = Aᵀ m A + bias + add, for the tiles begin .. end - 1 and channels c .. c + LANES - 1; outputs outside of the image are dropped."""
    plane_row_stride = product_offset(0, 6, 0)
    shift = load(bias, c)
    next_origin = tile_origin(begin, h, w)
    for slot in range(end - begin):
        tile = next_origin
        next_origin = next_tile(tile, h, w)
        for column in range(6):
            r0, r1, r2, r3 = output_transform(load6(products, product_offset(panel, column, slot), plane_row_stride))
            store(half, half_offset(0, column), r0)
            store(half, half_offset(1, column), r1)
            store(half, half_offset(2, column), r2)
            store(half, half_offset(3, column), r3)
        for row in range(min(4, h - tile.top)):
            y0, y1, y2, y3 = output_transform(load6(half, half_offset(row, 0), LANES))
            pixel = (tile.top + row) * w + tile.left
            at = (tile.sample * h * w + pixel) * o + c
            add_at = tile.sample * add_sample + pixel * add_pixel + c
            store(y, at, y0 + (shift + load(add, add_at)))
            if tile.left + 1 < w:
                store(y, at + o, y1 + (shift + load(add, add_at + add_pixel)))
            if tile.left + 2 < w:
                store(y, at + 2 * o, y2 + (shift + load(add, add_at + 2 * add_pixel)))
            if tile.left + 3 < w:
                store(y, at + 3 * o, y3 + (shift + load(add, add_at + 3 * add_pixel)))
