"""The affine map ``y = x w + b``, by the product of product.py."""

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import blocks, span
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import empty, fetch, scratch
from accelerated.cpu.product import ROWS, accumulate, filled_up, multiply, padded, panels, tall
from accelerated.cpu.rows import add_to
from accelerated.cpu.simd import LANES, load, store
from reference.ops.checks import check, takes_out

SOME = 4 * ROWS  # rows of a block
NEAR = 2**16  # bytes that stay in a near cache however they lie
DOWN, ACROSS = 96, 256  # rows and columns of a weight's gradient that are a piece of work
CHUNK = 128  # samples whose part in it is added at a time
PARTS, TERMS, ENTRIES = 8, 256, 2**18  # of a sum over samples: at most, the samples of each at least, the numbers of all together


@takes_out
def linear(x, w, b=None):
    """x[n,i], w[i,o], b[o] -> y[n,o] = x w + b."""
    check("x[n,i] w[i,o]", x, w) if b is None else check("x[n,i] w[i,o] b[o]", x, w, b)
    return product(x, w, b)


@takes_out
def linear_backward(dy, x, w):
    """Gradients of ``linear``.  dy[n,o], x[n,i], w[i,o] -> dx[n,i], dw[i,o], db[o]."""
    check("dy[n,o] x[n,i] w[i,o]", dy, x, w)
    return product(dy, w, turned=True), *transposed_product(x, dy)


def product(x, w, b=None, turned=False):
    """x w + b, or x w' if ``turned``."""
    terms, columns = w.shape[::-1] if turned else w.shape
    y = empty((len(x), columns), x.dtype)
    in_place = not turned and columns % LANES == 0 and w.nbytes <= NEAR
    operand = (w, LANES, columns) if in_place else (panels(w, turned), terms * LANES, LANES)
    _product(x, *operand, np.zeros(padded(columns), x.dtype) if b is None else filled_up(b), y)
    return y


@kernel("r2 r* i i r1 w2")
def _product(x, w, far, below, bias, y):
    (n, terms), columns, x = x.shape, y.shape[1], x.ravel()
    for block in prange(blocks(n, SOME)):
        begin, end = span(block, n, SOME)
        fetch(x, end * terms, (end + SOME) * terms)
        multiply(end - begin, terms, x, begin * terms, terms, 1, w, far, below, columns, y.ravel(), begin * columns, bias)


def parts_of(n, entries, least=1):
    """In how many parts a gradient of so many entries, sums of n terms, is added up: ``least`` at least, if there are terms for it."""
    return max(1, min(n // TERMS, PARTS, max(least, ENTRIES // max(1, entries))))


def transposed_product(x, dy):
    """x' dy, and the sum of dy's rows."""
    n, i, o = len(x), x.shape[1], dy.shape[1]
    parts = parts_of(n, i * o)
    dw, db = np.zeros((parts, tall(i), padded(o)), x.dtype), np.zeros((parts, padded(o)), x.dtype)
    _transposed_product(x, filled_up(dy), dw, db)
    return np.ascontiguousarray(dw[0, :i, :o]), db[0, :o]


@kernel("r2 r2 w3 w2")
def _transposed_product(x, dy, dw, db):
    """dw[0] = x' dy, db[0] = the sum of dy's rows.  A piece of work is a part of the samples, some rows of dw and some columns."""
    (parts, _, o), i = dw.shape, x.shape[1]
    across, down = blocks(o, ACROSS), max(1, blocks(i, DOWN))
    for piece in prange(parts * across * down):
        part, rest = piece // (across * down), piece % (across * down)
        samples = part * len(x) // parts, (part + 1) * len(x) // parts
        _piece(x, dy, *samples, *span(rest % down, i, DOWN), *span(rest // down, o, ACROSS), dw[part].ravel(), db[part])
    for part in range(1, parts):
        add_to(dw[0].ravel(), dw[part].ravel())
        add_to(db[0], db[part])


@njit
def _piece(x, dy, first, last, top, bottom, left, right, dw, db):
    """What is multiplied lies side by side: rows at a power of two from one another would share few places of a cache."""
    o, rows, width = dy.shape[1], bottom - top, 2 * LANES
    a, b = scratch(CHUNK * rows, x.dtype), scratch(CHUNK * width, x.dtype)
    for begin in range(first, last, CHUNK):
        terms = min(CHUNK, last - begin)
        _side_by_side(x, begin, terms, top, rows, a)
        for column in range(left, right, width):
            columns = min(width, right - column)
            _side_by_side(dy, begin, terms, column, columns, b)
            accumulate(rows, terms, a, 0, 1, rows, b, 0, columns, columns, dw, top * o + column, o)
            if top == 0:
                for c in range(0, columns, LANES):
                    total = load(db, column + c)
                    for k in range(terms):
                        total = total + load(b, k * columns + c)
                    store(db, column + c, total)


@njit
def _side_by_side(x, begin, count, left, width, target):
    """target[count,width] = rows of x from ``begin`` on, columns from ``left`` on."""
    x, at, below, whole = x.ravel(), begin * x.shape[1] + left, x.shape[1], width // LANES * LANES
    for k in range(count):
        for c in range(0, whole, LANES):
            store(target, k * width + c, load(x, at + k * below + c))
        for c in range(whole, width):
            target[k * width + c] = x[at + k * below + c]
