"""Density and score of a Gaussian mixture: formulas as in reference/ops/mixture.py.

A thread passes over the components once, for one point.  It adds e^{l - m}, where l = log(w_k N_k(x)) and m is the maximum of l so far
(online softmax).  A component with a larger l becomes the new maximum, and the sums are scaled by e^{m - l}; one exponential,
e^{-|l - m|}, serves both cases.  The score is the sum of e^{l - m} C^{-1} (mean - x), divided by the sum of e^{l - m}.  The points are
stored axis by axis, so that neighbouring threads read neighbouring entries.  In two dimensions a thread reads its point once and keeps all
its numbers in registers.

The mixture is small.  The host checks and factors it and copies it to the device as one table with a row for each component,

    constant, mean [d], M = L^{-1} [d,d], C^{-1} = Mᵀ M [d,d].

A mixture in arrays of the device is copied to the host first, so the call waits for the device.  Results are NumPy arrays if and only if
the points are.
"""

import numpy as np

from accelerated.gpu.device import math, op, require, to_host, xp
from accelerated.gpu.kernel import device_function, kernel, thread_index
from reference.ops.checks import takes_out
from reference.ops.mixture import cholesky_factors


@takes_out
def mixture_log_density(x, weights, means, covariances):
    """x[n,d], weights[k], means[k,d], covariances[k,d,d] or variances[k] -> log p[n] (natural)."""
    return _log_densities(x, _table(x, weights, means, covariances))


@op
def _log_densities(x, table):
    n, d = x.shape
    y = xp.empty(n, x.dtype)
    _log_density[n](x.T, table, y, d, np.finfo(x.dtype).min)
    return y


@kernel("r* r* w* i s")
def _log_density(x, table, y, d, lowest):
    i = thread_index()
    zero, one = x.dtype.type(0), x.dtype.type(1)
    if i < y.size:
        maximum, total = lowest, zero
        for row in range(0, table.size, row_length(d)):
            weight, scale, maximum = online_weight(log_weight(x, i, y.size, table, row, d), maximum, one)
            total = total * scale + weight
        y[i] = maximum + math.log(total) if total != zero else -one / total  # -inf: no component reaches x


@takes_out
def mixture_score(x, weights, means, covariances):
    """Arguments as ``mixture_log_density`` -> grad log p[n,d]."""
    return _scores(x, _table(x, weights, means, covariances))


@op
def _scores(x, table):
    n, d = x.shape
    lowest = np.finfo(x.dtype).min
    if d == 2:
        y = xp.empty(x.shape, x.dtype)
        _score_in_plane[n](x, table, y, lowest)
        return y
    y = xp.empty((d, n), x.dtype)
    _score[n](x.T, table, y, n, d, lowest)
    return xp.ascontiguousarray(y.T)


@kernel("r* r* w* i i s")
def _score(x, table, y, n, d, lowest):
    i = thread_index()
    zero, one = x.dtype.type(0), x.dtype.type(1)
    if i < n:
        maximum, total = lowest, zero
        for at in range(i, y.size, n):
            y[at] = zero
        for row in range(0, table.size, row_length(d)):
            weight, scale, maximum = online_weight(log_weight(x, i, n, table, row, d), maximum, one)
            total = total * scale + weight
            inverse = row + 1 + d + d * d
            for at in range(i, y.size, n):
                slope = zero
                for j in range(d):
                    slope += table[inverse + j] * (table[row + 1 + j] - x[j * n + i])
                y[at] = y[at] * scale + weight * slope
                inverse += d
        for at in range(i, y.size, n):
            y[at] /= total


@kernel("r* r* w* s")
def _score_in_plane(x, table, y, lowest):
    i = thread_index()
    zero, half, one = x.dtype.type(0), x.dtype.type(0.5), x.dtype.type(1)
    if 2 * i < x.size:
        x0, x1 = x[2 * i], x[2 * i + 1]
        maximum, total = lowest, zero
        y0, y1 = zero, zero
        for row in range(0, table.size, 11):
            d0, d1 = table[row + 1] - x0, table[row + 2] - x1
            z0, z1 = table[row + 3] * d0, table[row + 5] * d0 + table[row + 6] * d1
            weight, scale, maximum = online_weight(table[row] - half * (z0 * z0 + z1 * z1), maximum, one)
            total = total * scale + weight
            y0 = y0 * scale + weight * (table[row + 7] * d0 + table[row + 8] * d1)
            y1 = y1 * scale + weight * (table[row + 9] * d0 + table[row + 10] * d1)
        y[2 * i], y[2 * i + 1] = y0 / total, y1 / total


@device_function
def row_length(d):
    """Entries of a row of the table."""
    return 1 + d + 2 * d * d


@device_function
def log_weight(x, i, n, table, row, d):
    """l = log(w N(x_i)) for the component whose row of the table begins at ``row``; x is [d,n]."""
    square, begin = x.dtype.type(0), row + 1 + d
    for axis in range(d):
        z = x.dtype.type(0)
        for j in range(axis + 1):
            z += table[begin + j] * (x[j * n + i] - table[row + 1 + j])
        square += z * z
        begin += d
    return table[row] - x.dtype.type(0.5) * square


@device_function
def online_weight(l, maximum, one):
    """(weight of a new component, factor of the sums so far, new maximum), for its log-weight l and the maximum so far."""
    ratio = math.exp(-math.fabs(l - maximum))
    if l > maximum:
        return one, ratio, l
    return ratio, one, maximum


def _table(x, weights, means, covariances):
    """The table [k,1+d+2dd] of the mixture on the host, checked; computed in float64 and rounded once to x's dtype."""
    require()
    weights, means, covariances = map(to_host, (weights, means, covariances))
    factors = cholesky_factors(x, weights, means, covariances).astype(np.float64)
    k, d, _ = factors.shape
    logs = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    with np.errstate(divide="ignore"):  # a component of weight 0 has log-weight -inf and adds nothing
        constants = np.log(weights.astype(np.float64)) - logs - d / 2 * np.log(2 * np.pi)
    M = _inverted(factors)
    columns = constants[:, None], means, M.reshape(k, d * d), (M.swapaxes(1, 2) @ M).reshape(k, d * d)
    return np.concatenate(columns, axis=1).astype(x.dtype)


def _inverted(factors):
    """M = L^{-1} [k,d,d], row by row from L M = 1."""
    M = np.zeros_like(factors)
    for i in range(factors.shape[1]):
        M[:, i, i] = 1
        M[:, i] -= (factors[:, i, None, :i] @ M[:, :i])[:, 0]
        M[:, i] /= factors[:, i, i, None]
    return M
