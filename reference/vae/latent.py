"""Two auto-encoders that need no training (tutorial, Ex 1.1 and 1.2): the cosine transform, and
the components of a mixture.
"""

import numpy as np


def dct_matrix(n):
    """C[n,n] with rows phi_k(j) = sqrt(2/n) cos(pi k (2j + 1) / (2n)), the first divided by
    sqrt(2): orthonormal, C Cᵀ = I (DCT-II).
    """
    k, j = np.arange(n)[:, None], np.arange(n)
    C = np.sqrt(2 / n) * np.cos(np.pi * k * (2 * j + 1) / (2 * n))
    C[0] /= np.sqrt(2)
    return C


def dct_encode(x):
    """x[b,h,w] -> z[b,h,w], z_n = <phi_n, x>, each phi_n a product of two cosines (Ex 1.1).  Keeps
    the sum of squares (Parseval).
    """
    return dct_matrix(x.shape[1]) @ x @ dct_matrix(x.shape[2]).T


def dct_decode(z):
    """z[b,h,w] -> x = sum_n z_n phi_n, the inverse of ``dct_encode``."""
    return dct_matrix(z.shape[1]).T @ z @ dct_matrix(z.shape[2])


def keep_largest(z, count):
    """z[b,h,w] with all but the ``count`` largest entries in absolute value of each sample set to
    0.  The decoded image has the same squared error as z.
    """
    entries = z.shape[1] * z.shape[2]
    if not 0 <= count <= entries:
        raise ValueError(f"count must lie in 0 .. {entries}, got {count}")
    flat = z.reshape(len(z), entries)
    order = np.argsort(-np.abs(flat), axis=1, kind="stable")[:, :count]
    kept = np.zeros_like(flat)
    np.put_along_axis(kept, order, np.take_along_axis(flat, order, axis=1), axis=1)
    return kept.reshape(z.shape)


def map_encode(mixture, x):
    """x[n,d] -> the most probable component [n], argmax_k p(k|x): the MAP encoder of Ex 1.2.

    Its decoder is ``mixture.sample_from(component, ...)``.
    """
    return mixture.responsibilities(x).argmax(axis=1)


def map_error(mixture, x):
    """The probability [n] that ``map_encode`` is wrong at x[n,d].  Its mean over x ~ p is the Bayes
    error, the lowest error of any encoder.
    """
    return 1 - mixture.responsibilities(x).max(axis=1)
