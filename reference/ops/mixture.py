"""Density and score of a Gaussian mixture, the exact values that learned scores are compared with.

p(x) = sum_k w_k N_k(x), N_k(x) = N(x; mu_k, C_k).  With the Cholesky factor L of C = L Lᵀ and
z = L^{-1} (x - mu), the log-density of a component is

    log N(x; mu, C) = -1/2 zᵀz - log(det L) - d/2 log(2 pi).

The log-density of the mixture is log(sum_k exp(log w_k + log N_k(x))).  Its score (tutorial,
Ex 3.5) is the mean of the components' scores, weighted by the responsibilities r_k = w_k N_k / p:

    ∇log p = sum_k r_k C_k^{-1} (mu_k - x),   C^{-1} (mu - x) = -(Lᵀ)^{-1} z.

If zᵀz overflows for every component (‖z‖ >= 1.8e19 in float32, 1.3e154 in float64), the components
can no longer be distinguished: log p is -inf and the score is NaN.
"""

import numpy as np

from reference.ops.activation import softmax
from reference.ops.checks import Array, check, takes_out


def cholesky_factors(x: Array, weights: Array, means: Array, covariances: Array) -> Array:
    """Check all arguments, and return L[k,d,d] of covariances[k,d,d] or variances[k]."""
    check("x[n,d] weights[k] means[k,d]", x, weights, means)
    scalar = getattr(covariances, "ndim", 3) == 1
    check(
        "means[k,d] variances[k]" if scalar else "means[k,d] covariances[k,d,d]", means, covariances
    )
    check("x[n,d] covariances[...]", x, covariances)
    slack = len(weights) * np.finfo(weights.dtype).eps
    if not (weights.size and (weights >= 0).all() and abs(weights.sum() - 1) <= slack):
        raise ValueError(f"weights must not be negative and must sum to 1, got {weights}")
    if scalar:
        if not (covariances > 0).all():
            raise ValueError(f"variances must be positive, got {covariances}")
        factors: Array = np.sqrt(covariances)[:, None, None] * np.eye(x.shape[1], dtype=x.dtype)
        return factors
    asymmetry = np.abs(covariances - covariances.swapaxes(1, 2)).max(initial=0)
    largest = np.abs(covariances).max(initial=0)
    if not asymmetry <= 64 * np.finfo(covariances.dtype).eps * largest:
        raise ValueError("covariances must be symmetric and positive definite")
    try:
        factors = np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        raise ValueError("covariances must be symmetric and positive definite") from None
    return factors


def _components(
    x: Array, weights: Array, means: Array, covariances: Array
) -> tuple[Array, Array, Array]:
    """log(w_k N_k)[n,k], z[k,d,n] and L[k,d,d] of the derivation."""
    factors = cholesky_factors(x, weights, means, covariances)
    z = np.linalg.solve(factors, (x - means[:, None]).swapaxes(1, 2))
    log_det = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    # weight 0 gives log-weight -inf, so the component is ignored, like one too far from x
    with np.errstate(divide="ignore", over="ignore"):
        constants = np.log(weights) - log_det - x.dtype.type(x.shape[1] / 2 * np.log(2 * np.pi))
        logs: Array = ((z * z).sum(axis=1) / -2).T + constants
    return logs, z, factors


@takes_out
def mixture_log_density(x: Array, weights: Array, means: Array, covariances: Array) -> Array:
    """x[n,d], weights[k], means[k,d], covariances[k,d,d] or variances[k] -> log p[n], natural."""
    logs, _, _ = _components(x, weights, means, covariances)
    largest = np.maximum(logs.max(axis=1, keepdims=True), np.finfo(x.dtype).min)
    with np.errstate(divide="ignore"):
        log_p: Array = largest + np.log(np.exp(logs - largest).sum(axis=1, keepdims=True))
    return log_p[:, 0]


@takes_out
def mixture_score(x: Array, weights: Array, means: Array, covariances: Array) -> Array:
    """Arguments as in ``mixture_log_density`` -> ∇log p[n,d]."""
    logs, z, factors = _components(x, weights, means, covariances)
    scores = -np.linalg.solve(factors.swapaxes(1, 2), z)  # [k,d,n]
    score: Array = np.einsum("nk,kdn->nd", softmax(logs), scores)
    return score
