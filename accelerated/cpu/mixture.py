"""Density and score of a Gaussian mixture: formulas as in reference/ops/mixture.py.

One pass over the components for PARTICLES points at a time, whose coordinates, sums and maxima stand in rows, so that all loops over
points are vector code.  The sums are those of e^(l - m), l = log(w_k N_k) and m the largest so far; where a component brings a larger
one, they are scaled by e^(m - l) instead: one exponential, of -|l - m|, serves both.  Factors of covariances are inverted once.

In the plane, where particles are many, a vector of points at a time goes through in registers: first all l and the largest, then the
weights.  The l are there taken to base 2, l / log 2 = constant / log 2 - |z'|^2 with z' = M' (x - mean), M' = M / sqrt(2 log 2).
"""

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import blocks, span
from accelerated.cpu.elementary import FUSED, exp, exp2, log
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import empty
from accelerated.cpu.rows import clear
from accelerated.cpu.simd import LANES, evens_odds, fill, in_turns, inlined, item, load, maximum, store
from reference.ops.checks import takes_out
from reference.ops.mixture import cholesky_factors

PARTICLES = 1024
NUMBERS = 9  # by which a component of the plane is known


@takes_out
def mixture_log_density(x, weights, means, covariances):
    """x[n,d], weights[k], means[k,d], covariances[k,d,d] or variances[k] -> log p[n] (natural)."""
    factors = cholesky_factors(x, weights, means, covariances)
    y = empty((len(x),), x.dtype)
    _log_density(x, means, factors, _constants(weights, factors), y)
    return y


def _constants(weights, factors):
    """log w - sum_i log L_ii - d/2 log(2 pi) of each component, in double precision, rounded once."""
    logs = np.log(np.diagonal(factors, axis1=1, axis2=2).astype(np.float64)).sum(axis=1)
    with np.errstate(divide="ignore"):  # a component of weight 0 has log-weight -inf and no say
        return (np.log(weights.astype(np.float64)) - logs - factors.shape[1] / 2 * np.log(2 * np.pi)).astype(weights.dtype)


@kernel("r2 r2 r3 r1 w1")
def _log_density(x, means, factors, constants, y):
    inverses = _inverted(factors)
    for block in prange(blocks(len(x), PARTICLES)):
        begin, end = span(block, len(x), PARTICLES)
        largest, total, _ = _sums(x[begin:end], means, inverses, constants, with_scores=False)
        _log_sums(largest, total, y[begin:end])


@takes_out
def mixture_score(x, weights, means, covariances):
    """Arguments as ``mixture_log_density`` -> grad log p[n,d]."""
    factors = cholesky_factors(x, weights, means, covariances)
    y = empty(x.shape, x.dtype)
    _score(x, means, factors, _constants(weights, factors), y)
    return y


@kernel("r2 r2 r3 r1 w2")
def _score(x, means, factors, constants, y):
    inverses = _inverted(factors)
    table = _in_plane(means, inverses, constants) if x.shape[1] == 2 else constants
    for block in prange(blocks(len(x), PARTICLES)):
        begin, end = span(block, len(x), PARTICLES)
        if x.shape[1] == 2:
            _scores_in_plane(x[begin:end].ravel(), table, y[begin:end].ravel())
        else:
            _, total, scores = _sums(x[begin:end], means, inverses, constants, with_scores=True)
            for j in range(x.shape[1]):
                _divide(scores[j], total)
                _put(scores[j], y[begin:end].reshape(-1)[j:], x.shape[1])


@njit
def _inverted(factors):
    """M = L^-1 [k,d,d], in double precision, rounded once."""
    k, d, _ = factors.shape
    inverses = np.zeros(factors.shape)
    for c in range(k):
        L, M = factors[c], inverses[c]
        for i in range(d):  # L M = 1, row by row
            for j in range(i):
                for column in range(j + 1):
                    M[i, column] -= L[i, j] * M[j, column]
            for column in range(i):
                M[i, column] /= L[i, i]
            M[i, i] = 1 / np.float64(L[i, i])
    return inverses.astype(factors.dtype)


@njit
def _sums(x, means, inverses, constants, with_scores):
    """For points x[n,d]: the largest l, the sum of e^(l - largest) and, if asked for, the scores' sum [d,n] under these weights."""
    n, d = x.shape
    coordinates, z, scores = np.empty((d, n), x.dtype), np.empty((d, n), x.dtype), np.zeros((d, n), x.dtype)
    largest, total = np.full(n, np.finfo(x.dtype).min, x.dtype), np.zeros(n, x.dtype)
    weight, scale = np.empty(n, x.dtype), np.empty(n, x.dtype)
    for j in range(d):
        for i in range(n):
            coordinates[j, i] = x[i, j]
    for k in range(len(constants)):
        M = inverses[k]
        for i in range(d):
            z[i] = 0
            for j in range(i + 1):
                if M[i, j] != 0:
                    _add_multiple(z[i], M[i, j], coordinates[j], means[k, j])
        _weigh(z, constants[k], largest, total, weight, scale)
        if with_scores:
            for i in range(d):
                _multiply(scores[i], scale)
                for j in range(i, d):
                    if M[j, i] != 0:
                        _subtract_multiple(scores[i], M[j, i], z[j], weight)
    return largest, total, scores


@njit
def _in_plane(means, inverses, constants):
    """Every component's numbers in a row: mean, constant / log 2, M', and M'M, the inverse covariance."""
    table, log2 = np.empty((len(constants), NUMBERS), means.dtype), np.log(2.0)
    for k in range(len(constants)):
        M = inverses[k]
        m00, m10, m11 = M[0, 0], M[1, 0], M[1, 1]
        table[k, 0], table[k, 1], table[k, 2] = means[k, 0], means[k, 1], constants[k] / log2
        table[k, 3], table[k, 4], table[k, 5] = m00 / np.sqrt(2 * log2), m10 / np.sqrt(2 * log2), m11 / np.sqrt(2 * log2)
        table[k, 6], table[k, 7], table[k, 8] = m00 * m00 + m10 * m10, m10 * m11, m11 * m11
    return table.ravel()


@njit
def _scores_in_plane(x, table, y):
    """Scores y of the points x, both laid out flat, a vector of points at a time."""
    logs, n = np.empty(len(table) // NUMBERS * LANES, x.dtype), len(x)
    whole = n // (2 * LANES) * 2 * LANES
    for at in range(0, whole, 2 * LANES):
        _score_of_vector(x, at, table, logs, y)
    if whole < n:
        rest, scores = np.zeros(2 * LANES, x.dtype), np.empty(2 * LANES, x.dtype)
        rest[: n - whole] = x[whole:]
        _score_of_vector(rest, 0, table, logs, scores)
        y[whole:] = scores[: n - whole]


@inlined
def _score_of_vector(x, at, table, logs, y):
    components = len(table) // NUMBERS
    x0, x1 = evens_odds(load(x, at), load(x, at + LANES))
    largest = fill(x.dtype.type(np.finfo(x.dtype).min))
    for k in range(components):
        row = k * NUMBERS
        d0, d1 = x0 - item(table, row), x1 - item(table, row + 1)
        z0, z1 = item(table, row + 3) * d0, item(table, row + 4) * d0 + item(table, row + 5) * d1
        l = item(table, row + 2) - z1 * z1 - z0 * z0
        store(logs, k * LANES, l)
        largest = maximum(l, largest)
    zero = fill(x.dtype.type(0))
    total, s0, s1 = zero, zero, zero
    for k in range(components):
        row = k * NUMBERS
        weight = exp2(load(logs, k * LANES) - largest)
        d0, d1 = x0 - item(table, row), x1 - item(table, row + 1)
        total = total + weight
        s0 = s0 - weight * (item(table, row + 6) * d0 + item(table, row + 7) * d1)
        s1 = s1 - weight * (item(table, row + 7) * d0 + item(table, row + 8) * d1)
    s0, s1 = in_turns(s0 / total, s1 / total)
    store(y, at, s0)
    store(y, at + LANES, s1)


@njit(fastmath=FUSED)
def _add_multiple(z, m, x, mean):
    for i in range(len(z)):
        z[i] += m * (x[i] - mean)


@njit(fastmath=FUSED)
def _weigh(z, constant, largest, total, weight, scale):
    """One component more: the weight e^(l - largest) that it has, and by how much all earlier ones have to be scaled."""
    zero, half, one = weight.dtype.type(0), weight.dtype.type(0.5), weight.dtype.type(1)
    clear(weight)
    for j in range(len(z)):
        for i in range(len(weight)):
            weight[i] += z[j, i] * z[j, i]
    for i in range(len(weight)):
        l = constant - half * weight[i]
        above = l - largest[i]
        ratio = exp(-abs(above))
        weight[i], scale[i], largest[i] = (one, ratio, l) if above > zero else (ratio, one, largest[i])
        total[i] = total[i] * scale[i] + weight[i]


@njit
def _divide(scores, total):
    for i in range(len(scores)):
        scores[i] /= total[i]


@njit
def _put(column, x, step):
    """Every ``step``th entry of x becomes the next of the column."""
    for i in range(len(column)):
        x[i * step] = column[i]


@njit
def _multiply(scores, scale):
    for i in range(len(scores)):
        scores[i] *= scale[i]


@njit(fastmath=FUSED)
def _subtract_multiple(scores, m, z, weight):
    for i in range(len(scores)):
        scores[i] -= weight[i] * (m * z[i])


@njit
def _log_sums(largest, total, y):
    one = y.dtype.type(1)
    for i in range(len(y)):
        y[i] = largest[i] + log(total[i]) if total[i] != 0 else -one / total[i]  # further from all means than numbers reach
