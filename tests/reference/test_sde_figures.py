"""The tutorial's figures of chapters 4 and 5, and the animation of the reverse SDE."""

import functools

import numpy as np
import pytest
from scipy import stats

from reference.samplers.chain_density import transition
from reference.tutorial.figures import ANIMATIONS
from tests.figure_checks import (
    EX_2_1,
    EX_4_6,
    assert_histogram,
    assert_map,
    assert_moments,
    assert_standard_normal,
    bars,
    cdf,
    curves,
    noised,
    pdf,
    plain_axes,
    score,
)
from tests.oracle_tolerances import EXACT, MIXTURE, assert_close, assert_printed, z_score


def test_figure_4_1_has_the_printed_errors():
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


def test_figure_4_2_paths_and_band_have_variance_a2_t():
    line, side = plain_axes("4.2")
    assert_band(line, lambda t: 0 * t, lambda t: 0.05 * t**0.5)
    paths = np.array(curves(line)[3:])
    t, x = paths[0, 0], paths[:, 1]
    assert_standard_normal(np.diff(x) / (0.05 * np.diff(t) ** 0.5))
    assert_histogram(bars(side)[0], stats.norm(0, 0.5).cdf, 500)
    assert_moments(bars(side)[0], 0.0, 0.25, 500)
    ((x, p),) = curves(side, "$N(0")
    assert_close(p, stats.norm.pdf(x, 0, 0.5), MIXTURE, 1.0)


def test_figure_4_3_has_the_exact_band_and_the_moments_of_both_chains():
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


def test_figure_4_4_spreads_without_the_score_and_returns_to_0_with_it():
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
def test_figure_4_6_ends_with_the_density_of_its_chain(index, score_factor, variance):
    """Its variance is 9.86 (9.91 less the last step's noise) or 19.8; for 2,000 draws it differs by at most 5 times 0.14 and 0.55."""
    plane, side = plain_axes("4.6")
    density, edges = bars(side)[index]
    assert_histogram((density, edges), law_of_the_reverse_chain(score_factor), 2000)
    middle = (edges[1:] + edges[:-1]) / 2
    assert variance[0] < (density * np.diff(edges)) @ middle**2 < variance[1]
    assert_map(plane, lambda t: noised(EX_4_6, 0.95**t))
    ((x, p),) = curves(side, "data")
    assert_close(p, pdf(EX_4_6, x), MIXTURE, 1.0)


def test_figure_5_1_shows_the_autocorrelations_of_its_series():
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
    expected = -(1 - abs(lags) / 1000) / 1000  # because the mean is subtracted
    away = lags != 0
    assert (np.abs(ensemble[1] - expected)[away] <= z_score(1998) * band[away] / 10 + 1e-4).all()  # and terms of O(1/N^{3/2}) of 0.03


def test_figure_5_2_shows_the_heat_kernel_and_paths_of_its_variance():
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
    """(figure, main axes, frames): the content of the side panel in each frame."""
    figure, updates = ANIMATIONS["reverse"](quick=True)
    plane, side = (axes for axes in figure.axes if axes.get_label() != "<colorbar>")
    frames = [(float(plane.get_title()[4:]), bars(side), [line.get_xydata().T.copy() for line in side.lines]) for _ in updates]
    return figure, plane, frames


def test_reverse_animation_goes_from_noise_to_data_with_exact_densities(reverse):
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
        # 0.1: N(0, 1) in place of p_150, mean 0.08 and variance 1.03, five Euler steps per unit of time, and draws outside the bars
        assert_moments(histogram, mean, variance, 300, bias=0.1)


def test_reverse_animation_paths_are_euler_steps_of_the_reverse_sde(reverse):
    _, plane, _ = reverse
    rate, h = -np.log(0.97), 0.2
    tails = [line.get_xydata().T for line in plane.lines if line.get_linestyle() == "-"]
    assert len(tails) == 6
    for t, x in tails:
        s = np.array([score(noised(EX_2_1, 0.97**time), value) for time, value in zip(t[:-1], x[:-1])])
        assert_standard_normal((x[1:] - x[:-1] - h * rate * (x[:-1] / 2 + s)) / (rate * h) ** 0.5)
