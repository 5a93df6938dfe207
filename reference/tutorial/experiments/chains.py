"""A chain on the line followed exactly: its law, not its particles, is carried from step to step.

The law of the moment is held as atoms, ``points`` rising with their masses.
"""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np

from reference.diffusion.mixtures import example_2_1
from reference.samplers.chain_density import gaussian_kernel

DISTRIBUTION = example_2_1()
LINE = np.linspace(-7.0, 7.0, 1001)  # two points or more to the deviation of the narrowest step


def held(value):
    """A port whose noise is ``value``: a step with 0 gives its mean, one with 1 its mean plus its
    deviation.
    """
    return SimpleNamespace(
        normal=lambda seed, sample, step, purpose, shape, dtype: np.full(
            (len(sample), *shape), value, dtype
        ),
        reverse_step=lambda x, prediction, a, b, c, noise: (
            a * x + b * prediction + (0.0 if noise is None else c * value)
        ),
    )


def propagate(walk, grid):
    """From N(0, 1): the law after every step, as atoms [m], rising, and their masses [m].

    A step with noise is x -> N(mean(x), deviation^2): sums of smooth densities over an even grid
    are exact to rounding.  One without moves the atoms.
    """
    points, mass = LINE, np.exp(-(LINE**2) / 2)
    for pair in pairwise(grid):
        mean, moved = (
            walk(pair, points[:, None], 0, np.arange(len(points)), held(value))[:, 0]
            for value in (0.0, 1.0)
        )
        deviation = float(moved[0] - mean[0])
        points = LINE if deviation else mean
        if deviation:
            mass = gaussian_kernel(LINE, mean, deviation) @ mass
        order = np.argsort(points)
        points, mass = points[order], mass[order] / mass.sum()
        yield points, mass


def cdf(chain, x):
    """Of atoms whose masses are spread evenly between their neighbours."""
    points, mass = chain
    return np.interp(x, points, np.cumsum(mass) - mass / 2, 0.0, 1.0)


def distance(chain):
    """W1 to the data, the integral of the difference of the distribution functions."""
    return float(np.trapezoid(np.abs(cdf(chain, LINE) - DISTRIBUTION.cdf(LINE)), LINE))


def density(chain):
    """On LINE: differences of the distribution function, over the width of three cells."""
    h = 1.5 * (LINE[1] - LINE[0])
    return (cdf(chain, LINE + h) - cdf(chain, LINE - h)) / (2 * h)
