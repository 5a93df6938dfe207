"""Gaussian mixtures in closed form, against quadrature, differences, and the tutorial's printed numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reference.diffusion.mixtures import Mixture, example_2_1, ring
from reference.diffusion.schedules import constant
from tests.mixture_examples import MIXTURES, every_level, every_mixture, in_1d, in_2d, narrowest, nodes, plane, points
from tests.oracle_tolerances import (
    EXACT,
    GAUSS_LEGENDRE,
    MIXTURE,
    QUADRATURE,
    assert_close,
    assert_mean,
    assert_printed,
    central_difference,
)
from tests.ports import recording_port


@in_1d
def test_density_integrates_to_one_in_1d(mixture):
    x, h = nodes(mixture)
    assert_close(np.exp(mixture.log_density(x)).sum() * h, 1.0, QUADRATURE)


@in_2d
def test_density_integrates_to_one_in_2d(mixture):
    x, h = plane(mixture)
    p = np.exp(mixture.log_density(x)) * h
    assert_close(p.sum(), 1.0, QUADRATURE)
    assert_close(p @ x, mixture.mean, QUADRATURE, 10.0)
    centred = x - mixture.mean
    assert_close((p[:, None] * centred).T @ centred, mixture.covariance, QUADRATURE, 100.0)


@every_mixture
def test_log_density_is_the_log_of_the_sum_of_gaussian_densities(mixture):
    x = points(mixture)
    parts = [w * stats.multivariate_normal(m, C).pdf(x) for w, m, C in zip(mixture.weights, mixture.means, mixture.full)]
    assert_close(np.exp(mixture.log_density(x)), sum(parts), MIXTURE)
    assert_close(np.exp(mixture.component_log_densities(x)), np.stack(parts, axis=1), MIXTURE)
    assert_close(mixture.responsibilities(x), np.stack(parts, axis=1) / sum(parts)[:, None], MIXTURE, 1.0)


def differences(function, x, h):
    """Central differences of fourth order of function(x)[n,...] along every coordinate, as [n,...,d]."""
    columns = []
    for e in h * np.eye(x.shape[1]):
        columns.append((8 * (function(x + e) - function(x - e)) - function(x + 2 * e) + function(x - 2 * e)) / (12 * h))
    return np.stack(columns, axis=-1)


@every_mixture
def test_score_is_the_gradient_of_the_log_density(mixture):
    x, width = points(mixture), narrowest(mixture)
    h = width / 500
    tolerance = central_difference(h, np.abs(mixture.log_density(x)).max() + 1, width)
    assert_close(differences(mixture.log_density, x, h), mixture.score(x), tolerance, 1.0)


@every_mixture
def test_score_jacobian_is_the_derivative_of_the_score(mixture):
    x, width = points(mixture), narrowest(mixture)
    h, jacobian = width / 500, mixture.score_jacobian(x)
    tolerance = central_difference(h, np.abs(mixture.score(x)).max() + 1, width) / min(width, 1)
    assert_close(differences(mixture.score, x, h), jacobian, tolerance, 1.0)
    assert_close(jacobian, jacobian.swapaxes(1, 2), MIXTURE, np.abs(jacobian).max())


@in_1d
@every_level
def test_score_identities(mixture, alpha, sigma):
    noised = mixture.noised(alpha, sigma)
    x, h = nodes(noised)
    p, s, jacobian = np.exp(noised.log_density(x)) * h, noised.score(x)[:, 0], noised.score_jacobian(x)[:, 0, 0]
    assert_close(p @ s, 0.0, QUADRATURE, p @ np.abs(s))
    assert_close(p @ (s * x[:, 0]), -1.0, QUADRATURE, p @ np.abs(s * x[:, 0]))
    assert_close(p @ s**2, -(p @ jacobian), QUADRATURE, p @ (s**2 + np.abs(jacobian)))


@in_1d
def test_cdf_is_the_integral_of_the_density(mixture):
    ends = np.linspace(-3, 3, 25)
    z, w = np.polynomial.legendre.leggauss(40)
    x = (ends[:-1, None] + ends[1:, None]) / 2 + (ends[1] - ends[0]) / 2 * z
    pieces = np.exp(mixture.log_density(x.reshape(-1, 1))).reshape(x.shape) @ w * (ends[1] - ends[0]) / 2
    assert_close(np.diff(mixture.cdf(ends)), pieces, GAUSS_LEGENDRE, 1.0)
    assert_close(mixture.cdf(np.array([-60.0, 60.0])), np.array([0.0, 1.0]), EXACT, 1.0)


@in_1d
@given(p=st.floats(1e-12, 1 - 1e-12))
def test_quantile_inverts_the_cdf(mixture, p):
    x = mixture.quantile(p)
    density = np.exp(mixture.log_density(np.array([[x]])))[0]
    assert_close(mixture.cdf(x), p, EXACT, p + abs(x) * density)


@in_1d
def test_quantiles_keep_the_shape_of_their_argument(mixture):
    p = np.array([[0.1, 0.5], [0.6, 0.99]])
    x = mixture.quantile(p)
    assert x.shape == mixture.cdf(x).shape == p.shape
    assert_close(x[1, 0], mixture.quantile(0.6), EXACT)


N = 20_000


@every_mixture
def test_samples_have_the_mixtures_moments_and_frequencies(mixture):
    x, component = mixture.sample(11, np.arange(N))
    calls = 3 * len(MIXTURES)
    assert_mean(component[:, None] == np.arange(len(mixture.weights)), mixture.weights, calls)
    assert_mean(x, mixture.mean, calls)
    centred = x - mixture.mean
    assert_mean(centred[:, :, None] * centred[:, None], mixture.covariance, calls)


@every_mixture
def test_samples_of_a_component_have_its_gaussian_moments(mixture):
    x, component = mixture.sample(12, np.arange(N))
    calls = len(MIXTURES) * 2 * sum(len(m.weights) for m in MIXTURES.values())
    for k, mean in enumerate(mixture.means):
        centred = x[component == k] - mean
        assert_mean(centred, 0, calls)
        assert_mean(centred[:, :, None] * centred[:, None], mixture.full[k], calls)


@every_mixture
def test_samples_do_not_depend_on_their_batch(mixture):
    x, component = mixture.sample(5, np.arange(8))
    for i in range(8):
        alone, its_component = mixture.sample(5, np.array([i]))
        assert (alone[0] == x[i]).all() and its_component[0] == component[i]
    assert (mixture.sample(5, np.arange(8), step=1)[0] != x).all()
    assert (mixture.sample(6, np.arange(8))[0] != x).all()


TABLE = {
    0: ("1", ".8", "4.072", "1.729831", 2),
    10: (".73742", ".68699", "3.26537", ".978569", 2),
    30: (".40101", ".50660", "2.23189", ".384554", 2),
    50: (".21807", ".37358", "1.66990", ".156332", 1),
    100: (".04755", ".17445", "1.14608", ".020170", 1),
    200: (".00226", ".03804", "1.00695", ".000736", 1),
}


def modes(mixture):
    """Number of maxima of the density, from sign changes of the score on a fine grid."""
    s = mixture.score(np.linspace(-6, 6, 4001)[:, None])[:, 0]
    return int(((s[:-1] > 0) & (s[1:] <= 0)).sum())


@pytest.mark.parametrize("t", TABLE)
def test_printed_numbers_of_example_2_1(t):
    schedule = constant(200)
    noised = example_2_1().noised(schedule.signal(t), schedule.noise_scale(t))
    x, h = nodes(noised)
    log_p = noised.log_density(x)
    divergence = np.exp(log_p) @ (log_p - stats.norm.logpdf(x[:, 0])) * h
    for actual, printed in zip((schedule.signal_power(t), noised.mean[0], noised.covariance[0, 0], divergence), TABLE[t]):
        assert_printed(actual, printed)
    assert modes(noised) == TABLE[t][4]


def test_example_2_1_has_one_mode_from_step_35_on():
    schedule = constant(60)
    counts = [modes(example_2_1().noised(schedule.signal(t), schedule.noise_scale(t))) for t in range(61)]
    assert counts == [2] * 35 + [1] * 26


def test_example_4_6_has_one_mode_from_step_43_on():
    """Two unit Gaussians at 3 and -3, all beta 0.05: one mode as soon as 9 alpha_bar <= 1."""
    mixture, schedule = Mixture(np.full(2, 0.5), np.array([[3.0], [-3.0]]), np.ones(2)), constant(50, 0.05)
    counts = [modes(mixture.noised(schedule.signal(t), schedule.noise_scale(t))) for t in range(51)]
    assert counts == [2] * 43 + [1] * 8


def test_printed_entropy_of_example_2_1():
    x, h = nodes(example_2_1())
    log_p = example_2_1().log_density(x)
    assert_printed(-np.exp(log_p) @ log_p * h, "1.5451073717")


def test_printed_densities_and_scores_of_example_3_2():
    mixture = Mixture(np.array([0.6, 0.4]), np.array([[2.0], [-2.0]]), np.array([0.25, 0.04]))
    x = np.array([[0.0], [1.0], [-1.0], [2.5]])
    density, score = np.exp(mixture.log_density(x)), mixture.score(x)[:, 0]
    for actual, printed in zip(density, ("1.60596271e-4", "6.47891598e-2", "2.98073009e-6", ".290364869")):
        assert_printed(actual, printed)
    for actual, printed in zip(score, ("8.0", "4.0", "-24.9094956", "-2")):
        assert_printed(actual, printed)


FISHER = {
    0.05: ("7.661174", "196.1694", ".490424", ".002452"),
    0.1: ("6.591482", "46.70426", ".467043", ".009341"),
    0.3: ("2.792871", "4.159120", ".374321", ".067378"),
    1.0: (".387179", ".306410", ".306410", ".612821"),
    3.0: (".076994", ".017059", ".153528", "2.763502"),
    10.0: (".009609", ".000196", ".019561", "3.912238"),  # an integral cut off at |x| = 60 gives 3.912252
}


@pytest.mark.parametrize("sigma", FISHER)
def test_printed_fisher_information_and_floors(sigma):
    noised = example_2_1().noised(1.0, sigma)
    x, h = nodes(noised)
    p = np.exp(noised.log_density(x)) * h
    fisher = p @ noised.score(x)[:, 0] ** 2
    mmse = p @ example_2_1().posterior_covariance(x, 1.0, sigma)[:, 0, 0]
    floor = (1 / sigma**2 - fisher) / 2
    for actual, printed in zip((fisher, floor, sigma**2 * floor, mmse), FISHER[sigma]):
        assert_printed(actual, printed)


@pytest.mark.parametrize("k, radius", [(8, 1.0), (5, 2.0)])
def test_ring_is_centred_and_isotropic(k, radius):
    mixture = ring(k, radius, 0.1)
    assert_close(mixture.mean, np.zeros(2), EXACT, 1.0)
    assert_close(mixture.covariance, (radius**2 / 2 + 0.01) * np.eye(2), EXACT, 1.0 + radius**2)


W, M, V = np.array([0.3, 0.7]), np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([1.0, 2.0])


@pytest.mark.parametrize(
    "call, ops_called",
    [
        (lambda mixture, x: mixture.log_density(x), {"mixture_log_density"}),
        (lambda mixture, x: mixture.score(x), {"mixture_score"}),
        (lambda mixture, x: mixture.expected_noise(x, 0.6, 0.8), {"mixture_log_density", "mixture_score"}),
        (lambda mixture, x: mixture.posterior_mean(x, 0.6, 0.8), {"mixture_log_density", "softmax"}),
        (lambda mixture, x: mixture.sample(0, np.arange(3))[0], {"uniform", "normal"}),
    ],
    ids=["log_density", "score", "expected_noise", "posterior_mean", "sample"],
)
def test_a_mixture_computes_with_its_port(call, ops_called):
    port = recording_port()
    mixture, x = ring(ops=port), np.ones((3, 2))
    port.called.clear()
    np.testing.assert_array_equal(call(mixture, x), call(ring(), x))
    assert port.called == ops_called


BAD = {
    "variance of 0": (W, M, np.array([1.0, 0.0]), "variances must be positive"),
    "negative variance": (W, M, np.array([1.0, -2.0]), "variances must be positive"),
    "variance that is no number": (W, M, np.array([1.0, np.nan]), "variances must be positive"),
    "indefinite covariance": (W, M, np.array([np.eye(2), [[1.0, 2.0], [2.0, 1.0]]]), "positive definite"),
    "asymmetric covariance": (W, M, np.array([np.eye(2), [[1.0, 0.5], [0.0, 1.0]]]), "symmetric"),
    "covariance that is no number": (W, M, np.full((2, 2, 2), np.nan), "positive definite"),
    "singular covariance": (W, M, np.array([np.eye(2), [[1.0, 0.0], [0.0, 0.0]]]), "positive definite"),
    "weights of sum 0.9": (np.array([0.3, 0.6]), M, V, "sum to 1"),
    "negative weight": (np.array([-0.3, 1.3]), M, V, "negative"),
    "weight that is no number": (np.array([np.nan, 1.0]), M, V, "sum to 1"),
    "too many weights": (np.array([0.3, 0.3, 0.4]), M, V, "shape"),
    "too few variances": (W, M, np.array([1.0]), "shape"),
    "flat means": (W, np.array([0.0, 1.0]), V, "means must have shape"),
    "covariances of another dimension": (W, M, np.ones((2, 3, 3)), "shape"),
    "no component": (np.zeros(0), np.zeros((0, 2)), np.zeros(0), "weights"),
}


@pytest.mark.parametrize("weights, means, covariances, words", BAD.values(), ids=BAD)
def test_invalid_mixtures_are_refused(weights, means, covariances, words):
    with pytest.raises(ValueError, match=words):
        Mixture(weights, means, covariances)


def test_points_of_another_dimension_are_refused():
    for function in (ring().log_density, ring().score):
        with pytest.raises(ValueError, match="shape"):
            function(np.zeros((3, 1)))


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, 1.1, np.nan])
def test_quantiles_need_a_probability_inside_the_unit_interval(p):
    for argument in (p, np.array([0.5, p])):
        with pytest.raises(ValueError, match="strictly between 0 and 1"):
            example_2_1().quantile(argument)


def test_cdf_and_quantile_need_one_dimension():
    for function in (ring().cdf, ring().quantile):
        with pytest.raises(ValueError, match="one dimension, got 2"):
            function(0.5)
