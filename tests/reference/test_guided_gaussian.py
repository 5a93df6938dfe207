"""Closed forms of guided Gaussians against SciPy's solver of their equations and against quadrature."""

from math import inf

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from reference.diffusion.guidance import guide
from reference.diffusion.guided_gaussian import (
    composed_variance,
    interval_variance,
    ode_variance,
    product_variance,
    sde_variance,
    tilted_variance,
)
from tests.oracle_tolerances import EXACT, GAUSS_LEGENDRE, PRECISE, QUADRATURE, assert_close, assert_printed, integrated

CASES = [(2.0, 1.0, w) for w in (1, 2, 3, 5)] + [(1.0, 0.25, w) for w in (1, 2, 3, 5)] + [(1.0, 2.0, 2), (1.0, 0.5, 0.5), (2.0, 1.0, -1)]
every_case = pytest.mark.parametrize("A, B, w", CASES)
# From s = e^10 to e^-10 the adaptive solver takes some hundreds of steps; each keeps its error below rtol, and no error grows by
# more than the variance itself does.
SOLVED = integrated(1000, **PRECISE)


def precision(A, B, w):
    """k(s) of the guided score -k(s) x, by the definition of a Gaussian's score."""
    return lambda s: w / (B + s) + (1 - w) / (A + s)


def solved(k, noise, high, low, start):
    """ln V at s = low by d ln V/du = s ((1 + noise) k - noise / V), u = ln s, from V = start at s = high."""

    def slope(u, log_v):
        s = np.exp(u)
        return s * ((1 + noise) * k(s) - noise * np.exp(-log_v))

    return solve_ivp(slope, np.log((high, low)), [np.log(start)], method="DOP853", **PRECISE).y[0, -1]


@every_case
@pytest.mark.parametrize("noise, form", [(0, ode_variance), (1, sde_variance)], ids=["ode", "sde"])
def test_variance_solves_its_differential_equation(A, B, w, noise, form):
    high, low = np.exp(10.0), np.exp(-10.0)
    k = precision(A, B, w)
    assert_close(np.log(form(B, A, w, high, low)), solved(k, noise, high, low, high), SOLVED, 1.0)
    assert_close(np.log(form(B, A, w, 3.0, 0.2, 0.7)), solved(k, noise, 3.0, 0.2, 0.7), SOLVED, 1.0)


@every_case
@pytest.mark.parametrize("form", [ode_variance, sde_variance])
def test_a_large_start_tends_to_infinite_noise(A, B, w, form):
    """G(S)/S = 1 + (w B + (1-w) A)/S + .., and the SDE's remainder is of the same order."""
    S = 1e9
    assert_close(form(B, A, w, S), form(B, A, w), 2 * (abs(w) * B + abs(1 - w) * A + 1) / S)


@pytest.mark.parametrize(
    "A, B, w, tilted, ode, sde",
    [(2.0, 1.0, 2, ".6667", ".5", ".5833"), (1.0, 0.25, 3, ".1", ".015625", ".066602")],
)
def test_known_variances(A, B, w, tilted, ode, sde):
    assert_printed(tilted_variance(B, A, w), tilted)
    assert_printed(ode_variance(B, A, w), ode)
    assert_printed(sde_variance(B, A, w), sde)


@every_case
def test_the_tilted_variance_is_that_of_its_density(A, B, w):
    if w / B + (1 - w) / A <= 0:
        with pytest.raises(ValueError, match=rf"got 0 for B = {B:g}, A = {A:g}, w = {w}"):
            tilted_variance(B, A, w)
        return
    x = np.linspace(-12, 12, 2001) * tilted_variance(B, A, w) ** 0.5
    p = np.exp(guide(-(x**2) / (2 * B), -(x**2) / (2 * A), w))
    assert_close(p @ x**2 / p.sum(), tilted_variance(B, A, w), QUADRATURE)


def test_weight_one_is_the_class_and_zero_is_all_data():
    for form in (tilted_variance, ode_variance, sde_variance):
        assert_close([form(0.25, 1.0, 1), form(0.25, 1.0, 0)], np.array([0.25, 1.0]), EXACT)


def test_the_sde_is_continuous_at_half_weight():
    """Its variance is smooth in w: the mean over w = 1/2 ± h differs by h^2 / 2 times a second derivative below 10."""
    h = 1e-3
    around = [sde_variance(0.25, 1.0, 0.5 + side) for side in (-h, h)]
    assert_close(np.mean(around), sde_variance(0.25, 1.0, 0.5), 5 * h**2, 1.0)


def test_equal_variances_are_refused_for_the_sde():
    with pytest.raises(ValueError, match="the variances A and B must differ, got 1 for both"):
        sde_variance(1.0, 1.0, 2)


@pytest.mark.parametrize("low, high", [(0.05, 2.0), (0.3, 40.0)])
def test_an_interval_adds_its_integral_to_the_log_variance(low, high):
    """ln V - ln B = - int (k_w - k_1) ds over the interval, by Gauss-Legendre in u = ln s."""
    A, B, w = 1.0, 0.25, 3
    u, weight = np.polynomial.legendre.leggauss(200)
    half = np.log(high / low) / 2
    s = np.exp(np.log(low) + half * (1 + u))
    expected = -half * weight @ (s * (precision(A, B, w)(s) - precision(A, B, 1)(s)))
    assert_close(np.log(interval_variance(B, A, w, low, high) / B), expected, GAUSS_LEGENDRE, 1.0)


def test_an_interval_over_all_noise_is_plain_guidance():
    assert_close(interval_variance(0.25, 1.0, 3, 0.0, inf), ode_variance(0.25, 1.0, 3), EXACT)


def test_composition_solves_its_equation_and_differs_from_the_product():
    A, first, second = 2.0, 1.0, 0.5
    high, low = 1e8, 1e-8
    k = lambda s: 1 / (first + s) + 1 / (second + s) - 1 / (A + s)
    # the ends change ln V by (B_1 + B_2 - A) / high and k(0) low
    assert_close(np.log(composed_variance(first, second, A)), solved(k, 0, high, low, high), SOLVED + 1e-7, 1.0)
    x = np.linspace(-10, 10, 2001)
    p = np.exp(-(x**2) / 2 * (1 / first + 1 / second - 1 / A))
    assert_close(product_variance(first, second, A), p @ x**2 / p.sum(), QUADRATURE)
    with pytest.raises(ValueError, match="product distribution needs"):
        product_variance(3.0, 3.0, 1.0)
