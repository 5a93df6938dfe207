"""Density and score of a Gaussian mixture: formulas as in reference/ops/mixture.py.

A kernel makes one pass over the components for POINT_BLOCK points.  Coordinates, sums and maxima are rows, so all loops over points are
vector code.  The sums are an online softmax: sums of e^{l - m}, where l = log(w_k N_k) and m is the largest l so far.  A component with a
larger l first scales the sums by e^{m - l}.  Either way one exponential is needed, of -|l - m|.  Factors of covariances are inverted once.

In the plane, where points are many, a vector of points at a time is processed in registers: first all l and their maximum, then the
weights.  There l has base 2: l / log 2 = constant / log 2 - ‖z̃‖^2 with z̃ = M̃ (x - mean), M̃ = M / sqrt(2 log 2), M = L^{-1}.
"""

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import block_count, span
from accelerated.cpu.contiguous import clear
from accelerated.cpu.elementary import FUSED, exp, exp2, log
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import aligned_empty
from accelerated.cpu.simd import LANES, always_inline, deinterleave, interleave, load, load_scalar, maximum, splat, store
from reference.ops.checks import takes_out
from reference.ops.mixture import cholesky_factors

POINT_BLOCK = 1024  # points of a block
TABLE_COLUMNS = 9  # numbers of a component in the plane, see ``_plane_table``


@takes_out
def mixture_log_density(x, weights, means, covariances):
    """x[n,d], weights[k], means[k,d], covariances[k,d,d] or variances[k] -> log p[n] (natural logarithm)."""
    factors = cholesky_factors(x, weights, means, covariances)
    y = aligned_empty((len(x),), x.dtype)
    _log_density(x, means, factors, _constants(weights, factors), y)
    return y


def _constants(weights, factors):
    """log w - sum_i log L_ii - d/2 log(2 pi) of each component: computed in float64 and rounded once."""
    logs = np.log(np.diagonal(factors, axis1=1, axis2=2).astype(np.float64)).sum(axis=1)
    with np.errstate(divide="ignore"):  # a component of weight 0 has log-weight -inf and adds nothing
        return (np.log(weights.astype(np.float64)) - logs - factors.shape[1] / 2 * np.log(2 * np.pi)).astype(weights.dtype)


@kernel("r2 r2 r3 r1 w1")
def _log_density(x, means, factors, constants, y):
    inverses = _inverse_factors(factors)
    for block in prange(block_count(len(x), POINT_BLOCK)):
        begin, end = span(block, len(x), POINT_BLOCK)
        largest, total, _ = _weighted_sums(x[begin:end], means, inverses, constants, with_scores=False)
        _log_density_of_sums(largest, total, y[begin:end])


@takes_out
def mixture_score(x, weights, means, covariances):
    """Arguments as in ``mixture_log_density`` -> ∇ log p[n,d]."""
    factors = cholesky_factors(x, weights, means, covariances)
    y = aligned_empty(x.shape, x.dtype)
    _score(x, means, factors, _constants(weights, factors), y)
    return y


@kernel("r2 r2 r3 r1 w2")
def _score(x, means, factors, constants, y):
    inverses = _inverse_factors(factors)
    table = _plane_table(means, inverses, constants) if x.shape[1] == 2 else constants
    for block in prange(block_count(len(x), POINT_BLOCK)):
        begin, end = span(block, len(x), POINT_BLOCK)
        if x.shape[1] == 2:
            _scores_in_plane(x[begin:end].ravel(), table, y[begin:end].ravel())
        else:
            _, total, scores = _weighted_sums(x[begin:end], means, inverses, constants, with_scores=True)
            for j in range(x.shape[1]):
                _divide(scores[j], total)
                _store_strided(scores[j], y[begin:end].reshape(-1)[j:], x.shape[1])


@njit
def _inverse_factors(factors):
    """M = L^{-1} [k,d,d]: computed in float64 and rounded once."""
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
def _weighted_sums(x, means, inverses, constants, with_scores):
    """For points x[n,d]: the largest l, the sum of e^{l - largest} and, ``with_scores``, the sum of the scores [d,n] with these weights."""
    n, d = x.shape
    coordinates = np.empty((d, n), x.dtype)
    z = np.empty((d, n), x.dtype)
    scores = np.zeros((d, n), x.dtype)
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
        _add_component(z, constants[k], largest, total, weight, scale)
        if with_scores:
            for i in range(d):
                _multiply(scores[i], scale)
                for j in range(i, d):
                    if M[j, i] != 0:
                        _subtract_multiple(scores[i], M[j, i], z[j], weight)
    return largest, total, scores


@njit
def _plane_table(means, inverses, constants):
    """A row for each component: mean (2), constant / log 2, M̃ (3), and the inverse covariance MᵀM (3)."""
    table, log2 = np.empty((len(constants), TABLE_COLUMNS), means.dtype), np.log(2.0)
    for k in range(len(constants)):
        M = inverses[k]
        m00, m10, m11 = M[0, 0], M[1, 0], M[1, 1]
        table[k, 0] = means[k, 0]
        table[k, 1] = means[k, 1]
        table[k, 2] = constants[k] / log2
        table[k, 3] = m00 / np.sqrt(2 * log2)
        table[k, 4] = m10 / np.sqrt(2 * log2)
        table[k, 5] = m11 / np.sqrt(2 * log2)
        table[k, 6] = m00 * m00 + m10 * m10
        table[k, 7] = m10 * m11
        table[k, 8] = m11 * m11
    return table.ravel()


@njit
def _scores_in_plane(x, table, y):
    """Scores y of the points x, both flat [n,2], a vector of points at a time."""
    logs, n = np.empty(len(table) // TABLE_COLUMNS * LANES, x.dtype), len(x)
    whole = n // (2 * LANES) * 2 * LANES
    for at in range(0, whole, 2 * LANES):
        _score_of_vector(x, at, table, logs, y)
    if whole < n:
        rest, scores = np.zeros(2 * LANES, x.dtype), np.empty(2 * LANES, x.dtype)
        rest[: n - whole] = x[whole:]
        _score_of_vector(rest, 0, table, logs, scores)
        y[whole:] = scores[: n - whole]


@always_inline
def _score_of_vector(x, at, table, logs, y):
    components = len(table) // TABLE_COLUMNS
    x0, x1 = deinterleave(load(x, at), load(x, at + LANES))
    largest = splat(x.dtype.type(np.finfo(x.dtype).min))
    for k in range(components):
        row = k * TABLE_COLUMNS
        d0, d1 = x0 - load_scalar(table, row), x1 - load_scalar(table, row + 1)
        z0, z1 = load_scalar(table, row + 3) * d0, load_scalar(table, row + 4) * d0 + load_scalar(table, row + 5) * d1
        l = load_scalar(table, row + 2) - z1 * z1 - z0 * z0
        store(logs, k * LANES, l)
        largest = maximum(l, largest)
    zero = splat(x.dtype.type(0))
    total, s0, s1 = zero, zero, zero
    for k in range(components):
        row = k * TABLE_COLUMNS
        weight = exp2(load(logs, k * LANES) - largest)
        d0, d1 = x0 - load_scalar(table, row), x1 - load_scalar(table, row + 1)
        total = total + weight
        s0 = s0 - weight * (load_scalar(table, row + 6) * d0 + load_scalar(table, row + 7) * d1)
        s1 = s1 - weight * (load_scalar(table, row + 7) * d0 + load_scalar(table, row + 8) * d1)
    s0, s1 = interleave(s0 / total, s1 / total)
    store(y, at, s0)
    store(y, at + LANES, s1)


@njit(fastmath=FUSED)
def _add_multiple(z, m, x, mean):
    for i in range(len(z)):
        z[i] += m * (x[i] - mean)


@njit(fastmath=FUSED)
def _add_component(z, constant, largest, total, weight, scale):
    """Add a component: its weight e^{l - largest}, and the factor ``scale`` for the sums over all earlier ones."""
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
def _store_strided(column, x, step):
    """x[::step] = column."""
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
def _log_density_of_sums(largest, total, y):
    one = y.dtype.type(1)
    for i in range(len(y)):
        y[i] = largest[i] + log(total[i]) if total[i] != 0 else -one / total[i]  # underflow, too far from all means: -inf
