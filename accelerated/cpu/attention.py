"""Multi-head attention: formulas as in reference/ops/attention.py.

A head is often narrower than a vector.  So the lanes of a vector are LANES queries of one head of one sample, a *panel* (in the backward
pass LANES keys).  Up to MAX_PANELS panels, of one head or several, are the columns of one matrix of scores:

                  head 0             head 1
             panel    panel         panel            with LANES = 16:
           +--------+---------+   +--------+
    key 0  | q0-q15 | q16-q31 |   | q0-q15 |         matrix products: one head at a time
    key 1  | q0-q15 | q16-q31 |   | q0-q15 |         elementwise work: along whole rows, over all heads
    ..     +--------+---------+   +--------+

The last panel of a head may have unused columns.  Their values are never read out.

The keys that a mask leaves out have zeros in k and v, and then minus infinity in place of their scores.
"""

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import block_count, items_per_block, span
from accelerated.cpu.contiguous import clear, copy, dot
from accelerated.cpu.elementary import FUSED, exp, log
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import aligned_empty, aligned_scratch
from accelerated.cpu.product import gemm_accumulate, padded_rows
from accelerated.cpu.simd import LANES, splat, store
from reference.ops.attention import check_backward, check_forward, clear_masked
from reference.ops.checks import takes_out

MAX_PANELS = 128 // LANES  # panels of a matrix of scores
NO_MASK = np.empty((0, 0), bool)


@takes_out
def attention(q, k, v, heads, mask=None):
    """q[b,n,c], k[b,m,c], v[b,m,c] -> y[b,n,c], logsumexp[b,heads,n] (natural logarithm) of the scaled logits.

    mask[b,m]: True where a key counts.
    """
    check_forward(q, k, v, heads, mask)
    b, n, _ = q.shape
    y, logsumexp = aligned_empty(q.shape, q.dtype), aligned_empty((b, heads, n), q.dtype)
    _attention(q, *_masked(k, v, mask), y, logsumexp)
    return y, logsumexp


def _masked(k, v, mask):
    """k, v and mask as the kernels take them."""
    return (k, v, NO_MASK) if mask is None else (*clear_masked(mask, k, v), mask)


@kernel("r3 r3 r3 rB2 w3 w3")
def _attention(q, k, v, mask, y, logsumexp):
    pairs, size = logsumexp.shape[0] * logsumexp.shape[1], q.shape[1] * k.shape[1]
    for block in prange(block_count(pairs, items_per_block(size))):
        begin, end = span(block, pairs, items_per_block(size))
        _attention_part(q, k, v, mask, y, logsumexp, begin, end)


@njit
def _attention_part(q, k, v, mask, y, logsumexp, begin, end):
    """Of the pairs begin .. end - 1 of a sample and a head."""
    heads, n, m, c = logsumexp.shape[1], q.shape[1], k.shape[1], q.shape[2]
    e = c // heads
    panels_per_pair = block_count(n, LANES)
    row = min(MAX_PANELS, panels_per_pair * (end - begin)) * LANES
    factor = q.dtype.type(1 / np.sqrt(e))
    queries = _zero_rows(e, row, q.dtype)
    values = _zero_rows(e, row, q.dtype)
    scores = _zero_rows(m, row, q.dtype)
    largest, total = np.empty(row, q.dtype), np.empty(row, q.dtype)
    for first in range(begin * panels_per_pair, end * panels_per_pair, MAX_PANELS):
        last = min(first + MAX_PANELS, end * panels_per_pair)
        clear(scores.reshape(-1))
        clear(values.reshape(-1))
        for sample, head, i, column, width in _head_runs(first, last, panels_per_pair, heads):
            _pack_head(q[sample, i : i + width], head * e, factor, queries, column)
            gemm_accumulate(m, e, k, sample * m * c + head * e, c, 1, queries, column, row, width, scores, column, row)
            if len(mask):
                _leave_out(mask[sample], scores[:, column : column + width])
        _column_max(scores[:m], largest)
        _exponentiate(scores[:m], largest, total)
        for sample, head, _, column, width in _head_runs(first, last, panels_per_pair, heads):
            gemm_accumulate(e, m, v, sample * m * c + head * e, 1, c, scores, column, row, width, values, column, row)
        _normalise(values[:e], largest, total)
        for sample, head, i, column, width in _head_runs(first, last, panels_per_pair, heads):
            _unpack_head(values, column, q.dtype.type(1), y[sample, i : i + width], head * e, e)
            of_head = logsumexp[sample, head, i : i + width]
            copy(largest[column : column + len(of_head)], of_head)


@takes_out
def attention_backward(dy, q, k, v, heads, y, logsumexp, mask=None):
    """Gradients of ``attention``, from the outputs that it returned.  dy[b,n,c] -> dq[b,n,c], dk[b,m,c], dv[b,m,c]."""
    check_backward(dy, q, k, v, heads, y, logsumexp, mask)
    dq, dk, dv = (aligned_empty(array.shape, q.dtype) for array in (q, k, v))
    _attention_backward(dy, q, *_masked(k, v, mask), y, logsumexp, dq, dk, dv)
    return dq, dk, dv


@kernel("r3 r3 r3 r3 rB2 r3 r3 w3 w3 w3")
def _attention_backward(dy, q, k, v, mask, y, logsumexp, dq, dk, dv):
    pairs, size = logsumexp.shape[0] * logsumexp.shape[1], q.shape[1] * k.shape[1]
    for block in prange(block_count(pairs, items_per_block(size))):
        begin, end = span(block, pairs, items_per_block(size))
        _attention_backward_part(dy, q, k, v, mask, y, logsumexp, dq, dk, dv, begin, end)


@njit
def _attention_backward_part(dy, q, k, v, mask, y, logsumexp, dq, dk, dv, begin, end):
    """Of the pairs begin .. end - 1 of a sample and a head."""
    heads, n, m, c = logsumexp.shape[1], q.shape[1], k.shape[1], q.shape[2]
    e = c // heads
    panels_per_pair = block_count(m, LANES)
    row = min(MAX_PANELS, panels_per_pair * (end - begin)) * LANES
    factor, one = q.dtype.type(1 / np.sqrt(e)), q.dtype.type(1)
    keys, values = _zero_rows(e, row, q.dtype), _zero_rows(e, row, q.dtype)
    dkeys, dvalues = _zero_rows(e, row, q.dtype), _zero_rows(e, row, q.dtype)
    p, ds = _zero_rows(n, row, q.dtype), _zero_rows(n, row, q.dtype)
    wide = block_count(e, LANES) * LANES
    rows, dqueries = _zero_rows(row, wide, q.dtype), _zero_rows(n, wide, q.dtype)
    means = np.empty(n, q.dtype)
    for first in range(begin * panels_per_pair, end * panels_per_pair, MAX_PANELS):
        last = min(first + MAX_PANELS, end * panels_per_pair)
        clear(dkeys.reshape(-1))
        clear(dvalues.reshape(-1))
        for sample, head, j, column, width in _head_runs(first, last, panels_per_pair, heads):
            _pack_head(k[sample, j : j + width], head * e, factor, keys, column)
            _pack_head(v[sample, j : j + width], head * e, one, values, column)
            if j == 0:
                _row_dots(dy[sample], y[sample], head * e, e, means)
            _start_sums(p, logsumexp[sample, head], column, width)
            _start_sums(ds, means, column, width)
            at = sample * n * c + head * e
            gemm_accumulate(n, e, q, at, c, 1, keys, column, row, width, p, column, row)
            if len(mask):
                _leave_out(mask[sample, j : j + width], p[:n, column : column + width].T)
            gemm_accumulate(n, e, dy, at, c, 1, values, column, row, width, ds, column, row)
        _softmax_gradient(p[:n].reshape(-1), ds[:n].reshape(-1))
        for sample, head, j, column, width in _head_runs(first, last, panels_per_pair, heads):
            at = sample * n * c + head * e
            gemm_accumulate(e, n, dy, at, 1, c, p, column, row, width, dvalues, column, row)
            gemm_accumulate(e, n, q, at, 1, c, ds, column, row, width, dkeys, column, row)
            _unpack_head(dvalues, column, one, dv[sample, j : j + width], head * e, e)
            _unpack_head(dkeys, column, factor, dk[sample, j : j + width], head * e, e)
            if j == 0:
                clear(dqueries.reshape(-1))
            here = k[sample, j : j + width]
            for i in range(len(here)):
                for a in range(e):
                    rows[i, a] = here[i, head * e + a]
            gemm_accumulate(n, len(here), ds, column, row, 1, rows, 0, wide, wide, dqueries, 0, wide)
            if j + width >= m:
                for i in range(n):
                    for a in range(e):
                        dq[sample, i, head * e + a] = factor * dqueries[i, a]


@njit
def _zero_rows(count, width, dtype):
    """Zeros [count,width], with further rows up to whole tiles of the matrix product."""
    rows = aligned_scratch(padded_rows(count) * width, dtype)
    clear(rows)
    return rows.reshape(padded_rows(count), width)


@njit
def _head_runs(first, last, panels_per_pair, heads):
    """The panels first .. last - 1, one head at a time: sample, head, first query or key, first column, number of columns."""
    panel = first
    while panel < last:
        pair = panel // panels_per_pair
        stop = min(last, (pair + 1) * panels_per_pair)
        yield pair // heads, pair % heads, (panel - pair * panels_per_pair) * LANES, (panel - first) * LANES, (stop - panel) * LANES
        panel = stop


@njit
def _pack_head(x, first, factor, panel, column):
    """panel[a, column + i] = factor x[i, first + a]."""
    for a in range(len(panel)):
        for i in range(len(x)):
            panel[a, column + i] = factor * x[i, first + a]


@njit
def _unpack_head(panel, column, factor, x, first, width):
    """x[i, first + a] = factor panel[a, column + i]."""
    for i in range(len(x)):
        for a in range(width):
            x[i, first + a] = factor * panel[a, column + i]


@njit
def _leave_out(mask, scores):
    """scores[j] = -infinity for the keys j that do not count."""
    for j in range(len(mask)):
        if not mask[j]:
            scores[j] = -np.inf


@njit
def _column_max(scores, largest):
    """largest[i] = max_j scores[j,i]."""
    copy(scores[0], largest)
    for j in range(len(scores)):
        row = scores[j]
        for i in range(len(row)):
            largest[i] = row[i] if row[i] > largest[i] else largest[i]


@njit(fastmath=FUSED)
def _exponentiate(scores, largest, total):
    """scores = e^(scores - largest), total[i] = sum_j scores[j,i]."""
    clear(total)
    for j in range(len(scores)):
        row = scores[j]
        for i in range(len(row)):
            p = exp(row[i] - largest[i])
            row[i] = p
            total[i] += p


@njit
def _normalise(values, largest, total):
    """values /= total; largest += log(total), the logarithm of the sum of exponentials."""
    for a in range(len(values)):
        row = values[a]
        for i in range(len(row)):
            row[i] /= total[i]
    for i in range(len(total)):
        largest[i] += log(total[i])


@njit
def _row_dots(dy, y, first, width, means):
    """D_i = sum_a dy_ia y_ia of one head, as in the derivation."""
    for i in range(len(means)):
        means[i] = dot(dy[i, first : first + width], y[i, first : first + width])


@njit
def _start_sums(sums, numbers, column, width):
    """sums[i, column : column + width] = -numbers[i]: the matrix product then adds to it."""
    for i in range(len(numbers)):
        for c in range(column, column + width, LANES):
            store(sums, i * sums.shape[1] + c, splat(-numbers[i]))


@njit
def _softmax_gradient(p, ds):
    """In place: p = e^(s - l) from s - l, and ds = p (dp - D) from dp - D."""
    for i in range(len(p)):
        p[i] = exp(p[i])
        ds[i] *= p[i]
