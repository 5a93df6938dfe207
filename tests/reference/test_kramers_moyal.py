"""Kramers-Moyal coefficients: estimates, closed forms at a finite lag, and Pawula's theorem."""

from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from reference.fokker_planck import kramers_moyal as km
from reference.fokker_planck.langevin_equation import linear
from reference.ops import normal, uniform
from reference.ops.random import Purpose
from tests.oracle_tolerances import EXACT, LINEAR_ALGEBRA, assert_close, assert_mean, z_score

GAMMA, Q = 1.0, 2.0


@given(mean=st.floats(-3, 3), deviation=st.floats(0.1, 2))
def test_moments_of_a_gaussian(mean, deviation):
    """The first four moments, and the recursion E y^{m+1} = mean E y^m + m deviation^2 E y^{m-1}."""
    m, s = mean, deviation
    written = [1, m, m**2 + s**2, m**3 + 3 * m * s**2, m**4 + 6 * m**2 * s**2 + 3 * s**4]
    scale = (abs(m) + 3 * s) ** 5
    for order, expected in enumerate(written):
        assert_close(km.gaussian_moment(m, s, order), expected, LINEAR_ALGEBRA, scale)
    assert_close(km.gaussian_moment(m, s, 5), m * written[4] + 4 * s**2 * written[3], LINEAR_ALGEBRA, scale)


@pytest.mark.parametrize("x", [-1.0, 0.5, 2.0])
def test_limits_of_the_ornstein_uhlenbeck_coefficients(x):
    """-gamma x, q/2, 0 and 0: the expansion ends at m = 2.  At lag tau the first two err by O(tau), and D4 is q^2 tau / 8."""
    for m, limit in ((1, -GAMMA * x), (2, Q / 2), (3, 0.0), (4, 0.0)):
        short, twice = (km.ornstein_uhlenbeck(GAMMA, Q, x, tau, m) for tau in (1e-3, 2e-3))
        assert abs(short - limit) < 5e-3 * (1 + abs(x) ** m)
        assert abs(2 * short - twice - limit) < 2e-5 * (1 + abs(x) ** m)
    tau = 1e-4
    assert_close(km.ornstein_uhlenbeck(GAMMA, Q, 0.0, tau, 4), Q**2 * tau / 8, 2 * GAMMA * tau)  # times (1 - gamma tau ..)^2


def test_estimates_from_trajectories_equal_the_finite_lag_values():
    """In bins a tenth wide: mean over the bin of a smooth function, within a twentieth of its own width of the middle's value."""
    n, tau = 200_000, 0.1
    x = np.random.default_rng(0).uniform(-2, 2, n)
    y = linear(GAMMA, Q, x, tau, 1, 5, np.arange(n))[:, 1]
    edges = np.linspace(-2, 2, 41)
    middles = (edges[1:] + edges[:-1]) / 2
    for m in (1, 2, 3, 4):
        means, errors = km.estimate(x, y, tau, edges, m)
        expected = km.ornstein_uhlenbeck(GAMMA, Q, middles, tau, m)
        curvature = np.abs(np.gradient(np.gradient(expected, middles), middles)).max() * 0.1**2 / 24
        uneven = np.abs(np.gradient(expected, middles)) * 0.1 / (12 * n / 40) ** 0.5
        assert (np.abs(means - expected) < z_score(160) * (errors + uneven) + curvature).all()
        assert (errors > 0).all()


def test_a_bin_with_fewer_than_two_points_has_no_estimate():
    means, errors = km.estimate(np.array([0.5]), np.array([0.6]), 0.1, np.array([0.0, 1.0, 2.0]), 1)
    assert np.isnan(means).all() and np.isnan(errors).all()


def compound_poisson_increments(rate, deviation, tau, seed, sample):
    """Sums [b] of the jumps during a time tau, jumps ~ N(0, deviation^2) at ``rate``: the number N
    of jumps is Poisson distributed, and the sum of N jumps is N(0, N deviation^2).
    """
    count = poisson.ppf(uniform(seed, sample, 0, Purpose.STEP_NOISE, ()), rate * tau)
    return deviation * np.sqrt(count) * normal(seed, sample, 1, Purpose.STEP_NOISE, ())


@pytest.mark.parametrize("m", [1, 2, 4])
def test_jump_processes_have_all_kramers_moyal_coefficients(m):
    """Of compound Poisson increments over a lag in which two jumps are rare: moments are rate tau E J^m, up to (rate tau)^2."""
    rate, deviation, tau = 3.0, 0.5, 1e-3
    increments = compound_poisson_increments(rate, deviation, tau, 2, np.arange(400_000))
    expected = km.compound_poisson(rate, lambda m: km.gaussian_moment(0.0, deviation, m), m)
    draws = increments**m / (factorial(m) * tau)
    assert np.abs(draws.mean() - expected) < z_score(3) * draws.std() / len(draws) ** 0.5 + 10 * rate**2 * tau * deviation**m


def test_moments_of_many_jumps_match_compound_poisson():
    """Variance rate t E J^2, fourth cumulant rate t E J^4."""
    x = compound_poisson_increments(3.0, 0.5, 2.0, 1, np.arange(50_000))
    assert_mean(x**2, 3.0 * 2.0 * 0.25, 2)
    assert_mean(x**4, 3 * 1.5**2 + 6.0 * 3 * 0.0625, 2)


@given(rate=st.floats(0.1, 5), deviation=st.floats(0.1, 3))
def test_pawula_inequalities_are_strict_for_jump_processes(rate, deviation):
    D = {m: km.compound_poisson(rate, lambda m: km.gaussian_moment(0.3, deviation, m), m) for m in range(1, 9)}
    rows = km.pawula(D)
    assert [m for m, _, _ in rows] == [3, 4, 5, 6, 7]
    assert all(left <= right * (1 + EXACT) for _, left, right in rows)
    assert_close(rows[0][1], (6 * D[3]) ** 2, EXACT)
    assert_close(rows[0][2], 2 * D[2] * 24 * D[4], EXACT)
    assert_close(rows[1][2], 2 * D[2] * 720 * D[6], EXACT)


def test_a_zero_fourth_coefficient_implies_a_zero_third():
    (m, left, right), *_ = km.pawula({1: -1.0, 2: 1.0, 3: 0.1, 4: 0.0})
    assert m == 3 and left > right
