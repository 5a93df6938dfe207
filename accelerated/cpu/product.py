"""The product of matrices, on which ``linear`` and ``conv2d`` stand.

A tile of 6 x 16 sums stays in registers while the terms go by: for each term k, one vector of b's row k and six numbers of a's column k,

    c[r, 0:16] += a[r, k] b[k, 0:16],   r = 0 .. 5,

six instructions for 192 operations and seven reads.  b comes in panels of 16 columns whose rows follow one another, the last one filled up
with zeros; a is stepped through along rows or columns, so that x' y needs no transposed copy.
"""

import numpy as np
from numba import njit

from accelerated.cpu.blocks import blocks
from accelerated.cpu.kernel import kernel
from accelerated.cpu.rows import copy
from accelerated.cpu.simd import LANES, fill, inlined, item, load, multiply_add, store

ROWS = 6  # of a tile


@inlined
def tile(terms, a, places, step, b, bt, below, sums):
    """sums + a b: row r of a begins at places[r] and goes on in ``step``s, row k of b's 16 columns stands at bt + k below."""
    a0, a1, a2, a3, a4, a5 = places
    c0, c1, c2, c3, c4, c5 = sums
    for k in range(terms):
        row, s = load(b, bt + k * below), k * step
        c0 = multiply_add(fill(item(a, a0 + s)), row, c0)
        c1 = multiply_add(fill(item(a, a1 + s)), row, c1)
        c2 = multiply_add(fill(item(a, a2 + s)), row, c2)
        c3 = multiply_add(fill(item(a, a3 + s)), row, c3)
        c4 = multiply_add(fill(item(a, a4 + s)), row, c4)
        c5 = multiply_add(fill(item(a, a5 + s)), row, c5)
    return c0, c1, c2, c3, c4, c5


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
def multiply(rows, terms, a, at, row, step, b, columns, c, ct, bias):
    """c[rows,columns] = a b + bias, c laid out by rows from ct on.  b[panels,terms,16], bias[panels 16]."""
    edge = np.empty(ROWS * LANES, c.dtype)
    for panel in range(blocks(columns, LANES)):
        for r in range(0, rows, ROWS):
            height, width = min(ROWS, rows - r), min(LANES, columns - panel * LANES)
            start = alike(load(bias, panel * LANES))
            sums = tile(terms, a, places(at + r * row, row, height), step, b, panel * terms * LANES, LANES, start)
            target = ct + r * columns + panel * LANES
            if height == ROWS and width == LANES:
                store6(c, target, columns, sums)
            else:
                store6(edge, 0, LANES, sums)
                for y in range(height):
                    for x in range(width):
                        c[target + y * columns + x] = edge[y * LANES + x]


@njit
def accumulate(rows, terms, a, at, row, step, b, bt, below, c, ct, right):
    """c += a b for 16 columns: row r of c stands at ct + r right, row k of b at bt + k below."""
    edge = np.empty(ROWS * LANES, c.dtype)
    for r in range(0, rows, ROWS):
        height = min(ROWS, rows - r)
        start = places(at + r * row, row, height)
        if height == ROWS:
            store6(c, ct + r * right, right, tile(terms, a, start, step, b, bt, below, load6(c, ct + r * right, right)))
        else:
            store6(edge, 0, LANES, tile(terms, a, start, step, b, bt, below, alike(fill(c.dtype.type(0)))))
            for y in range(height):
                store(c, ct + (r + y) * right, load(c, ct + (r + y) * right) + load(edge, y * LANES))


def padded(n):
    """The number of columns of whole panels that hold n."""
    return -(-n // LANES) * LANES


def filled_up(array):
    """The array with zeros behind, on its last axis, to whole panels."""
    if array.shape[-1] % LANES == 0:
        return array
    wide = np.zeros((*array.shape[:-1], padded(array.shape[-1])), array.dtype)
    wide[..., : array.shape[-1]] = array
    return wide


def panels(w):
    """w[k,o] -> [panels,k,16]."""
    panels = np.zeros((padded(w.shape[1]) // LANES, len(w), LANES), w.dtype)
    _panels(w, panels)
    return panels


@kernel("r2 w3")
def _panels(w, panels):
    pack(w, False, panels)


@njit
def pack(w, turned, panels):
    """w, or w' if ``turned``, into panels[panels,k,16] of zeros: too little work for several threads."""
    terms, columns = (w.shape[1], w.shape[0]) if turned else w.shape
    w = w.ravel()
    for panel in range(len(panels)):
        first, count = panel * LANES, min(LANES, columns - panel * LANES)
        if turned:
            for lane in range(count):
                for k in range(terms):
                    panels[panel, k, lane] = w[(first + lane) * terms + k]
        elif count == LANES:
            for k in range(terms):
                store(panels, (panel * terms + k) * LANES, load(w, k * columns + first))
        else:
            for k in range(terms):
                copy(w[k * columns + first : (k + 1) * columns], panels[panel, k, :count])
