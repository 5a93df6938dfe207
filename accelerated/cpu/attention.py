"""Multi-head attention: formulas as in reference/ops/attention.py.

A head is often narrower than a vector, so that the numbers of a vector belong to as many queries (in the backward keys) of one head of one
sample, a *panel*.  Some panels stand side by side in the columns of one matrix of scores, whichever head they are of: products take those
of a head at once, and what concerns single entries goes along the whole rows.  The last panel of a head may have columns that stand for
nothing; whatever they hold is never read out.
"""

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import blocks, count, span
from accelerated.cpu.elementary import FUSED, exp, log
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import empty, scratch
from accelerated.cpu.product import accumulate, tall
from accelerated.cpu.rows import clear, copy, dot
from accelerated.cpu.simd import LANES, fill, store
from reference.ops.attention import check_backward, check_forward
from reference.ops.checks import takes_out

PANELS = 128 // LANES  # side by side


@takes_out
def attention(q, k, v, heads):
    """q[b,n,c], k[b,m,c], v[b,m,c] -> y[b,n,c], logsumexp[b,heads,n] (natural) of the scaled logits."""
    check_forward(q, k, v, heads)
    b, n, _ = q.shape
    y, logsumexp = empty(q.shape, q.dtype), empty((b, heads, n), q.dtype)
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
    queries, values, scores = _rows(e, row, q.dtype), _rows(e, row, q.dtype), _rows(m, row, q.dtype)
    largest, total = np.empty(row, q.dtype), np.empty(row, q.dtype)
    for first in range(begin * of_pair, end * of_pair, PANELS):
        last = min(first + PANELS, end * of_pair)
        clear(scores.reshape(-1))
        clear(values.reshape(-1))
        for sample, head, i, column, width in _by_heads(first, last, of_pair, heads):
            _take(q[sample, i : i + width], head * e, factor, queries, column)
            accumulate(m, e, k, sample * m * c + head * e, c, 1, queries, column, row, width, scores, column, row)
        _largest(scores[:m], largest)
        _exponentials(scores[:m], largest, total)
        for sample, head, _, column, width in _by_heads(first, last, of_pair, heads):
            accumulate(e, m, v, sample * m * c + head * e, 1, c, scores, column, row, width, values, column, row)
        _normalise(values[:e], largest, total)
        for sample, head, i, column, width in _by_heads(first, last, of_pair, heads):
            _put(values, column, q.dtype.type(1), y[sample, i : i + width], head * e, e)
            of_head = logsumexp[sample, head, i : i + width]
            copy(largest[column : column + len(of_head)], of_head)


@takes_out
def attention_backward(dy, q, k, v, heads, y, logsumexp):
    """Gradients of ``attention``, from the outputs that it returned.  dy[b,n,c] -> dq[b,n,c], dk[b,m,c], dv[b,m,c]."""
    check_backward(dy, q, k, v, heads, y, logsumexp)
    dq, dk, dv = (empty(array.shape, q.dtype) for array in (q, k, v))
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
    keys, values, dkeys, dvalues = (_rows(e, row, q.dtype), _rows(e, row, q.dtype), _rows(e, row, q.dtype), _rows(e, row, q.dtype))
    p, ds = _rows(n, row, q.dtype), _rows(n, row, q.dtype)
    wide = blocks(e, LANES) * LANES
    rows, dqueries, means = _rows(row, wide, q.dtype), _rows(n, wide, q.dtype), np.empty(n, q.dtype)
    for first in range(begin * of_pair, end * of_pair, PANELS):
        last = min(first + PANELS, end * of_pair)
        clear(dkeys.reshape(-1))
        clear(dvalues.reshape(-1))
        for sample, head, j, column, width in _by_heads(first, last, of_pair, heads):
            _take(k[sample, j : j + width], head * e, factor, keys, column)
            _take(v[sample, j : j + width], head * e, one, values, column)
            if j == 0:
                _means(dy[sample], y[sample], head * e, e, means)
            _begin(p, logsumexp[sample, head], column, width)
            _begin(ds, means, column, width)
            at = sample * n * c + head * e
            accumulate(n, e, q, at, c, 1, keys, column, row, width, p, column, row)
            accumulate(n, e, dy, at, c, 1, values, column, row, width, ds, column, row)
        _weights(p[:n].reshape(-1), ds[:n].reshape(-1))
        for sample, head, j, column, width in _by_heads(first, last, of_pair, heads):
            at = sample * n * c + head * e
            accumulate(e, n, dy, at, 1, c, p, column, row, width, dvalues, column, row)
            accumulate(e, n, q, at, 1, c, ds, column, row, width, dkeys, column, row)
            _put(dvalues, column, one, dv[sample, j : j + width], head * e, e)
            _put(dkeys, column, factor, dk[sample, j : j + width], head * e, e)
            if j == 0:
                clear(dqueries.reshape(-1))
            here = k[sample, j : j + width]
            for i in range(len(here)):
                for a in range(e):
                    rows[i, a] = here[i, head * e + a]
            accumulate(n, len(here), ds, column, row, 1, rows, 0, wide, wide, dqueries, 0, wide)
            if j + width >= m:
                for i in range(n):
                    for a in range(e):
                        dq[sample, i, head * e + a] = factor * dqueries[i, a]


@njit
def _rows(count, width, dtype):
    """Zeros, in rows for whole tiles."""
    rows = scratch(tall(count) * width, dtype)
    clear(rows)
    return rows.reshape(tall(count), width)


@njit
def _by_heads(first, last, of_pair, heads):
    """The panels first .. last by heads: sample, head, the first query or key, and in which columns they stand: from where, how many."""
    panel = first
    while panel < last:
        pair = panel // of_pair
        stop = min(last, (pair + 1) * of_pair)
        yield pair // heads, pair % heads, (panel - pair * of_pair) * LANES, (panel - first) * LANES, (stop - panel) * LANES
        panel = stop


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
def _begin(sums, numbers, column, width):
    """Sums that begin with a number subtracted, each row with another."""
    for i in range(len(numbers)):
        for c in range(column, column + width, LANES):
            store(sums, i * sums.shape[1] + c, fill(-numbers[i]))


@njit
def _weights(p, ds):
    """p = e^(s - l) from s - l, ds = p (dp - D) from dp - D."""
    for i in range(len(p)):
        p[i] = exp(p[i])
        ds[i] *= p[i]
