"""Ancestral sampling of DDPM (tutorial, (2.48) and (2.52)), and the loop that DDIM shares with it.

One step from t to t_prev, for every kernel (c_x, c_x0, deviation), with the symbols of
ddpm/ddpm.py:

    x0 = (x - sqrt(1 - A) eps) / sqrt(A),   x <- c_x x + c_x0 x0 + deviation z.

In the noise form (2.52) this is x <- (x - beta / sqrt(1 - A) eps) / sqrt(a) + deviation z; both
agree to rounding if x0 is not clipped.  ``clip`` limits x0 to [-clip, clip] before it is used, for
data known to lie there.  It changes the mean of early steps, where the estimate x0 is poor, and has
no effect once the estimate lies inside.  ``clip`` may also be a function of x0 (clipping.py).

``prediction`` names the model's prediction, any but F (denoiser.py).  x0 is computed from it
directly, not through the noise, so all but the noise also work for a schedule that ends in noise
alone, A = 0.
"""

from itertools import pairwise

import numpy as np

from reference import ops as reference_ops
from reference.ddpm.ddpm import interpolated_log_variance, posterior, reverse_log_variance
from reference.diffusion.conversions import conversion
from reference.diffusion.denoiser import split_prediction
from reference.ops.random import Key, Purpose
from reference.samplers import check_falling


def prior(seed, sample, shape, dtype=np.float32, scale=1.0, ops=reference_ops):
    """x_T ~ N(0, scale^2 I), [b,*shape]; ``scale`` is the schedule's ``prior_scale``."""
    return ops.normal(seed, sample, 0, Purpose.PRIOR, shape, dtype) * np.dtype(dtype).type(scale)


def reverse_process(
    predict,
    schedule,
    grid,
    x,
    kernel,
    seed,
    sample,
    clip=None,
    ops=reference_ops,
    prediction="noise",
):
    """From x[b,...] at time grid[0] down to grid[-1], with ``kernel(t, t_prev, v) -> c_x, c_x0,
    deviation``; yields (t_prev, x, x0).

    v is the second part of the pair that ``predict(x, t)`` returns for learned variances, else
    None.  The deviation is a number or [b,...].  ValueError unless the grid falls strictly.
    """
    check_falling(grid)
    for step, (t, t_prev) in enumerate(pairwise(grid)):
        a, b = conversion(prediction, "x0", schedule.signal(t), schedule.noise_scale(t))
        predicted, v = split_prediction(predict(x, t))
        x0 = ops.reverse_step(x, predicted, a, b, 0, None)
        if clip is not None:
            x0 = clip(x0) if callable(clip) else x0.clip(-clip, clip)
        c_x, c_x0, deviation = kernel(t, t_prev, v)
        key = Key(seed, sample, step, Purpose.STEP_NOISE)
        if np.ndim(deviation):  # an array, one deviation for each entry
            x = ops.reverse_step(
                x, x0, c_x, c_x0, 1.0, deviation * ops.normal(*key, x.shape[1:], x.dtype)
            )
        else:
            x = ops.reverse_step(x, x0, c_x, c_x0, deviation, key if deviation else None)
        yield t_prev, x, x0


def ancestral(
    predict,
    schedule,
    grid,
    x,
    seed,
    sample,
    variance="posterior",
    mmse=None,
    clip=None,
    ops=reference_ops,
    prediction="noise",
):
    """DDPM.  ``variance``: a choice of ``ddpm.reverse_log_variance``, or "learned": the variance of
    ``ddpm.interpolated_log_variance`` at the v that ``predict`` returns beside the prediction.

    The step to t = 0 adds no noise and returns x0 itself.
    """

    def kernel(t, t_prev, v):
        c_x, c_x0, _ = posterior(schedule, t, t_prev)
        if not t_prev:
            return c_x, c_x0, 0.0
        if variance == "learned":
            return c_x, c_x0, np.exp(interpolated_log_variance(schedule, t, t_prev, v) / 2)
        log_variance = reverse_log_variance(schedule, t, t_prev, variance, mmse)
        return c_x, c_x0, float(np.exp(log_variance / 2))

    return reverse_process(predict, schedule, grid, x, kernel, seed, sample, clip, ops, prediction)
