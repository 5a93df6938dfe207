"""The tutorial's figures of chapter 3: scores, gradient ascent, Langevin chains and kernel densities."""

import functools

import numpy as np
from matplotlib.quiver import Quiver
from scipy import stats

from reference import plotting
from tests.figure_checks import (
    EX_2_1,
    EX_3_2,
    assert_histogram,
    assert_moments,
    assert_standard_normal,
    bars,
    cdf,
    curves,
    drawn,
    pdf,
    plain_axes,
    score,
)
from tests.oracle_tolerances import MIXTURE, assert_close, assert_printed, central_difference, ks_distance


def test_figure_3_2_shows_gradient_ascent_and_langevin_on_the_density():
    ascent, langevin = ((axes.collections[0].get_offsets().data.T) for axes in plain_axes("3.2"))
    for x, p in (ascent, langevin):
        assert len(x) == 501 and x[0] == 0
        assert_close(p, pdf(EX_3_2, x), MIXTURE, 1.0)
    x = ascent[0]
    assert_close(x[1:], x[:-1] + 0.05 * score(EX_3_2, x[:-1]), MIXTURE, 4.0)
    x = langevin[0]
    assert_standard_normal((x[1:] - x[:-1] - 0.05 * score(EX_3_2, x[:-1])) / 0.1**0.5)


def test_figure_3_3_shows_langevin_chains_coloured_by_mode():
    line, side = plain_axes("3.3")
    for chain, start, color in zip(line.collections, (0, -1.2), (plotting.VERMILION, plotting.BLUE)):
        x = chain.get_offsets().data[:, 1]
        assert len(x) == 2001 and x[0] == start
        assert_standard_normal((x[1:] - x[:-1] - 0.001 * score(EX_3_2, x[:-1])) / 0.002**0.5)
        assert {tuple(rgba) for rgba in chain.get_facecolors()} == {tuple(matplotlib_color(color))}
    for (p, x), histogram, (_, mean, deviation) in zip(curves(side), bars(side), EX_3_2):
        assert_close(p, stats.norm.pdf(x, mean, deviation), MIXTURE, 1.0)
        # of 1,000 chains, after 1,000 steps or more: exp(-4) of their start is left in the wide mode, and steps widen by tau / (2 s^2)
        assert_moments(histogram, mean, deviation**2, 1000, bias=2 * np.exp(-4) + 0.001 / 2 / deviation**2)


def matplotlib_color(name):
    from matplotlib.colors import to_rgba

    return to_rgba(name)


def test_figure_3_4_shows_the_target_and_the_density_of_the_chain():
    panels = plain_axes("3.4")
    for axes in panels:
        ((x, target),), ((_, distribution),) = curves(axes, "target"), curves(axes, "distribution")
        assert_close(target, pdf(EX_3_2, x), MIXTURE, 1.0)
        h = x[1] - x[0]
        assert_close(distribution.sum() * h, 1.0, 1e-6)  # a step of the chain from -3 or 3 stays on the grid to 5 deviations
        assert_histogram(bars(axes)[0], lambda edge: np.interp(edge, x + h / 2, np.cumsum(distribution) * h), 10_000)  # noqa: B023 - used at once
    left = x < -0.82
    mass = distribution[left].sum() * h
    assert 0.357 < mass < 0.371  # E9: .630 to .641 on the right
    mean = x[left] @ distribution[left] * h / mass
    variance = (x[left] - mean) ** 2 @ distribution[left] * h / mass
    s = (
        0.04 / (1 - 0.05 / 0.08)
    ) ** 0.5  # of the chain in that mode only, truncated at the end of its basin; 1e-4 for the other mode's tail
    assert_close(variance, stats.truncnorm(-np.inf, 1.18 / s, scale=s).var(), 1e-4, 1.0)
    note = drawn("3.4")._supxlabel.get_text()
    assert f"{mass:.3f} instead of 0.400" in note and f"variance {variance:.3f} instead of 0.04" in note


def test_figure_3_4_density_after_one_step_is_the_integral_over_starts():
    """By Gauss-Legendre on pieces; the grid's rectangle rule errs by h^2/24 times the jump of the slope at -3 and 3, below 1e-5."""
    ((x, distribution),) = curves(plain_axes("3.4")[1], "distribution")
    nodes, weights = np.polynomial.legendre.leggauss(40)
    pieces = np.linspace(-3, 3, 61)
    start = (nodes[:, None] * 0.05 + (pieces[1:] + pieces[:-1]) / 2).T.ravel()
    weight = np.tile(weights * 0.05, 60) / 6
    for k in range(0, len(x), 97):
        exact = weight @ stats.norm.pdf(x[k], start + 0.05 * score(EX_3_2, start), 0.1**0.5)
        assert_close(distribution[k], exact, 1e-5, 1.0)


def test_figure_3_5_has_the_printed_scores():
    p_1, p, s_1, s = plain_axes("3.5")
    ((x, values),), ((_, scores),) = curves(p_1, "density"), curves(s_1, "score")
    assert_close(values, stats.norm.pdf(x, 1), MIXTURE, 1.0)
    assert_close(scores, 1 - x, MIXTURE, 5.0)
    ((x, values),), ((_, scores),) = curves(p, "density"), curves(s, "score")
    for at, density, slope in ((0, "1.60596271e-4", "8.0"), (1, "6.47891598e-2", "4.0"), (-1, "2.98073009e-6", "-24.9094956")):
        k = int(np.argmin(np.abs(x - at)))
        assert_printed(values[k], density)
        assert_printed(scores[k], slope)


def test_figure_3_6_arrows_are_scores_and_chains_are_langevin_steps():
    left, right = plain_axes("3.6")
    parts = [(0.6, [1.5, 1.0], [[0.6, 0.3], [0.3, 0.5]]), (0.4, [-1.5, -1.0], [[0.4, -0.2], [-0.2, 0.6]])]
    log_p = lambda x: np.log(sum(w * stats.multivariate_normal(mean, cov).pdf(x) for w, mean, cov in parts))

    def gradient(x, h=0.005):
        ahead = lambda e, k: log_p(x + k * h * e)
        return np.stack([(8 * (ahead(e, 1) - ahead(e, -1)) - ahead(e, 2) + ahead(e, -2)) / (12 * h) for e in np.eye(2)], axis=1)

    (arrows,) = (found for found in left.collections if isinstance(found, Quiver))
    s = gradient(np.asarray(arrows.get_offsets()))
    expected = s / np.linalg.norm(s, axis=1, keepdims=True) ** 0.5
    shown = np.stack((arrows.U, arrows.V), axis=1)
    # the narrowest direction's deviation is about 0.5; log p reaches -60; the square root halves relative errors and is steep near 0
    assert np.abs(shown - expected).max() <= 10 * central_difference(0.005, 60.0, 0.5)
    for chain in curves(right, "chain"):
        x = chain.T
        assert len(x) == 301
        assert_standard_normal((x[1:] - x[:-1] - 0.01 * gradient(x[:-1])) / 0.02**0.5)


def test_figure_3_7_sums_kernels_with_the_convolved_density_as_mean():
    cartoon, real = plain_axes("3.7")
    ((x, total),), ((points, _),) = curves(cartoon, "their sum"), curves(cartoon, "points")
    assert_close(total, np.mean([stats.norm.pdf(x, point, 0.4) for point in points], axis=0), MIXTURE, 1.0)
    kernels = curves(cartoon)[: len(points)]
    assert_close(sum(kernel for _, kernel in kernels), total, MIXTURE, 1.0)
    ((x, mean),), ((_, kde),) = curves(real, "its mean"), curves(real, "kernel")
    assert_close(mean, pdf([(w, m, (s**2 + 0.25**2) ** 0.5) for w, m, s in EX_2_1], x), MIXTURE, 1.0)
    # a convolution does not increase the distance of two distribution functions
    assert np.abs(np.cumsum(kde - mean) * (x[1] - x[0])).max() <= ks_distance(400)
    assert_histogram(bars(real)[0], functools.partial(cdf, EX_2_1), 400)
