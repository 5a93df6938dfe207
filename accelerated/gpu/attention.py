"""Multi-head attention: formulas as in reference/ops/attention.py.

Batched products of matrices, over all heads of all samples, with one kernel between two products.  Matrices are stored by rows.  Only the
narrow ones are transposed, q, k and v [n,c], never the scores [n,m]: pᵀ dy is computed as (dyᵀ p)ᵀ.  Between two products the scores are
read and written once.  The pass that joins the heads divides by the sums of exponentials.

The keys that a mask leaves out have zeros in k and v, and then minus infinity in place of their scores.  Of a mask in a NumPy array the
values are checked.  With a mask on the device, a sample without a key gives NaN: to check it would copy it to the host.
"""

import numpy as np

from accelerated.gpu.device import checks_values, cuda, math, op, xp
from accelerated.gpu.kernel import block_size, kernel, row_max, row_sum, thread_index, threads_per_row
from accelerated.gpu.product import product
from reference.ops.attention import check_backward, check_forward, check_mask, clear_masked

MAX_SCORE_BYTES = 2**28  # of all matrices [n,m] at a time; those of a single head of a sample may need more
INFINITY = np.float32(np.inf)


@checks_values(check_mask, "mask")
@op
def attention(q, k, v, heads, mask=None):
    """q[b,n,c], k[b,m,c], v[b,m,c] -> y[b,n,c], logsumexp[b,heads,n] (natural) of the scaled logits; mask[b,m]: where a key counts."""
    check_forward(q, k, v, heads, mask)
    k, v, mask = _masked(k, v, heads, mask)
    b, n, c = q.shape
    y, values = xp.empty(q.shape, q.dtype), xp.empty((b * heads, n, c // heads), q.dtype)
    logsumexp, sums = (xp.empty((b * heads, n), q.dtype) for _ in range(2))
    arrays = _split(q, heads), _split_transposed(k, heads), _split(v, heads), mask, values, logsumexp, sums
    for pairs in _parts(1, q, k, heads):
        _attend(*[array if array is None else array[pairs] for array in arrays])
    _join_quotients[y.size](values, sums, y, n, heads, c // heads)
    return y, logsumexp.reshape(b, heads, n)


def _attend(q, k, v, mask, values, logsumexp, sums):
    """q[x,n,e], k[x,e,m], v[x,m,e], mask[x,m] -> values[x,n,e], not yet divided by the sums of exponentials, sums[x,n], logsumexp[x,n]."""
    p = _scores(q, k, mask)
    _exponentials.blocks(_blocks(p))(p, logsumexp, sums, p.shape[2], threads_per_row(p.shape[2]), _factor(q))
    product(p, v, out=values)


@checks_values(check_mask, "mask")
@op
def attention_backward(dy, q, k, v, heads, y, logsumexp, mask=None):
    """Gradients of ``attention``, from its outputs.  dy[b,n,c] -> dq[b,n,c], dk[b,m,c], dv[b,m,c]."""
    check_backward(dy, q, k, v, heads, y, logsumexp, mask)
    k, v, mask = _masked(k, v, heads, mask)
    (b, n, c), m = q.shape, k.shape[1]
    dq = xp.empty((b * heads, n, c // heads), q.dtype)
    dk, dv = (xp.empty((b * heads, c // heads, m), q.dtype) for _ in range(2))
    means = xp.empty((b * heads, n), q.dtype)
    _means[means.size](dy, y, means, n, heads, c // heads)
    arrays = [_split(array, heads) for array in (dy, q, k)] + [_split_transposed(array, heads) for array in (dy, q, k, v)]
    arrays += [mask, logsumexp.reshape(b * heads, n), means, dq, dk, dv]
    for pairs in _parts(2, q, k, heads):
        _attend_backward(*[array if array is None else array[pairs] for array in arrays])
    dq = xp.ascontiguousarray(dq.reshape(b, heads, n, c // heads).transpose(0, 2, 1, 3)).reshape(q.shape)
    return dq, *[xp.ascontiguousarray(array.reshape(b, c, m).transpose(0, 2, 1)) for array in (dk, dv)]


def _attend_backward(dy, q, k, dy_transposed, q_transposed, k_transposed, v_transposed, mask, logsumexp, means, dq, dk, dv):
    """dy, q[x,n,e], k[x,m,e], and their transposes; mask[x,m], logsumexp[x,n], means[x,n] -> dq[x,n,e], dk[x,e,m], dv[x,e,m]."""
    p, ds = _scores(q, k_transposed, mask), product(dy, v_transposed)
    _weights.blocks(_blocks(p))(p, ds, logsumexp, means, p.shape[2], threads_per_row(p.shape[2]), _factor(q))
    product(dy_transposed, p, out=dv)
    product(q_transposed, ds, out=dk)
    product(ds, k, out=dq)


# Heads.  A pair is one head of one sample.


def _split(x, heads):
    """x[b,n,c] -> [b heads,n,c/heads]."""
    b, n, c = x.shape
    return xp.ascontiguousarray(x.reshape(b, n, heads, c // heads).transpose(0, 2, 1, 3)).reshape(b * heads, n, c // heads)


def _split_transposed(x, heads):
    """x[b,n,c] -> [b heads,c/heads,n]."""
    b, n, c = x.shape
    return xp.ascontiguousarray(x.transpose(0, 2, 1)).reshape(b * heads, c // heads, n)


def _parts(matrices, q, k, heads):
    """Slices of the pairs: as many pairs at a time as MAX_SCORE_BYTES holds, with ``matrices`` matrices of scores each."""
    pairs = len(q) * heads
    step = max(1, MAX_SCORE_BYTES // (matrices * max(1, q.shape[1]) * k.shape[1] * q.dtype.itemsize))
    return [slice(begin, min(begin + step, pairs)) for begin in range(0, pairs, step)]


def _masked(k, v, heads, mask):
    """k and v, with zeros at the keys that do not count, and the mask[b heads,m] of every pair."""
    return (k, v, None) if mask is None else (*clear_masked(mask, k, v), xp.repeat(mask, heads, axis=0))


def _factor(q):
    """f of the derivation in reference/ops/attention.py."""
    return q.shape[-1] ** -0.5


@kernel("r* r* w* i i i")
def _join_quotients(values, sums, y, n, heads, width):
    """y[b,n,c] = values[b,heads,n,e] / sums[b,heads,n]."""
    i = thread_index()
    if i < y.size:
        row, column = i // (heads * width), i % (heads * width)
        pair = (row // n * heads + column // width) * n + row % n
        y[i] = values[pair * width + column % width] / sums[pair]


@kernel("r* r* w* i i i")
def _means(dy, y, means, n, heads, width):
    """D of the derivation in reference/ops/attention.py."""
    i = thread_index()
    if i < means.size:
        pair, row = i // n, i % n
        begin = ((pair // heads * n + row) * heads + pair % heads) * width
        total = y.dtype.type(0)
        for j in range(begin, begin + width):
            total += dy[j] * y[j]
        means[i] = total


# Scores.  A row of scores has ``row_threads`` threads, and a block works on as many rows as fit.


def _scores(q, k, mask):
    """q[x,n,e], k[x,e,m], mask[x,m] or None -> [x,n,m]: q k, and -infinity for the keys that do not count."""
    p = product(q, k)
    if mask is not None:
        _leave_out[p.size](p, mask, p.shape[1], p.shape[2])
    return p


@kernel("w* rB* i i")
def _leave_out(p, mask, n, m):
    i = thread_index()
    if i < p.size and not mask[i // (n * m) * m + i % m]:
        p[i] = -p.dtype.type(INFINITY)


def _blocks(p):
    return -(-p.shape[0] * p.shape[1] // (block_size() // threads_per_row(p.shape[2])))


@kernel("w* w* w* i i s", shared=1)
def _exponentials(p, logsumexp, sums, m, row_threads, f):
    """p = e^{f p - maximum of the row}, in the place of p = q kᵀ."""
    shared = cuda.shared.array(0, p.dtype)
    thread_in_row = cuda.threadIdx.x % row_threads
    row = thread_index() // row_threads
    begin = row * m
    end = begin + m if row < sums.size else begin
    maximum, partial = -p.dtype.type(INFINITY), p.dtype.type(0)
    for i in range(begin + thread_in_row, end, row_threads):
        maximum = p[i] if p[i] > maximum else maximum  # a NaN is passed over here and makes the sum NaN
    maximum = f * row_max(shared, maximum, thread_in_row, row_threads)
    for i in range(begin + thread_in_row, end, row_threads):
        p[i] = math.exp(f * p[i] - maximum)
        partial += p[i]
    row_total = row_sum(shared, partial, thread_in_row, row_threads)
    if thread_in_row == 0 and row < sums.size:
        sums[row] = row_total
        logsumexp[row] = maximum + math.log(row_total)


@kernel("w* w* r* r* i i s")
def _weights(p, ds, logsumexp, means, m, row_threads, f):
    """p = e^{f p - logsumexp}, in the place of p = q kᵀ; ds = f p (ds - D), in the place of ds = dy vᵀ."""
    row = thread_index() // row_threads
    if row < means.size:
        for i in range(row * m + cuda.threadIdx.x % row_threads, row * m + m, row_threads):
            p[i] = math.exp(f * p[i] - logsumexp[row])
            ds[i] = f * p[i] * (ds[i] - means[row])
