"""Density and score of a Gaussian mixture: the exact answers that learned ones are held against.

p(x) = sum_k w_k N(x; mu_k, C_k).  With C = L L' and z = L^-1 (x - mu), a component's log-density is

    log N(x; mu, C) = -1/2 z'z - log det L - d/2 log(2 pi),

the mixture's their log-sum-exp with log w_k, and the score (tutorial, Ex 3.5) the mean of the
components' scores under the responsibilities r_k = w_k N_k / p:

    grad log p = sum_k r_k C_k^-1 (mu_k - x),   C^-1 (mu - x) = -L'^-1 z.

Where z'z overflows for every component, from |z| = 1.8e19 on in float32 and 1.3e154 in float64,
nothing is left that tells the components apart: log p is -inf and the score is NaN.
"""

import numpy as np

from reference.ops.activation import softmax
from reference.ops.checks import check, takes_out


def cholesky_factors(x, weights, means, covariances):
    """L[k,d,d], for covariances[k,d,d] or variances[k], after all checks."""
    check("x[n,d] weights[k] means[k,d]", x, weights, means)
    scalar = getattr(covariances, "ndim", 3) == 1
    check(
        "means[k,d] variances[k]" if scalar else "means[k,d] covariances[k,d,d]", means, covariances
    )
    check("x[n,d] covariances[...]", x, covariances)
    if not (
        weights.size
        and (weights >= 0).all()
        and abs(weights.sum() - 1) <= len(weights) * np.finfo(weights.dtype).eps
    ):
        raise ValueError(f"weights must not be negative and must sum to 1, got {weights}")
    if scalar:
        if not (covariances > 0).all():
            raise ValueError(f"variances must be positive, got {covariances}")
        return np.sqrt(covariances)[:, None, None] * np.eye(x.shape[1], dtype=x.dtype)
    asymmetry, largest = (
        np.abs(covariances - covariances.swapaxes(1, 2)).max(initial=0),
        np.abs(covariances).max(initial=0),
    )
    if not asymmetry <= 64 * np.finfo(covariances.dtype).eps * largest:
        raise ValueError("covariances must be symmetric and positive definite")
    try:
        return np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        raise ValueError("covariances must be symmetric and positive definite") from None


def _components(x, weights, means, covariances):
    """log(w_k N_k)[n,k], the z[k,d,n] and the factors L[k,d,d] of the derivation."""
    factors = cholesky_factors(x, weights, means, covariances)
    z = np.linalg.solve(factors, (x - means[:, None]).swapaxes(1, 2))
    log_det = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    # a component of weight 0 has log-weight -inf and no say, and so has one too far away
    with np.errstate(divide="ignore", over="ignore"):
        constants = np.log(weights) - log_det - x.dtype.type(x.shape[1] / 2 * np.log(2 * np.pi))
        logs = ((z * z).sum(axis=1) / -2).T + constants
    return logs, z, factors


@takes_out
def mixture_log_density(x, weights, means, covariances):
    """x[n,d], weights[k], means[k,d], covariances[k,d,d] or variances[k] -> log p[n] (natural)."""
    logs, _, _ = _components(x, weights, means, covariances)
    largest = np.maximum(logs.max(axis=1, keepdims=True), np.finfo(x.dtype).min)
    with np.errstate(divide="ignore"):
        return (largest + np.log(np.exp(logs - largest).sum(axis=1, keepdims=True)))[:, 0]


@takes_out
def mixture_score(x, weights, means, covariances):
    """Arguments as ``mixture_log_density`` -> grad log p[n,d]."""
    logs, z, factors = _components(x, weights, means, covariances)
    scores = -np.linalg.solve(factors.swapaxes(1, 2), z)  # [k,d,n]
    return np.einsum("nk,kdn->nd", softmax(logs), scores)
