"""The exact posterior of a Gaussian mixture, with which approximate samplers are compared, and the
Wiener filter, its mean for one component.

Let x_0 ~ sum_k w_k N(m_k, C_k) and y = A x_0 + s_y n.  Given component k, the pair (x_0, y) is
jointly Gaussian.  Conditioning on y gives a mixture again:

    weights       ∝ w_k N(y; A m_k, A C_k Aᵀ + s_y^2 I),
    means         m_k + K_k (y - A m_k),   K_k = C_k Aᵀ (A C_k Aᵀ + s_y^2 I)^{-1},
    covariances   (I - K_k A) C_k (I - K_k A)ᵀ + s_y^2 K_k K_kᵀ.

The covariance is Joseph's form of C_k - K_k A C_k: a sum of two positive semidefinite matrices,
which rounding does not make indefinite if s_y is well above sqrt(u) = 1e-8 in the units of the
data.  The noised score of this mixture, ``Mixture.score`` of ``Mixture.noised``, is the score of
p(x_t | y) at every level.
"""

import numpy as np

from reference.diffusion.mixtures import Mixture


def check_noise(noise, user):
    """ValueError unless the noise s_y of the measurement is positive; ``user`` needs it."""
    if not 0 < noise < float("inf"):
        raise ValueError(f"{user} needs a positive noise of the measurement, got {noise}")


def posterior(mixture, operator, y, noise):
    """p(x_0 | y) as a ``Mixture``, for one measurement y[*measured_shape] with this noise > 0."""
    check_noise(noise, "the exact posterior")
    A, y, C = operator.matrix(), np.ravel(y).astype(np.float64), mixture.full
    eye, K = np.eye(len(A)), gain(C, A, noise)
    predicted = mixture.means @ A.T
    evidence = Mixture(mixture.weights, predicted, A @ C @ A.T + noise**2 * eye, mixture.ops)
    means = mixture.means + np.einsum("kim,km->ki", K, y - predicted)
    left = np.eye(mixture.dimension) - K @ A
    covariances = left @ C @ left.swapaxes(1, 2) + noise**2 * K @ K.swapaxes(1, 2)
    return Mixture(evidence.responsibilities(y[None])[0], means, covariances, mixture.ops)


def gain(C, A, noise):
    """K = C Aᵀ (A C Aᵀ + s_y^2 I)^{-1} for covariances C[...,n,n] and A[m,n]."""
    AC = A @ C
    return np.linalg.solve(AC @ A.T + noise**2 * np.eye(len(A)), AC).swapaxes(-2, -1)


def wiener(mean, covariance, operator, y, noise):
    """The best affine estimate of x_0 [b,*shape] from y[b,*measured_shape], for data with this mean
    [n] and covariance [n,n]: m + K (y - A m), float64.
    """
    check_noise(noise, "the Wiener filter")
    A = operator.matrix()
    residual = y.reshape(len(y), -1) - A @ mean
    return (mean + residual @ gain(covariance, A, noise).T).reshape(len(y), *operator.shape)
