"""Group normalisation (Wu and He 2018), alone and followed by SiLU.

For one sample and one group let x be its n entries (all pixels, c/g consecutive channels), m their
mean, v their biased variance:

    r = (v + eps)^(-1/2),   x^ = (x - m) r,   y = scale x^ + shift.

A sum of n equal numbers is rounded, so that the plain mean of a constant group misses its value by
some roundings, and r = eps^(-1/2) makes them large.  With d_i = x_i - x_0, the differences to the
group's first entry,

    m = x_0 + mean(d),   v = mean((d - mean(d))^2):

the d of a constant group are exactly 0, so m = x_0, x^ = 0 and y = shift.  Squares overflow where d
is large.  With s a power of two, at most 1 and such that |s d| < 1, v = mean((s d - mean(s d))^2) /
s^2 and

    m = x_0 + mean(s d) / s,   r = s (s^2 v + s^2 eps)^(-1/2).

So x may reach half the largest number of its dtype.

Backward.  Let d = scale dy, the gradient at x^.  x reaches x^ directly, through m and through r:

    dm/dx_j = 1/n,   dv/dx_j = 2 (x_j - m) / n,   dr/dx_j = -1/2 r^3 dv/dx_j = -r^2 x^_j / n,

    dx_j = sum_i d_i dx^_i/dx_j = sum_i d_i [ (delta_ij - 1/n) r + (x_i - m) dr/dx_j ]
         = r [ d_j                      term 1: directly
               - mean(d)                term 2: through the mean
               - x^_j mean(d x^) ].     term 3: through the variance

scale and shift are shared by all samples and pixels: dscale = sum dy x^, dshift = sum dy.
"""

import math

import numpy as np

from reference.ops.activation import silu, silu_backward
from reference.ops.checks import check, takes_out, whole


def _grouped(x, groups):
    """x[b,...,c] -> [b, pixels, groups, c/groups], a view where the layout allows."""
    if whole("groups", groups) < 1 or x.shape[-1] % groups:
        raise ValueError(
            f"groups must be a whole number that divides the {x.shape[-1]} channels, got {groups}"
        )
    pixels = math.prod(x.shape[1:-1])
    if pixels * x.shape[-1] == 0:
        raise ValueError(f"x must have at least one pixel and one channel, got shape {x.shape}")
    return x.reshape(len(x), pixels, groups, x.shape[-1] // groups)


def _statistics(entries, eps):
    """m[b,g] and r[b,g] of the derivation, of entries[b,pixels,groups,width]."""
    first = entries[:, :1, :, :1]
    d = entries - first
    _, exponent = np.frexp(np.abs(d).max(axis=(1, 3), keepdims=True))
    s = np.ldexp(entries.dtype.type(1), -np.maximum(exponent, 0))
    d *= s
    mean = d.mean(axis=(1, 3), keepdims=True)
    variance = np.square(d - mean).mean(axis=(1, 3), keepdims=True)
    rstd = s / np.sqrt(variance + s * s * entries.dtype.type(eps))
    return (first + mean / s)[:, 0, :, 0], rstd[:, 0, :, 0]


def _normalised(x, groups, mean, rstd):
    return (_grouped(x, groups) - mean[:, None, :, None]) * rstd[:, None, :, None]


def check_forward(x, scale, shift, groups, eps):
    check("x[b,...,c] scale[c] shift[c]", x, scale, shift)
    _grouped(x, groups)
    if not eps >= 0:
        raise ValueError(f"eps must not be negative, got {eps}")


def check_backward(dy, x, scale, shift, groups, mean, rstd):
    check(
        "dy[b,...,c] x[b,...,c] scale[c] shift[c] mean[b,g] rstd[b,g]",
        dy,
        x,
        scale,
        shift,
        mean,
        rstd,
    )
    _grouped(x, groups)
    if mean.shape[1] != groups:
        raise ValueError(f"mean must have shape {(len(x), groups)}, got {mean.shape}")


@takes_out
def group_norm(x, scale, shift, groups, eps=1e-5):
    """x[b,...,c], scale[c], shift[c] -> y[b,...,c], mean[b,g], rstd[b,g].  A group is c/g
    consecutive channels of one sample.
    """
    check_forward(x, scale, shift, groups, eps)
    mean, rstd = _statistics(_grouped(x, groups), eps)
    y = _normalised(x, groups, mean, rstd).reshape(x.shape) * scale + shift
    return y, mean, rstd


@takes_out
def group_norm_backward(dy, x, scale, shift, groups, mean, rstd):
    """Gradients of ``group_norm``, from the statistics that it returned.  dy[b,...,c] ->
    dx[b,...,c], dscale[c], dshift[c].
    """
    check_backward(dy, x, scale, shift, groups, mean, rstd)
    xhat = _normalised(x, groups, mean, rstd)
    d = _grouped(dy * scale, groups)
    dx = d - d.mean(axis=(1, 3), keepdims=True)  # terms 1 and 2
    dx -= xhat * (d * xhat).mean(axis=(1, 3), keepdims=True)  # term 3
    dx *= rstd[:, None, :, None]

    over = tuple(range(x.ndim - 1))
    dscale = (dy * xhat.reshape(x.shape)).sum(axis=over)
    dshift = dy.sum(axis=over)
    return dx.reshape(x.shape), dscale, dshift


@takes_out
def group_norm_silu(x, scale, shift, groups, eps=1e-5):
    """``silu(group_norm(x))``, arguments and statistics as there: a port computes the two in one
    pass over memory.
    """
    y, mean, rstd = group_norm(x, scale, shift, groups, eps)
    return silu(y), mean, rstd


@takes_out
def group_norm_silu_backward(dy, x, scale, shift, groups, mean, rstd):
    """Gradients of ``group_norm_silu``.  The normalised values are recomputed: they are cheaper to
    make than to keep.
    """
    check_backward(dy, x, scale, shift, groups, mean, rstd)
    y = _normalised(x, groups, mean, rstd).reshape(x.shape) * scale + shift
    return group_norm_backward(silu_backward(dy, y), x, scale, shift, groups, mean, rstd)
