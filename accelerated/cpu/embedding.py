"""The embedding of a time in sines and cosines, and of a class as a row of a table: formulas as in reference/ops/embedding.py."""

import math

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import block_count, span
from accelerated.cpu.contiguous import add_to
from accelerated.cpu.elementary import cos_sin
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import aligned_empty
from reference.ops.checks import check, takes_out
from reference.ops.embedding import check_labels, frequencies

COLUMN_BLOCK = 64  # columns of the table's gradient that a task computes


@takes_out
def timestep_embedding(c, width, shift=0):
    """c[b] -> [b,width]: cos(c f_j) for all j, then sin(c f_j), with f_j = 10000^{-j / (width/2 - shift)}, j = 0 .. width/2 - 1."""
    check("c[b]", c)
    f = frequencies(width, c.dtype, shift)
    y = aligned_empty((len(c), width), c.dtype)
    _timestep_embedding(c, f, y)
    return y


@kernel("r1 r1 w2")
def _timestep_embedding(c, f, y):
    rows = max(1, 1024 // len(f))
    for block in prange(block_count(len(c), rows)):
        begin, end = span(block, len(c), rows)
        for row in range(begin, end):
            _cos_sin_row(c[row], f, y[row])


@njit
def _cos_sin_row(c, f, y):
    """cos and sin of the angles c f.  As in the reference, the angles are first rounded to their dtype."""
    cosines, sines = y[: len(f)], y[len(f) :]
    if abs(c) <= 2.0**20:  # the limit of cos_sin; all frequencies are at most 1
        for j in range(len(f)):
            cosines[j], sines[j] = cos_sin(np.float64(c * f[j]))
    else:
        for j in range(len(f)):
            cosines[j], sines[j] = math.cos(np.float64(c * f[j])), math.sin(np.float64(c * f[j]))


@takes_out
def embedding(labels, table):
    """labels[b] (integers), table[k,d] -> y[b,d], row labels[b] of the table."""
    check_labels(labels, table)
    return table[labels]  # only copies rows: NumPy already does so at the speed of memory


@takes_out
def embedding_backward(dy, labels, table):
    """dy[b,d], labels[b], table[k,d] -> dtable[k,d]: the gradient of a row is the sum over the samples with its label."""
    check_labels(labels, table)
    check("dy[b,d] labels:int[b] table[k,d]", dy, labels, table)
    dtable = aligned_empty(table.shape, table.dtype)
    _embedding_backward(dy, labels.astype(np.int64, copy=False), dtable)
    return dtable


@kernel("r2 rI1 w2")
def _embedding_backward(dy, labels, dtable):
    for block in prange(block_count(dy.shape[1], COLUMN_BLOCK)):
        begin, end = span(block, dy.shape[1], COLUMN_BLOCK)
        dtable[:, begin:end] = 0
        for row in range(len(labels)):
            add_to(dtable[labels[row], begin:end], dy[row, begin:end])
