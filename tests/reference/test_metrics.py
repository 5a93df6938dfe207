"""Measures of sample quality against closed forms."""

import numpy as np
import pytest
from scipy.signal import lfilter

from reference.data import metrics
from reference.diffusion.mixtures import Mixture, example_2_1, ring
from tests.oracle_tolerances import EXACT, LINEAR_ALGEBRA, accumulated, assert_close, z_score

RNG = np.random.default_rng(0)


def test_frechet_distance_of_affine_copies_has_its_closed_form():
    """For y = m + s x, commuting covariances: |m|^2 + (1 - s)^2 tr S, exactly, for any sample."""
    x = RNG.standard_normal((500, 5)) * np.arange(1, 6)
    shift, s = RNG.standard_normal(5), 1.7
    mean = x.mean(axis=0)
    y = mean + shift + s * (x - mean)
    trace = np.cov(x.T, bias=True).trace()
    expected = shift @ shift + (1 - s) ** 2 * trace
    assert_close(metrics.frechet_distance(x, y), expected, LINEAR_ALGEBRA, 4 * trace)
    assert_close(metrics.frechet_distance(y, x), expected, LINEAR_ALGEBRA, 4 * trace)
    assert_close(metrics.frechet_distance(x, x), 0.0, LINEAR_ALGEBRA, trace)


def test_frechet_distance_of_any_covariances_equals_the_matrix_root_formula():
    from scipy.linalg import sqrtm

    x, y = (RNG.standard_normal((400, 3)) @ RNG.standard_normal((3, 3)) for _ in range(2))
    sx, sy = np.cov(x.T, bias=True), np.cov(y.T, bias=True)
    difference = x.mean(axis=0) - y.mean(axis=0)
    expected = difference @ difference + np.trace(sx + sy - 2 * sqrtm(sx @ sy).real)
    assert_close(metrics.frechet_distance(x, y), expected, LINEAR_ALGEBRA, np.trace(sx + sy))


def test_frechet_distance_of_gaussians_with_commuting_covariances_is_that_of_their_deviations():
    rotation = np.linalg.qr(RNG.standard_normal((4, 4)))[0]
    a, b, shift = np.array([4.0, 1.0, 0.25, 0.0]), np.array([1.0, 1.0, 0.0, 9.0]), RNG.standard_normal(4)
    found = metrics.frechet_distance_of_gaussians(np.zeros(4), rotation * a @ rotation.T, shift, rotation * b @ rotation.T)
    # a variance of 0 is known to rounding, its root to the root of that
    assert_close(found, shift @ shift + ((a**0.5 - b**0.5) ** 2).sum(), LINEAR_ALGEBRA**0.5, (a + b).sum())


def test_frechet_distance_of_two_samples_of_one_gaussian_has_its_bias(trials=400, n=200, m=300):
    """The next order is smaller by about d / n."""
    lam = np.array([1.0, 0.5, 0.2, 0.1])
    of_means, of_covariances = lam.sum(), ((1 + np.eye(4)) * np.outer(lam, lam) / (2 * np.add.outer(lam, lam))).sum()
    expected = (1 / n + 1 / m) * (of_means + of_covariances)
    draw = lambda count: RNG.standard_normal((count, 4)) * lam**0.5
    found = np.array([metrics.frechet_distance(draw(n), draw(m)) for _ in range(trials)])
    assert abs(found.mean() - expected) < z_score() * found.std() / trials**0.5 + 4 / n * expected


def test_principal_components_are_orthonormal_and_ordered_by_variance():
    x = RNG.standard_normal((300, 4, 2, 1)) * 3 ** np.arange(8).reshape(4, 2, 1) + 5
    mean, axes = metrics.principal_components(x, 5)
    assert axes.shape == (5, 8)
    assert_close(axes @ axes.T, np.eye(5), LINEAR_ALGEBRA, 1.0)
    features = metrics.project(x, (mean, axes))
    assert (np.diff(features.var(axis=0)) < 0).all()
    assert_close(features.mean(axis=0), np.zeros(5), LINEAR_ALGEBRA, np.abs(x).max())
    assert_close(features.var(axis=0)[0], np.linalg.eigvalsh(np.cov(x.reshape(300, 8).T, bias=True))[-1], LINEAR_ALGEBRA)


@pytest.mark.parametrize("order", [1, 2])
def test_wasserstein_distance_in_1d_has_its_closed_forms(order):
    x = RNG.standard_normal(1000)
    assert_close(metrics.wasserstein_1d(x[:, None], x[:, None] + 2.5, order), 2.5, EXACT)
    assert_close(metrics.wasserstein_1d([[0.0], [1.0]], [[0.0], [0.0], [1.0]], order), (1 / 6) ** (1 / order), EXACT)


def test_wasserstein_distance_of_order_one_equals_scipy():
    from scipy.stats import wasserstein_distance

    x, y = RNG.standard_normal(101), RNG.standard_normal(77) + 0.3
    assert_close(metrics.wasserstein_1d(x[:, None], y[:, None]), wasserstein_distance(x, y), accumulated(len(x) + len(y)))


def test_sliced_wasserstein_distance_of_a_shift_is_its_length_over_root_d():
    """Along a random unit vector v the shift s is s.v; (s.v)^2 has mean |s|^2 / 3 and variance 4/45 |s|^4."""
    x, shift, directions = RNG.standard_normal((50, 3)), np.array([1.0, -2.0, 2.0]), 1000
    square = metrics.sliced_wasserstein(x, x + shift, directions) ** 2
    assert abs(square - 9 / 3) < z_score() * (4 / 45) ** 0.5 * 9 / directions**0.5


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.9])
def test_autocorrelation_of_an_ar1_chain(kept):
    """AR(1), as Langevin dynamics on a Gaussian: rho[k] = kept^k."""
    n = 400_000
    x = lfilter([np.sqrt(1 - kept**2)], [1, -kept], np.random.default_rng(3).standard_normal(n))
    rho = metrics.autocorrelation(x)
    assert rho[0] == 1
    bartlett = np.sqrt((1 + kept**2) / (1 - kept**2) / n)  # the deviation of the estimate of any rho[k] is at most that
    assert np.abs(rho[:50] - kept ** np.arange(50)).max() < z_score(50) * bartlett


def test_autocorrelation_refuses_a_constant_chain():
    with pytest.raises(ValueError, match="chain must vary"):
        metrics.autocorrelation(np.ones(10))


def test_autocorrelation_of_a_short_series_is_its_sum_of_products():
    x = np.array([3.0, -1.0, 2.0, 0.5])
    centred = x - x.mean()
    products = np.array([(centred[: 4 - k] * centred[k:]).sum() for k in range(4)])
    assert_close(metrics.autocorrelation(x), products / products[0], EXACT, 1.0)


# Modes


@pytest.mark.parametrize("distribution", [example_2_1(), ring(), ring(deviation=0.4)], ids=["on the line", "apart", "overlapping"])
def test_exact_samples_have_the_expected_mode_shares(distribution):
    n, expected = 100_000, metrics.expected_mode_shares(distribution)
    shares = metrics.mode_shares(distribution.sample(1, np.arange(n))[0], distribution)
    assert (abs(shares - expected) <= z_score(2 * len(expected)) * (expected * (1 - expected) / n) ** 0.5).all()


def test_separated_2d_modes_have_share_weight_times_1_minus_exp_minus_2():
    distribution = Mixture(np.array([0.2, 0.8]), np.array([[0.0, 0.0], [50.0, 0.0]]), np.array([1.0, 4.0]))
    assert_close(metrics.expected_mode_shares(distribution), distribution.weights * (1 - np.exp(-2)), LINEAR_ALGEBRA, 1.0)


def test_a_ring_without_modes_and_a_lost_mode_are_detected():
    angle, noise = RNG.uniform(0, 2 * np.pi, 20_000), 0.1 * RNG.standard_normal((20_000, 2))
    modeless = np.stack((np.cos(angle), np.sin(angle)), axis=1) + noise
    expected = metrics.expected_mode_shares(ring())
    assert (metrics.mode_shares(modeless, ring()) < 0.6 * expected).all()
    lost = ring().means[RNG.integers(0, 7, 20_000)] + noise
    shares = metrics.mode_shares(lost, ring())
    assert shares[7] < 0.001 and (shares[:7] > expected[:7]).all()


def test_mode_shares_of_anisotropic_components_are_refused():
    distribution = Mixture(np.ones(1), np.zeros((1, 2)), np.eye(2)[None])
    for ask in (lambda: metrics.mode_shares(np.zeros((3, 2)), distribution), lambda: metrics.expected_mode_shares(distribution)):
        with pytest.raises(ValueError, match="mixture must consist of isotropic Gaussians"):
            ask()
