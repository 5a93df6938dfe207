"""Measurements of images by a matrix for the rows and a matrix for the columns: Gaussian blur, and
the means of blocks.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import circulant

from reference.ops.checks import is_whole
from reference.restoration.operators import Operator, check, full_svd, like


@dataclass(frozen=True, eq=False)
class Separable(Operator):
    """y = A_h x A_wᵀ for images x[b,h,w,c], each channel by itself, with ``rows`` A_h[i,h] and
    ``columns`` A_w[j,w].

    The singular vectors are products of those of A_h and A_w, and so are the singular values.
    """

    rows: np.ndarray
    columns: np.ndarray
    channels: int = 1

    @property
    def shape(self):
        return self.rows.shape[1], self.columns.shape[1], self.channels

    @property
    def measured_shape(self):
        return self.rows.shape[0], self.columns.shape[0], self.channels

    @cached_property
    def _svds(self):
        return full_svd(self.rows), full_svd(self.columns)

    @cached_property
    def all_singular_values(self):
        (_, of_rows, _), (_, of_columns, _) = self._svds
        return np.repeat(np.outer(of_rows, of_columns).ravel(), self.channels)

    def forward(self, x):
        check(x, self.shape, "x")
        return _two_sided(self.rows, x, self.columns)

    def adjoint(self, y):
        check(y, self.measured_shape, "y")
        return _two_sided(self.rows.T, y, self.columns.T)

    def Vt(self, x):
        check(x, self.shape, "x")
        (_, _, of_rows), (_, _, of_columns) = self._svds
        return _two_sided(of_rows, x, of_columns).reshape(len(x), -1)

    def V(self, z):
        (_, _, of_rows), (_, _, of_columns) = self._svds
        return _two_sided(of_rows.T, self._shaped(z), of_columns.T)

    def Ut(self, y):
        check(y, self.measured_shape, "y")
        (of_rows, _, _), (of_columns, _, _) = self._svds
        return _two_sided(of_rows, y, of_columns).reshape(len(y), -1)


def blur(shape, deviation):
    """Gaussian blur of images of this shape (h, w, c), with a standard deviation in pixels.  The
    image continues periodically, so that A is symmetric and its weights sum to 1.
    """
    if not 0 < deviation < float("inf"):
        raise ValueError(f"deviation must be a positive number of pixels, got {deviation}")
    height, width, channels = shape
    return Separable(_circular(height, deviation), _circular(width, deviation), channels)


def block_mean(shape, factor):
    """Means of blocks of ``factor`` times ``factor`` pixels of images of this shape (h, w, c): the
    measurement of super-resolution.  All singular values that are not 0 are 1 / factor.

    ValueError unless the factor divides height and width.
    """
    height, width, channels = shape
    if not is_whole(factor) or factor < 1 or height % factor or width % factor:
        raise ValueError(
            f"factor must be a whole number that divides height and width, {height} and {width},"
            f" got {factor}"
        )
    mean = np.full((1, factor), 1 / factor)
    rows, columns = (np.kron(np.eye(size // factor), mean) for size in (height, width))
    return Separable(rows, columns, channels)


def _circular(n, deviation):
    """The matrix [n,n] of the periodic Gaussian kernel, whose weights sum to 1."""
    deviation = min(max(deviation, 0.01), 2 * n)  # outside, it is an impulse or constant in float64
    turns = int(10 * deviation / n) + 1  # beyond ten deviations it is below u times its maximum
    distance = np.arange(n) + n * np.arange(-turns, turns + 1)[:, None]
    kernel = np.exp(-((distance / deviation) ** 2) / 2).sum(axis=0)
    return circulant(kernel / kernel.sum())


def _two_sided(left, x, right):
    """left x rightᵀ for each channel of x[b,h,w,c]."""
    b, h, w, c = x.shape
    rows = (like(left, x) @ x.reshape(b, h, w * c)).reshape(b, -1, w, c)
    return like(right, x) @ rows
