"""Annealed Langevin dynamics (tutorial, Sec. 3.3; Song and Ermon 2019): Langevin dynamics at a
decreasing sequence of noise levels.

``score_at_sigma(x, sigma)`` is ∇ log p_sigma(x), p_sigma the density of x_0 + sigma eps.  At level
i, ``steps_per_level`` times

    x <- x + a_i/2 score_at_sigma(x, sigma_i) + sqrt(a_i) z,   a_i = epsilon sigma_i^2 / sigma_L^2.

The tutorial leaves out the base step epsilon and calls this importance sampling (E10); without
epsilon the steps are far too long.  At large sigma the modes merge, so the weights of the modes
come out right; plain Langevin dynamics can't achieve that in reasonable time.  For Gaussian data of
variance c a step takes the variance var to (1 - a_i / (2 (c + sigma_i^2)))^2 var + a_i.
"""

import numpy as np

from reference import ops as reference_ops
from reference.ops.random import Key, Purpose
from reference.samplers import with_denoising_step
from reference.samplers.langevin import check_step


def step_sizes(sigmas, epsilon):
    """a_i = epsilon sigma_i^2 / sigma_L^2 for the levels sigma_1 > .. > sigma_L."""
    sigmas = _levels(sigmas)
    return epsilon * (sigmas / sigmas[-1]) ** 2


def _levels(sigmas):
    sigmas = np.asarray(sigmas, np.float64)
    if sigmas.ndim != 1 or not len(sigmas) or not ((np.diff(sigmas) < 0).all() and sigmas[-1] > 0):
        raise ValueError(f"sigmas must be positive and strictly decreasing, got {sigmas}")
    return sigmas


def annealed_langevin(
    score_at_sigma,
    sigmas,
    x,
    steps_per_level,
    seed,
    sample,
    epsilon=None,
    denoise=True,
    ops=reference_ops,
):
    """From x[b,...] through the levels ``sigmas`` (decreasing), ``steps_per_level`` steps at each;
    yields (sigma, x, None) after every step.

    ``epsilon``: by default 0.2 sigma_L^2 (Song and Ermon: 2e-5 for sigma_L = 0.01).  A warning from
    4 sigma_L^2 on: there a level is unstable if the data have a direction of variance 0.
    ``denoise``: the last item is (0, x, None) with the mean of x_0 given x at the last level, x +
    sigma_L^2 score_at_sigma(x, sigma_L) (Jolicoeur-Martineau et al. 2021).  This removes the noise
    that is left in x.
    """
    if steps_per_level < 1:
        raise ValueError(f"steps_per_level must be at least 1, got {steps_per_level}")
    last = float(_levels(sigmas)[-1])
    epsilon = 0.2 * last**2 if epsilon is None else epsilon
    steps = step_sizes(sigmas, epsilon)
    check_step("epsilon", epsilon, 4 * last**2)
    states = _descend(score_at_sigma, sigmas, steps, x, steps_per_level, seed, sample, ops)

    def posterior_mean(x, sigma):
        return ops.reverse_step(x, score_at_sigma(x, sigma), 1.0, sigma**2, 0, None)

    return with_denoising_step(states, posterior_mean) if denoise else states


def _descend(score_at_sigma, sigmas, steps, x, steps_per_level, seed, sample, ops):
    n = 0
    for sigma, a in zip(map(float, sigmas), map(float, steps)):
        for _ in range(steps_per_level):
            key = Key(seed, sample, n, Purpose.STEP_NOISE)
            x = ops.reverse_step(x, score_at_sigma(x, sigma), 1.0, a / 2, a**0.5, key)
            n += 1
            yield sigma, x, None
