"""The product of matrices, on which ``linear`` and ``conv2d`` stand.

A tile of 6 rows and two vectors' columns of sums stays in registers while the terms go by: for each term k, two vectors of b's row k and
six numbers of a's column k,

    c[r, 0 : 2 LANES] += a[r, k] b[k, 0 : 2 LANES],   r = 0 .. 5,

twelve instructions for eight reads, and none waits for another: a processor that begins two at a time and needs four steps for each wants
eight at least.  b comes in panels of LANES columns, the last one filled up with zeros, and a tile takes two, or one where no other is
left; the rows of a panel follow one another, since at a distance they would share few places of a cache, unless b is small.  a is stepped
through along rows or columns, so that x' y needs no transposed copy.
"""

import numpy as np
from numba import njit
from numba.extending import register_jitable

from accelerated.cpu.blocks import blocks
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import empty, scratch
from accelerated.cpu.rows import clear, copy
from accelerated.cpu.simd import LANES, fill, inlined, item, load, multiply_add, store

ROWS = 6  # of a tile


@inlined
def tile(terms, a, places, step, b, bt, below, sums):
    """sums + a b of a panel: row r of a begins at places[r] and goes on in ``step``s, row k of b stands at bt + k below."""
    a0, a1, a2, a3, a4, a5 = places
    c0, c1, c2, c3, c4, c5 = sums
    for k in range(terms):
        s, row = k * step, load(b, bt + k * below)
        c0 = multiply_add(fill(item(a, a0 + s)), row, c0)
        c1 = multiply_add(fill(item(a, a1 + s)), row, c1)
        c2 = multiply_add(fill(item(a, a2 + s)), row, c2)
        c3 = multiply_add(fill(item(a, a3 + s)), row, c3)
        c4 = multiply_add(fill(item(a, a4 + s)), row, c4)
        c5 = multiply_add(fill(item(a, a5 + s)), row, c5)
    return c0, c1, c2, c3, c4, c5


@inlined
def two_tiles(terms, a, places, step, b, bt, far, below, left, right):
    """``tile`` for two panels at once, the second one ``far`` behind the first."""
    a0, a1, a2, a3, a4, a5 = places
    c0, c1, c2, c3, c4, c5 = left
    d0, d1, d2, d3, d4, d5 = right
    for k in range(terms):
        s, row, other = k * step, load(b, bt + k * below), load(b, bt + far + k * below)
        c0, d0 = _multiply_add2(fill(item(a, a0 + s)), row, other, c0, d0)
        c1, d1 = _multiply_add2(fill(item(a, a1 + s)), row, other, c1, d1)
        c2, d2 = _multiply_add2(fill(item(a, a2 + s)), row, other, c2, d2)
        c3, d3 = _multiply_add2(fill(item(a, a3 + s)), row, other, c3, d3)
        c4, d4 = _multiply_add2(fill(item(a, a4 + s)), row, other, c4, d4)
        c5, d5 = _multiply_add2(fill(item(a, a5 + s)), row, other, c5, d5)
    return (c0, c1, c2, c3, c4, c5), (d0, d1, d2, d3, d4, d5)


@inlined
def _multiply_add2(x, row, other, c, d):
    return multiply_add(x, row, c), multiply_add(x, other, d)


@inlined
def places(at, row, rows=ROWS):
    """Where the rows of a tile begin; beyond ``rows`` the last one stands again, and its sums are dropped."""
    last = rows - 1
    return at, at + min(1, last) * row, at + min(2, last) * row, at + min(3, last) * row, at + min(4, last) * row, at + min(5, last) * row


@inlined
def alike(vector):
    return vector, vector, vector, vector, vector, vector


@inlined
def store6(array, at, step, vectors):
    c0, c1, c2, c3, c4, c5 = vectors
    store(array, at, c0)
    store(array, at + step, c1)
    store(array, at + 2 * step, c2)
    store(array, at + 3 * step, c3)
    store(array, at + 4 * step, c4)
    store(array, at + 5 * step, c5)


@inlined
def load6(array, at, step):
    near = load(array, at), load(array, at + step), load(array, at + 2 * step)
    far = load(array, at + 3 * step), load(array, at + 4 * step), load(array, at + 5 * step)
    return near[0], near[1], near[2], far[0], far[1], far[2]


@njit
def multiply(rows, terms, a, at, row, step, b, far, below, columns, c, ct, bias):
    """c[rows,columns] = a b + bias, c laid out by rows from ct on; bias has numbers for whole panels.

    Panels of b are ``far`` from one another, their rows ``below`` each other.
    """
    edge = scratch(ROWS * LANES, c.dtype)
    for column in range(0, columns, 2 * LANES):
        width, bt, left = columns - column, column // LANES * far, alike(load(bias, column))
        two = width > LANES
        right = alike(load(bias, column + LANES)) if two else left
        for r in range(0, rows, ROWS):
            height, target = min(ROWS, rows - r), ct + r * columns + column
            start = places(at + r * row, row, height)
            if two:
                first, second = two_tiles(terms, a, start, step, b, bt, far, below, left, right)
                _put(second, height, min(LANES, width - LANES), edge, c, target + LANES, columns)
            else:
                first = tile(terms, a, start, step, b, bt, below, left)
            _put(first, height, min(LANES, width), edge, c, target, columns)


@inlined
def _put(sums, height, width, edge, c, ct, right):
    """Those of a tile that there are."""
    if height == ROWS and width == LANES:
        store6(c, ct, right, sums)
    else:
        store6(edge, 0, LANES, sums)
        for y in range(height):
            for x in range(width):
                c[ct + y * right + x] = edge[y * LANES + x]


@njit
def accumulate(rows, terms, a, at, row, step, b, bt, below, columns, c, ct, right):
    """c += a b for whole panels of columns side by side: row r of c stands at ct + r right, row k of b at bt + k below.

    c has rows for whole tiles; those beyond ``rows`` are left with anything.
    """
    for column in range(0, columns, 2 * LANES):
        for r in range(0, rows, ROWS):
            start, target = places(at + r * row, row, min(ROWS, rows - r)), ct + r * right + column
            if column + LANES < columns:
                sums = load6(c, target, right), load6(c, target + LANES, right)
                sums = two_tiles(terms, a, start, step, b, bt + column, LANES, below, sums[0], sums[1])
                store6(c, target, right, sums[0])
                store6(c, target + LANES, right, sums[1])
            else:
                store6(c, target, right, tile(terms, a, start, step, b, bt + column, below, load6(c, target, right)))


def padded(n):
    """The number of columns of whole panels that hold n."""
    return -(-n // LANES) * LANES


@register_jitable
def tall(n):
    """The number of rows of whole tiles that hold n."""
    return blocks(n, ROWS) * ROWS


def filled_up(array):
    """The array with zeros behind, on its last axis, to whole panels."""
    if array.shape[-1] % LANES == 0:
        return array
    wide = np.zeros((*array.shape[:-1], padded(array.shape[-1])), array.dtype)
    wide[..., : array.shape[-1]] = array
    return wide


def panels(w, turned=False):
    """w[k,o], or w' if ``turned``, as [panels,k,LANES]."""
    terms, columns = w.shape[::-1] if turned else w.shape
    packed = empty((padded(columns) // LANES, terms, LANES), w.dtype)
    _pack(w, turned, packed)
    return packed


@kernel("r2 b w3")
def _pack(w, turned, packed):
    """Too little work for several threads."""
    terms, columns = (w.shape[1], w.shape[0]) if turned else w.shape
    w = w.ravel()
    for panel in range(len(packed)):
        first, count = panel * LANES, min(LANES, columns - panel * LANES)
        if count < LANES:
            clear(packed[panel].ravel())
        if turned:
            for lane in range(count):
                for k in range(terms):
                    packed[panel, k, lane] = w[(first + lane) * terms + k]
        elif count == LANES:
            for k in range(terms):
                store(packed, (panel * terms + k) * LANES, load(w, k * columns + first))
        else:
            for k in range(terms):
                copy(w[k * columns + first : (k + 1) * columns], packed[panel, k, :count])
