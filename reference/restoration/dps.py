"""Diffusion posterior sampling (Chung et al. 2023): each ancestral step is followed by a step down
the gradient of the residual r = y - A D(x_t),

    x_prev <- x_prev - zeta ∇‖r‖^2 = x_prev + 2 zeta Jᵀ Aᵀ r,   J = dD/dx.

The paper and its code differ in the length of the step:

    squared      zeta ∇‖r‖^2           2 zeta Jᵀ Aᵀ r         linear for a linear denoiser
    normalised   zeta / ‖r‖ ∇‖r‖^2     2 zeta Jᵀ Aᵀ r / ‖r‖   the paper
    norm         zeta ∇‖r‖             zeta Jᵀ Aᵀ r / ‖r‖     the code: half of the paper's step

‖r‖ is the norm of one sample.  (In the code it is the norm of the whole batch, so that a sample
depends on its neighbours.)  The gradient is that of x, so that the step also depends on the scale
of x, and a variance-preserving schedule and its variance-exploding form have different samples.
The noise of the measurement does not occur: whether the samples have the right width depends on
zeta and on the number of steps.
"""

from itertools import pairwise

import numpy as np

from reference import ops as reference_ops
from reference.ddpm.ddpm import posterior
from reference.diffusion.conversions import per_sample_column
from reference.ops.random import Key, Purpose
from reference.samplers import check_falling

RULES = {"squared": 2.0, "normalised": 2.0, "norm": 1.0}  # factor of zeta Jᵀ Aᵀ r


def dps(
    denoise_and_pullback,
    operator,
    y,
    schedule,
    grid,
    x,
    seed,
    sample,
    zeta=1.0,
    rule="normalised",
    ops=reference_ops,
):
    """From x[b,...] at time grid[0] down to grid[-1], with measurements y[b,...]; yields (t_prev,
    x, x0).  A step costs an evaluation of the denoiser and a backward pass.
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
    check_falling(grid)
    for step, (t, t_prev) in enumerate(pairwise(grid)):
        x0, pullback = denoise_and_pullback(x, schedule.signal(t), schedule.noise_scale(t))
        residual = y - operator.forward(x0)
        descent = pullback(operator.adjoint(residual))
        if rule != "squared":
            descent = descent / per_sample_column(_norms(residual), x)
        c_x, c_x0, variance = posterior(schedule, t, t_prev)
        key = Key(seed, sample, step, Purpose.STEP_NOISE)
        x = ops.reverse_step(x, x0, c_x, c_x0, variance**0.5, key if variance else None)
        x = x + zeta * RULES[rule] * descent
        yield t_prev, x, x0


def _norms(y):
    """‖y‖ of each sample [b], but never 0."""
    squares = (y * y).reshape(len(y), -1).sum(axis=1)
    return np.sqrt(squares.clip(np.finfo(y.dtype).tiny))
