"""The law of a chain without a single draw: its density on a grid, carried from step to step by a
matrix (Chapman-Kolmogorov).
"""

import numpy as np


def gaussian_kernel(x, mean, deviation):
    """N(x_i; mean_j, deviation^2) [n,m] for x[n], mean[m]: the density, at x_i, of a step from the
    j-th place.
    """
    return np.exp(-(((x[:, None] - mean) / deviation) ** 2) / 2) / (deviation * (2 * np.pi) ** 0.5)


def transition(x, mean, deviation):
    """K[n,n] with p' = K p for one step of a chain that goes from x_j to N(mean_j, deviation^2):
    K_ij = N(x_i; mean_j, deviation^2) h.

    x[n] evenly spaced by h, mean[n].  The rectangle rule: as good as exact for a density that is
    smooth on the scale of h and vanishes at both ends, off by O(h^2) for one that jumps midway
    between two points.  What leaves the grid is lost.  ValueError where one point and the next lead
    further apart than half a deviation: between them the grid would miss something.
    """
    h = (x[-1] - x[0]) / (len(x) - 1)
    widest = max(h, float(np.abs(np.diff(mean)).max()))
    if not 0 < widest <= deviation / 2:
        raise ValueError(
            f"x must be so fine that neighbours lead at most {deviation / 2:.4g}, half a deviation, apart, got {widest:.4g}"
        )
    return gaussian_kernel(x, mean, deviation) * h
