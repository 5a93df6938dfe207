"""Two-dimensional convolution on NHWC images, as one matrix product over patches.

The weights w of ``conv2d`` have k x k taps (u,v).  With padding p = (k - 1) / 2 and stride s, and x
zero outside the image,

    y[b,m,n,o] = sum_{u,v,i} x[b, s m + u - p, s n + v - p, i] w[u,v,i,o] + bias[o] + add[b,m,n,o].
                                                                                               (1)

bias is the argument ``b``; the index b counts the samples.

Let P be the patches, P[(b,m,n), (u,v,i)] = x[b, s m + u - p, s n + v - p, i], and W the weights as
a matrix W[(u,v,i), o].  Then (1) is Y = P W + bias + add, a ``linear`` op, and its gradients are
those of linear.py:

    dP = dY Wᵀ,   dW = Pᵀ dY,   dbias[o] = sum_{b,m,n} dY[(b,m,n), o],   dadd = dY,

where dadd is summed over m and n if add was broadcast.

P gathers entries of x, hence dx scatters dP: pixel (h, w) receives the gradient of every patch
entry that was read from it,

    dx[b,h,w,i] = sum of dP[(b,m,n), (u,v,i)] over u,v,m,n with s m + u - p = h, s n + v - p = w.
                                                                                               (2)

For a fixed tap (u,v) each (m,n) belongs to exactly one (h,w), so (2) is k k shifted additions.
"""

import numpy as np

from reference.ops.checks import Array, check, takes_out, whole

Shape = tuple[int, int, int, int]


def check_forward(x: Array, w: Array, b: Array, stride: int, add: Array | None) -> Shape:
    """Check the arguments of ``conv2d``, and return the shape of y."""
    shape = _check(x, w, stride, add)
    check("w[k,k,i,o] b[o]", w, b)
    return shape


def check_backward(dy: Array, x: Array, w: Array, stride: int, add: Array | None) -> Shape:
    """Check the arguments of ``conv2d_backward``, and return the shape of y."""
    shape = _check(x, w, stride, add)
    check("dy[b,m,n,o] x[b,h,w,i] w[k,k,i,o]", dy, x, w)
    if dy.shape != shape:
        raise ValueError(f"dy must have shape {shape}, got {dy.shape}")
    return shape


def _check(x: Array, w: Array, stride: int, add: Array | None) -> Shape:
    sizes = check("x[b,h,w,i] w[k,k,i,o]", x, w)
    if sizes["k"] not in (1, 3):
        raise ValueError(f"w must be 1x1 or 3x3, got {sizes['k']}x{sizes['k']}")
    if whole("stride", stride) not in (1, 2):
        raise ValueError(f"stride must be 1 or 2, got {stride}")
    if min(x.shape[1:3]) < 1:
        raise ValueError(f"x must have at least one pixel, got shape {x.shape}")
    # ceil(h/s), ceil(w/s)
    shape = (x.shape[0], -(-x.shape[1] // stride), -(-x.shape[2] // stride), w.shape[3])
    if add is not None:
        check("x[b,h,w,i] add[b,m,n,o]", x, add)
        if add.shape not in (shape, (shape[0], 1, 1, shape[3])):
            raise ValueError(
                f"add must have shape {shape} or {(shape[0], 1, 1, shape[3])}, got {add.shape}"
            )
    return shape


def _patches(x: Array, k: int, stride: int) -> Array:
    """P of the derivation: x[b,h,w,i] -> P[b m n, k k i]."""
    p = k // 2
    padded = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(1, 2))
    windows = windows[:, ::stride, ::stride]
    b, m, n, i = windows.shape[:4]
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(b * m * n, k * k * i)


@takes_out
def conv2d(x: Array, w: Array, b: Array, stride: int = 1, add: Array | None = None) -> Array:
    """x[b,h,w,i], w[k,k,i,o], b[o] -> y[b,m,n,o], equation (1).

    k is 1 or 3, stride 1 or 2, m = ceil(h / stride), n = ceil(w / stride).  ``add``, of the shape
    of y or [b,1,1,o], is added: a residual or a time embedding.
    """
    shape = check_forward(x, w, b, stride, add)
    y = _patches(x, w.shape[0], stride) @ w.reshape(-1, w.shape[3])
    y = y.reshape(shape)
    y += b
    if add is not None:
        y += add
    return y


@takes_out
def conv2d_backward(
    dy: Array, x: Array, w: Array, stride: int = 1, add: Array | None = None
) -> tuple[Array, Array, Array, Array | None]:
    """Gradients of ``conv2d``.  dy[b,m,n,o] -> dx[b,h,w,i], dw[k,k,i,o], db[o], and dadd in the
    shape of ``add`` (None without ``add``).
    """
    shape = check_backward(dy, x, w, stride, add)
    k, _, i, o = w.shape
    flat = dy.reshape(-1, o)
    dw = (_patches(x, k, stride).T @ flat).reshape(w.shape)
    db = flat.sum(axis=0)
    dadd = None
    if add is not None:
        dadd = dy.copy() if add.shape == shape else dy.sum(axis=(1, 2), keepdims=True)

    b, m, n, _ = shape
    p = k // 2
    dpatches = (flat @ w.reshape(-1, o).T).reshape(b, m, n, k, k, i)
    padded = np.zeros((b, x.shape[1] + 2 * p, x.shape[2] + 2 * p, i), x.dtype)
    for u in range(k):  # (2): the entries of tap (u,v) return to the pixels they were read from
        for v in range(k):
            rows = slice(u, u + stride * m, stride)
            columns = slice(v, v + stride * n, stride)
            padded[:, rows, columns] += dpatches[:, :, :, u, v]
    dx = padded[:, p : p + x.shape[1], p : p + x.shape[2]].copy()
    return dx, dw, db, dadd
