"""Multi-head attention: formulas as in reference/ops/attention.py.

Products of matrices, of all heads of all samples at once, and a kernel between them.  A matrix lies in memory row by row: what a product
needs the other way round is one of the narrow ones of q, k and v, [n,c], never one of scores, [n,m], so that p' dy is computed as (dy' p)'.
The scores are read and written once between two products; dividing by the sums of exponentials is left to the pass that joins the heads.
"""

import numpy as np

from accelerated.gpu.device import cuda, math, op, xp
from accelerated.gpu.kernel import block, index, kernel, lanes, largest_of_row, total_of_row
from accelerated.gpu.product import product
from reference.ops.attention import check_backward, check_forward

SCORES = 2**28  # bytes at most of the matrices n x m that are there at a time, if those of one head of one sample are not larger
INFINITY = np.float32(np.inf)


@op
def attention(q, k, v, heads):
    """q[b,n,c], k[b,m,c], v[b,m,c] -> y[b,n,c], logsumexp[b,heads,n] (natural) of the scaled logits."""
    check_forward(q, k, v, heads)
    b, n, c = q.shape
    y, values = xp.empty(q.shape, q.dtype), xp.empty((b * heads, n, c // heads), q.dtype)
    logsumexp, sums = (xp.empty((b * heads, n), q.dtype) for _ in range(2))
    whole = _split(q, heads), _split_across(k, heads), _split(v, heads), values, logsumexp, sums
    for pairs in _parts(1, q, k, heads):
        _attend(*[array[pairs] for array in whole])
    _join_quotients[y.size](values, sums, y, n, heads, c // heads)
    return y, logsumexp.reshape(b, heads, n)


def _attend(q, k, v, values, logsumexp, sums):
    """q[x,n,e], k[x,e,m], v[x,m,e] -> values[x,n,e], sums[x,n] of exponentials, by which they are still to be divided, logsumexp[x,n]."""
    p = product(q, k)
    _exponentials.blocks(_blocks(p))(p, logsumexp, sums, p.shape[2], lanes(p.shape[2]), _factor(q))
    product(p, v, out=values)


@op
def attention_backward(dy, q, k, v, heads, y, logsumexp):
    """Gradients of ``attention``, from the outputs that it returned.  dy[b,n,c] -> dq[b,n,c], dk[b,m,c], dv[b,m,c]."""
    check_backward(dy, q, k, v, heads, y, logsumexp)
    (b, n, c), m = q.shape, k.shape[1]
    dq = xp.empty((b * heads, n, c // heads), q.dtype)
    dk, dv = (xp.empty((b * heads, c // heads, m), q.dtype) for _ in range(2))
    means = xp.empty((b * heads, n), q.dtype)
    _means[means.size](dy, y, means, n, heads, c // heads)
    whole = [_split(array, heads) for array in (dy, q, k)] + [_split_across(array, heads) for array in (dy, q, k, v)]
    whole += [logsumexp.reshape(b * heads, n), means, dq, dk, dv]
    for pairs in _parts(2, q, k, heads):
        _attend_backward(*[array[pairs] for array in whole])
    dq = xp.ascontiguousarray(dq.reshape(b, heads, n, c // heads).transpose(0, 2, 1, 3)).reshape(q.shape)
    return dq, *[xp.ascontiguousarray(array.reshape(b, c, m).transpose(0, 2, 1)) for array in (dk, dv)]


def _attend_backward(dy, q, k, dy_across, q_across, k_across, v_across, logsumexp, means, dq, dk, dv):
    """As they are [x,n,e], and across [x,e,n]; logsumexp[x,n], means[x,n] -> dq[x,n,e], dk[x,e,m], dv[x,e,m]."""
    p, ds = product(q, k_across), product(dy, v_across)
    _weights.blocks(_blocks(p))(p, ds, logsumexp, means, p.shape[2], lanes(p.shape[2]), _factor(q))
    product(dy_across, p, out=dv)
    product(q_across, ds, out=dk)
    product(ds, k, out=dq)


# Heads.  A pair is a head of a sample.


def _split(x, heads):
    """x[b,n,c] -> [b heads,n,c/heads]."""
    b, n, c = x.shape
    return xp.ascontiguousarray(x.reshape(b, n, heads, c // heads).transpose(0, 2, 1, 3)).reshape(b * heads, n, c // heads)


def _split_across(x, heads):
    """x[b,n,c] -> [b heads,c/heads,n]."""
    b, n, c = x.shape
    return xp.ascontiguousarray(x.transpose(0, 2, 1)).reshape(b * heads, c // heads, n)


def _parts(matrices, q, k, heads):
    """Slices of the pairs, as many as may have so many matrices of scores at a time."""
    pairs = len(q) * heads
    step = max(1, SCORES // (matrices * max(1, q.shape[1]) * k.shape[1] * q.dtype.itemsize))
    return [slice(begin, min(begin + step, pairs)) for begin in range(0, pairs, step)]


def _factor(q):
    """f of the derivation."""
    return q.shape[-1] ** -0.5


@kernel("r* r* w* i i i")
def _join_quotients(values, sums, y, n, heads, width):
    """y[b,n,c] = values[b,heads,n,e] / sums[b,heads,n]."""
    i = index()
    if i < y.size:
        row, column = i // (heads * width), i % (heads * width)
        pair = (row // n * heads + column // width) * n + row % n
        y[i] = values[pair * width + column % width] / sums[pair]


@kernel("r* r* w* i i i")
def _means(dy, y, means, n, heads, width):
    """D of the derivation."""
    i = index()
    if i < means.size:
        pair, row = i // n, i % n
        begin = ((pair // heads * n + row) * heads + pair % heads) * width
        part = y.dtype.type(0)
        for j in range(begin, begin + width):
            part += dy[j] * y[j]
        means[i] = part


# Scores.  A row of them has a power of two threads that covers it, up to a block's; a block has as many rows as it can.


def _blocks(p):
    return -(-p.shape[0] * p.shape[1] // (block() // lanes(p.shape[2])))


@kernel("w* w* w* i i s", shared=1)
def _exponentials(p, logsumexp, sums, m, wide, f):
    """p = e^(f p - largest of the row), where it held q k'."""
    shared, lane, row = cuda.shared.array(0, p.dtype), cuda.threadIdx.x % wide, index() // wide
    begin = row * m
    end = begin + m if row < sums.size else begin
    top, part = -p.dtype.type(INFINITY), p.dtype.type(0)
    for i in range(begin + lane, end, wide):
        top = p[i] if p[i] > top else top  # one that is no number makes the sum none
    top = f * largest_of_row(shared, top, lane, wide)
    for i in range(begin + lane, end, wide):
        p[i] = math.exp(f * p[i] - top)
        part += p[i]
    part = total_of_row(shared, part, lane, wide)
    if lane == 0 and row < sums.size:
        sums[row] = part
        logsumexp[row] = top + math.log(part)


@kernel("w* w* r* r* i i s")
def _weights(p, ds, logsumexp, means, m, wide, f):
    """p = e^(f p - l), where it held q k'; ds = f p (ds - D), where it held dy v'."""
    row = index() // wide
    if row < means.size:
        for i in range(row * m + cuda.threadIdx.x % wide, row * m + m, wide):
            p[i] = math.exp(f * p[i] - logsumexp[row])
            ds[i] = f * p[i] * (ds[i] - means[row])
