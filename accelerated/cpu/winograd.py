"""3x3 convolution of stride 1 with a quarter of the multiplications: F(4x4, 3x3) of Winograd 1980, as Lavin and Gray 2016 use it.

A tile of 4x4 outputs depends on 6x6 inputs d.  With weights g, and B, G and A below,

    y = A' [(G g G') * (B' d B)] A,                                                                     (1)

where * multiplies entry by entry: 36 products instead of 144.  Summed over input channels, each of the 36 entries is a matrix product,
[tiles, i] [i, o].  (1) is polynomial multiplication done at six points, here 0, a, -a, b, -b and infinity, with (Toom and Cook)

    B' = a^2 b^2    0     -a^2-b^2    0     1  0     G = 1/a^2 b^2                 A' = 1  1   1   1   1  0
         0       -a b^2     -b^2      a     1  0         1/n  a/n  a^2/n                0  a  -a   b  -b  0
         0        a b^2     -b^2     -a     1  0         1/n -a/n  a^2/n                0 a^2 a^2 b^2 b^2 0
         0       -a^2 b     -a^2      b     1  0         1/m  b/m  b^2/m                0 a^3-a^3 b^3-b^3 1
         0        a^2 b     -a^2     -b     1  0         1/m -b/m  b^2/m
         0       a^2 b^2     0    -a^2-b^2  0  1                      1

n = 2 a^2 (a^2 - b^2) and m = 2 b^2 (b^2 - a^2).  The usual points, 1 and 2, are no good in single precision: rounding errors grow with the
sizes of these numbers.  Of all pairs a = 5/8 and b = 3/2 is nearly the best, all of B' and A' are exact, and the error is less than half.

The gradient at x is a convolution with the weights turned by 180 degrees, from o to i channels.  That at g follows from (1), where y is
linear in g:  dg = G' [(B' d B) * (A dy A')] G, summed over tiles: again 36 matrix products, [i, tiles] [tiles, o].  The sum over some tiles
goes through G' and G at once: 9 numbers are added up in memory, not 36.

A block of tiles is transformed, multiplied and transformed back while it stays in the nearer caches, and asks meanwhile for what the next
block begins with, a row of tiles further since a tile reads a pixel below itself.  Channels come in vectors, and in products two vectors
of them at once.
"""

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import blocks, span
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import empty, fetch, scratch
from accelerated.cpu.product import ROWS, alike, load6, places, store6, tile, two_tiles
from accelerated.cpu.simd import LANES, fill, inlined, load, store

A, B = 5 / 8, 3 / 2
AA, BB = A * A, B * B
N, M = 2 * AA * (AA - BB), 2 * BB * (BB - AA)
TILES = 12  # of a block, two tiles of the product
GRADIENT_TILES = 47  # at most, of a sum; odd, since matrices at a power of two from one another would share few places of a cache
SOME = 48  # input channels of a block of the weight gradient, eight tiles of the product
GROUP = 128  # output channels of a piece of work, at most: few tiles of many channels keep several threads busy


def serves(x, w, stride):
    """Whether the convolution is one that these kernels can do."""
    return stride == 1 and w.shape[0] == 3 and w.shape[2] % LANES == 0 and w.shape[3] % LANES == 0 and min(x.shape) > 0


def forward(x, w, b, add):
    """As ``conv2d``."""
    y = empty((*x.shape[:3], w.shape[3]), x.dtype)
    transformed = empty((36 * w.shape[2] * w.shape[3],), x.dtype)
    _transform_weights(w, False, transformed)
    _forward(x, transformed, b, *added(add, y), y)
    return y


def added(add, y):
    """``add``, and how far apart in it are two samples and two pixels of y: nothing is added to all alike."""
    if add is None:
        return np.zeros(y.shape[3], y.dtype), 0, 0
    pixels = add.shape[1] * add.shape[2]
    return add, pixels * y.shape[3], y.shape[3] if add.shape == y.shape else 0


def backward(dy, x, w):
    """dx and dw of ``conv2d_backward``."""
    dx, transformed = empty(x.shape, x.dtype), empty((36 * w.shape[2] * w.shape[3],), x.dtype)
    _transform_weights(w, True, transformed)
    _forward(dy, transformed, np.zeros(w.shape[2], x.dtype), *added(None, dx), dx)
    parts = min(8, max(2 if w.shape[3] <= GROUP else 1, _tiles.py_func(x.shape) // 128))
    dw = np.zeros((parts, *w.shape), w.dtype)
    _weight_gradient(dy, x, dw)
    return dx, dw[0] if parts == 1 else dw.sum(axis=0)


# along one axis


@inlined
def _inputs(d):
    """B' d."""
    d0, d1, d2, d3, d4, d5 = d
    near, near_odd, far, far_odd = d4 - BB * d2, A * (d3 - BB * d1), d4 - AA * d2, B * (d3 - AA * d1)
    even, odd = (AA * BB) * d0 - (AA + BB) * d2 + d4, (AA * BB) * d1 - (AA + BB) * d3 + d5
    return even, near + near_odd, near - near_odd, far + far_odd, far - far_odd, odd


@inlined
def _weights(g0, g1, g2):
    """G g."""
    near, near_odd = (1 / N) * g0 + (AA / N) * g2, (A / N) * g1
    far, far_odd = (1 / M) * g0 + (BB / M) * g2, (B / M) * g1
    return (1 / (AA * BB)) * g0, near + near_odd, near - near_odd, far + far_odd, far - far_odd, g2


@inlined
def _outputs(m):
    """A' m."""
    m0, m1, m2, m3, m4, m5 = m
    near, near_odd, far, far_odd = m1 + m2, A * (m1 - m2), m3 + m4, B * (m3 - m4)
    return m0 + near + far, near_odd + far_odd, AA * near + BB * far, AA * near_odd + BB * far_odd + m5


@inlined
def _output_gradients(y0, y1, y2, y3):
    """A y."""
    near, near_odd, far, far_odd = y0 + AA * y2, A * (y1 + AA * y3), y0 + BB * y2, B * (y1 + BB * y3)
    return y0, near + near_odd, near - near_odd, far + far_odd, far - far_odd, y3


@inlined
def _weight_gradients(s):
    """G' s."""
    s0, s1, s2, s3, s4, s5 = s
    near, far = s1 + s2, s3 + s4
    odd = (A / N) * (s1 - s2) + (B / M) * (s3 - s4)
    return (1 / (AA * BB)) * s0 + (1 / N) * near + (1 / M) * far, odd, (AA / N) * near + (BB / M) * far + s5


# weights: w[3,3,i,o] -> 36 matrices [o/LANES,i,LANES]


@kernel("r4 b w*")
def _transform_weights(w, turned, transformed):
    """G g G' of the weights, or if ``turned`` of those of the adjoint: turned by 180 degrees, from o to i channels."""
    i, o = (w.shape[3], w.shape[2]) if turned else (w.shape[2], w.shape[3])
    across = blocks(i, SOME)
    for piece in prange(across * (o // LANES)):
        begin, end = span(piece % across, i, SOME)
        _transform_weights_of(piece // across, begin, end, w.ravel(), turned, i, o, transformed)


@njit
def _transform_weights_of(panel, begin, end, w, turned, i, o, transformed):
    g, half = scratch(9 * LANES, w.dtype), scratch(18 * LANES, w.dtype)
    for c in range(begin, end):
        for tap in range(9):
            if turned:
                at = ((8 - tap) * o + panel * LANES) * i + c
                for lane in range(LANES):
                    g[tap * LANES + lane] = w[at + lane * i]
            else:
                store(g, tap * LANES, load(w, (tap * i + c) * o + panel * LANES))
        for column in range(3):
            at = column * LANES
            rows = _weights(load(g, at), load(g, at + 3 * LANES), load(g, at + 6 * LANES))
            for row in range(6):
                store(half, (3 * row + column) * LANES, rows[row])
        for row in range(6):
            at = 3 * row * LANES
            columns = _weights(load(half, at), load(half, at + LANES), load(half, at + 2 * LANES))
            for column in range(6):
                store(transformed, (((6 * row + column) * (o // LANES) + panel) * i + c) * LANES, columns[column])


# tiles


@inlined
def _tiles(shape):
    return shape[0] * ((shape[1] + 3) // 4) * ((shape[2] + 3) // 4)


@inlined
def _place(index, h, w):
    """Sample, and row and column of the first output, of a tile."""
    down, across = (h + 3) // 4, (w + 3) // 4
    sample, rest = index // (down * across), index % (down * across)
    return sample, 4 * (rest // across), 4 * (rest % across)


@inlined
def _next(place, h, w):
    """Those of the tile behind it: without the divisions that take as long as a part of the transform."""
    sample, top, left = place
    if left + 4 < w:
        return sample, top, left + 4
    return (sample, top + 4, 0) if top + 4 < h else (sample + 1, 0, 0)


@njit
def _fetch(x, tiles, begin, count, part, parts):
    """Ask for a part of the memory where ``count`` tiles from ``begin`` on lie, or nearly."""
    first, last = begin * parts + count * part, begin * parts + count * (part + 1)
    fetch(x, first * len(x) // (tiles * parts), last * len(x) // (tiles * parts))


@njit
def _transform_inputs(x, shape, begin, end, of, some, half, transformed):
    """B' d B of the tiles begin .. end, the first ones among ``of``, for every ``some`` channels: transformed[36,i/some,of,some]."""
    _, h, w, i = shape
    step = blocks(i, some) * of * some
    where, zero = _place(begin, h, w), fill(x.dtype.type(0))
    for place in range(end - begin):
        sample, top, left = where
        where = _next(where, h, w)
        for c in range(0, i, LANES):
            for column in range(6):
                across = left + column - 1
                if 0 <= across < w:
                    at = ((sample * h + top - 1) * w + across) * i + c
                    d0 = load(x, at) if top > 0 else zero
                    d1 = load(x, at + w * i)
                    d2 = load(x, at + 2 * w * i) if top + 1 < h else zero
                    d3 = load(x, at + 3 * w * i) if top + 2 < h else zero
                    d4 = load(x, at + 4 * w * i) if top + 3 < h else zero
                    d5 = load(x, at + 5 * w * i) if top + 4 < h else zero
                    store6(half, column * LANES, 6 * LANES, _inputs((d0, d1, d2, d3, d4, d5)))
                else:
                    store6(half, column * LANES, 6 * LANES, alike(zero))
            for row in range(6):
                columns = _inputs(load6(half, 6 * row * LANES, LANES))
                store6(transformed, 6 * row * step + (c // some * of + place) * some + c % some, step, columns)


@kernel("r4 r* r1 r* i i w4")
def _forward(x, weights, bias, add, add_sample, add_pixel, y):
    tiles, o = _tiles(x.shape), y.shape[3]
    across = blocks(tiles, TILES)
    for piece in prange(across * blocks(o, GROUP)):
        first, last = span(piece // across, o, GROUP)
        _forward_block(piece % across, first, last, x.shape, x.ravel(), weights, bias, add, add_sample, add_pixel, o, y.ravel(), tiles)


@njit
def _forward_block(block, first, last, shape, x, weights, bias, add, add_sample, add_pixel, o, y, tiles):
    """Of one block of tiles, output channels first .. last."""
    _, h, w, i = shape
    begin, end = span(block, tiles, TILES)
    transformed, products = scratch(36 * TILES * i, x.dtype), scratch(2 * 36 * TILES * LANES, x.dtype)
    half, zeros = scratch(36 * LANES, x.dtype), alike(fill(x.dtype.type(0)))
    _transform_inputs(x, shape, begin, end, TILES, i, half, transformed)
    for c in range(first, last, 2 * LANES):
        two = c + LANES < last
        for p in range(36):
            if c == first:
                _fetch(x, tiles, end + blocks(w, 4), TILES, p, 36)
                _fetch(y, tiles, begin, TILES, p, 36)
            for row in range(p * TILES, (p + 1) * TILES, ROWS):
                start, right = places(row * i, i), (p * o + c) * i
                if two:
                    sums, more = two_tiles(i, transformed, start, 1, weights, right, i * LANES, LANES, zeros, zeros)
                    store6(products, (36 * TILES + row) * LANES, LANES, more)
                else:
                    sums = tile(i, transformed, start, 1, weights, right, LANES, zeros)
                store6(products, row * LANES, LANES, sums)
        for panel in range(1 + two):
            at, of = panel * 36 * TILES * LANES, c + panel * LANES
            _transform_outputs(products, at, begin, end, h, w, o, of, bias, add, add_sample, add_pixel, half, y)


@njit
def _transform_outputs(products, first, begin, end, h, w, o, c, bias, add, add_sample, add_pixel, half, y):
    """A' m A of the tiles begin .. end, with what is added: a vector of channels of their outputs that lie in the image."""
    step, shift, where = 6 * TILES * LANES, load(bias, c), _place(begin, h, w)
    for place in range(end - begin):
        sample, top, left = where
        where = _next(where, h, w)
        for column in range(6):
            r0, r1, r2, r3 = _outputs(load6(products, first + (column * TILES + place) * LANES, step))
            at = column * LANES
            store(half, at, r0)
            store(half, at + 6 * LANES, r1)
            store(half, at + 12 * LANES, r2)
            store(half, at + 18 * LANES, r3)
        for row in range(min(4, h - top)):
            at = 6 * row * LANES
            y0, y1, y2, y3 = _outputs(load6(half, at, LANES))
            pixel = (top + row) * w + left
            at, more = (sample * h * w + pixel) * o + c, sample * add_sample + pixel * add_pixel + c
            store(y, at, y0 + (shift + load(add, more)))
            if left + 1 < w:
                store(y, at + o, y1 + (shift + load(add, more + add_pixel)))
            if left + 2 < w:
                store(y, at + 2 * o, y2 + (shift + load(add, more + 2 * add_pixel)))
            if left + 3 < w:
                store(y, at + 3 * o, y3 + (shift + load(add, more + 3 * add_pixel)))


@kernel("r4 r4 w5")
def _weight_gradient(dy, x, dw):
    """The gradient at g of (1), added up over the tiles of each part: dw[parts,3,3,i,o] of zeros."""
    parts, tiles = len(dw), _tiles(x.shape)
    for piece in prange(parts * blocks(dy.shape[3], GROUP)):
        part, group = piece % parts, piece // parts
        first, last = part * tiles // parts, (part + 1) * tiles // parts
        _weight_gradient_of(dy.shape, dy.ravel(), x.shape, x.ravel(), first, last, *span(group, dy.shape[3], GROUP), dw[part].ravel())


@njit
def _weight_gradient_of(dy_shape, dy, shape, x, first, last, left, right, dw):
    """From tiles ``first`` .. ``last``, for output channels ``left`` .. ``right``."""
    i, o, width, tiles = shape[3], dy_shape[3], right - left, _tiles(shape)
    some = min(i, SOME)
    transformed = scratch(36 * GRADIENT_TILES * blocks(i, some) * some, x.dtype)
    gradients, sums = scratch(36 * GRADIENT_TILES * width, x.dtype), scratch(2 * 36 * SOME * LANES, x.dtype)
    half = scratch(36 * LANES, x.dtype)
    chunks, pieces = blocks(last - first, GRADIENT_TILES), blocks(i, some) * blocks(width, 2 * LANES)
    for chunk in range(chunks):
        begin, end = first + chunk * (last - first) // chunks, first + (chunk + 1) * (last - first) // chunks
        _transform_inputs(x, shape, begin, end, GRADIENT_TILES, some, half, transformed)
        _transform_output_gradients(dy, dy_shape, left, right, begin, end, half, gradients)
        piece = 0
        for c in range(0, i, some):
            count = min(some, i - c)
            for column in range(0, width, 2 * LANES):
                _fetch(x, tiles, end + blocks(shape[2], 4), end - begin, piece, pieces)
                _fetch(dy, tiles, end, end - begin, piece, pieces)
                piece += 1
                _gradient_products(end - begin, transformed, c, some, count, blocks(i, some), gradients, column, width, sums)
                for panel in range(min(2, (width - column) // LANES)):
                    at = c * o + left + column + panel * LANES
                    _add_weight_gradients(sums, panel * 36 * SOME * LANES, count, i * o, o, at, half, dw)


@njit
def _gradient_products(terms, transformed, c, some, count, of, gradients, column, width, sums):
    """Of ``count`` input channels from c on and two vectors of output channels, or one where it is the last: sums[2][36,SOME,LANES]."""
    zeros, two, far = alike(fill(sums.dtype.type(0))), column + LANES < width, GRADIENT_TILES * LANES
    for p in range(36):
        at, right = (p * of + c // some) * GRADIENT_TILES * some, (p * width + column) * GRADIENT_TILES
        for row in range(0, count, ROWS):
            start = places(at + row, 1, min(ROWS, count - row))
            if two:
                found, more = two_tiles(terms, transformed, start, some, gradients, right, far, LANES, zeros, zeros)
                store6(sums, ((36 + p) * SOME + row) * LANES, LANES, more)
            else:
                found = tile(terms, transformed, start, some, gradients, right, LANES, zeros)
            store6(sums, (p * SOME + row) * LANES, LANES, found)


@njit
def _add_weight_gradients(sums, first, count, tap, below, at, half, dw):
    """G' s G of ``count`` input channels; ``tap``, ``below``: how far apart two weights of a 3x3 filter, two channels are in dw."""
    for row in range(count):
        for column in range(6):
            rows = _weight_gradients(load6(sums, first + (column * SOME + row) * LANES, 6 * SOME * LANES))
            for r in range(3):
                store(half, (6 * r + column) * LANES, rows[r])
        for r in range(3):
            columns = _weight_gradients(load6(half, 6 * r * LANES, LANES))
            for column in range(3):
                place = (3 * r + column) * tap + at + row * below
                store(dw, place, load(dw, place) + columns[column])


@njit
def _transform_output_gradients(dy, shape, first, last, begin, end, half, transformed):
    """A dy A' of the tiles begin .. end, of channels first .. last: transformed[36,panels,tiles,LANES].  Beyond the image it is 0."""
    (_, h, w, o), step = shape, (last - first) * GRADIENT_TILES
    where, zero = _place(begin, h, w), fill(dy.dtype.type(0))
    for place in range(end - begin):
        sample, top, left = where
        where = _next(where, h, w)
        for c in range(first, last, LANES):
            for column in range(4):
                if left + column < w:
                    at = ((sample * h + top) * w + left + column) * o + c
                    y0 = load(dy, at)
                    y1 = load(dy, at + w * o) if top + 1 < h else zero
                    y2 = load(dy, at + 2 * w * o) if top + 2 < h else zero
                    y3 = load(dy, at + 3 * w * o) if top + 3 < h else zero
                    store6(half, column * LANES, 4 * LANES, _output_gradients(y0, y1, y2, y3))
                else:
                    store6(half, column * LANES, 4 * LANES, alike(zero))
            for row in range(6):
                at = 4 * row * LANES
                rows = _output_gradients(load(half, at), load(half, at + LANES), load(half, at + 2 * LANES), load(half, at + 3 * LANES))
                store6(transformed, 6 * row * step + (c - first) * GRADIENT_TILES + place * LANES, step, rows)
