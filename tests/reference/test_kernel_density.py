"""Kernel densities: their kernel, their score as the best denoiser of data points, and the bandwidth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal

from reference.diffusion.mixtures import Mixture
from reference.smld.kernel_density import kernel_density, silverman_bandwidth
from reference.smld.score_matching import denoising, implicit
from tests.example_networks import numbers
from tests.oracle_tolerances import EXACT, MIXTURE, QUADRATURE, assert_close, assert_printed, line
from tests.reference.test_score_matching import MODELS, Field, esm, fisher, nodes, of_each

PLANE = np.array([[-0.5, 0.2], [0.3, 0.9], [1.1, -0.4]])


@pytest.mark.parametrize("h", [0.2, 0.7])
def test_kernel_density_is_the_mean_of_kernels_of_width_h_in_any_dimension(h):
    for d in (1, 2, 5):
        points, x = numbers(d, 6, d), numbers(d + 10, 20, d)
        kernel = multivariate_normal(np.zeros(d), np.eye(d))
        expected = np.mean([kernel.pdf((x - point) / h) / h**d for point in points], axis=0)
        assert_close(np.exp(kernel_density(points, h).log_density(x)), expected, MIXTURE)


@pytest.mark.parametrize("h", [0.2, 0.7])
def test_a_2d_kernel_density_integrates_to_one(h):
    """E10d: with the printed h^{-1} it would integrate to h."""
    (a, step), (b, other) = (line(PLANE[:, i].min() - 12 * h, PLANE[:, i].max() + 12 * h, h) for i in (0, 1))
    x = np.stack(np.meshgrid(a, b), axis=-1).reshape(-1, 2)
    assert_close(np.exp(kernel_density(PLANE, h).log_density(x)).sum() * step * other, 1.0, QUADRATURE)


@pytest.mark.parametrize("h", [0.05, 0.5])
def test_kernel_density_score_is_the_weighted_pull_of_the_points(h):
    x = numbers(3, 30, 2)
    squares = ((x[:, None] - PLANE) ** 2).sum(axis=2) / (2 * h**2)
    weights = np.exp(-squares + squares.min(axis=1, keepdims=True))
    pull = ((weights / weights.sum(axis=1, keepdims=True))[:, :, None] * (PLANE - x[:, None])).sum(axis=1)
    assert_close(kernel_density(PLANE, h).score(x), pull / h**2, MIXTURE, squares.max() / h)


def test_noise_widens_the_kernels():
    x = numbers(4, 30, 2)
    one, other = kernel_density(PLANE, 0.3).noised(1.0, 0.4), kernel_density(PLANE, 0.5)
    assert_close(one.score(x), other.score(x), MIXTURE, 100.0)


POINTS = np.array([[-1.3], [-0.2], [0.1], [0.9], [1.0]])


@pytest.mark.parametrize("h", [0.1, 0.5])
def test_the_denoising_minimiser_on_points_is_their_kernel_density_score(h):
    density = kernel_density(POINTS, h)
    z, weight = line(-12, 12, 1)
    x0, noise = np.repeat(POINTS, len(z), axis=0), np.tile(z, len(POINTS))[:, None]
    p = np.tile(np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * weight, len(POINTS)) / len(POINTS)
    loss = lambda change, t: p @ of_each(denoising, Field(lambda x: density.score(x) + t * change(x), None), x0, None, h, noise)
    x, q = nodes(density)
    least = (1 / h**2 - fisher(density)) / 2
    for change in (np.ones_like, np.sin, lambda x: np.cos(5 * x), lambda x: x**2):
        for t in (-1.0, 0.01, 1.0):  # any change of the score adds t^2/2 E change^2, with no term of first order
            assert_close(loss(change, t), least + t**2 / 2 * (q @ change(x)[:, 0] ** 2), QUADRATURE, 4 / h**2 + 10)


@pytest.mark.parametrize("h", [0.1, 0.5])
def test_explicit_and_implicit_matching_of_a_kernel_density_agree(h):
    density = kernel_density(POINTS, h)
    x, q = nodes(density)
    for network in MODELS.values():
        one, other = esm(network, density), q @ of_each(implicit, network, x, None) + fisher(density) / 2
        assert_close(one, other, QUADRATURE, 4 / h**2 + 10)


def best_slope(distribution):
    """The minimiser a of the explicit loss of s = -a x: the vertex of a parabola through three values."""
    low, middle, high = (esm(Field(lambda x, a=a: -a * x, None), distribution) for a in (0.0, 1.0, 2.0))
    return 1 + (low - high) / (2 * (low - 2 * middle + high))


@given(st.floats(0.1, 1), st.integers(2, 8))
def test_the_best_linear_score_of_a_kernel_density_has_its_second_moment(h, count):
    points = np.sin(np.arange(1.0, count + 1))[:, None]
    assert_close(best_slope(kernel_density(points, h)), 1 / ((points**2).mean() + h**2), QUADRATURE, 16 / h**4)


def test_matching_a_kernel_density_converges_with_points_and_bandwidth():
    distribution = Mixture(np.ones(1), np.zeros((1, 1)), np.array([0.5]))
    errors = []
    for count, h in ((10, 0.4), (50, 0.2), (250, 0.1), (1250, 0.05)):
        points = distribution.quantile((np.arange(count) + 0.5) / count)[:, None]
        errors.append(abs(best_slope(kernel_density(points, h)) - 1 / 0.5))
    assert (np.diff(errors) < 0).all() and errors[-1] < 0.05 * errors[0]


# The bandwidth


def integrated_error(h, m, d, s):
    """E int (q_h - p)^2 for m draws from N(0, s^2 I), times (4 pi)^{d/2} (Fryer 1976)."""
    fit = (1 - 1 / m) * (s**2 + h**2) ** (-d / 2) - 2 * 2 ** (d / 2) * (2 * s**2 + h**2) ** (-d / 2) + s**-d
    return 1 / (m * h**d) + fit


@pytest.mark.parametrize("s", [0.5, 2.0])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_silverman_bandwidth_converges_to_the_optimum_for_normal_data(d, s):
    ratios = []
    for power in (6, 10, 14):
        m = 2**power
        points = s * np.sqrt((m - 1) / m) * np.tile([[-1.0], [1.0]], (m // 2, d))  # of deviation s in every direction
        best = minimize_scalar(lambda log_h, m=m: integrated_error(np.exp(log_h), m, d, s), bounds=np.log([s / 20, 1.5 * s])).x
        ratios.append(abs(np.log(silverman_bandwidth(points)) - best))
    assert ratios[0] > 1.5 * ratios[1] > 1.5**2 * ratios[2] and ratios[2] < 0.05


def test_silverman_bandwidth_in_1d_has_the_printed_value():
    points = np.tile([[-1.0], [1.0]], (500, 1))
    assert_printed(silverman_bandwidth(points) * 1000**0.2 * np.sqrt(999 / 1000), "1.06")


def test_silverman_bandwidth_has_the_unit_of_the_points():
    points = numbers(5, 40, 3)
    assert_close(silverman_bandwidth(10 * points + 4), 10 * silverman_bandwidth(points), EXACT)


@pytest.mark.parametrize("bandwidth", [0, -0.1, float("nan")])
def test_an_invalid_bandwidth_is_refused(bandwidth):
    with pytest.raises(ValueError, match=f"bandwidth must be positive and finite, got {bandwidth}"):
        kernel_density(PLANE, bandwidth)
