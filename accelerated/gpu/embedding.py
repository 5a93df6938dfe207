"""The time as sines and cosines, and a class as a row of a table, as in reference/ops/embedding.py.

Labels that lie on the device could be held against the table only by waiting for it: such a one that is out of range takes a row of NaN,
and has no gradient.  Labels of NumPy's are checked.
"""

import functools
import inspect

import numpy as np

from accelerated.gpu.device import math, op, xp
from accelerated.gpu.kernel import index, kernel
from reference.ops.checks import check, whole
from reference.ops.embedding import check_labels, frequencies


@op
def timestep_embedding(c, width):
    """c[b] -> [b,width]: cos(c f_j) for all j, then sin(c f_j), with f_j = 10000^(-j / (width/2)), j = 0 .. width/2 - 1."""
    check("c[b]", c)
    f = _frequencies(whole("width", width), c.dtype)
    y = xp.empty((len(c), width), c.dtype)
    _timestep_embedding[y.size // 2](c, f, y)
    return y


@functools.lru_cache(maxsize=64)
def _frequencies(width, dtype):
    return xp.asarray(frequencies(width, dtype))


@kernel("r* r* w*")
def _timestep_embedding(c, f, y):
    """A thread for a cosine and its sine; angles are rounded to their dtype, as the reference's are.

    Beyond 105615 CUDA's own cos and sin of float32 reduce the angle by way of float64; a condition of 0 .. 1000 never gets there.
    """
    i = index()
    if i < y.size // 2:
        row, j = i // f.size, i % f.size
        angle, at = c[row] * f[j], 2 * row * f.size + j
        y[at] = math.cos(angle)
        y[at + f.size] = math.sin(angle)


def checks_labels(operation):
    """The op, which holds labels of NumPy's against the table before they are brought to the device."""
    names = tuple(inspect.signature(operation).parameters)

    @functools.wraps(operation)
    def checking(*args, **kwargs):
        given = dict(zip(names, args)) | kwargs
        if isinstance(given.get("labels"), np.ndarray) and "table" in given:
            check_labels(given["labels"], given["table"])
        return operation(*args, **kwargs)

    return checking


@checks_labels
@op
def embedding(labels, table):
    """labels[b] (integers), table[k,d] -> y[b,d], row labels[b] of the table."""
    check("labels:int[b] table[k,d]", labels, table)
    y = xp.empty((len(labels), table.shape[1]), table.dtype)
    _embedding[y.size](labels.astype(np.int64, copy=False), table, y, table.shape[1], np.nan)
    return y


@kernel("rI* r* w* i s")
def _embedding(labels, table, y, columns, outside):
    i = index()
    if i < y.size:
        label = labels[i // columns]
        y[i] = table[label * columns + i % columns] if 0 <= label < table.size // columns else outside


@checks_labels
@op
def embedding_backward(dy, labels, table):
    """dy[b,d], labels[b], table[k,d] -> dtable[k,d]: a row's gradient is the sum over the samples that took it."""
    check("labels:int[b] table[k,d]", labels, table)
    check("dy[b,d] labels:int[b] table[k,d]", dy, labels, table)
    dtable = xp.empty(table.shape, table.dtype)
    _embedding_backward[dtable.size](dy, labels.astype(np.int64, copy=False), dtable, table.shape[1])
    return dtable


@kernel("r* rI* w* i")
def _embedding_backward(dy, labels, dtable, columns):
    """An entry of the table's gradient looks for its samples by itself, in their order."""
    i = index()
    if i < dtable.size:
        row, column, value = i // columns, i % columns, dtable.dtype.type(0)
        for sample in range(labels.size):
            if labels[sample] == row:
                value += dy[sample * columns + column]
        dtable[i] = value
