"""The gradient with respect to the weights of Winograd's convolution, equation (2) of winograd_transforms.py.

The products are summed over a chunk of tiles in 36 planes; Gᵀ s G then turns each sum into 3x3 weights, which are added up in memory: 9
numbers instead of 36.  The tiles are split into parts, each with a sum of its own.
"""

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import block_count, span
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import aligned_scratch
from accelerated.cpu.product import MR, NR, micro_kernel_one_panel, micro_kernel_two_panels, row_offsets
from accelerated.cpu.simd import LANES, always_inline, load, load6, repeat6, splat, store, store6
from accelerated.cpu.winograd_forward import OUTPUT_GROUP
from accelerated.cpu.winograd_tiles import half_offset, input_offset, next_tile, prefetch_tiles, tile_count, tile_origin, transform_inputs
from accelerated.cpu.winograd_transforms import output_gradient_transform, weight_gradient_transform

CHUNK_TILES = 47  # most tiles of a chunk; odd, since matrices at power-of-two strides would conflict in the sets of a cache
CHANNEL_BLOCK = 8 * MR  # input channels of a block: the rows of eight register tiles
MAX_PARTS = 8
PART_TILES = 128  # least tiles of a part, unless few tasks would be left


def weight_gradient(dy, x):
    """dw of ``conv2d_backward``, where ``winograd_forward.supports`` allows."""
    i, o = x.shape[3], dy.shape[3]
    parts = min(MAX_PARTS, max(2 if o <= OUTPUT_GROUP else 1, tile_count.py_func(x.shape) // PART_TILES))
    dw = np.zeros((parts, 3, 3, i, o), x.dtype)
    _weight_gradient(dy, x, dw)
    return dw[0] if parts == 1 else dw.sum(axis=0)


@always_inline
def gradient_offset(plane, channel, slot, width):
    """Offset of a vector in gradients[36,width/LANES,CHUNK_TILES,LANES]; ``channel`` is a multiple of LANES below ``width``."""
    return (plane * width + channel) * CHUNK_TILES + slot * LANES


@always_inline
def sum_offset(panel, plane, channel):
    """Offset of a vector of output channels in sums[2,36,CHANNEL_BLOCK,LANES]; ``channel`` counts the input channels of a block."""
    return ((panel * 36 + plane) * CHANNEL_BLOCK + channel) * LANES


@kernel("r4 r4 w5")
def _weight_gradient(dy, x, dw):
    """dw[parts,3,3,i,o] += the sum over the tiles of each part.  A task is a part and a group of output channels."""
    parts, tiles = len(dw), tile_count(x.shape)
    for task in prange(parts * block_count(dy.shape[3], OUTPUT_GROUP)):
        part, group = task % parts, task // parts
        first, last = part * tiles // parts, (part + 1) * tiles // parts
        _weight_gradient_of(
            dy.shape, dy.ravel(), x.shape, x.ravel(), first, last, *span(group, dy.shape[3], OUTPUT_GROUP), dw[part].ravel()
        )


@njit
def _weight_gradient_of(dy_shape, dy, shape, x, first, last, left, right, dw):
    """From the tiles first .. last - 1, for output channels left .. right - 1."""
    i = shape[3]
    o = dy_shape[3]
    width = right - left
    tiles = tile_count(shape)
    block = min(i, CHANNEL_BLOCK)
    transformed = aligned_scratch(36 * CHUNK_TILES * block_count(i, block) * block, x.dtype)
    gradients = aligned_scratch(36 * CHUNK_TILES * width, x.dtype)
    sums = aligned_scratch(2 * 36 * CHANNEL_BLOCK * LANES, x.dtype)
    half = aligned_scratch(36 * LANES, x.dtype)
    chunks = block_count(last - first, CHUNK_TILES)
    products = block_count(i, block) * block_count(width, NR)
    for chunk in range(chunks):
        begin, end = first + chunk * (last - first) // chunks, first + (chunk + 1) * (last - first) // chunks
        transform_inputs(x, shape, begin, end, CHUNK_TILES, block, half, transformed)
        _transform_output_gradients(dy, dy_shape, left, right, begin, end, half, gradients)
        product = 0
        for c in range(0, i, block):
            count = min(block, i - c)
            for column in range(0, width, NR):
                prefetch_tiles(x, tiles, end + block_count(shape[2], 4), end - begin, product, products)
                prefetch_tiles(dy, tiles, end, end - begin, product, products)
                product += 1
                _products(end - begin, transformed, c, block, count, block_count(i, block), gradients, column, width, sums)
                for panel in range(min(2, (width - column) // LANES)):
                    at = c * o + left + column + panel * LANES
                    _add_weight_gradients(sums, panel, count, i * o, o, at, half, dw)


@njit
def _products(tiles, transformed, c, block, count, channel_blocks, gradients, column, width, sums):
    """sums[2,36,CHANNEL_BLOCK,LANES] of ``count`` input channels from c on and of two vectors of output channels, or the last one."""
    zeros = repeat6(splat(sums.dtype.type(0)))
    two = column + LANES < width
    panel_stride = gradient_offset(0, LANES, 0, width)
    for plane in range(36):
        a_offset = plane * channel_blocks * CHUNK_TILES * block + input_offset(0, c, CHUNK_TILES, block)
        b_offset = gradient_offset(plane, column, 0, width)
        for channel in range(0, count, MR):
            a_rows = row_offsets(a_offset + channel, 1, min(MR, count - channel))
            if two:
                found, more = micro_kernel_two_panels(
                    tiles, transformed, a_rows, block, gradients, b_offset, panel_stride, LANES, zeros, zeros
                )
                store6(sums, sum_offset(1, plane, channel), LANES, more)
            else:
                found = micro_kernel_one_panel(tiles, transformed, a_rows, block, gradients, b_offset, LANES, zeros)
            store6(sums, sum_offset(0, plane, channel), LANES, found)


@njit
def _add_weight_gradients(sums, panel, count, tap_stride, channel_stride, offset, half, dw):
    """dw += Gᵀ s G of ``count`` input channels: weight ``tap`` of channel c is at offset + tap tap_stride + c channel_stride."""
    for channel in range(count):
        for column in range(6):
            rows = weight_gradient_transform(load6(sums, sum_offset(panel, column, channel), sum_offset(0, 6, 0)))
            for row in range(3):
                store(half, half_offset(row, column), rows[row])
        for row in range(3):
            columns = weight_gradient_transform(load6(half, half_offset(row, 0), LANES))
            for column in range(3):
                at = (3 * row + column) * tap_stride + offset + channel * channel_stride
                store(dw, at, load(dw, at) + columns[column])


@njit
def _transform_output_gradients(dy, shape, first, last, begin, end, half, gradients):
    """A dy Aᵀ of the tiles begin .. end - 1 and channels first .. last - 1.  Pixels outside of the image are 0."""
    _, h, w, o = shape
    width = last - first
    plane_stride = gradient_offset(1, 0, 0, width)
    next_origin = tile_origin(begin, h, w)
    zero = splat(dy.dtype.type(0))
    for slot in range(end - begin):
        tile = next_origin
        next_origin = next_tile(tile, h, w)
        for c in range(first, last, LANES):
            for column in range(4):
                if tile.left + column < w:
                    at = ((tile.sample * h + tile.top) * w + tile.left + column) * o + c
                    y0 = load(dy, at)
                    y1 = load(dy, at + w * o) if tile.top + 1 < h else zero
                    y2 = load(dy, at + 2 * w * o) if tile.top + 2 < h else zero
                    y3 = load(dy, at + 3 * w * o) if tile.top + 3 < h else zero
                    store6(half, half_offset(0, column, 4), half_offset(1, 0, 4), output_gradient_transform(y0, y1, y2, y3))
                else:
                    store6(half, half_offset(0, column, 4), half_offset(1, 0, 4), repeat6(zero))
            for row in range(6):
                at = half_offset(row, 0, 4)
                y0, y1 = load(half, at), load(half, at + LANES)
                y2, y3 = load(half, at + 2 * LANES), load(half, at + 3 * LANES)
                store6(gradients, gradient_offset(6 * row, c - first, slot, width), plane_stride, output_gradient_transform(y0, y1, y2, y3))
