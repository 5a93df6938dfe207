"""The exact denoiser of every caption: one Gaussian for each of the 250 captions that name a
colour, a digit and a place.

The images of a caption have the mean and the covariance of the data set ``captions``, and are
averaged over blocks of 4x4 pixels: 8x8x3.  The average is linear, so they are a Gaussian too,
N(m, U diag(lam) Uᵀ) with 16 nonzero lam, one a pixel of the averaged digit.  So the exact denoiser
is known for each caption, also for the combinations that are held out of training.
"""

from dataclasses import dataclass

import numpy as np

from reference import ops as reference_ops
from reference.data.captions import (
    CORNERS,
    DIGITS,
    KINDS,
    RGB,
    SIDE,
    Attributes,
    caption_of,
    encode,
    is_held_out,
)
from reference.data.datasets import load_dataset
from reference.diffusion.yardsticks import LinearDenoiser
from reference.ops.random import Purpose

BLOCK = 4  # pixels of an image on the side of a pixel of the averaged one
SHAPE = (SIDE // BLOCK, SIDE // BLOCK, 3)
RANK = 16  # pixels of an averaged digit
SEEN, UNSEEN = "seen", "unseen"  # captions in training, and held out of it


@dataclass(frozen=True, eq=False)
class CaptionLaws:
    """``captions`` [k] are all captions that name three attributes; ``tokens`` [k,8] are theirs.
    ``gaussians`` [k] are their exact denoisers.  ``held_out`` [k] is True for a caption that is
    held out of training.
    """

    captions: list
    tokens: np.ndarray
    gaussians: list
    held_out: np.ndarray

    def of_kind(self, kind):
        """The numbers of the captions that are ``SEEN`` or ``UNSEEN`` in training."""
        return np.flatnonzero(self.held_out == (kind == UNSEEN))

    def images(self, seed, sample, which, ops=reference_ops):
        """x_0[n,8,8,3], float64, of the captions which[n]: functions of the seed and ``sample``."""
        z = ops.normal(seed, sample, 0, Purpose.DATA, (RANK,), np.float64)
        x = np.empty((len(sample), *SHAPE))
        for k in np.unique(which):
            one, own = self.gaussians[k], which == k
            flat = one.mean + (z[own] * one.eigenvalues**0.5) @ one.vectors.T
            x[own] = flat.reshape(-1, *SHAPE)
        return x

    def exact(self, x, sigma, which):
        """E[x_0 | x, caption] of x[n,...] = x_0 + sigma eps with the captions which[n]."""
        x0_hat = np.empty_like(x)
        for k in np.unique(which):
            x0_hat[which == k] = self.gaussians[k].posterior_mean(x[which == k], sigma)
        return x0_hat

    def floor(self, sigma, which):
        """sum_j (lam_j sigma^2 / (lam_j + sigma^2)) / d, the mean over the captions which[n]."""
        noise = sigma**2
        each = [(g.eigenvalues * noise / (g.eigenvalues + noise)).sum() for g in self.gaussians]
        return float(np.mean(np.array(each)[which]) / np.prod(SHAPE))

    def without_text(self, x, sigma):
        """E[x_0 | x] of x[n,...] for captions of training, all as probable: the mean of the exact
        denoisers, weighted by the probability of each caption given x.
        """
        flat, seen = x.reshape(len(x), -1), self.of_kind(SEEN)
        logs = np.stack([log_density(self.gaussians[k], flat, sigma) for k in seen])
        weights = np.exp(logs - logs.max(axis=0))
        weights /= weights.sum(axis=0)
        total = np.zeros_like(flat)
        for k, weight in zip(seen, weights):
            total += weight[:, None] * self.gaussians[k].posterior_mean(flat, sigma)
        return total.reshape(x.shape)


def caption_laws():
    """The ``CaptionLaws`` of the training digits."""
    digits = load_dataset("digits")
    fits = [fit_averaged(digits.train[digits.train_labels == k]) for k in range(len(DIGITS))]
    all_attributes = [Attributes(*one) for one in np.ndindex(*map(len, KINDS.values()))]
    names = [caption_of(attributes) for attributes in all_attributes]
    return CaptionLaws(
        names,
        np.stack([encode(caption)[0] for caption in names]),
        [shown(fits[one.digit], one.colour, one.place) for one in all_attributes],
        np.array([is_held_out(attributes) for attributes in all_attributes]),
    )


def fit_averaged(digits):
    """The Gaussian of digits[k,8,8,1] averaged over 2x2 pixels, which fill 4x4 of an image."""
    small = digits.astype(np.float64).reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4))
    return LinearDenoiser.fit(small)


def shown(digit, colour, place):
    """The Gaussian of averaged images of a ``digit``, the Gaussian of its 4x4 brightnesses in
    [-1, 1]: a pixel of brightness y has the colour (y + 1) rgb - 1, and all others are -1.
    """
    rgb = RGB[colour].astype(np.float64)
    row, column = CORNERS[place] // BLOCK

    def placed(y, background):
        images = np.full((len(y), *SHAPE), background)
        images[:, row : row + 4, column : column + 4] += y.reshape(-1, 4, 4, 1) * rgb
        return images.reshape(len(y), -1)

    length = np.linalg.norm(rgb)
    directions = placed(digit.vectors.T / length, 0.0).T
    mean = placed(digit.mean[None] + 1, -1.0)[0]
    return LinearDenoiser(mean, length**2 * digit.eigenvalues, directions)


def log_density(gaussian, x, sigma):
    """log N(x; m, C + sigma^2 I) of x[n,d], but for a constant of sigma: C has ``RANK`` nonzero
    eigenvalues, and all other directions have the variance sigma^2.
    """
    centred = x - gaussian.mean
    inside, variances = centred @ gaussian.vectors, gaussian.eigenvalues + sigma**2
    outside = (centred**2).sum(axis=1) - (inside**2).sum(axis=1)
    squares = (inside**2 / variances).sum(axis=1) + outside / sigma**2
    return -(squares + np.log(variances).sum()) / 2
