"""Multi-head attention: formulas as in reference/ops/attention.py.

A head is often narrower than a vector, so that the 16 numbers of a vector belong to 16 queries (in the backward to 16 keys) of one head of
one sample, a *panel*.  A few panels stand side by side in the columns of one matrix of scores, whichever head they are of: products go
panel by panel, and what concerns single entries goes along the whole rows.  The last panel of a head may have columns that stand for
nothing; whatever they hold is never read out.
"""

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import blocks, count, span
from accelerated.cpu.elementary import FUSED, exp, log
from accelerated.cpu.kernel import kernel
from accelerated.cpu.product import ROWS, load6, places, store6, tile
from accelerated.cpu.rows import clear, copy, dot
from accelerated.cpu.simd import LANES, fill, store
from reference.ops.attention import check_backward, check_forward
from reference.ops.checks import takes_out

PANELS = 8  # side by side


@takes_out
def attention(q, k, v, heads):
    """q[b,n,c], k[b,m,c], v[b,m,c] -> y[b,n,c], logsumexp[b,heads,n] (natural) of the scaled logits."""
    check_forward(q, k, v, heads)
    b, n, _ = q.shape
    y, logsumexp = np.empty(q.shape, q.dtype), np.empty((b, heads, n), q.dtype)
    _attention(q, k, v, y, logsumexp)
    return y, logsumexp


@kernel("r3 r3 r3 w3 w3")
def _attention(q, k, v, y, logsumexp):
    pairs, size = logsumexp.shape[0] * logsumexp.shape[1], q.shape[1] * k.shape[1]
    for block in prange(blocks(pairs, count(size))):
        begin, end = span(block, pairs, count(size))
        _attention_part(q, k, v, y, logsumexp, begin, end)


@njit
def _attention_part(q, k, v, y, logsumexp, begin, end):
    """Of the pairs begin .. end of a sample and a head."""
    heads, n, m, c = logsumexp.shape[1], q.shape[1], k.shape[1], q.shape[2]
    e, of_pair = c // heads, blocks(n, LANES)
    row, factor = min(PANELS, of_pair * (end - begin)) * LANES, q.dtype.type(1 / np.sqrt(e))
    queries, values = np.zeros((e, row), q.dtype), np.empty((_sixes(e), row), q.dtype)
    scores, largest, total = np.empty((_sixes(m), row), q.dtype), np.empty(row, q.dtype), np.empty(row, q.dtype)
    for first in range(begin * of_pair, end * of_pair, PANELS):
        panels = range(first, min(first + PANELS, end * of_pair))
        for panel in panels:
            sample, head, i = _place(panel, of_pair, heads)
            _take(q[sample, i : i + LANES], head * e, factor, queries, (panel - first) * LANES)
        clear(scores.reshape(-1))
        clear(values.reshape(-1))
        for panel in panels:
            sample, head, i = _place(panel, of_pair, heads)
            column = (panel - first) * LANES
            _add_product(m, e, k, sample * m * c + head * e, c, 1, queries, column, row, scores, column, row)
        _largest(scores[:m], largest)
        _exponentials(scores[:m], largest, total)
        for panel in panels:
            sample, head, i = _place(panel, of_pair, heads)
            column = (panel - first) * LANES
            _add_product(e, m, v, sample * m * c + head * e, 1, c, scores, column, row, values, column, row)
        _normalise(values[:e], largest, total)
        for panel in panels:
            sample, head, i = _place(panel, of_pair, heads)
            column = (panel - first) * LANES
            _put(values, column, q.dtype.type(1), y[sample, i : i + LANES], head * e, e)
            of_panel = logsumexp[sample, head, i : i + LANES]
            copy(largest[column : column + len(of_panel)], of_panel)


@takes_out
def attention_backward(dy, q, k, v, heads, y, logsumexp):
    """Gradients of ``attention``, from the outputs that it returned.  dy[b,n,c] -> dq[b,n,c], dk[b,m,c], dv[b,m,c]."""
    check_backward(dy, q, k, v, heads, y, logsumexp)
    dq, dk, dv = np.empty(q.shape, q.dtype), np.empty(k.shape, k.dtype), np.empty(v.shape, v.dtype)
    _attention_backward(dy, q, k, v, y, logsumexp, dq, dk, dv)
    return dq, dk, dv


@kernel("r3 r3 r3 r3 r3 r3 w3 w3 w3")
def _attention_backward(dy, q, k, v, y, logsumexp, dq, dk, dv):
    pairs, size = logsumexp.shape[0] * logsumexp.shape[1], q.shape[1] * k.shape[1]
    for block in prange(blocks(pairs, count(size))):
        begin, end = span(block, pairs, count(size))
        _attention_backward_part(dy, q, k, v, y, logsumexp, dq, dk, dv, begin, end)


@njit
def _attention_backward_part(dy, q, k, v, y, logsumexp, dq, dk, dv, begin, end):
    """Of the pairs begin .. end of a sample and a head."""
    heads, n, m, c = logsumexp.shape[1], q.shape[1], k.shape[1], q.shape[2]
    e, of_pair = c // heads, blocks(m, LANES)
    row, factor, one = min(PANELS, of_pair * (end - begin)) * LANES, q.dtype.type(1 / np.sqrt(e)), q.dtype.type(1)
    keys, values = np.zeros((e, row), q.dtype), np.zeros((e, row), q.dtype)
    dkeys, dvalues = np.empty((_sixes(e), row), q.dtype), np.empty((_sixes(e), row), q.dtype)
    p, ds = np.empty((_sixes(n), row), q.dtype), np.empty((_sixes(n), row), q.dtype)
    wide = blocks(e, LANES) * LANES
    rows, dqueries, means = np.zeros((LANES, wide), q.dtype), np.empty((_sixes(n), wide), q.dtype), np.empty(n, q.dtype)
    for first in range(begin * of_pair, end * of_pair, PANELS):
        panels = range(first, min(first + PANELS, end * of_pair))
        clear(dkeys.reshape(-1))
        clear(dvalues.reshape(-1))
        for panel in panels:
            sample, head, j = _place(panel, of_pair, heads)
            column = (panel - first) * LANES
            _take(k[sample, j : j + LANES], head * e, factor, keys, column)
            _take(v[sample, j : j + LANES], head * e, one, values, column)
            if j == 0:
                _means(dy[sample], y[sample], head * e, e, means)
            _begin(p, logsumexp[sample, head], column)
            _begin(ds, means, column)
            at = sample * n * c + head * e
            _add_product(n, e, q, at, c, 1, keys, column, row, p, column, row)
            _add_product(n, e, dy, at, c, 1, values, column, row, ds, column, row)
        _weights(p[:n].reshape(-1), ds[:n].reshape(-1))
        for panel in panels:
            sample, head, j = _place(panel, of_pair, heads)
            column = (panel - first) * LANES
            at = sample * n * c + head * e
            _add_product(e, n, dy, at, 1, c, p, column, row, dvalues, column, row)
            _add_product(e, n, q, at, 1, c, ds, column, row, dkeys, column, row)
            _put(dvalues, column, one, dv[sample, j : j + LANES], head * e, e)
            _put(dkeys, column, factor, dk[sample, j : j + LANES], head * e, e)
            if j == 0:
                clear(dqueries.reshape(-1))
            here = k[sample, j : j + LANES]
            for i in range(len(here)):
                for a in range(e):
                    rows[i, a] = here[i, head * e + a]
            for a in range(0, e, LANES):
                _add_product(n, len(here), ds, column, row, 1, rows, a, wide, dqueries, a, wide)
            if j + LANES >= m:
                for i in range(n):
                    for a in range(e):
                        dq[sample, i, head * e + a] = factor * dqueries[i, a]


@njit
def _sixes(n):
    """The number of rows of whole tiles that hold n."""
    return blocks(n, ROWS) * ROWS


@njit
def _place(panel, of_pair, heads):
    """Sample, head and first row of a panel."""
    pair = panel // of_pair
    return pair // heads, pair % heads, (panel - pair * of_pair) * LANES


@njit
def _add_product(rows, terms, a, at, row, step, b, bt, below, c, ct, right):
    """c += a b for 16 columns, as ``product.accumulate``; but c has rows for whole tiles, and those beyond are left with anything."""
    for r in range(0, rows, ROWS):
        start = places(at + r * row, row, min(ROWS, rows - r))
        store6(c, ct + r * right, right, tile(terms, a, start, step, b, bt, below, load6(c, ct + r * right, right)))


@njit
def _take(x, first, factor, panel, column):
    """panel[a, column + i] = factor x[i, first + a]."""
    for a in range(len(panel)):
        for i in range(len(x)):
            panel[a, column + i] = factor * x[i, first + a]


@njit
def _put(panel, column, factor, x, first, width):
    """x[i, first + a] = factor panel[a, column + i]."""
    for i in range(len(x)):
        for a in range(width):
            x[i, first + a] = factor * panel[a, column + i]


@njit
def _largest(scores, largest):
    copy(scores[0], largest)
    for j in range(len(scores)):
        row = scores[j]
        for i in range(len(row)):
            largest[i] = row[i] if row[i] > largest[i] else largest[i]


@njit(fastmath=FUSED)
def _exponentials(scores, largest, total):
    """scores = e^(scores - largest), total = their sums."""
    clear(total)
    for j in range(len(scores)):
        row = scores[j]
        for i in range(len(row)):
            p = exp(row[i] - largest[i])
            row[i] = p
            total[i] += p


@njit
def _normalise(values, largest, total):
    """values / total; largest becomes the logarithm of the sum of exponentials."""
    for a in range(len(values)):
        row = values[a]
        for i in range(len(row)):
            row[i] /= total[i]
    for i in range(len(total)):
        largest[i] += log(total[i])


@njit
def _means(dy, y, first, width, means):
    """D of the derivation."""
    for i in range(len(means)):
        means[i] = dot(dy[i, first : first + width], y[i, first : first + width])


@njit
def _begin(sums, numbers, column):
    """Sums that begin with a number subtracted."""
    for i in range(len(numbers)):
        store(sums, i * sums.shape[1] + column, fill(-numbers[i]))


@njit
def _weights(p, ds):
    """p = e^(s - l) from s - l, ds = p (dp - D) from dp - D."""
    for i in range(len(p)):
        p[i] = exp(p[i])
        ds[i] *= p[i]
