"""Langevin dynamics (tutorial, Sec. 3.1): samples from a density of which only the score is known.

``score(x)`` is grad log p at x[b,...].  One step is gradient ascent on log p plus noise of twice
the step's variance (Def 3.1):

    x <- x + tau score(x) + sqrt(2 tau) z.

Elsewhere the same is written x + (a/2) score + sqrt(a) z: drift k, noise variance 2 k, a = 2 tau
(E16).  Each generator yields ``(n, x, None)`` after step n = 1, 2 .., ``mala`` what it accepted in
place of None.

Where the steepest curvature of -log p is 1/s^2 the mean of a Gaussian is multiplied by 1 - tau/s^2
a step, so that the iteration is stable for tau < 2 s^2 alone, and its stationary variance s^2 / (1
- tau/(2 s^2)) is too large: ``mala`` removes that bias.
"""

import warnings

import numpy as np

from reference import ops as reference_ops
from reference.ops.random import Key, Purpose
from reference.samplers import SamplingWarning


class StabilityWarning(SamplingWarning):
    """A step so long that the iteration diverges in the steepest direction."""


def stability_limit(mixture):
    """2 s^2, s^2 the smallest eigenvalue of the mixture's covariances: -grad score is never steeper
    than 1/s^2.
    """
    return 2 * float(np.linalg.eigvalsh(mixture.full).min())


def check_step(name, value, limit):
    """ValueError for a step that is none, a warning for one at which the iteration diverges in the
    steepest direction.
    """
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a positive number, got {value}")
    if limit is not None and value >= limit:
        message = f"{name} = {value:.4g} is not below the stability limit {limit:.4g}: the samples may diverge"
        warnings.warn(message, StabilityWarning, stacklevel=3)


def gradient_ascent(score, x, tau, steps, ops=reference_ops):
    """x <- x + tau score(x): to a mode of p, not to a sample of it (the tutorial calls it descent:
    E19).
    """
    check_step("tau", tau, None)
    for n in range(steps):
        x = ops.reverse_step(x, score(x), 1.0, tau, 0, None)
        yield n + 1, x, None


def langevin(score, x, tau, steps, seed, sample, limit=None, ops=reference_ops):
    """``steps`` steps from x[b,...]; ``limit``: that of ``stability_limit``, where it is known."""
    check_step("tau", tau, limit)
    return sgld(lambda x, n: score(x), x, lambda n: 2 * tau, steps, seed, sample, ops)


def sgld(gradient, x, step_size, steps, seed, sample, ops=reference_ops):
    """Stochastic-gradient Langevin (Welling and Teh 2011): x <- x + e/2 gradient(x, n) + sqrt(e) z
    with e = step_size(n), n = 0, 1 ..

    ``gradient(x, n)`` is an estimate of the score without bias, such as that of a minibatch.  The
    noise has variance e; the tutorial's remark prints N(0, I) (E8).  With sum e = infinity and sum
    e^2 finite, as ``decreasing`` has it, x converges to the law itself.
    """
    for n in range(steps):
        e = step_size(n)
        check_step(f"step_size({n})", e, None)
        x = ops.reverse_step(
            x, gradient(x, n), 1.0, e / 2, e**0.5, Key(seed, sample, n, Purpose.STEP_NOISE)
        )
        yield n + 1, x, None


def decreasing(first, offset=1.0, power=0.55):
    """The step sizes first ((offset + n) / offset)^-power.  1/2 < power <= 1: their sum is
    infinite, that of their squares is not.
    """
    check_step("first", first, None)
    check_step("offset", offset, None)
    if not 0.5 < power <= 1:
        raise ValueError(f"power must lie in (1/2, 1], got {power}")
    return lambda n: first * (1 + n / offset) ** -power


def mala(log_density, score, x, tau, steps, seed, sample, ops=reference_ops):
    """Metropolis-adjusted Langevin (Roberts and Tweedie 1996): the Langevin step y is a proposal,
    and x moves there with probability

        min(1, p(y) q(x|y) / (p(x) q(y|x))),   q(y|x) = N(y; x + tau score(x), 2 tau I),

    so that p is stationary exactly, whatever tau.  Yields (n, x, accepted [b]).  ``log_density(x)``
    [b].
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
        x, s, log_p = (
            np.where(moved, y, x),
            np.where(moved, s_y, s),
            np.where(accepted, log_p_y, log_p),
        )
        yield n + 1, x, accepted


def _log_proposal(y, x, s, tau):
    """log q(y|x) [b], s the score at x, without the constant that cancels."""
    return -((y - x - tau * s) ** 2).reshape(len(x), -1).sum(axis=1) / (4 * tau)
