"""The two elementwise steps of every diffusion model: add noise, and take one step back.  The
coefficients are the callers'.
"""

import numpy as np

from reference.ops.checks import check, per_sample, takes_out
from reference.ops.random import noise_like


@takes_out
def add_noise(x0, signal, noise_scale, noise):
    """x0[b,...] -> signal x0 + noise_scale noise; coefficients are numbers or arrays [b], noise an
    array or a ``Key``.
    """
    check("x0[b,...]", x0)
    return per_sample("signal", signal, x0) * x0 + per_sample(
        "noise_scale", noise_scale, x0
    ) * noise_like(noise, x0)


@takes_out
def reverse_step(x, prediction, a, b, c, noise):
    """x[b,...], prediction[b,...] -> a x + b prediction + c noise, as ``add_noise``.
    ``noise=None`` adds none, and c must be 0.
    """
    check("x[b,...] prediction[b,...]", x, prediction)
    mean = per_sample("a", a, x) * x + per_sample("b", b, x) * prediction
    if noise is None:
        check_no_noise(c)
        return mean
    return mean + per_sample("c", c, x) * noise_like(noise, x)


def check_no_noise(c):
    if not (isinstance(c, (int, float, np.integer, np.floating)) and c == 0):
        raise ValueError(f"c must be 0 where noise is None, got {c}")
