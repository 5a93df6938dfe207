"""Density and score of a Gaussian mixture: formulas as in reference/ops/mixture.py.

A thread goes through the components for one point, once.  Its sums are those of e^(l - m), l = log(w_k N_k) and m the largest so far; where
a component brings a larger one, they are scaled by e^(m - l) instead: one exponential, of -|l - m|, serves both.  A score is the sum of
e^(l - m) C^-1 (mean - x): with C^-1 at hand no z is kept, and any number of axes will do.  Points stand side by side, an axis after the
other, so that threads read neighbouring numbers; in the plane they are read once, and all of a thread's numbers stay in registers.

The law is small: it is checked and factored on the host, and goes to the device as one table, a component in a row,

    constant, mean [d], M = L^-1 [d,d], C^-1 = M'M [d,d].

A law in arrays of the device has to be waited for.  Results are NumPy arrays exactly if the points are.
"""

import numpy as np

from accelerated.gpu.device import math, op, require, xp
from accelerated.gpu.kernel import device, index, kernel
from reference.diffusion.devices import to_host
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
    i, zero, one = index(), x.dtype.type(0), x.dtype.type(1)
    if i < y.size:
        largest, whole = lowest, zero
        for row in range(0, table.size, width(d)):
            weight, scale, largest = weigh(log_weight(x, i, y.size, table, row, d), largest, one)
            whole = whole * scale + weight
        y[i] = largest + math.log(whole) if whole != zero else -one / whole  # further from all means than numbers reach


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
    i, zero, one = index(), x.dtype.type(0), x.dtype.type(1)
    if i < n:
        largest, whole = lowest, zero
        for at in range(i, y.size, n):
            y[at] = zero
        for row in range(0, table.size, width(d)):
            weight, scale, largest = weigh(log_weight(x, i, n, table, row, d), largest, one)
            whole = whole * scale + weight
            inverse = row + 1 + d + d * d
            for at in range(i, y.size, n):
                slope = zero
                for j in range(d):
                    slope += table[inverse + j] * (table[row + 1 + j] - x[j * n + i])
                y[at] = y[at] * scale + weight * slope
                inverse += d
        for at in range(i, y.size, n):
            y[at] /= whole


@kernel("r* r* w* s")
def _score_in_plane(x, table, y, lowest):
    i, zero, half, one = index(), x.dtype.type(0), x.dtype.type(0.5), x.dtype.type(1)
    if 2 * i < x.size:
        x0, x1 = x[2 * i], x[2 * i + 1]
        largest, whole, y0, y1 = lowest, zero, zero, zero
        for row in range(0, table.size, 11):
            d0, d1 = table[row + 1] - x0, table[row + 2] - x1
            z0, z1 = table[row + 3] * d0, table[row + 5] * d0 + table[row + 6] * d1
            weight, scale, largest = weigh(table[row] - half * (z0 * z0 + z1 * z1), largest, one)
            whole = whole * scale + weight
            y0 = y0 * scale + weight * (table[row + 7] * d0 + table[row + 8] * d1)
            y1 = y1 * scale + weight * (table[row + 9] * d0 + table[row + 10] * d1)
        y[2 * i], y[2 * i + 1] = y0 / whole, y1 / whole


@device
def width(d):
    """How many numbers the table has for a component."""
    return 1 + d + 2 * d * d


@device
def log_weight(x, i, n, table, row, d):
    """l = log(w N(x_i)) for the component that ``row`` of the table belongs to; x is [d,n]."""
    square, begin = x.dtype.type(0), row + 1 + d
    for axis in range(d):
        z = x.dtype.type(0)
        for j in range(axis + 1):
            z += table[begin + j] * (x[j * n + i] - table[row + 1 + j])
        square += z * z
        begin += d
    return table[row] - x.dtype.type(0.5) * square


@device
def weigh(l, largest, one):
    """One component more: the weight e^(l - largest) that it has, by how much all earlier ones have to be scaled, and the largest l."""
    ratio = math.exp(-math.fabs(l - largest))
    if l > largest:
        return one, ratio, l
    return ratio, one, largest


def _table(x, weights, means, covariances):
    """The law [k,1+d+2dd] in x's dtype, on the host, after all checks; from double precision, rounded once."""
    require()
    weights, means, covariances = map(to_host, (weights, means, covariances))
    factors = cholesky_factors(x, weights, means, covariances).astype(np.float64)
    k, d, _ = factors.shape
    logs = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    with np.errstate(divide="ignore"):  # a component of weight 0 has log-weight -inf and no say
        constants = np.log(weights.astype(np.float64)) - logs - d / 2 * np.log(2 * np.pi)
    M = _inverted(factors)
    columns = constants[:, None], means, M.reshape(k, d * d), (M.swapaxes(1, 2) @ M).reshape(k, d * d)
    return np.concatenate(columns, axis=1).astype(x.dtype)


def _inverted(factors):
    """M = L^-1 [k,d,d], row by row of L M = 1."""
    M = np.zeros_like(factors)
    for i in range(factors.shape[1]):
        M[:, i, i] = 1
        M[:, i] -= (factors[:, i, None, :i] @ M[:, :i])[:, 0]
        M[:, i] /= factors[:, i, i, None]
    return M
