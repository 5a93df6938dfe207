"""The affine map ``y = x w + b``, by the product of product.py."""

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import blocks, span
from accelerated.cpu.kernel import kernel
from accelerated.cpu.product import ROWS, accumulate, filled_up, multiply, pack, padded
from accelerated.cpu.simd import LANES, fill, load, store
from reference.ops.checks import check, takes_out

SOME = 4 * ROWS  # rows of a block
TERMS = 2048  # of a sum over samples, before its parts are added up


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
    columns = w.shape[0 if turned else 1]
    y = np.empty((len(x), columns), x.dtype)
    _product(x, w, turned, np.zeros(padded(columns), x.dtype) if b is None else filled_up(b), y)
    return y


@kernel("r2 r2 b r1 w2")
def _product(x, w, turned, bias, y):
    n, terms = x.shape
    panels = np.zeros((len(bias) // LANES, terms, LANES), x.dtype)
    pack(w, turned, panels)
    for block in prange(blocks(n, SOME)):
        begin, end = span(block, n, SOME)
        multiply(end - begin, terms, x.ravel(), begin * terms, terms, 1, panels.ravel(), y.shape[1], y.ravel(), begin * y.shape[1], bias)


def parts_of(n):
    """In how many parts n terms are added up."""
    return max(1, min(8, n // TERMS))


def transposed_product(x, dy):
    """x' dy, and the sum of dy's rows."""
    n, i, o = len(x), x.shape[1], dy.shape[1]
    parts = parts_of(n)
    dw, db = np.zeros((parts, i, padded(o)), x.dtype), np.zeros((parts, padded(o)), x.dtype)
    _transposed_product(x, filled_up(dy), dw, db)
    dw, db = (dw[0], db[0]) if parts == 1 else (dw.sum(axis=0), db.sum(axis=0))
    return (dw, db) if o == padded(o) else (dw[:, :o].copy(), db[:o].copy())


@kernel("r2 r2 w3 w2")
def _transposed_product(x, dy, dw, db):
    """A piece of work is a part of the samples, some of the rows and a panel of the columns of dw."""
    parts, i, o = dw.shape
    across, down = o // LANES, max(1, blocks(i, SOME))
    for piece in prange(parts * across * down):
        part, rest = piece // (across * down), piece % (across * down)
        _piece(x, dy, dw[part].ravel(), db[part], part * len(x) // parts, (part + 1) * len(x) // parts, rest % down, rest // down)


@njit
def _piece(x, dy, dw, db, first, last, block, panel):
    i, o = x.shape[1], dy.shape[1]
    begin, end = span(block, i, SOME)
    column = panel * LANES
    accumulate(end - begin, last - first, x.ravel(), first * i + begin, 1, i, dy.ravel(), first * o + column, o, dw, begin * o + column, o)
    if block == 0:
        total = fill(db.dtype.type(0))
        for n in range(first, last):
            total = total + load(dy, n * o + column)
        store(db, column, total)
