"""Changes of resolution by 2, and concatenation of channels.  Each backward is the adjoint of a
linear map.
"""

import numpy as np

from reference.ops.checks import check, takes_out


def check_even(name, x):
    check(f"{name}[b,h,w,c]", x)
    if x.shape[1] % 2 or x.shape[2] % 2:
        raise ValueError(
            f"{name} must have even height and width to be halved, got shape {x.shape}"
        )


def _blocks(x):
    """x[b,h,w,c] -> [b,h/2,2,w/2,2,c], the 2x2 blocks of pixels on axes 2 and 4."""
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c)


@takes_out
def upsample_nearest(x):
    """x[b,h,w,c] -> y[b,2h,2w,c]: every pixel becomes a 2x2 block."""
    check("x[b,h,w,c]", x)
    return x.repeat(2, axis=1).repeat(2, axis=2)


@takes_out
def upsample_nearest_backward(dy):
    """dy[b,2h,2w,c] -> dx[b,h,w,c]: a pixel's gradient is the sum over its block."""
    check_even("dy", dy)
    return _blocks(dy).sum(axis=(2, 4))


@takes_out
def average_pool(x):
    """x[b,2h,2w,c] -> y[b,h,w,c]: the mean of every 2x2 block.  ValueError for odd sizes."""
    check_even("x", x)
    return _blocks(x).mean(axis=(2, 4))


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


def check_concat_backward(dy, x, y):
    check("dy[b,...,e] x[b,...,c] y[b,...,d]", dy, x, y)
    channels = x.shape[-1] + y.shape[-1]
    if dy.shape[-1] != channels:
        raise ValueError(f"dy must have {channels} channels, got shape {dy.shape}")


@takes_out
def concat_backward(dy, x, y):
    """The gradient dy[b,...,c+d] of ``concat(x, y)`` cut in two: dx[b,...,c], dy[b,...,d]."""
    check_concat_backward(dy, x, y)
    c = x.shape[-1]
    return dy[..., :c].copy(), dy[..., c:].copy()
