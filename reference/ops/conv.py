"""Two-dimensional convolution on NHWC images, as one matrix product over patches.

With padding p = (k - 1) / 2 and stride s, and x zero outside the image,

    y[b,m,n,o] = sum_{u,v,i} x[b, s m + u - p, s n + v - p, i] w[u,v,i,o] + bias[o] + add[b,m,n,o].       (1)

Call P the patches, P[(b,m,n), (u,v,i)] = x[b, s m + u - p, s n + v - p, i], and W the weights as a
matrix W[(u,v,i), o].  Then (1) is Y = P W + bias + add, a ``linear`` op, and so are its gradients:

    dW = P' dY,   dbias = sum over (b,m,n) of dY,   dadd = dY (summed over m, n where add was broadcast),   dP = dY W'.

P is a gather of x, hence dx the scatter of dP: pixel (h, w) receives every patch entry that was
read from it,

    dx[b,h,w,i] = sum over u,v,m,n with s m + u - p = h, s n + v - p = w of dP[(b,m,n), (u,v,i)].         (2)

For a fixed tap (u,v) the pairs (m,n) -> (h,w) are one to one: (2) is k k shifted additions.
"""

import numpy as np

from reference.ops.checks import check, takes_out, whole


def check_forward(x, w, b, stride, add):
    """The shape of y."""
    shape = _check(x, w, stride, add)
    check("w[k,k,i,o] b[o]", w, b)
    return shape


def check_backward(dy, x, w, stride, add):
    """The shape of y."""
    shape = _check(x, w, stride, add)
    check("dy[b,m,n,o] x[b,h,w,i] w[k,k,i,o]", dy, x, w)
    if dy.shape != shape:
        raise ValueError(f"dy must have shape {shape}, got {dy.shape}")
    return shape


def _check(x, w, stride, add):
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


def _patches(x, k, stride):
    """P of the derivation: x[b,h,w,i] -> P[b h' w', k k i]."""
    p = k // 2
    padded = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(1, 2))[
        :, ::stride, ::stride
    ]
    b, m, n, i = windows.shape[:4]
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(b * m * n, k * k * i)


@takes_out
def conv2d(x, w, b, stride=1, add=None):
    """x[b,h,w,i], w[k,k,i,o], b[o] -> y[b,h',w',o], equation (1).

    k is 1 or 3, stride 1 or 2, h' = ceil(h / stride).  ``add``, of y's shape or [b,1,1,o], is
    summed in: a residual or a time embedding.
    """
    shape = check_forward(x, w, b, stride, add)
    y = _patches(x, w.shape[0], stride) @ w.reshape(-1, w.shape[3])
    y = y.reshape(shape)
    y += b
    if add is not None:
        y += add
    return y


@takes_out
def conv2d_backward(dy, x, w, stride=1, add=None):
    """Gradients of ``conv2d``.  dy[b,h',w',o] -> dx[b,h,w,i], dw[k,k,i,o], db[o], dadd in add's
    shape (None without).
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
    for u in range(k):  # (2): the entries of tap (u,v) go back to the pixels they were read from
        for v in range(k):
            padded[:, u : u + stride * m : stride, v : v + stride * n : stride] += dpatches[
                :, :, :, u, v
            ]
    dx = padded[:, p : p + x.shape[1], p : p + x.shape[2]].copy()
    return dx, dw, db, dadd
