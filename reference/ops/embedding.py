"""The network's inputs beside x: the time, as sines and cosines, and a class, as a row of a table.

Backward of the table.  Forward, y_nd = table_{labels_n, d} = sum_k [labels_n = k] table_kd, where
[...] is 1 if true and 0 if not.  That is ``linear`` with the one-hot matrix [labels_n = k], hence

    dtable_kd = sum_n [labels_n = k] dy_nd:

row k sums the gradients of the samples with label k, and is 0 if there are none.  The time
embedding needs no backward: it has no parameters, and c depends on none.
"""

import numpy as np
from numpy.typing import DTypeLike

from reference.ops.checks import Array, Integers, check, check_label_range, takes_out, whole


@takes_out
def timestep_embedding(c: Array, width: int, shift: int = 0) -> Array:
    """c[b] -> [b,width]: cos(c f_j) for all j, then sin(c f_j), with
    f_j = 10000^{-j / (width/2 - shift)}, j = 0 .. width/2 - 1.

    Vaswani et al. 2017, but with the cosines first.  ``width`` is even and at least 2.  ``shift``
    is at least 0 and less than width/2; with 1 the last frequency is 1/10000 (Ho et al. 2020).
    """
    check("c[b]", c)
    angles = c[:, None] * frequencies(width, c.dtype, shift)
    return np.concatenate((np.cos(angles), np.sin(angles)), axis=1)


def frequencies(width: int, dtype: DTypeLike, shift: int = 0) -> Array:
    """f_j [width/2] of ``timestep_embedding``."""
    if whole("width", width) < 2 or width % 2:
        raise ValueError(f"width must be an even number from 2 on, got {width}")
    half = width // 2
    if not 0 <= whole("shift", shift) < half:
        raise ValueError(f"shift must lie in 0 .. {half - 1} for width {width}, got {shift}")
    f: Array = (10000.0 ** (-np.arange(half) / (half - shift))).astype(dtype)
    return f


def check_labels(labels: Integers, table: Array) -> None:
    """Check the arguments of ``embedding``."""
    check("labels:int[b] table[k,d]", labels, table)
    check_label_range(labels, len(table))


@takes_out
def embedding(labels: Integers, table: Array) -> Array:
    """labels[b] (integers), table[k,d] -> y[b,d]: row labels[n] of the table for sample n."""
    check_labels(labels, table)
    return table[labels]


@takes_out
def embedding_backward(dy: Array, labels: Integers, table: Array) -> Array:
    """dy[b,d], labels[b], table[k,d] -> dtable[k,d]: the gradient of a row is the sum over the
    samples with its label.
    """
    check_labels(labels, table)
    check("dy[b,d] labels:int[b] table[k,d]", dy, labels, table)
    dtable = np.zeros_like(table, order="C")
    np.add.at(dtable, labels, dy)
    return dtable
