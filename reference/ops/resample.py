"""Changes of resolution by 2, and concatenation of channels.  Each backward is the adjoint of a linear map."""

import numpy as np

from reference.ops.checks import check, takes_out


def _blocks(name, x):
    """x[b,h,w,c] -> [b,h/2,2,w/2,2,c], the 2x2 blocks of pixels on axes 2 and 4."""
    b, h, w, c = x.shape
    if h % 2 or w % 2:
        raise ValueError(f"{name} must have even height and width to be halved, got shape {x.shape}")
    return x.reshape(b, h // 2, 2, w // 2, 2, c)


@takes_out
def upsample_nearest(x):
    """x[b,h,w,c] -> y[b,2h,2w,c]: every pixel becomes a 2x2 block."""
    check("x[b,h,w,c]", x)
    return x.repeat(2, axis=1).repeat(2, axis=2)


@takes_out
def upsample_nearest_backward(dy):
    """dy[b,2h,2w,c] -> dx[b,h,w,c]: a pixel's gradient is the sum over its block."""
    check("dy[b,h,w,c]", dy)
    return _blocks("dy", dy).sum(axis=(2, 4))


@takes_out
def average_pool(x):
    """x[b,2h,2w,c] -> y[b,h,w,c]: the mean of every 2x2 block.  ValueError for odd sizes."""
    check("x[b,h,w,c]", x)
    return _blocks("x", x).mean(axis=(2, 4))


@takes_out
def average_pool_backward(dy):
    """dy[b,h,w,c] -> dx[b,2h,2w,c]: each of the four pixels had weight 1/4."""
    check("dy[b,h,w,c]", dy)
    return upsample_nearest(dy) / 4


@takes_out
def concat(x, y):
    """x[b,...,c], y[b,...,d] -> [b,...,c+d]."""
    check("x[b,...,c] y[b,...,d]", x, y)
    return np.concatenate((x, y), axis=-1)


@takes_out
def concat_backward(dy, x, y):
    """The gradient dy[b,...,c+d] of ``concat(x, y)`` cut in two: dx[b,...,c], dy[b,...,d]."""
    check("dy[b,...,e] x[b,...,c] y[b,...,d]", dy, x, y)
    c = x.shape[-1]
    if dy.shape[-1] != c + y.shape[-1]:
        raise ValueError(f"dy must have {c + y.shape[-1]} channels, got shape {dy.shape}")
    return dy[..., :c].copy(), dy[..., c:].copy()
