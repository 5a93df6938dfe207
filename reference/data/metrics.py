"""Quality of samples without a pretrained network: distances between two sets of samples.

All functions take samples [n,...] and flatten them.  A distance between finite sets is never 0,
even between two halves of the same data: compare it with the distance of held-out data, for the
same number of samples.
"""

import numpy as np
from scipy.special import chndtr

from reference.ops.random import Purpose, normal


def _flat(x):
    return np.asarray(x, np.float64).reshape(len(x), -1)


def principal_components(real, count=20):
    """(mean [d], axes [count,d]): the directions in which ``real`` varies most; fewer axes if
    ``real`` has fewer.
    """
    flat = _flat(real)
    _, _, axes = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    return flat.mean(axis=0), axes[:count]


def frechet_distance(x, y, features):
    """Squared Fréchet (2-Wasserstein) distance of the Gaussians with the means and covariances of x
    and y in PCA features, the ``features`` that ``principal_components`` returns:

        ‖m_x - m_y‖^2 + tr(S_x + S_y - 2 (S_x^{1/2} S_y S_x^{1/2})^{1/2}).
    """
    mean, axes = features
    fx, fy = (_flat(x) - mean) @ axes.T, (_flat(y) - mean) @ axes.T
    sx, sy = (np.atleast_2d(np.cov(f.T, bias=True)) for f in (fx, fy))
    values, vectors = np.linalg.eigh(sx)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ sy @ root).clip(0)).sum()
    means = ((fx.mean(axis=0) - fy.mean(axis=0)) ** 2).sum()
    return float(means + np.trace(sx) + np.trace(sy) - 2 * cross)


def neighbour_distance(x, real, k=3):
    """Distance [n] of each x to the k-th nearest sample of ``real``."""
    fx, fy = _flat(x), _flat(real)
    if not 1 <= k <= len(fy):
        raise ValueError(f"k must lie in 1 .. {len(fy)}, got {k}")
    nearest = []
    # in blocks, because the table of all distances would not fit into memory
    for block in np.split(fx, range(256, len(fx), 256)):
        squares = (block**2).sum(axis=1)[:, None] + (fy**2).sum(axis=1) - 2 * block @ fy.T
        nearest.append(np.partition(squares, k - 1, axis=1)[:, k - 1])
    return np.sqrt(np.concatenate(nearest).clip(0))


def nearest_neighbour_precision(x, real, held_out, k=3, share=0.95):
    """The share of x within the distance to ``real`` that ``share`` of the held-out samples keep.
    Distances are to the k-th nearest neighbour.
    """
    limit = np.quantile(neighbour_distance(held_out, real, k), share)
    return float((neighbour_distance(x, real, k) <= limit).mean())


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
