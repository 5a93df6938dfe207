"""Quality of samples without a pretrained network: distances between two sets of samples.

A distance between finite sets is never 0, even between two halves of the same data: compare it with
the distance of held-out data, for the same numbers of samples.
"""

import numpy as np
from scipy.special import chndtr

from reference.diffusion.yardsticks import moments
from reference.ops.random import Purpose, normal


def _flat(x):
    return np.asarray(x, np.float64).reshape(len(x), -1)


def principal_components(real, count=20):
    """(mean [d], axes [count,d]): the directions in which ``real`` varies most; d axes if there are
    no more.
    """
    mean, covariance = moments(real)
    _, vectors = np.linalg.eigh(covariance)  # the largest last
    return mean, vectors[:, ::-1].T[:count]


def project(x, components):
    """x[n,...] -> features [n,count]: coordinates along the ``principal_components``."""
    mean, axes = components
    return (_flat(x) - mean) @ axes.T


def frechet_distance(x, y):
    """Squared Fréchet (2-Wasserstein) distance of the Gaussians with the means and covariances of
    the features x[n,d] and y[m,d].  Heusel et al. 2017 take features of Inception: FID.

    It has a bias in n and m, so that only values at equal n and m can be compared.  For samples of
    one Gaussian with the eigenvalues lam_i of its covariance S the true distance is 0, and the
    expectation of this one is, to first order,

        (1/n + 1/m) [ tr S + sum_ij (1 + delta_ij) lam_i lam_j / (2 (lam_i + lam_j)) ].

    The first term is the variance of the difference of the means.  The second has the variances
    (1 + delta_ij) lam_i lam_j (1/n + 1/m) of the entries of the difference D of the covariances, in
    tr(S_x + S_y - 2 (..)^{1/2}) = sum_ij D_ij^2 / (2 (lam_i + lam_j)) for small D.
    """
    return frechet_distance_of_gaussians(*moments(x), *moments(y))


def frechet_distance_of_gaussians(m_x, S_x, m_y, S_y):
    """‖m_x - m_y‖^2 + tr(S_x + S_y - 2 (S_x^{1/2} S_y S_x^{1/2})^{1/2}), for means [d] and
    covariances [d,d].
    """
    values, vectors = np.linalg.eigh(S_x)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ S_y @ root).clip(0)).sum()
    means = ((m_x - m_y) ** 2).sum()
    return float(means + np.trace(S_x) + np.trace(S_y) - 2 * cross)


def autocorrelation(chain):
    """rho[k], k = 0 .. n-1, of a series [n], or of several, [n,m], with averaged covariances.

    rho[0] is 1.  The covariances have the biased factor 1/n and come from a Fourier transform.  A
    Langevin chain with step tau on N(mu, s^2) has rho[k] = (1 - tau/s^2)^k.
    """
    x = np.asarray(chain, np.float64).reshape(len(chain), -1)
    power = np.abs(np.fft.rfft(x - x.mean(axis=0), n=2 * len(x), axis=0)) ** 2
    covariance = np.fft.irfft(power, axis=0)[: len(x)].mean(axis=1)
    if not covariance[0] > 0:
        raise ValueError("chain must vary to have an autocorrelation")
    return covariance / covariance[0]


def wasserstein_1d(x, y, order=1):
    """The Wasserstein distance (integral of |F_x^{-1} - F_y^{-1}|^order)^{1/order} of two samples
    on the line.  Their sizes may differ.
    """
    x, y = np.sort(_flat(x)[:, 0]), np.sort(_flat(y)[:, 0])
    edges = np.union1d(np.arange(len(x) + 1) / len(x), np.arange(len(y) + 1) / len(y))
    middle = (edges[1:] + edges[:-1]) / 2
    difference = x[(middle * len(x)).astype(int)] - y[(middle * len(y)).astype(int)]
    return float((np.diff(edges) @ np.abs(difference) ** order) ** (1 / order))


def sliced_wasserstein(x, y, directions=64, order=2, seed=0):
    """Wasserstein distances along random directions, combined by the mean of the same order: the
    root mean square for order 2.
    """
    axes = normal(seed, np.arange(directions), 0, Purpose.PROBE, (_flat(x).shape[1],))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    distances = [
        wasserstein_1d(_flat(x) @ axis[:, None], _flat(y) @ axis[:, None], order) for axis in axes
    ]
    return float((np.array(distances) ** order).mean() ** (1 / order))


def mode_shares(x, mixture):
    """The shares [k] of samples x[n,d] within two deviations of each mode of a mixture of isotropic
    Gaussians.

    A distance changes little when a mode is lost, or when a ring replaces eight modes.  The shares
    change much.
    """
    x = _flat(x)
    distances = np.stack([np.linalg.norm(x - mean, axis=1) for mean in mixture.means])
    return (distances <= 2 * np.sqrt(_isotropic_variances(mixture))[:, None]).mean(axis=1)


def expected_mode_shares(mixture):
    """The limit of ``mode_shares`` for many exact samples.

    For x of component j, ‖x - mu_k‖^2 / s_j^2 has a noncentral chi-squared distribution with d
    degrees of freedom and noncentrality ‖mu_j - mu_k‖^2 / s_j^2.  For well-separated modes in the
    plane only j = k contributes: w_k (1 - exp(-2)).
    """
    variances, means = _isotropic_variances(mixture), mixture.means
    squares = ((means[:, None] - means) ** 2).sum(axis=2)
    limits = 4 * variances[:, None] / variances
    return chndtr(limits, mixture.dimension, squares / variances) @ mixture.weights


def _isotropic_variances(mixture):
    """The variances [k] of the components.  ValueError if they have covariance matrices."""
    if mixture.covariances.ndim != 1:
        raise ValueError(
            "mixture must consist of isotropic Gaussians, with variances [k], "
            "got covariances [k,d,d]"
        )
    return mixture.covariances
