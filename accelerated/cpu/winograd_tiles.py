"""The tiles of Winograd's convolution: where they lie in the image, and the transform of their inputs, Bᵀ d B.

A tile computes 4x4 outputs and reads 6x6 inputs: one pixel beyond its outputs on each side, so the inputs of neighbours overlap.

      +---+-------------+---+
      |   |             |   |  <- row top - 1
      +---+-------------+---+
      |   | 4x4 outputs |   |  <- row top, columns left .. left + 3 of the image
      |   | of the tile |   |
      +---+-------------+---+
      |   |             |   |  <- row top + 4
      +---+-------------+---+

Channels come in vectors of LANES.  A 6x6 tile of vectors is transformed along its columns into scratch, ``half``, then along its rows.
"""

from typing import NamedTuple

from numba import njit

from accelerated.cpu.blocks import block_count
from accelerated.cpu.memory import prefetch_range
from accelerated.cpu.simd import LANES, always_inline, load, load6, repeat6, splat, store6
from accelerated.cpu.winograd_transforms import input_transform


class Tile(NamedTuple):
    """A tile's sample, and the row and column of its first output."""

    sample: int
    top: int
    left: int


@always_inline
def tile_count(shape):
    """Number of tiles of images of shape [b,h,w,c]."""
    return shape[0] * ((shape[1] + 3) // 4) * ((shape[2] + 3) // 4)


@always_inline
def tile_origin(index, h, w):
    """The ``index``-th of all tiles; the tiles of a sample are counted row by row."""
    down, across = (h + 3) // 4, (w + 3) // 4
    sample, rest = index // (down * across), index % (down * across)
    return Tile(sample, 4 * (rest // across), 4 * (rest % across))


@always_inline
def next_tile(tile, h, w):
    """The tile after this one, without the divisions of ``tile_origin``: they would take as long as a part of the transform."""
    if tile.left + 4 < w:
        return Tile(tile.sample, tile.top, tile.left + 4)
    if tile.top + 4 < h:
        return Tile(tile.sample, tile.top + 4, 0)
    return Tile(tile.sample + 1, 0, 0)


@always_inline
def half_offset(row, column, columns=6):
    """Offset of the vector of an entry in the scratch for one tile, [rows,columns,LANES]."""
    return (columns * row + column) * LANES


@always_inline
def input_offset(slot, channel, capacity, block):
    """Offset of a channel of the tile at index ``slot``, within a plane of transformed inputs [i/block,capacity,block]."""
    return (channel // block * capacity + slot) * block + channel % block


@njit
def prefetch_tiles(x, tiles, begin, count, part, parts):
    """Prefetch one of ``parts`` parts of the memory of ``count`` tiles from ``begin`` on, as if all ``tiles`` were contiguous."""
    first = begin * parts + count * part
    last = begin * parts + count * (part + 1)
    prefetch_range(x, first * len(x) // (tiles * parts), last * len(x) // (tiles * parts))


@njit
def transform_inputs(x, shape, begin, end, capacity, block, half, transformed):
    """Bᵀ d B of the tiles begin .. end - 1: transformed[36,i/block,capacity,block], for blocks of channels.  Pixels outside are 0."""
    _, h, w, i = shape
    plane_stride = block_count(i, block) * capacity * block
    next_origin = tile_origin(begin, h, w)
    zero = splat(x.dtype.type(0))
    for slot in range(end - begin):
        tile = next_origin
        next_origin = next_tile(tile, h, w)
        for c in range(0, i, LANES):
            for column in range(6):
                across = tile.left + column - 1
                if 0 <= across < w:
                    at = ((tile.sample * h + tile.top - 1) * w + across) * i + c
                    d0 = load(x, at) if tile.top > 0 else zero
                    d1 = load(x, at + w * i)
                    d2 = load(x, at + 2 * w * i) if tile.top + 1 < h else zero
                    d3 = load(x, at + 3 * w * i) if tile.top + 2 < h else zero
                    d4 = load(x, at + 4 * w * i) if tile.top + 3 < h else zero
                    d5 = load(x, at + 5 * w * i) if tile.top + 4 < h else zero
                    store6(half, half_offset(0, column), half_offset(1, 0), input_transform((d0, d1, d2, d3, d4, d5)))
                else:
                    store6(half, half_offset(0, column), half_offset(1, 0), repeat6(zero))
            for row in range(6):
                columns = input_transform(load6(half, half_offset(row, 0), LANES))
                at = 6 * row * plane_stride + input_offset(slot, c, capacity, block)
                store6(transformed, at, plane_stride, columns)
