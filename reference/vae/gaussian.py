"""Gaussians: the KL divergence of two of them, and draws as smooth functions of the parameters
(tutorial, Sec. 1.3).
"""

import numpy as np
from scipy.linalg import solve_triangular


def factor(covariance, method="cholesky"):
    """A[d,d] with A Aᵀ = covariance[d,d]: Cholesky's lower triangle, or U Lambda^{1/2} with the
    eigenvectors U and eigenvalues Lambda (1.22)-(1.24).

    The two factors differ by a rotation of eps, so A eps has the same distribution for both.
    ValueError unless the covariance is symmetric and positive definite.
    """
    if method not in ("cholesky", "eigen"):
        raise ValueError(f"method must be cholesky or eigen, got {method!r}")
    covariance = np.asarray(covariance, np.float64)
    if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1] or not len(covariance):
        raise ValueError(f"covariance must be a square matrix, got shape {covariance.shape}")
    asymmetry, largest = np.abs(covariance - covariance.T).max(), np.abs(covariance).max()
    if not asymmetry <= 64 * np.finfo(np.float64).eps * largest:
        raise ValueError(
            f"covariance must be symmetric, its transpose differs by up to {asymmetry:.4g}"
        )
    values, vectors = np.linalg.eigh(covariance)
    # an eigenvalue 0 may be this large after rounding
    if not values[0] > len(values) * np.finfo(np.float64).eps * values[-1]:
        raise ValueError(
            f"covariance must be positive definite, its smallest eigenvalue is {values[0]:.4g}"
        )
    return np.linalg.cholesky(covariance) if method == "cholesky" else vectors * np.sqrt(values)


def reparameterise(mean, deviation, eps):
    """z = mean + deviation eps, entry by entry (1.17), Ex 1.7: a draw from N(mean, deviation^2) as
    a function of noise without parameters.

    dz/dmean = 1 and dz/ddeviation = eps carry a gradient at z to both parameters.  log|det dz/deps|
    = sum_i log(deviation_i) (Ex 1.8).
    """
    return mean + deviation * eps


def reparameterise_full(mean, A, eps):
    """z = mean + A eps (1.22) for mean[d], A[d,d], eps[n,d] -> z[n,d] ~ N(mean, A Aᵀ); A from
    ``factor``.
    """
    return mean + eps @ A.T


def kl(mean0, covariance0, mean1, covariance1):
    """KL(N(mean0, covariance0) to N(mean1, covariance1)) in nats, mean[d], covariance[d,d] (Thm
    1.3, eq. 1.25):

    1/2 ( tr(C1^{-1} C0) - d + (m1 - m0)ᵀ C1^{-1} (m1 - m0) + log det C1 - log det C0 ).

    Negative only by rounding; 0 only for equal distributions.  With C = A Aᵀ, the trace is
    ‖A1^{-1} A0‖^2, the quadratic form is ‖A1^{-1} (m1 - m0)‖^2, and log det C = 2 sum_i log A_ii.
    """
    A0, A1 = factor(covariance0), factor(covariance1)
    if (
        A0.shape != A1.shape
        or np.shape(mean0) != np.shape(mean1)
        or np.shape(mean0) != A0.shape[:1]
    ):
        shapes = ", ".join(map(str, (np.shape(mean0), A0.shape, np.shape(mean1), A1.shape)))
        raise ValueError(f"means and covariances must have one dimension, got shapes {shapes}")
    ratio = solve_triangular(A1, A0, lower=True)
    z = solve_triangular(A1, np.subtract(mean1, mean0, dtype=np.float64), lower=True)
    return float(((ratio**2).sum() - len(z) + z @ z) / 2 - np.log(np.diagonal(ratio)).sum())


def kl_diagonal(mean0, variance0, mean1=0.0, variance1=1.0):
    """``kl`` of Gaussians with independent entries: arrays [...,d] or numbers, in nats, summed over
    the last axis.

    A number for a variance is the isotropic case.  With the default second Gaussian this is (1.26):
    1/2 ( d s^2 - d + ‖m‖^2 - 2 d log(s) ).  The tutorial's (1.34) lacks the d before log(s) (E2e).
    """
    if not (np.asarray(variance0) > 0).all() or not (np.asarray(variance1) > 0).all():
        raise ValueError(f"variances must be positive, got {variance0} and {variance1}")
    r = np.divide(variance0, variance1, dtype=np.float64)
    squares = np.square(np.subtract(mean0, mean1, dtype=np.float64)) / variance1
    return (squares + (r - 1 - np.log(r))).sum(axis=-1) / 2


def log_density(x, mean, deviation):
    """log N(x; mean, deviation^2) in nats, x[...,d], summed over the last axis, including
    -d/2 log(2 pi).
    """
    z = (x - mean) / deviation
    return -(np.square(z) / 2 + np.log(deviation) + np.log(2 * np.pi) / 2).sum(axis=-1)
