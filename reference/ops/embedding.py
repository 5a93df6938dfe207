"""What a network is told beside its input: the time, as sines and cosines, and a class, as a row of
a table.
"""

import numpy as np

from reference.ops.checks import check, takes_out, whole


@takes_out
def timestep_embedding(c, width):
    """c[b] -> [b,width]: cos(c f_j) for all j, then sin(c f_j), with f_j = 10000^(-j / (width/2)),
    j = 0 .. width/2 - 1.

    Vaswani et al. 2017 with the cosines first.  ``width`` is even and at least 2.
    """
    check("c[b]", c)
    angles = c[:, None] * frequencies(width, c.dtype)
    return np.concatenate((np.cos(angles), np.sin(angles)), axis=1)


def frequencies(width, dtype):
    """f_j [width/2]."""
    if whole("width", width) < 2 or width % 2:
        raise ValueError(f"width must be an even number from 2 on, got {width}")
    half = width // 2
    return (10000.0 ** (-np.arange(half) / half)).astype(dtype)


def check_labels(labels, table):
    check("labels:int[b] table[k,d]", labels, table)
    if labels.size and not (labels.min() >= 0 and labels.max() < len(table)):
        raise ValueError(
            f"labels must lie in 0 .. {len(table) - 1}, got {labels.min()} .. {labels.max()}"
        )


@takes_out
def embedding(labels, table):
    """labels[b] (integers), table[k,d] -> y[b,d], row labels[b] of the table."""
    check_labels(labels, table)
    return table[labels]


@takes_out
def embedding_backward(dy, labels, table):
    """dy[b,d], labels[b], table[k,d] -> dtable[k,d]: a row's gradient is the sum over the samples
    that took it.
    """
    check_labels(labels, table)
    check("dy[b,d] labels:int[b] table[k,d]", dy, labels, table)
    dtable = np.zeros_like(table, order="C")
    np.add.at(dtable, labels, dy)
    return dtable
