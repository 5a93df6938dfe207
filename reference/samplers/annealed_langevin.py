"""Annealed Langevin dynamics (tutorial, Sec. 3.3; Song and Ermon 2019): Langevin at noise levels
that fall from level to level.

``score(x, sigma)`` is the gradient of log p_sigma, the density of data with noise of deviation
sigma.  At level i, ``steps_per_level`` times

    x <- x + a_i/2 score(x, sigma_i) + sqrt(a_i) z,   a_i = epsilon sigma_i^2 / sigma_L^2.

The tutorial leaves the base step epsilon out and calls this importance sampling (E10); without it
steps are far too long.  While sigma is large the modes are one, so that their weights come out
right, which plain Langevin can't achieve in any reasonable time.  In Gaussian data of variance c a
step takes the variance to (1 - a_i / (2 (c + sigma_i^2)))^2 var + a_i.
"""

import numpy as np

from reference import ops as reference_ops
from reference.ops.random import Key, Purpose
from reference.samplers import with_denoising_step
from reference.samplers.langevin import check_step


def step_sizes(sigmas, epsilon):
    """a_i for the levels sigma_1 > .. > sigma_L: each as long, beside sigma_i^2, as the last one,
    epsilon.
    """
    sigmas = _levels(sigmas)
    return epsilon * (sigmas / sigmas[-1]) ** 2


def _levels(sigmas):
    sigmas = np.asarray(sigmas, np.float64)
    if sigmas.ndim != 1 or not len(sigmas) or not ((np.diff(sigmas) < 0).all() and sigmas[-1] > 0):
        raise ValueError(f"sigmas must be positive and strictly decreasing, got {sigmas}")
    return sigmas


def annealed_langevin(
    score, sigmas, x, steps_per_level, seed, sample, epsilon=None, denoise=True, ops=reference_ops
):
    """From x[b,...] through the levels ``sigmas`` (decreasing), ``steps_per_level`` steps at each;
    yields (sigma, x, None) after every step.

    ``epsilon``: 0.2 sigma_L^2 where not given (Song and Ermon: 2e-5 for sigma_L = 0.01); a warning
    from 4 sigma_L^2 on, where a level is unstable if the data has a direction without spread.
    ``denoise`` ends, as (0, x, None), with the mean of x_0 given x at the last level, x + sigma_L^2
    score (Jolicoeur-Martineau et al. 2021), which takes out the noise that is left there.
    """
    if steps_per_level < 1:
        raise ValueError(f"steps_per_level must be at least 1 step a level, got {steps_per_level}")
    last = float(_levels(sigmas)[-1])
    epsilon = 0.2 * last**2 if epsilon is None else epsilon
    steps = step_sizes(sigmas, epsilon)
    check_step("epsilon", epsilon, 4 * last**2)
    states = _descend(score, sigmas, steps, x, steps_per_level, seed, sample, ops)
    return (
        with_denoising_step(
            states, lambda x, sigma: ops.reverse_step(x, score(x, sigma), 1.0, sigma**2, 0, None)
        )
        if denoise
        else states
    )


def _descend(score, sigmas, steps, x, steps_per_level, seed, sample, ops):
    n = 0
    for sigma, a in zip(map(float, sigmas), map(float, steps)):
        for _ in range(steps_per_level):
            x = ops.reverse_step(
                x, score(x, sigma), 1.0, a / 2, a**0.5, Key(seed, sample, n, Purpose.STEP_NOISE)
            )
            n += 1
            yield sigma, x, None
