"""Group normalisation (Wu and He 2018), alone and followed by SiLU.

For one sample and one group let x be its n entries (all pixels, c/g consecutive channels), m their
mean and v their biased variance:

    r = (v + eps)^{-1/2},   x̂ = (x - m) r,   y = scale x̂ + shift.

Rounding.  The computed mean of n equal numbers differs from them by some roundings, and for a
constant group r = eps^{-1/2} amplifies the difference.  With a_i = x_i - x_0, the differences to
the first entry of the group,

    m = x_0 + mean(a),   v = mean((a - mean(a))^2).

The a of a constant group are exactly 0, so m = x_0, x̂ = 0 and y = shift.  Squares of large a
overflow.  With a power of two s <= 1 such that |s a| < 1, v = mean((s a - mean(s a))^2) / s^2 and

    m = x_0 + mean(s a) / s,   r = s (s^2 v + s^2 eps)^{-1/2}.

So x may reach half the largest number of its dtype.

Backward.  Let d = scale dy, the gradient of the loss with respect to x̂.  x_j enters x̂ directly,
through m and through r:

    dm/dx_j = 1/n,   dv/dx_j = 2 (x_j - m) / n,   dr/dx_j = -1/2 r^3 dv/dx_j = -r^2 x̂_j / n,

    dx_j = sum_i d_i dx̂_i/dx_j = sum_i d_i [ (delta_ij - 1/n) r + (x_i - m) dr/dx_j ]
         = r [ d_j                    term 1: directly
               - mean(d)              term 2: through the mean
               - x̂_j mean(d x̂) ].     term 3: through the variance

scale and shift are shared by all samples and pixels: dscale = sum dy x̂, dshift = sum dy.
"""

import math

import numpy as np

from reference.ops.activation import silu, silu_backward
from reference.ops.checks import Array, check, takes_out, whole


def _grouped(x: Array, groups: int) -> Array:
    """x[b,...,c] -> [b, pixels, groups, c/groups], a view if the layout allows it."""
    if whole("groups", groups) < 1 or x.shape[-1] % groups:
        raise ValueError(
            f"groups must be a whole number that divides the {x.shape[-1]} channels, got {groups}"
        )
    pixels = math.prod(x.shape[1:-1])
    if pixels * x.shape[-1] == 0:
        raise ValueError(f"x must have at least one pixel and one channel, got shape {x.shape}")
    return x.reshape(len(x), pixels, groups, x.shape[-1] // groups)


def _statistics(entries: Array, eps: float) -> tuple[Array, Array]:
    """m[b,g] and r[b,g] of the derivation, of entries[b,pixels,groups,width]."""
    first = entries[:, :1, :, :1]
    a = entries - first
    _, exponent = np.frexp(np.abs(a).max(axis=(1, 3), keepdims=True))
    s = np.ldexp(entries.dtype.type(1), -np.maximum(exponent, 0))
    a *= s
    mean = a.mean(axis=(1, 3), keepdims=True)
    variance = np.square(a - mean).mean(axis=(1, 3), keepdims=True)
    rstd = s / np.sqrt(variance + s * s * entries.dtype.type(eps))
    return (first + mean / s)[:, 0, :, 0], rstd[:, 0, :, 0]


def _normalised(x: Array, groups: int, mean: Array, rstd: Array) -> Array:
    """x̂ of the derivation, [b,pixels,groups,width]."""
    x_hat: Array = (_grouped(x, groups) - mean[:, None, :, None]) * rstd[:, None, :, None]
    return x_hat


def check_forward(x: Array, scale: Array, shift: Array, groups: int, eps: float) -> None:
    """Check the arguments of ``group_norm``."""
    check("x[b,...,c] scale[c] shift[c]", x, scale, shift)
    _grouped(x, groups)
    if not eps >= 0:
        raise ValueError(f"eps must not be negative, got {eps}")


def check_backward(
    dy: Array, x: Array, scale: Array, shift: Array, groups: int, mean: Array, rstd: Array
) -> None:
    """Check the arguments of ``group_norm_backward``."""
    spec = "dy[b,...,c] x[b,...,c] scale[c] shift[c] mean[b,g] rstd[b,g]"
    check(spec, dy, x, scale, shift, mean, rstd)
    _grouped(x, groups)
    if mean.shape[1] != groups:
        raise ValueError(f"mean must have shape {(len(x), groups)}, got {mean.shape}")


@takes_out
def group_norm(
    x: Array, scale: Array, shift: Array, groups: int, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """x[b,...,c], scale[c], shift[c] -> y[b,...,c], mean[b,g], rstd[b,g]: y, m and r of the
    derivation.  A group is c/g consecutive channels of one sample.
    """
    check_forward(x, scale, shift, groups, eps)
    mean, rstd = _statistics(_grouped(x, groups), eps)
    y = _normalised(x, groups, mean, rstd).reshape(x.shape) * scale + shift
    return y, mean, rstd


@takes_out
def group_norm_backward(
    dy: Array, x: Array, scale: Array, shift: Array, groups: int, mean: Array, rstd: Array
) -> tuple[Array, Array, Array]:
    """Gradients of ``group_norm``; mean and rstd are its results.  dy[b,...,c] -> dx[b,...,c],
    dscale[c], dshift[c].
    """
    check_backward(dy, x, scale, shift, groups, mean, rstd)
    x_hat = _normalised(x, groups, mean, rstd)
    d = _grouped(dy * scale, groups)
    dx = d - d.mean(axis=(1, 3), keepdims=True)  # terms 1 and 2
    dx -= x_hat * (d * x_hat).mean(axis=(1, 3), keepdims=True)  # term 3
    dx *= rstd[:, None, :, None]

    over = tuple(range(x.ndim - 1))
    dscale = (dy * x_hat.reshape(x.shape)).sum(axis=over)
    dshift = dy.sum(axis=over)
    return dx.reshape(x.shape), dscale, dshift


@takes_out
def group_norm_silu(
    x: Array, scale: Array, shift: Array, groups: int, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """``silu(group_norm(x))``, with the arguments, mean and rstd of ``group_norm``.  It is one op
    so that a port can compute both in one pass over memory.
    """
    y, mean, rstd = group_norm(x, scale, shift, groups, eps)
    return silu(y), mean, rstd


@takes_out
def group_norm_silu_backward(
    dy: Array, x: Array, scale: Array, shift: Array, groups: int, mean: Array, rstd: Array
) -> tuple[Array, Array, Array]:
    """Gradients of ``group_norm_silu``.  It recomputes x̂, which is cheaper than keeping it."""
    check_backward(dy, x, scale, shift, groups, mean, rstd)
    y = _normalised(x, groups, mean, rstd).reshape(x.shape) * scale + shift
    return group_norm_backward(silu_backward(dy, y), x, scale, shift, groups, mean, rstd)
