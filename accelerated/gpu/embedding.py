"""The time as sines and cosines, and a class as a row of a table, as in reference/ops/embedding.py.

Labels in a NumPy array are checked against the table.  A label on the device that is out of range gives a row of NaN and has no gradient:
to check it would copy it to the host.
"""

import functools
from math import factorial, pi

import numpy as np

from accelerated.gpu.device import checks_values, math, op, xp
from accelerated.gpu.kernel import device_function, kernel, thread_index
from reference.ops.checks import check, whole
from reference.ops.embedding import check_labels, frequencies


@op
def timestep_embedding(c, width, shift=0):
    """c[b] -> [b,width]: cos(c f_j) for all j, then sin(c f_j), with f_j = 10000^(-j / (width/2 - shift)), j = 0 .. width/2 - 1."""
    check("c[b]", c)
    f = _frequencies(whole("width", width), c.dtype, whole("shift", shift))
    y = xp.empty((len(c), width), c.dtype)
    _timestep_embedding[c.dtype][y.size // 2](c, f, y)
    return y


@functools.lru_cache(maxsize=64)
def _frequencies(width, dtype, shift):
    return xp.asarray(frequencies(width, dtype, shift))


# pi/2 as a sum: its first bits, few enough that n times them is exact for n < 2^15, the next bits, and the rest
HALF_PI = tuple(map(np.float32, (1.5703125, 4.837512969970703e-4, 7.549789948768648e-8)))
SINE = tuple(np.float32((-1) ** k / factorial(2 * k + 1)) for k in range(1, 5))
COSINE = tuple(np.float32((-1) ** k / factorial(2 * k)) for k in range(1, 6))
QUARTERS, HALF, ONE, TWO = np.float32(2 / pi), np.float32(0.5), np.float32(1), np.float32(2)


@device_function
def cos_sin_of_float32(x):
    """(cos x, sin x) for |x| < 2^15, by Taylor series at the distance from the nearest multiple of pi/2.

    CUDA's own functions serve larger angles, too, and take float64 and local memory for it.
    """
    n = math.floor(x * QUARTERS + HALF)
    y = ((x - n * HALF_PI[0]) - n * HALF_PI[1]) - n * HALF_PI[2]
    z = y * y
    sine = ((SINE[3] * z + SINE[2]) * z + SINE[1]) * z + SINE[0]
    cosine = (((COSINE[4] * z + COSINE[3]) * z + COSINE[2]) * z + COSINE[1]) * z + COSINE[0]
    sine, cosine = y + y * (z * sine), ONE + z * cosine
    halves = math.floor(n * HALF)
    if n != TWO * halves:
        sine, cosine = cosine, -sine
    if halves != TWO * math.floor(halves * HALF):
        sine, cosine = -sine, -cosine
    return cosine, sine


@device_function
def cos_sin_of_float64(x):
    return math.cos(x), math.sin(x)


def _kernel_of(dtype, cos_sin):
    @kernel("r* r* w*", dtypes=(np.dtype(dtype),))
    def _timestep_embedding(c, f, y):
        """A thread computes a cosine and its sine.  Angles are rounded to their dtype, as in the reference."""
        i = thread_index()
        if i < y.size // 2:
            row, j = i // f.size, i % f.size
            at = 2 * row * f.size + j
            y[at], y[at + f.size] = cos_sin(c[row] * f[j])

    return _timestep_embedding


_timestep_embedding = {
    np.dtype(np.float32): _kernel_of(np.float32, cos_sin_of_float32),
    np.dtype(np.float64): _kernel_of(np.float64, cos_sin_of_float64),
}


@checks_values(check_labels, "labels", "table")
@op
def embedding(labels, table):
    """labels[b] (integers), table[k,d] -> y[b,d], row labels[b] of the table."""
    check("labels:int[b] table[k,d]", labels, table)
    y = xp.empty((len(labels), table.shape[1]), table.dtype)
    _embedding[y.size](labels.astype(np.int64, copy=False), table, y, table.shape[1], np.nan)
    return y


@kernel("rI* r* w* i s")
def _embedding(labels, table, y, columns, out_of_range):
    i = thread_index()
    if i < y.size:
        label = labels[i // columns]
        y[i] = table[label * columns + i % columns] if 0 <= label < table.size // columns else out_of_range


@checks_values(check_labels, "labels", "table")
@op
def embedding_backward(dy, labels, table):
    """dy[b,d], labels[b], table[k,d] -> dtable[k,d]: the gradient of a row is the sum over the samples with its label."""
    check("labels:int[b] table[k,d]", labels, table)
    check("dy[b,d] labels:int[b] table[k,d]", dy, labels, table)
    dtable = xp.empty(table.shape, table.dtype)
    _embedding_backward[dtable.size](dy, labels.astype(np.int64, copy=False), dtable, table.shape[1])
    return dtable


@kernel("r* rI* w* i")
def _embedding_backward(dy, labels, dtable, columns):
    """The thread of an entry of dtable adds the samples with its label, in their order."""
    i = thread_index()
    if i < dtable.size:
        row, column = i // columns, i % columns
        value = dtable.dtype.type(0)
        for sample in range(labels.size):
            if labels[sample] == row:
                value += dy[sample * columns + column]
        dtable[i] = value
