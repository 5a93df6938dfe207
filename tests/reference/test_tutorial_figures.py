"""The tutorial's figures: that each is there, can be read, and shows what its equation says.

What a test compares is read from the axes; what it is compared with is written down here again, with SciPy's normal law.
"""

import functools
import io
import itertools

import numpy as np
import pytest
from matplotlib.legend import Legend
from matplotlib.patches import StepPatch
from matplotlib.quiver import Quiver
from scipy import stats

from reference import plotting
from reference.samplers.chain_density import transition
from reference.tutorial.figures import ANIMATIONS, FIGURES
from tests.oracle_tolerances import EXACT, FALSE_ALARM, MIXTURE, assert_close, assert_printed, central_difference, ks_distance, z_score

COMPUTED = "2.5 2.7 2.10 2.11 3.2 3.3 3.4 3.5 3.6 3.7 4.1 4.2 4.3 4.4 4.5 4.6 5.1 5.2".split()
EX_2_1, EX_3_2, EX_4_6 = ((0.3, -2, 0.2), (0.7, 2, 1)), ((0.6, 2, 0.5), (0.4, -2, 0.2)), ((0.5, 3, 1), (0.5, -3, 1))
PIXEL = 1.0  # a label may touch the edge


def weighted(function, distribution, x):
    return sum(weight * function(x, mean, deviation) for weight, mean, deviation in distribution)


pdf, cdf = functools.partial(weighted, stats.norm.pdf), functools.partial(weighted, stats.norm.cdf)


def noised(distribution, power):
    """The law of sqrt(power) x_0 + sqrt(1 - power) eps."""
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
    """The points [2,n] of the lines whose label begins with that."""
    return [np.array(line.get_data(), np.float64) for line in axes.lines if line.get_label().startswith(label)]


def bars(axes):
    """(density, edges) of the histograms."""
    return [patch.get_data()[:2] for patch in axes.patches if isinstance(patch, StepPatch)]


def assert_histogram(histogram, distribution, n):
    """Bars of n draws, summed from the left, follow the cdf ``law`` (DKW at either end)."""
    density, edges = histogram
    shares = np.cumsum(density * np.diff(edges))
    assert np.abs(shares - (distribution(edges[1:]) - distribution(edges[0]))).max() <= 2 * ks_distance(n)


def assert_moments(histogram, mean, variance, n, bias=0.0):
    """Mean and variance of n draws in bars; their laws have a kurtosis of at most 3.  ``bias``: relative, of what the bars stand for."""
    density, edges = histogram
    shares, middle, width = density * np.diff(edges), (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    bias += width**2 / (10 * variance)  # Sheppard's 1/12, and what is uneven within a bar
    assert abs(shares @ middle - mean) <= (z_score(2) / n**0.5 + bias) * variance**0.5
    assert abs(shares @ (middle - mean) ** 2 - variance) <= (z_score(2) * (2 / n) ** 0.5 + bias) * variance


def assert_standard_normal(z):
    """Mean and sum of squares of independent normals, by their own laws, and all of their distribution."""
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


def assert_upright(name):
    figure = drawn(name)
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    texts = [figure._suptitle, figure._supxlabel, *figure.findobj(Legend)]
    for axes in figure.axes:
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label]
    for text in texts:
        if text is not None and (isinstance(text, Legend) or text.get_text()):
            box = text.get_window_extent()
            inside = box.x0 >= -PIXEL and box.y0 >= -PIXEL and box.x1 <= width + PIXEL and box.y1 <= height + PIXEL
            assert inside, f"{text} reaches beyond the picture: {box}"


def test_every_computed_figure_of_the_tutorial_is_there():
    assert list(FIGURES) == COMPUTED and list(ANIMATIONS) == ["reverse"]


@pytest.mark.parametrize("name", COMPUTED)
def test_a_figure_is_a_picture_with_title_labels_and_legend_and_nothing_is_cut_off(name):
    from PIL import Image

    figure = drawn(name)
    assert figure.get_suptitle().startswith(f"Fig {name}: ")
    named = [{text.get_text() for text in legend.get_texts()} for legend in figure.findobj(Legend)]
    for axes in plain_axes(name):
        for axis in (axes.xaxis, axes.yaxis):
            assert axis.get_label_text() or not any(tick.label1.get_visible() for tick in axis.get_major_ticks())
        _, labels = axes.get_legend_handles_labels()
        assert len(labels) < 2 or set(labels) in named, labels
    for scale in set(figure.axes) - set(plain_axes(name)):
        assert scale.get_ylabel()
    assert_upright(name)
    with Image.open(io.BytesIO(plotting.png_bytes(figure))) as image:
        assert np.asarray(image.convert("L")).std() > 10 and min(image.size) > 500


def test_2_5_is_the_noised_mixture_at_eight_times():
    panels = plain_axes("2.5")
    assert len(panels) == 8
    for axes in panels:
        distribution = noised(EX_2_1, 0.97 ** int(axes.get_title().removeprefix("t = ")))
        ((x, p),) = curves(axes, "$p_t")
        assert_close(p, pdf(distribution, x), MIXTURE, 1.0)
        assert_histogram(bars(axes)[0], functools.partial(cdf, distribution), 4000)


@pytest.mark.parametrize("name, distribution, alpha, steps", [("2.7", EX_2_1, 0.97, 150), ("4.5", EX_4_6, 0.95, 100)])
def test_forward_maps_are_the_noised_mixture_and_paths_go_by_the_chain(name, distribution, alpha, steps):
    (axes,) = plain_axes(name)
    assert_map(axes, lambda t: noised(distribution, alpha**t))
    paths = np.array([x for _, x in curves(axes)])
    assert paths.shape == (6, steps + 1)
    assert_standard_normal((paths[:, 1:] - alpha**0.5 * paths[:, :-1]) / (1 - alpha) ** 0.5)


def test_2_10_has_the_printed_coefficients():
    (axes,) = plain_axes("2.10")
    c_x, c_x0, total = (dict(curve.T) for curve in curves(axes)[:3])
    for t, x, x0 in ((1, "0", "1"), (2, ".499307", ".499307"), (10, ".892254", ".095564"), (50, ".948137", ".007607")):
        assert_printed(c_x[t], x)
        assert_printed(c_x0[t], x0)
        assert total[t] == c_x[t] + c_x0[t] and (t == 1 or total[t] < 1)


def test_2_11_has_the_printed_radii_and_paths_keep_to_them_and_end_on_x0():
    plane, line = plain_axes("2.11")
    (sigma,), (spread,) = (curves(line, label) for label in (r"$\sigma_q", "deviation"))
    for t, printed in ((1, "0"), (2, ".052632"), (10, ".094052")):
        assert_printed(dict(sigma.T)[t] ** 2, printed)
    low, high = stats.chi2.interval(1 - FALSE_ALARM / 30, 1000)  # 500 paths in the plane
    ratio = 1000 * (spread[1, :-1] / sigma[1, :-1]) ** 2
    assert (low <= ratio).all() and (ratio <= high).all()
    assert_close(spread[1, -1], 0.0, EXACT, 1.0)
    (path,) = curves(plane, "$x_T$ to")
    assert_close(path[:, -1], [2.0, 1.0], EXACT)
    circles = [curve for curve in curves(plane) if curve.shape == (2, 100)]
    assert len(circles) == 10
    for circle, t in zip(circles, range(30, 0, -3)):
        assert_close(np.ptp(circle, axis=1).max() / 2, dict(sigma.T)[t], 2e-3)  # the largest distance of 100 points, 1 - (pi/99)^2 / 2


def test_3_2_climbs_and_wanders_on_the_density():
    ascent, langevin = ((axes.collections[0].get_offsets().data.T) for axes in plain_axes("3.2"))
    for x, p in (ascent, langevin):
        assert len(x) == 501 and x[0] == 0
        assert_close(p, pdf(EX_3_2, x), MIXTURE, 1.0)
    x = ascent[0]
    assert_close(x[1:], x[:-1] + 0.05 * score(EX_3_2, x[:-1]), MIXTURE, 4.0)
    x = langevin[0]
    assert_standard_normal((x[1:] - x[:-1] - 0.05 * score(EX_3_2, x[:-1])) / 0.1**0.5)


def test_3_3_chains_make_langevin_steps_and_are_coloured_by_mode():
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


def test_3_4_shows_the_target_and_the_law_that_the_chain_has_instead():
    panels = plain_axes("3.4")
    for axes in panels:
        ((x, target),), ((_, distribution),) = curves(axes, "target"), curves(axes, "distribution")
        assert_close(target, pdf(EX_3_2, x), MIXTURE, 1.0)
        h = x[1] - x[0]
        assert_close(distribution.sum() * h, 1.0, 1e-6)  # a chain's step from -3 or 3 stays within 5 deviations of the grid
        assert_histogram(bars(axes)[0], lambda edge: np.interp(edge, x + h / 2, np.cumsum(distribution) * h), 10_000)  # noqa: B023 - used at once
    left = x < -0.82
    mass = distribution[left].sum() * h
    assert 0.357 < mass < 0.371  # E9: .630 to .641 on the right
    mean = x[left] @ distribution[left] * h / mass
    variance = (x[left] - mean) ** 2 @ distribution[left] * h / mass
    s = (0.04 / (1 - 0.05 / 0.08)) ** 0.5  # of the chain in that mode alone, cut off where its basin ends; 1e-4 for the other's tail
    assert_close(variance, stats.truncnorm(-np.inf, 1.18 / s, scale=s).var(), 1e-4, 1.0)
    note = drawn("3.4")._supxlabel.get_text()
    assert f"{mass:.3f} instead of 0.400" in note and f"variance {variance:.3f} instead of 0.04" in note


def test_3_4_after_one_step_is_the_integral_over_starts():
    """By Gauss and Legendre on pieces; the grid's rectangles are off by h^2/24 times the jump of the slope at -3 and 3, below 1e-5."""
    ((x, distribution),) = curves(plain_axes("3.4")[1], "distribution")
    nodes, weights = np.polynomial.legendre.leggauss(40)
    pieces = np.linspace(-3, 3, 61)
    start = (nodes[:, None] * 0.05 + (pieces[1:] + pieces[:-1]) / 2).T.ravel()
    weight = np.tile(weights * 0.05, 60) / 6
    for k in range(0, len(x), 97):
        exact = weight @ stats.norm.pdf(x[k], start + 0.05 * score(EX_3_2, start), 0.1**0.5)
        assert_close(distribution[k], exact, 1e-5, 1.0)


def test_3_5_has_the_printed_scores():
    p_1, p, s_1, s = plain_axes("3.5")
    ((x, values),), ((_, scores),) = curves(p_1, "density"), curves(s_1, "score")
    assert_close(values, stats.norm.pdf(x, 1), MIXTURE, 1.0)
    assert_close(scores, 1 - x, MIXTURE, 5.0)
    ((x, values),), ((_, scores),) = curves(p, "density"), curves(s, "score")
    for at, density, slope in ((0, "1.60596271e-4", "8.0"), (1, "6.47891598e-2", "4.0"), (-1, "2.98073009e-6", "-24.9094956")):
        k = int(np.argmin(np.abs(x - at)))
        assert_printed(values[k], density)
        assert_printed(scores[k], slope)


def test_3_6_arrows_point_up_the_density_and_chains_follow_them():
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
    # the narrowest direction's deviation is about 0.5; log p reaches -60; the square root halves what is relative, and is steep near 0
    assert np.abs(shown - expected).max() <= 10 * central_difference(0.005, 60.0, 0.5)
    for chain in curves(right, "chain"):
        x = chain.T
        assert len(x) == 301
        assert_standard_normal((x[1:] - x[:-1] - 0.01 * gradient(x[:-1])) / 0.02**0.5)


def test_3_7_sums_kernels_and_its_mean_is_the_convolved_law():
    cartoon, real = plain_axes("3.7")
    ((x, total),), ((points, _),) = curves(cartoon, "their sum"), curves(cartoon, "points")
    assert_close(total, np.mean([stats.norm.pdf(x, point, 0.4) for point in points], axis=0), MIXTURE, 1.0)
    kernels = curves(cartoon)[: len(points)]
    assert_close(sum(kernel for _, kernel in kernels), total, MIXTURE, 1.0)
    ((x, mean),), ((_, kde),) = curves(real, "its mean"), curves(real, "kernel")
    assert_close(mean, pdf([(w, m, (s**2 + 0.25**2) ** 0.5) for w, m, s in EX_2_1], x), MIXTURE, 1.0)
    # a convolution brings two distribution functions no further apart
    assert np.abs(np.cumsum(kde - mean) * (x[1] - x[0])).max() <= ks_distance(400)
    assert_histogram(bars(real)[0], functools.partial(cdf, EX_2_1), 400)


def test_4_1_is_off_by_the_printed_errors():
    both, error = plain_axes("4.1")
    for (t, difference), beta, printed in zip(curves(error), (1, 2), (".00939", ".01920")):
        assert_printed(difference.max(), printed)
        assert_close(difference, np.exp(-beta * t / 2) - (1 - beta * 0.05) ** np.arange(51), EXACT, 1.0)
    for (t, x), beta in zip(curves(both, "$e^"), (1, 2)):
        assert_close(x, np.exp(-beta * t / 2), EXACT, 1.0)


def assert_band(axes, mean, deviation):
    """The two dashed lines are two deviations about the mean."""
    lower, upper, _ = curves(axes)[:3]
    for (t, y), sign in ((lower, -2), (upper, 2)):
        assert_close(y, mean(t) + sign * deviation(t), EXACT, 1.0)


def test_4_2_paths_and_band_have_variance_a2_t_and_not_a2_a_step():
    line, side = plain_axes("4.2")
    assert_band(line, lambda t: 0 * t, lambda t: 0.05 * t**0.5)
    paths = np.array(curves(line)[3:])
    t, x = paths[0, 0], paths[:, 1]
    assert_standard_normal(np.diff(x) / (0.05 * np.diff(t) ** 0.5))
    assert_histogram(bars(side)[0], stats.norm(0, 0.5).cdf, 500)
    assert_moments(bars(side)[0], 0.0, 0.25, 500)
    ((x, p),) = curves(side, "$N(0")
    assert_close(p, stats.norm.pdf(x, 0, 0.5), MIXTURE, 1.0)


def test_4_3_has_the_exact_band_and_both_chains_have_their_own_law():
    line, side = plain_axes("4.3")
    assert_band(line, lambda t: 0.5 * np.exp(-t / 2), lambda t: (0.01 * -np.expm1(-t)) ** 0.5)
    paths = np.array(curves(line)[3:])
    t, x = paths[0, 0], paths[:, 1]
    h = t[1]
    assert_standard_normal((x[:, 1:] - (1 - h / 2) * x[:, :-1]) / (0.1 * h**0.5))
    for histogram, dt in zip(bars(side), (h, 1.0)):
        n = round(20 / dt)
        variance = 0.01 / (1 - dt / 4) * (1 - (1 - dt / 2) ** (2 * n))
        assert_histogram(histogram, stats.norm(0.5 * (1 - dt / 2) ** n, variance**0.5).cdf, 2500)
        assert_moments(histogram, 0.5 * (1 - dt / 2) ** n, variance, 2500)
    for label, variance in (("stationary for the SDE", 0.01), ("stationary for Δt = 1", 0.04 / 3)):
        ((x, p),) = curves(side, label)
        assert_close(p, stats.norm.pdf(x, 0, variance**0.5), MIXTURE, 5.0)


def test_4_4_spreads_without_the_score_and_comes_home_with_it():
    bare, full = plain_axes("4.4")
    assert_band(bare, lambda t: 0 * t, lambda t: 0.05 * (100 - t) ** 0.5)
    assert_band(full, lambda t: 0 * t, lambda t: 0.05 * t**0.5)
    for axes, kept in ((bare, lambda t, h: 1.0), (full, lambda t, h: 1 - h / t)):  # drift x / t, backward in time
        paths = np.array(curves(axes)[3:])
        t, x = paths[0, 0], paths[:, 1]
        h = t[0] - t[1]
        assert_standard_normal((x[:, 1:] - kept(t[:-1], h) * x[:, :-1]) / (0.05 * h**0.5))


def law_of_the_reverse_chain(score_factor):
    """The cdf of x_0 for (4.17) with ``score_factor`` beta s from N(0, 1), no noise on the last step: on a grid, its last map monotone."""
    x = np.linspace(-25, 25, 751)
    p = stats.norm.pdf(x)
    for i in range(100, 0, -1):
        mean = (x + score_factor * 0.05 * score(noised(EX_4_6, 0.95**i), x)) / 0.95**0.5
        if i > 1:
            p = transition(x, mean, 0.05**0.5) @ p
    assert (np.diff(mean) > 0).all()
    return lambda edge: np.interp(edge, mean, np.cumsum(p) * (x[1] - x[0]))


@pytest.mark.parametrize("index, score_factor, variance", [(0, 1.0, (9.4, 10.3)), (1, 0.5, (17.0, 22.5))], ids=["corrected", "printed"])
def test_4_6_ends_with_the_law_of_its_chain(index, score_factor, variance):
    """Its variance is 9.86 (9.91 less the last step's noise) or 19.8: that of 2,000 draws strays by 5 times 0.14 and 0.55 at most."""
    plane, side = plain_axes("4.6")
    density, edges = bars(side)[index]
    assert_histogram((density, edges), law_of_the_reverse_chain(score_factor), 2000)
    middle = (edges[1:] + edges[:-1]) / 2
    assert variance[0] < (density * np.diff(edges)) @ middle**2 < variance[1]
    assert_map(plane, lambda t: noised(EX_4_6, 0.95**t))
    ((x, p),) = curves(side, "data")
    assert_close(p, pdf(EX_4_6, x), MIXTURE, 1.0)


def test_5_1_autocorrelations_are_those_of_the_series_shown():
    panels = plain_axes("5.1")
    for k in (0, 1):
        ((_, series),) = curves(panels[k], "sample")
        assert len(series) == 1000
        assert_standard_normal(series)
        ((lags, rho),) = curves(panels[2], f"sample {k + 1}")
        centred = series - series.mean()
        assert_close(rho, np.correlate(centred, centred, "full") / (centred @ centred), MIXTURE, 1.0)
        assert len(lags) == 1999 and dict(zip(lags, rho))[0] == 1
    (ensemble,), band = curves(panels[3], "mean of 100"), curves(panels[3], r"$\pm")[0][1] / 2
    expected = -(1 - abs(lags) / 1000) / 1000  # as the mean is taken off
    away = lags != 0
    assert (np.abs(ensemble[1] - expected)[away] <= z_score(1998) * band[away] / 10 + 1e-4).all()  # and terms of O(1/N^(3/2)) of 0.03


def test_5_2_is_the_heat_kernel_and_paths_of_its_variance():
    plane, side = plain_axes("5.2")
    assert_map(plane, lambda t: ((1.0, 0.0, t**0.5),), largest=1.5)
    paths = np.array([curve for curve in curves(plane) if curve[1, -1] not in (-2, 2)])
    assert paths.shape == (5, 2, 101)
    assert_standard_normal(np.diff(paths[:, 1]) * 10)
    for histogram, (x, p), t in zip(bars(side), curves(side), (0.1, 0.4, 1.0)):
        assert_close(p, stats.norm.pdf(x, 0, t**0.5), MIXTURE, 2.0)
        assert_histogram(histogram, stats.norm(0, t**0.5).cdf, 1000)


@pytest.fixture(scope="module")
def reverse():
    """(figure, frames): what the side panel shows in each frame, and the last state of all."""
    figure, updates = ANIMATIONS["reverse"](quick=True)
    plane, side = (axes for axes in figure.axes if axes.get_label() != "<colorbar>")
    frames = [(float(plane.get_title()[4:]), bars(side), [line.get_xydata().T.copy() for line in side.lines]) for _ in updates]
    return figure, plane, frames


def test_reverse_runs_from_noise_to_data_with_the_exact_density_behind(reverse):
    _, plane, frames = reverse
    assert [t for t, *_ in frames] == list(range(150, -1, -15))
    assert_map(plane, lambda t: noised(EX_2_1, 0.97**t))
    for t, histograms, ((p, x),) in frames:
        distribution = noised(EX_2_1, 0.97**t)
        assert_close(p, pdf(distribution, x), MIXTURE, 1.0)
        (histogram,) = histograms
        assert_histogram(histogram, functools.partial(cdf, distribution), 300)
        mean = sum(w * m for w, m, _ in distribution)
        variance = sum(w * (s**2 + m**2) for w, m, s in distribution) - mean**2
        # 0.1: N(0, 1) in place of p_150, mean 0.08 and variance 1.03, five Euler steps to a unit of time, and what is beyond the bars
        assert_moments(histogram, mean, variance, 300, bias=0.1)


def test_reverse_paths_make_euler_steps_of_the_reverse_sde(reverse):
    _, plane, _ = reverse
    rate, h = -np.log(0.97), 0.2
    tails = [line.get_xydata().T for line in plane.lines if line.get_linestyle() == "-"]
    assert len(tails) == 6
    for t, x in tails:
        s = np.array([score(noised(EX_2_1, 0.97**time), value) for time, value in zip(t[:-1], x[:-1])])
        assert_standard_normal((x[1:] - x[:-1] - h * rate * (x[:-1] / 2 + s)) / (rate * h) ** 0.5)


def test_an_animation_has_a_frame_an_update_holds_its_ends_and_carries_its_settings(tmp_path):
    from PIL import Image

    figure, axes = plotting.subplots(1, 1, 3, 2, "title")
    (line,) = axes[0, 0].plot([0, 1], [0, 1])

    def updates():
        for k in range(4):
            line.set_ydata([0, k])
            yield

    path = tmp_path / "a.gif"
    path.write_bytes(plotting.gif_bytes(figure, updates(), "settings", milliseconds=50, hold=3))
    assert plotting.description_of(path) == "settings"
    with Image.open(path) as image:
        durations, pictures = [], []
        for k in range(image.n_frames):
            image.seek(k)
            durations.append(image.info["duration"])
            pictures.append(np.asarray(image.convert("L"), np.float64))
    assert durations == [150, 50, 50, 150] and pictures[0].shape == (200, 300)
    assert all(np.abs(a - b).max() > 50 for a, b in itertools.pairwise(pictures))
