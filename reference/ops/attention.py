"""Multi-head scaled dot-product attention (Vaswani et al. 2017).

For one sample and one head of width e = c / heads, with q[n,e], k[m,e], v[m,e] and f = 1 / sqrt(e):

    s = f q kᵀ,   l_i = log(sum_j exp(s_ij)),   p_ij = exp(s_ij - l_i),   y = p v.

Backward.  y = p v gives dv = pᵀ dy and dp = dy vᵀ.  p is the softmax of s along its rows, hence
(see activation.py)

    ds_ij = p_ij (dp_ij - D_i),

    D_i = sum_j dp_ij p_ij = sum_j sum_a dy_ia v_ja p_ij = sum_a dy_ia y_ia.

D needs only y and dy, and p follows from s and l.  So the forward need not keep any n x m matrix.
Finally, s = f q kᵀ gives

    dq = f ds k,   dk = f dsᵀ q.

Mask.  mask[b,m] is True where a key counts.  Every sum over j then runs over these keys only: the
others have s_ij = -infinity, so p_ij = 0, ds_ij = 0, and their rows of dk and dv are 0.  Their k
and v are replaced by 0, because 0 times NaN or infinity would be NaN.  So padding changes nothing.
"""

import numpy as np

from reference.ops.checks import Array, Booleans, check, takes_out, whole


def check_mask(mask: Booleans) -> None:
    """ValueError for a sample without a key that counts."""
    check("mask:bool[b,m]", mask)
    counts = mask.any(axis=1)
    if not counts.all():
        raise ValueError(
            "mask must have a True for every sample, a key that counts, but sample"
            f" {counts.argmin()} has none"
        )


def check_forward(q: Array, k: Array, v: Array, heads: int, mask: Booleans | None = None) -> None:
    """Check the arguments of ``attention``; the values of a mask only in a NumPy array, because a
    device would have to be waited for.
    """
    check("q[b,n,c] k[b,m,c] v[b,m,c]", q, k, v)
    if whole("heads", heads) < 1 or q.shape[2] % heads or q.shape[2] == 0:
        raise ValueError(
            f"heads must be a whole number that divides the {q.shape[2]} channels, got {heads}"
        )
    if k.shape[1] == 0:
        raise ValueError(f"k must have at least one row, got shape {k.shape}")
    if mask is not None:
        check("k[b,m,c] mask:bool[b,m]", k, mask)
    if isinstance(mask, np.ndarray):
        check_mask(mask)


def check_backward(
    dy: Array,
    q: Array,
    k: Array,
    v: Array,
    heads: int,
    y: Array,
    logsumexp: Array,
    mask: Booleans | None = None,
) -> None:
    """Check the arguments of ``attention_backward``."""
    check_forward(q, k, v, heads, mask)
    check("dy[b,n,c] q[b,n,c] y[b,n,c] logsumexp[b,h,n]", dy, q, y, logsumexp)
    if logsumexp.shape[1] != heads:
        raise ValueError(f"logsumexp must have {heads} heads, got shape {logsumexp.shape}")


def _split(x: Array, heads: int) -> Array:
    """x[b,n,c] -> [b,heads,n,c/heads]: head j owns the channels from j c/heads onward."""
    b, n, c = x.shape
    return x.reshape(b, n, heads, c // heads).transpose(0, 2, 1, 3)


def _join(x: Array) -> Array:
    """The inverse of ``_split``."""
    b, heads, n, e = x.shape
    return x.transpose(0, 2, 1, 3).reshape(b, n, heads * e)


def _scores(q: Array, k: Array, mask: Booleans | None) -> Array:
    """s of the derivation."""
    f = q.dtype.type(q.shape[-1] ** -0.5)
    s: Array = (f * q) @ k.swapaxes(-1, -2)
    return s if mask is None else np.where(mask[:, None, None, :], s, q.dtype.type(-np.inf))


def clear_masked(mask: Booleans, *arrays: Array) -> list[Array]:
    """Arrays [b,m,c] with zeros at the keys that do not count."""
    return [np.where(mask[:, :, None], x, x.dtype.type(0)) for x in arrays]


@takes_out
def attention(
    q: Array, k: Array, v: Array, heads: int, mask: Booleans | None = None
) -> tuple[Array, Array]:
    """q[b,n,c], k[b,m,c], v[b,m,c] -> y[b,n,c], logsumexp[b,heads,n]: y of all heads side by side,
    and l of the derivation (natural logarithm).

    mask[b,m]: True where a key counts; without a mask all do.  ValueError for a sample without a
    key that counts.
    """
    check_forward(q, k, v, heads, mask)
    if mask is not None:
        k, v = clear_masked(mask, k, v)
    s = _scores(_split(q, heads), _split(k, heads), mask)
    largest = s.max(axis=-1, keepdims=True)
    p = np.exp(s - largest)
    total = p.sum(axis=-1, keepdims=True)
    y = _join((p / total) @ _split(v, heads))
    return y, (largest + np.log(total))[..., 0]


@takes_out
def attention_backward(
    dy: Array,
    q: Array,
    k: Array,
    v: Array,
    heads: int,
    y: Array,
    logsumexp: Array,
    mask: Booleans | None = None,
) -> tuple[Array, Array, Array]:
    """Gradients of ``attention``; y and logsumexp are its results.  dy[b,n,c] -> dq[b,n,c],
    dk[b,m,c], dv[b,m,c].
    """
    check_backward(dy, q, k, v, heads, y, logsumexp, mask)
    if mask is not None:
        k, v = clear_masked(mask, k, v)
    dy, q, k, v, y = [_split(array, heads) for array in (dy, q, k, v, y)]
    f = q.dtype.type(q.shape[-1] ** -0.5)
    p = np.exp(_scores(q, k, mask) - logsumexp[..., None])
    dv = p.swapaxes(-1, -2) @ dy
    dp = dy @ v.swapaxes(-1, -2)
    ds = p * (dp - (dy * y).sum(axis=-1, keepdims=True))
    dq = f * (ds @ k)
    dk = f * (ds.swapaxes(-1, -2) @ q)
    return _join(dq), _join(dk), _join(dv)
