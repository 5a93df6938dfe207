"""Changes of resolution by 2, and concatenation of channels.

All are linear maps y = A x, so each backward is the transpose, dx = Aᵀ dy: an entry of x receives
the sum of the gradients of the entries of y that it was copied to, times its weight in them.
"""

import numpy as np

from reference.ops.checks import Array, check, takes_out


def check_even(name: str, x: Array) -> None:
    """Check an argument that is read in 2x2 blocks."""
    check(f"{name}[b,h,w,c]", x)
    if x.shape[1] % 2 or x.shape[2] % 2:
        raise ValueError(
            f"{name} must have even height and width to be halved, got shape {x.shape}"
        )


def _blocks(x: Array) -> Array:
    """x[b,h,w,c] -> [b,h/2,2,w/2,2,c], the 2x2 blocks of pixels on axes 2 and 4."""
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c)


@takes_out
def upsample_nearest(x: Array) -> Array:
    """x[b,h,w,c] -> y[b,2h,2w,c]: every pixel becomes a 2x2 block."""
    check("x[b,h,w,c]", x)
    y: Array = x.repeat(2, axis=1).repeat(2, axis=2)
    return y


@takes_out
def upsample_nearest_backward(dy: Array) -> Array:
    """dy[b,2h,2w,c] -> dx[b,h,w,c]: the gradient of a pixel is the sum over its block."""
    check_even("dy", dy)
    dx: Array = _blocks(dy).sum(axis=(2, 4))
    return dx


@takes_out
def average_pool(x: Array) -> Array:
    """x[b,2h,2w,c] -> y[b,h,w,c]: the mean of every 2x2 block, as image classifiers need it between
    their convolutions.  ValueError for odd sizes.
    """
    check_even("x", x)
    y: Array = _blocks(x).mean(axis=(2, 4))
    return y


@takes_out
def average_pool_backward(dy: Array) -> Array:
    """dy[b,h,w,c] -> dx[b,2h,2w,c]: each of the four pixels had weight 1/4."""
    check("dy[b,h,w,c]", dy)
    dx: Array = upsample_nearest(dy) / 4
    return dx


@takes_out
def concat(x: Array, y: Array) -> Array:
    """x[b,...,c], y[b,...,d] -> [b,...,c+d]."""
    check("x[b,...,c] y[b,...,d]", x, y)
    return np.concatenate((x, y), axis=-1)


def check_concat_backward(dy: Array, x: Array, y: Array) -> None:
    """Check the arguments of ``concat_backward``."""
    check("dy[b,...,e] x[b,...,c] y[b,...,d]", dy, x, y)
    channels = x.shape[-1] + y.shape[-1]
    if dy.shape[-1] != channels:
        raise ValueError(f"dy must have {channels} channels, got shape {dy.shape}")


@takes_out
def concat_backward(dy: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """The gradient dy[b,...,c+d] at ``concat(x, y)``, split in two: dx[b,...,c], dy[b,...,d]."""
    check_concat_backward(dy, x, y)
    c = x.shape[-1]
    return dy[..., :c].copy(), dy[..., c:].copy()
