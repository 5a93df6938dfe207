"""The exact distribution of a Markov chain without samples: its density on a grid, multiplied by a
matrix at each step (Chapman-Kolmogorov).
"""

import numpy as np


def gaussian_kernel(x, mean, deviation):
    """N(x_i; mean_j, deviation^2) [n,m] for x[n], mean[m]: the density at x_i after a step from the
    j-th point.
    """
    return np.exp(-(((x[:, None] - mean) / deviation) ** 2) / 2) / (deviation * (2 * np.pi) ** 0.5)


def transition(x, mean, deviation):
    """K[n,n] with p_next = K p for one step of a chain from x_j to a draw from N(mean_j,
    deviation^2): K_ij = N(x_i; mean_j, deviation^2) h.

    x[n] evenly spaced by h, mean[n].  This is the rectangle rule.  Its error is at rounding level
    for a density that is smooth on the scale of h and vanishes at both ends, and O(h^2) for a
    density that jumps midway between two points.  Probability that leaves the grid is lost.
    ValueError if h, or the difference of the means of two neighbouring points, exceeds half a
    deviation: the grid is then too coarse for the kernel.
    """
    h = (x[-1] - x[0]) / (len(x) - 1)
    widest = max(h, float(np.abs(np.diff(mean)).max()))
    if not 0 < widest <= deviation / 2:
        raise ValueError(
            "x must be so fine that neighbouring points and their means are at most"
            f" {deviation / 2:.4g}, half a deviation, apart, got {widest:.4g}"
        )
    return gaussian_kernel(x, mean, deviation) * h
