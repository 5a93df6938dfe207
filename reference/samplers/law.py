"""The law of a chain without a single draw: its density on a grid, carried through one step after another (Chapman-Kolmogorov)."""

import numpy as np


def propagate(density, x, mean, deviation):
    """p'(y) = sum_j N(y; mean_j, deviation^2) p_j h at the points y = x: one step of a chain that goes from x_j to N(mean_j, deviation^2).

    density[n], x[n] evenly spaced by h, mean[n] -> [n].  The rectangle rule: as good as exact for a smooth density that vanishes at both
    ends and varies over no less than 2 h, of order h^2 for one that jumps midway between two points.  What leaves the grid is lost.
    """
    h = (x[-1] - x[0]) / (len(x) - 1)
    if not h <= deviation / 2:
        raise ValueError(f"deviation must be at least twice the distance of grid points, {2 * h:.4g}, got {deviation}")
    kernel = np.exp(-(((x[:, None] - mean) / deviation) ** 2) / 2) * (h / (deviation * np.sqrt(2 * np.pi)))
    return kernel @ density
