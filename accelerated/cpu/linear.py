"""The affine map ``y = x w + b``, by the matrix products of product.py."""

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import block_count, span
from accelerated.cpu.contiguous import add_to
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import aligned_empty, aligned_scratch, prefetch_range
from accelerated.cpu.product import MR, NR, gemm_accumulate, gemm_bias, pack_panels, pad_last_axis, padded_columns, padded_rows
from accelerated.cpu.simd import LANES, load, store
from reference.ops.checks import check, takes_out

ROW_BLOCK = 4 * MR  # rows of x of a block
MAX_UNPACKED_BYTES = 2**16  # largest w that stays in a near cache without being packed
ROW_TILE, COLUMN_TILE = 96, 256  # rows and columns of a weight's gradient that a task computes
SAMPLE_BLOCK = 128  # samples whose products a task adds at a time
MAX_SPLITS = 8  # most parts of a sum over samples
MIN_SPLIT_TERMS = 256  # least samples of a part
MAX_SPLIT_ENTRIES = 2**18  # most entries of all parts together


@takes_out
def linear(x, w, b=None):
    """x[n,i], w[i,o], b[o] -> y[n,o] = x w + b."""
    check("x[n,i] w[i,o]", x, w) if b is None else check("x[n,i] w[i,o] b[o]", x, w, b)
    return product(x, w, b)


@takes_out
def linear_backward(dy, x, w):
    """Gradients of ``linear``.  dy[n,o], x[n,i], w[i,o] -> dx[n,i], dw[i,o], db[o]."""
    check("dy[n,o] x[n,i] w[i,o]", dy, x, w)
    return product(dy, w, transposed=True), *transposed_product(x, dy)


def product(x, w, b=None, transposed=False):
    """x w + b, or x wᵀ if ``transposed``."""
    terms, columns = w.shape[::-1] if transposed else w.shape
    y = aligned_empty((len(x), columns), x.dtype)
    if not transposed and columns % LANES == 0 and w.nbytes <= MAX_UNPACKED_BYTES:
        operand = w
        panel_stride = LANES
        row_stride = columns
    else:
        operand = pack_panels(w, transposed)
        panel_stride = terms * LANES
        row_stride = LANES
    bias = np.zeros(padded_columns(columns), x.dtype) if b is None else pad_last_axis(b)
    _product(x, operand, panel_stride, row_stride, bias, y)
    return y


@kernel("r2 r* i i r1 w2")
def _product(x, w, panel_stride, row_stride, bias, y):
    n, terms = x.shape
    columns = y.shape[1]
    x = x.ravel()
    for block in prange(block_count(n, ROW_BLOCK)):
        begin, end = span(block, n, ROW_BLOCK)
        prefetch_range(x, end * terms, (end + ROW_BLOCK) * terms)
        rows = end - begin
        a_offset = begin * terms
        c_offset = begin * columns
        gemm_bias(rows, terms, x, a_offset, terms, 1, w, panel_stride, row_stride, columns, y.ravel(), c_offset, bias)


def split_count(n, entries, least=1):
    """Number of parts of a sum of n terms for each of ``entries`` entries: at least ``least``, if there are terms for it."""
    return max(1, min(n // MIN_SPLIT_TERMS, MAX_SPLITS, max(least, MAX_SPLIT_ENTRIES // max(1, entries))))


def transposed_product(x, dy):
    """xᵀ dy, and the sum of dy's rows."""
    n, i, o = len(x), x.shape[1], dy.shape[1]
    splits = split_count(n, i * o)
    dw = np.zeros((splits, padded_rows(i), padded_columns(o)), x.dtype)
    db = np.zeros((splits, padded_columns(o)), x.dtype)
    _transposed_product(x, pad_last_axis(dy), dw, db)
    return np.ascontiguousarray(dw[0, :i, :o]), db[0, :o]


@kernel("r2 r2 w3 w2")
def _transposed_product(x, dy, dw, db):
    """dw[0] = xᵀ dy, db[0] = the sum of dy's rows.  A task is a part of the samples and a tile of dw."""
    (splits, _, o), i = dw.shape, x.shape[1]
    across, down = block_count(o, COLUMN_TILE), max(1, block_count(i, ROW_TILE))
    for task in prange(splits * across * down):
        split, rest = task // (across * down), task % (across * down)
        samples = split * len(x) // splits, (split + 1) * len(x) // splits
        tile = *span(rest % down, i, ROW_TILE), *span(rest // down, o, COLUMN_TILE)
        _transposed_product_tile(x, dy, *samples, *tile, dw[split].ravel(), db[split])
    for split in range(1, splits):
        add_to(dw[0].ravel(), dw[split].ravel())
        add_to(db[0], db[split])


@njit
def _transposed_product_tile(x, dy, first, last, top, bottom, left, right, dw, db):
    """From the samples first .. last - 1.  The factors are copied without gaps: at power-of-two strides rows would conflict in a cache."""
    o, rows = dy.shape[1], bottom - top
    a, b = aligned_scratch(SAMPLE_BLOCK * rows, x.dtype), aligned_scratch(SAMPLE_BLOCK * NR, x.dtype)
    for begin in range(first, last, SAMPLE_BLOCK):
        terms = min(SAMPLE_BLOCK, last - begin)
        _copy_columns(x, begin, terms, top, rows, a)
        for column in range(left, right, NR):
            columns = min(NR, right - column)
            _copy_columns(dy, begin, terms, column, columns, b)
            gemm_accumulate(rows, terms, a, 0, 1, rows, b, 0, columns, columns, dw, top * o + column, o)
            if top == 0:
                for c in range(0, columns, LANES):
                    total = load(db, column + c)
                    for k in range(terms):
                        total = total + load(b, k * columns + c)
                    store(db, column + c, total)


@njit
def _copy_columns(x, begin, count, left, width, target):
    """target[count,width] = x[begin : begin + count, left : left + width]."""
    x, offset, row_stride, whole = x.ravel(), begin * x.shape[1] + left, x.shape[1], width // LANES * LANES
    for k in range(count):
        for c in range(0, whole, LANES):
            store(target, k * width + c, load(x, offset + k * row_stride + c))
        for c in range(whole, width):
            target[k * width + c] = x[offset + k * row_stride + c]
