"""Density and score of a Gaussian mixture: formulas as in reference/ops/mixture.py.

One pass over the components for PARTICLES points at a time, whose coordinates, sums and maxima stand in rows, so that all loops over
points are vector code.  The sums are those of e^(l - m), l = log(w_k N_k) and m the largest so far; where a component brings a larger
one, they are scaled by e^(m - l) instead: one exponential, of -|l - m|, serves both.  Factors of covariances are inverted once.

In the plane, where particles are many, z stays in registers and is never written down: first all l and their maxima, then the weights.
A loop writes to one or two rows: with more, LLVM would have to ask whether they overlap, and gives vector code up.
"""

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import blocks, span
from accelerated.cpu.elementary import FUSED, exp, log
from accelerated.cpu.kernel import kernel
from accelerated.cpu.rows import add_to, clear
from reference.ops.checks import takes_out
from reference.ops.mixture import cholesky_factors

PARTICLES = 256


@takes_out
def mixture_log_density(x, weights, means, covariances):
    """x[n,d], weights[k], means[k,d], covariances[k,d,d] or variances[k] -> log p[n] (natural)."""
    factors = cholesky_factors(x, weights, means, covariances)
    y = np.empty(len(x), x.dtype)
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
    y = np.empty(x.shape, x.dtype)
    _score(x, means, factors, _constants(weights, factors), y)
    return y


@kernel("r2 r2 r3 r1 w2")
def _score(x, means, factors, constants, y):
    inverses = _inverted(factors)
    for block in prange(blocks(len(x), PARTICLES)):
        begin, end = span(block, len(x), PARTICLES)
        if x.shape[1] == 2:
            total, scores = _sums_in_plane(x[begin:end], means, inverses, constants)
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
def _sums_in_plane(x, means, inverses, constants):
    """As ``_sums``, for points x[n,2]."""
    n, components = len(x), len(constants)
    coordinates, scores, logs = np.empty((2, n), x.dtype), np.zeros((2, n), x.dtype), np.empty((components, n), x.dtype)
    largest, total = np.full(n, np.finfo(x.dtype).min, x.dtype), np.zeros(n, x.dtype)
    x0, x1 = coordinates[0], coordinates[1]
    for i in range(n):
        x0[i], x1[i] = x[i, 0], x[i, 1]
    for k in range(components):
        M = inverses[k]
        _logs_in_plane(x0, x1, means[k, 0], means[k, 1], M[0, 0], M[1, 0], M[1, 1], constants[k], logs[k], largest)
    for k in range(components):
        M = inverses[k]
        _weights_in_plane(logs[k], largest)
        add_to(total, logs[k])
        P00, P01, P11 = M[0, 0] * M[0, 0] + M[1, 0] * M[1, 0], M[1, 0] * M[1, 1], M[1, 1] * M[1, 1]  # M'M, the inverse of the covariance
        _subtract_in_plane(scores[0], logs[k], x0, x1, means[k, 0], means[k, 1], P00, P01)
        _subtract_in_plane(scores[1], logs[k], x0, x1, means[k, 0], means[k, 1], P01, P11)
    return total, scores


@njit(fastmath=FUSED)
def _logs_in_plane(x0, x1, mean0, mean1, m00, m10, m11, constant, logs, largest):
    half = logs.dtype.type(0.5)
    for i in range(len(logs)):
        d0, d1 = x0[i] - mean0, x1[i] - mean1
        z0, z1 = m00 * d0, m10 * d0 + m11 * d1
        l = constant - half * (z0 * z0 + z1 * z1)
        logs[i] = l
        largest[i] = l if l > largest[i] else largest[i]


@njit(fastmath=FUSED)
def _weights_in_plane(logs, largest):
    """In the place of the l, e^(l - largest)."""
    for i in range(len(logs)):
        logs[i] = exp(logs[i] - largest[i])


@njit(fastmath=FUSED)
def _subtract_in_plane(score, weight, x0, x1, mean0, mean1, p0, p1):
    """score -= weight p'(x - mean)."""
    for i in range(len(score)):
        score[i] -= weight[i] * (p0 * (x0[i] - mean0) + p1 * (x1[i] - mean1))


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
