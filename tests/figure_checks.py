"""The tutorial's figures read back from their axes, and checks of their content.

Expected values are computed here again, with SciPy's normal distribution.
"""

import functools

import numpy as np
from matplotlib.patches import StepPatch
from scipy import stats

from reference.tutorial.figures import FIGURES
from tests.oracle_tolerances import FALSE_ALARM, MIXTURE, assert_close, ks_distance, z_score

EX_2_1, EX_3_2, EX_4_6 = ((0.3, -2, 0.2), (0.7, 2, 1)), ((0.6, 2, 0.5), (0.4, -2, 0.2)), ((0.5, 3, 1), (0.5, -3, 1))


def weighted(function, distribution, x):
    return sum(weight * function(x, mean, deviation) for weight, mean, deviation in distribution)


pdf, cdf = functools.partial(weighted, stats.norm.pdf), functools.partial(weighted, stats.norm.cdf)


def noised(distribution, power):
    """The distribution of sqrt(power) x_0 + sqrt(1 - power) eps."""
    return tuple((w, power**0.5 * m, (power * s**2 + 1 - power) ** 0.5) for w, m, s in distribution)


def score(distribution, x):
    return weighted(lambda x, m, s: stats.norm.pdf(x, m, s) * (m - x) / s**2, distribution, x) / pdf(distribution, x)


@functools.cache
def drawn(name):
    return FIGURES[name](quick=True)


def plain_axes(name):
    """The axes of a figure in reading order, without colour scales."""
    return [axes for axes in drawn(name).axes if axes.get_label() != "<colorbar>"]


def curves(axes, label=""):
    """The points [2,n] of the lines with a label that begins with ``label``."""
    return [np.array(line.get_data(), np.float64) for line in axes.lines if line.get_label().startswith(label)]


def bars(axes):
    """(density, edges) of the histograms."""
    return [patch.get_data()[:2] for patch in axes.patches if isinstance(patch, StepPatch)]


def assert_histogram(histogram, distribution, n):
    """Bars of n draws, summed from the left, follow the cdf ``distribution`` (DKW at either end)."""
    density, edges = histogram
    shares = np.cumsum(density * np.diff(edges))
    assert np.abs(shares - (distribution(edges[1:]) - distribution(edges[0]))).max() <= 2 * ks_distance(n)


def assert_moments(histogram, mean, variance, n, bias=0.0):
    """Mean and variance of n draws in bars; their distributions have a kurtosis of at most 3.  ``bias``: relative bias of the draws."""
    density, edges = histogram
    shares, middle, width = density * np.diff(edges), (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    bias += width**2 / (10 * variance)  # Sheppard's 1/12, and the slope of the density within a bar
    assert abs(shares @ middle - mean) <= (z_score(2) / n**0.5 + bias) * variance**0.5
    assert abs(shares @ (middle - mean) ** 2 - variance) <= (z_score(2) * (2 / n) ** 0.5 + bias) * variance


def assert_standard_normal(z):
    """Mean, sum of squares and whole distribution of independent standard normals."""
    z = np.ravel(z)
    assert abs(z.mean()) <= z_score(2) / len(z) ** 0.5
    low, high = stats.chi2.interval(1 - FALSE_ALARM / 2, len(z))
    assert low <= (z**2).sum() <= high
    assert stats.kstest(z, "norm").statistic <= ks_distance(len(z))


def assert_map(axes, law_at, largest=np.inf):
    """Every seventh column of the picture is the density at its time."""
    (image,) = axes.images
    left, right, low, high = image.get_extent()
    p = image.get_array()
    dt, dx = (right - left) / p.shape[1], (high - low) / p.shape[0]
    x = low + dx * (np.arange(p.shape[0]) + 0.5)
    for k in range(0, p.shape[1], 7):
        assert_close(p[:, k], pdf(law_at(left + dt * (k + 0.5)), x), MIXTURE, 1.0)
    assert largest == np.inf or image.norm.vmax == largest
