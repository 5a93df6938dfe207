"""A chain on the line without particles: its distribution is carried from step to step.

The current distribution consists of atoms: ``points`` in increasing order and their masses.
"""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np

from reference.diffusion.mixtures import example_2_1
from reference.samplers.chain_density import gaussian_kernel

DISTRIBUTION = example_2_1()
# the narrowest step's deviation spans at least two spacings
X_GRID = np.linspace(-7.0, 7.0, 1001)


def fixed_noise_port(value):
    """A port with constant noise ``value``.  With 0 a step returns its mean, with 1 its mean
    plus its deviation.
    """
    return SimpleNamespace(
        normal=lambda seed, sample, step, purpose, shape, dtype: np.full(
            (len(sample), *shape), value, dtype
        ),
        reverse_step=lambda x, prediction, a, b, c, noise: (
            a * x + b * prediction + (0.0 if noise is None else c * value)
        ),
    )


def mean_and_shifted(walk, times, points):
    """The mean of a step from each of ``points`` [m], and the mean plus the step's deviation."""
    sample = np.arange(len(points))
    return tuple(
        walk(times, points[:, None], 0, sample, fixed_noise_port(value))[:, 0]
        for value in (0.0, 1.0)
    )


def propagate(walk, times, grid=X_GRID):
    """The distribution after every step from N(0, 1): atoms [m] in increasing order, and their
    masses [m].  After a step with noise the atoms are the even ``grid``.

    A step with noise is x -> N(mean(x), deviation^2).  Its density is smooth, so that sums over the
    even grid are exact to rounding.  A step without noise moves the atoms.
    """
    points, mass = grid, np.exp(-(grid**2) / 2)
    for pair in pairwise(times):
        mean, moved = mean_and_shifted(walk, pair, points)
        deviation = float(moved[0] - mean[0])
        points = grid if deviation else mean
        if deviation:
            mass = gaussian_kernel(grid, mean, deviation) @ mass
        order = np.argsort(points)
        points, mass = points[order], mass[order] / mass.sum()
        yield points, mass


def cdf(chain, x):
    """The distribution function of atoms; each mass is spread evenly between its neighbours."""
    points, mass = chain
    return np.interp(x, points, np.cumsum(mass) - mass / 2, 0.0, 1.0)


def distance_to_data(chain):
    """The Wasserstein distance W1 to the data: the integral of the absolute difference of the
    distribution functions.
    """
    difference = np.abs(cdf(chain, X_GRID) - DISTRIBUTION.cdf(X_GRID))
    return float(np.trapezoid(difference, X_GRID))


def density(chain):
    """The density on X_GRID: differences of the distribution function over three cells."""
    h = 1.5 * (X_GRID[1] - X_GRID[0])
    return (cdf(chain, X_GRID + h) - cdf(chain, X_GRID - h)) / (2 * h)
