"""Langevin dynamics (tutorial, Sec. 3.1): samples from a density, given only its score.

``score(x)`` is ∇ log p at x[b,...].  One step is gradient ascent on log p with step tau, plus noise
of variance 2 tau (Def 3.1):

    x <- x + tau score(x) + sqrt(2 tau) z.

Other texts write x + (a/2) score(x) + sqrt(a) z, with a = 2 tau (E16).  Each generator yields
``(n, x, None)`` after step n = 1, 2 ..; ``mala`` yields the booleans accepted [b] in place of None.

For a Gaussian of variance s^2 a step multiplies the mean by 1 - tau/s^2.  So the iteration is
stable only for tau < 2 s^2, with s^2 the smallest variance of any direction.  The stationary
variance s^2 / (1 - tau/(2 s^2)) is too large; ``mala`` removes this bias.
"""

import warnings

import numpy as np

from reference import ops as reference_ops
from reference.ops.random import Key, Purpose
from reference.samplers import SamplingWarning


class StabilityWarning(SamplingWarning):
    """The step is so long that the iteration diverges in the direction of smallest variance."""


def stability_limit(mixture):
    """2 s^2, s^2 the smallest eigenvalue of the mixture's covariances: the eigenvalues of -∇ score
    never exceed 1/s^2.
    """
    return 2 * float(np.linalg.eigvalsh(mixture.full).min())


def check_step(name, value, limit):
    """ValueError unless the step ``value`` is positive and finite; a ``StabilityWarning`` if it is
    not below ``limit``.
    """
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a positive number, got {value}")
    if limit is not None and value >= limit:
        limits = f"{name} = {value:.4g} is not below the stability limit {limit:.4g}"
        warnings.warn(f"{limits}: the samples may diverge", StabilityWarning, stacklevel=3)


def gradient_ascent(score, x, tau, steps, ops=reference_ops):
    """x <- x + tau score(x): to a mode of p, not a sample (the tutorial calls it descent: E19)."""
    check_step("tau", tau, None)
    for n in range(steps):
        x = ops.reverse_step(x, score(x), 1.0, tau, 0, None)
        yield n + 1, x, None


def langevin(score, x, tau, steps, seed, sample, limit=None, ops=reference_ops):
    """``steps`` steps from x[b,...]; ``limit``: the ``stability_limit`` if it is known."""
    check_step("tau", tau, limit)
    return sgld(lambda x, n: score(x), x, lambda n: 2 * tau, steps, seed, sample, ops)


def sgld(score_estimate, x, step_size, steps, seed, sample, ops=reference_ops):
    """Stochastic-gradient Langevin dynamics (Welling and Teh 2011): x <- x + e/2 score_estimate(x,
    n) + sqrt(e) z with e = step_size(n), n = 0, 1 ..

    ``score_estimate(x, n)`` is an unbiased estimate of the score, such as the estimate from a
    minibatch.  The noise has variance e; the tutorial's remark prints N(0, I) (E8).  With sum e_n
    infinite and sum e_n^2 finite (``decreasing_step_sizes``), x converges to p in distribution.
    """
    for n in range(steps):
        e = step_size(n)
        check_step(f"step_size({n})", e, None)
        key = Key(seed, sample, n, Purpose.STEP_NOISE)
        x = ops.reverse_step(x, score_estimate(x, n), 1.0, e / 2, e**0.5, key)
        yield n + 1, x, None


def decreasing_step_sizes(first, offset=1.0, power=0.55):
    """The function n -> first ((offset + n) / offset)^{-power}.  For 1/2 < power <= 1 the sum of
    the step sizes is infinite and the sum of their squares is finite.
    """
    check_step("first", first, None)
    check_step("offset", offset, None)
    if not 0.5 < power <= 1:
        raise ValueError(f"power must lie in (1/2, 1], got {power}")
    return lambda n: first * (1 + n / offset) ** -power


def mala(log_density, score, x, tau, steps, seed, sample, ops=reference_ops):
    """Metropolis-adjusted Langevin (Roberts and Tweedie 1996): the Langevin step y is a proposal,
    accepted with probability

        min(1, p(y) q(x|y) / (p(x) q(y|x))),   q(y|x) = N(y; x + tau score(x), 2 tau I).

    So p is exactly stationary for every tau.  Yields (n, x, accepted [b]).  ``log_density(x)`` is
    log p [b], up to a constant.
    """
    check_step("tau", tau, None)
    log_p, s = log_density(x), score(x)
    for n in range(steps):
        y = ops.reverse_step(
            x, s, 1.0, tau, (2 * tau) ** 0.5, Key(seed, sample, n, Purpose.STEP_NOISE)
        )
        log_p_y, s_y = log_density(y), score(y)
        log_ratio = log_p_y - log_p + _log_proposal(x, y, s_y, tau) - _log_proposal(y, x, s, tau)
        accepted = np.log(ops.uniform(seed, sample, n, Purpose.ACCEPTANCE, ())) < log_ratio
        moved = accepted.reshape(-1, *[1] * (x.ndim - 1))
        x = np.where(moved, y, x)
        s = np.where(moved, s_y, s)
        log_p = np.where(accepted, log_p_y, log_p)
        yield n + 1, x, accepted


def _log_proposal(y, x, s, tau):
    """log q(y|x) [b] without its constant; s is the score at x."""
    return -((y - x - tau * s) ** 2).reshape(len(x), -1).sum(axis=1) / (4 * tau)
