"""The two elementwise steps of every diffusion model: add noise, and take one reverse step.  The
caller computes the coefficients.
"""

import numpy as np

from reference.ops.checks import Array, Coefficient, check, per_sample, takes_out
from reference.ops.random import Key, noise_like


@takes_out
def add_noise(
    x0: Array, signal: Coefficient, noise_scale: Coefficient, noise: Array | Key
) -> Array:
    """x0[b,...] -> signal x0 + noise_scale noise.  Coefficients are numbers or arrays [b]; noise is
    an array of the shape of x0, or a ``Key``.
    """
    check("x0[b,...]", x0)
    alpha = per_sample("signal", signal, x0)
    sigma = per_sample("noise_scale", noise_scale, x0)
    x: Array = alpha * x0 + sigma * noise_like(noise, x0)
    return x


@takes_out
def reverse_step(
    x: Array,
    prediction: Array,
    a: Coefficient,
    b: Coefficient,
    c: Coefficient,
    noise: Array | Key | None,
) -> Array:
    """x[b,...], prediction[b,...] -> a x + b prediction + c noise, with arguments as in
    ``add_noise``.  With ``noise=None`` there is no noise, and c must be 0.
    """
    check("x[b,...] prediction[b,...]", x, prediction)
    mean: Array = per_sample("a", a, x) * x + per_sample("b", b, x) * prediction
    if noise is None:
        check_no_noise(c)
        return mean
    x_prev: Array = mean + per_sample("c", c, x) * noise_like(noise, x)
    return x_prev


def check_no_noise(c: Coefficient) -> None:
    """Check the coefficient of a noise that is None."""
    if not (isinstance(c, (int, float, np.integer, np.floating)) and c == 0):
        raise ValueError(f"c must be 0 where noise is None, got {c}")
