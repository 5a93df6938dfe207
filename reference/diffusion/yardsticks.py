"""Two denoisers that need no training, to compare a network with: the best linear denoiser, and
the denoiser that memorises the training set.

Both are stated for x = x_0 + sigma eps.  On any schedule x_t / alpha is such an x, with the noise
level sigma / alpha.  The loss is the mean square of eps_hat - eps over all entries.  Since
eps = (x - x_0) / sigma, a prediction x̂_0 has

    eps_hat - eps = (x_0 - x̂_0) / sigma,   loss = E[‖x̂_0 - x_0‖^2] / (d sigma^2).

**The best linear denoiser** (Wiener).  x̂_0 = m + W (x - m) has the least error for

    W = Cov[x_0, x] Cov[x]^{-1} = C (C + sigma^2 I)^{-1},

with the mean m and the covariance C of x_0.  The covariance of the error x_0 - x̂_0 is then
C - W C = sigma^2 C (C + sigma^2 I)^{-1}.  With the eigenvalues lam_j of C,

    loss = tr(C - W C) / (d sigma^2) = mean_j lam_j / (lam_j + sigma^2).

No denoiser does better on Gaussian data.  On other data a network that does no better uses nothing
but mean and covariance.

**The memorising denoiser** is E[x_0 | x] if x_0 is one of the n training samples, each as probable:

    x̂_0 = sum_i w_i x_i,   w_i ∝ exp(-‖x - x_i‖^2 / (2 sigma^2))
                              ∝ exp((x · x_i - ‖x_i‖^2 / 2) / sigma^2).

It has the least loss of all on the training samples.  On held-out data it is worse than the linear
denoiser where few training samples are within reach of the noise.
"""

from dataclasses import dataclass

import numpy as np

BLOCK = 4096  # samples that are converted to float64 at once
TABLE = 2**24  # entries of the table of weights that are held at once


def moments(x):
    """x[n,...] -> (mean [d], covariance [d,d]) of the flattened samples, float64, with the factor
    1/n.
    """
    flat = np.reshape(x, (len(x), -1))
    mean = flat.mean(axis=0, dtype=np.float64)
    total = np.zeros((flat.shape[1], flat.shape[1]))
    for first in range(0, len(flat), BLOCK):
        centred = flat[first : first + BLOCK] - mean
        total += centred.T @ centred
    return mean, total / len(flat)


def linear_denoiser_loss(eigenvalues, sigma, alpha=1.0):
    """The loss of the best linear denoiser at alpha x_0 + sigma eps, expected over data with these
    eigenvalues [d] of the covariance: a number, or [k] for arrays sigma[k], alpha[k].
    """
    sigma, alpha = np.asarray(sigma, np.float64)[..., None], np.asarray(alpha)[..., None]
    signal = alpha**2 * eigenvalues
    return (signal / (signal + sigma**2)).mean(axis=-1)


def linear_denoiser_mean_loss(eigenvalues, schedule):
    """The mean of ``linear_denoiser_loss`` over the times 1 .. T of a schedule: a network's loss if
    it predicts the noise, and t is uniform, must fall below it.
    """
    t = np.arange(1, schedule.T + 1)
    losses = linear_denoiser_loss(eigenvalues, schedule.noise_scale(t), schedule.signal(t))
    return float(losses.mean())


@dataclass(frozen=True, eq=False)
class LinearDenoiser:
    """The best linear denoiser of data with this mean [d] and covariance U diag(lam) Uᵀ:
    eigenvalues lam[d], vectors U[d,d]; or only those of the nonzero eigenvalues.
    """

    mean: np.ndarray
    eigenvalues: np.ndarray
    vectors: np.ndarray

    @classmethod
    def fit(cls, train):
        """For the mean and the covariance of train[n,...]."""
        mean, covariance = moments(train)
        eigenvalues, vectors = np.linalg.eigh(covariance)
        return cls(mean, eigenvalues.clip(0), vectors)  # rounding makes zeros slightly negative

    def posterior_mean(self, x, sigma):
        """x[b,...] = x_0 + sigma eps -> x̂_0[b,...] = m + U diag(lam / (lam + sigma^2)) Uᵀ (x - m),
        float64.
        """
        gain = self.eigenvalues / (self.eigenvalues + sigma**2)
        centred = np.reshape(x, (len(x), -1)) - self.mean
        x0_hat = self.mean + (centred @ self.vectors * gain) @ self.vectors.T
        return x0_hat.reshape(x.shape)


def memorising_denoiser(x, sigma, train):
    """x[b,...] = x_0 + sigma eps -> x̂_0[b,...], the mean of train[n,...] weighted by
    exp(-‖x - x_i‖^2 / (2 sigma^2)), in the dtype of x.

    The largest exponent is subtracted from all before exp, so that the weights neither overflow nor
    all vanish.  Exponents err by about u ‖x‖ ‖x_i‖ / sigma^2, with u = 6e-8 in float32.
    """
    points = train.reshape(len(train), -1).astype(x.dtype, copy=False)
    half_squares = np.einsum("id,id->i", points, points, dtype=np.float64) / 2
    rows, factor = max(1, TABLE // len(points)), x.dtype.type(1 / sigma**2)
    flat = x.reshape(len(x), -1)
    x0_hat = np.empty_like(flat)
    for first in range(0, len(flat), rows):
        weights = flat[first : first + rows] @ points.T
        weights -= half_squares.astype(x.dtype)
        weights *= factor
        weights -= weights.max(axis=1, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=1, keepdims=True)
        x0_hat[first : first + rows] = weights @ points
    return x0_hat.reshape(x.shape)


def noise_loss(x0_hat, x0, sigma):
    """The loss [b] of each prediction x̂_0[b,...] of x0[b,...] at noise level sigma: the mean square
    of (x̂_0 - x_0) / sigma over its entries.
    """
    error = (np.asarray(x0_hat, np.float64) - x0).reshape(len(x0), -1) / sigma
    return (error**2).mean(axis=1)
