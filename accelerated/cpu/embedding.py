"""The time as sines and cosines, and a class as a row of a table, as in reference/ops/embedding.py."""

import math

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import blocks, span
from accelerated.cpu.elementary import cos_sin
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import empty
from accelerated.cpu.rows import add_to
from reference.ops.checks import check, takes_out
from reference.ops.embedding import check_labels, frequencies

COLUMNS = 64  # of a share of the work where rows are added up


@takes_out
def timestep_embedding(c, width):
    """c[b] -> [b,width]: cos(c f_j) for all j, then sin(c f_j), with f_j = 10000^(-j / (width/2)), j = 0 .. width/2 - 1."""
    check("c[b]", c)
    f = frequencies(width, c.dtype)
    y = empty((len(c), width), c.dtype)
    _timestep_embedding(c, f, y)
    return y


@kernel("r1 r1 w2")
def _timestep_embedding(c, f, y):
    rows = max(1, 1024 // len(f))
    for block in prange(blocks(len(c), rows)):
        begin, end = span(block, len(c), rows)
        for row in range(begin, end):
            _waves(c[row], f, y[row])


@njit
def _waves(c, f, y):
    """cos and sin of the angles c f, which are rounded to their dtype before, as the reference's are."""
    cosines, sines = y[: len(f)], y[len(f) :]
    if abs(c) <= 2.0**20:  # no frequency is above 1
        for j in range(len(f)):
            cosines[j], sines[j] = cos_sin(np.float64(c * f[j]))
    else:
        for j in range(len(f)):
            cosines[j], sines[j] = math.cos(np.float64(c * f[j])), math.sin(np.float64(c * f[j]))


@takes_out
def embedding(labels, table):
    """labels[b] (integers), table[k,d] -> y[b,d], row labels[b] of the table."""
    check_labels(labels, table)
    return table[labels]  # nothing to compute: NumPy copies rows as fast as memory lets it


@takes_out
def embedding_backward(dy, labels, table):
    """dy[b,d], labels[b], table[k,d] -> dtable[k,d]: a row's gradient is the sum over the samples that took it."""
    check_labels(labels, table)
    check("dy[b,d] labels:int[b] table[k,d]", dy, labels, table)
    dtable = empty(table.shape, table.dtype)
    _embedding_backward(dy, labels.astype(np.int64, copy=False), dtable)
    return dtable


@kernel("r2 rI1 w2")
def _embedding_backward(dy, labels, dtable):
    for block in prange(blocks(dy.shape[1], COLUMNS)):
        begin, end = span(block, dy.shape[1], COLUMNS)
        dtable[:, begin:end] = 0
        for row in range(len(labels)):
            add_to(dtable[labels[row], begin:end], dy[row, begin:end])
