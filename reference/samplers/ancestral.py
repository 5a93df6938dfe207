"""Ancestral sampling of DDPM (tutorial, (2.48) and (2.52)), and the loop that DDIM shares with it.

One step from t to t_prev, whatever the kernel:

    x0 = (x - sqrt(1 - A) eps) / sqrt(A),   x <- c_x x + c_x0 x0 + deviation z.

In the noise form (2.52) this is x <- (x - beta / sqrt(1 - A) eps) / sqrt(a) + deviation z; the two agree to rounding as long as x0 is
not clipped.  ``clip`` holds x0 within [-clip, clip] before it is used, for data known to lie there: it changes the mean of early steps,
where x0 is a wild guess, and nothing once the guess is inside.
"""

from itertools import pairwise

import numpy as np

from reference import ops as reference_ops
from reference.conversions import conversion
from reference.ddpm.ddpm import posterior, reverse_variance
from reference.ops.random import Key, Purpose


def prior(seed, sample, shape, dtype=np.float32, ops=reference_ops):
    """x_T ~ N(0, I), [b,*shape]."""
    return ops.normal(seed, sample, 0, Purpose.PRIOR, shape, dtype)


def reverse(noise_of, schedule, grid, x, kernel, seed, sample, clip=None, ops=reference_ops):
    """From x[b,...] at time grid[0] down to grid[-1], with ``kernel(t, t_prev) -> c_x, c_x0, deviation``; yields (t_prev, x, x0)."""
    for step, (t, t_prev) in enumerate(pairwise(grid)):
        a, b = conversion("noise", "x0", schedule.signal(t), schedule.noise_scale(t))
        x0 = ops.reverse_step(x, noise_of(x, t), a, b, 0, None)
        if clip is not None:
            x0 = x0.clip(-clip, clip)
        c_x, c_x0, deviation = kernel(t, t_prev)
        noise = Key(seed, sample, step, Purpose.STEP_NOISE) if deviation else None
        x = ops.reverse_step(x, x0, c_x, c_x0, deviation, noise)
        yield t_prev, x, x0


def ancestral(noise_of, schedule, grid, x, seed, sample, variance="posterior", mmse=None, clip=None, ops=reference_ops):
    """DDPM with the variance of ``ddpm.reverse_variance``.  The step to t = 0 adds no noise and returns x0 itself."""

    def kernel(t, t_prev):
        c_x, c_x0, _ = posterior(schedule, t, t_prev)
        return c_x, c_x0, reverse_variance(schedule, t, t_prev, variance, mmse) ** 0.5 if t_prev else 0.0

    return reverse(noise_of, schedule, grid, x, kernel, seed, sample, clip, ops)
