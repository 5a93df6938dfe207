"""Noised mixtures: their scores, posterior moments, reverse kernels and smallest errors, by quadrature and closed forms."""

import numpy as np
import pytest
from scipy import stats

from reference.diffusion.mixtures import Mixture
from reference.diffusion.schedules import constant, cosine, linear
from tests.mixture_examples import MIXTURES, every_level, every_mixture, in_1d, in_2d, nodes, plane, points
from tests.oracle_tolerances import EXACT, MIXTURE, QUADRATURE, assert_close


@in_1d
@every_level
def test_noised_is_the_convolution_with_the_noise(mixture, alpha, sigma):
    noised, x0 = mixture.noised(alpha, sigma), nodes(mixture)[0]
    h = min(x0[1, 0] - x0[0, 0], sigma / alpha / 8)
    x0 = np.arange(x0[0, 0], x0[-1, 0], h)
    x = np.linspace(-4, 4, 41)
    density = np.exp(mixture.log_density(x0[:, None])) * h
    expected = stats.norm.pdf(x[:, None], alpha * x0, sigma) @ density
    assert_close(np.exp(noised.log_density(x[:, None])), expected, QUADRATURE, expected + 1e-12)


@every_mixture
@every_level
def test_noised_moments(mixture, alpha, sigma):
    noised, eye = mixture.noised(alpha, sigma), np.eye(mixture.dimension)
    assert_close(noised.mean, alpha * mixture.mean, EXACT, 3.0)
    assert_close(noised.covariance, alpha**2 * mixture.covariance + sigma**2 * eye, EXACT, 10.0)
    assert noised.covariances.ndim == mixture.covariances.ndim


@every_mixture
@pytest.mark.parametrize("A", [0.95, 0.5, 0.02])
def test_preserving_and_exploding_views_have_the_same_score(mixture, A):
    x, sigma = points(mixture), np.sqrt((1 - A) / A)
    preserving, exploding = mixture.noised(np.sqrt(A), np.sqrt(1 - A)).score(x), mixture.noised(1.0, sigma).score(x / np.sqrt(A))
    assert_close(preserving, exploding / np.sqrt(A), MIXTURE, np.abs(preserving).max())
    assert_close(
        mixture.expected_noise(x, np.sqrt(A), np.sqrt(1 - A)),
        mixture.expected_noise(x / np.sqrt(A), 1.0, sigma),
        MIXTURE,
        np.abs(preserving).max(),
    )


@every_mixture
@every_level
def test_posterior_mean_is_tweedies(mixture, alpha, sigma):
    x = points(mixture)
    score = mixture.noised(alpha, sigma).score(x)
    assert_close(mixture.posterior_mean(x, alpha, sigma), (x + sigma**2 * score) / alpha, MIXTURE, (1 + np.abs(x).max()) / alpha)


@every_mixture
@every_level
def test_posterior_covariance_follows_from_the_score_jacobian(mixture, alpha, sigma):
    x, ratio = points(mixture), (sigma / alpha) ** 2
    jacobian = mixture.noised(alpha, sigma).score_jacobian(x)
    expected = ratio * (np.eye(mixture.dimension) + sigma**2 * jacobian)
    scale = ratio * (1 + sigma**2 * np.abs(jacobian).max()) + np.abs(mixture.means).max() ** 2
    assert_close(mixture.posterior_covariance(x, alpha, sigma), expected, MIXTURE, scale)


@in_1d
@every_level
def test_posterior_moments_follow_bayes_rule(mixture, alpha, sigma):
    x0, x = nodes(mixture)[0][:, 0], np.linspace(-2, 2, 9)
    h = min(x0[1] - x0[0], sigma / alpha / 8)
    x0 = np.arange(x0[0], x0[-1], h)
    joint = np.exp(mixture.log_density(x0[:, None])) * stats.norm.pdf(x[:, None], alpha * x0, sigma)
    joint /= joint.sum(axis=1, keepdims=True)
    mean, square = joint @ x0, joint @ x0**2
    assert_close(mixture.posterior_mean(x[:, None], alpha, sigma)[:, 0], mean, QUADRATURE, 10.0)
    assert_close(mixture.posterior_covariance(x[:, None], alpha, sigma)[:, 0, 0], square - mean**2, QUADRATURE, 100.0)


def gaussians(x, weights, means, variances):
    """sum_k weights[n,k] N(x[m]; means[n,k], variances[k]) as [n,m]."""
    return (weights[:, None] * stats.norm.pdf(x[:, None], means[:, None], np.sqrt(variances))).sum(axis=2)


@in_1d
@pytest.mark.parametrize("t, t_prev", [(1, 0), (40, 0), (40, 39), (40, 20), (150, 1), (150, 149)])
def test_reverse_kernel_follows_bayes_rule(mixture, t, t_prev):
    schedule = constant()
    a, spread = schedule.signal(t) / schedule.signal(t_prev), np.sqrt(schedule.beta(t, t_prev))
    earlier, x = mixture.noised(schedule.signal(t_prev), schedule.noise_scale(t_prev)), np.linspace(-2, 2, 9)
    z = nodes(earlier)[0][:, 0]
    h = min(z[1] - z[0], spread / a / 8)
    z = np.arange(z[0], z[-1], h)
    joint = np.exp(earlier.log_density(z[:, None])) * stats.norm.pdf(x[:, None], a * z, spread)
    joint /= joint.sum(axis=1, keepdims=True) * h
    weights, means, covariances = mixture.reverse_kernel(x[:, None], schedule, t, t_prev)
    actual = gaussians(z, weights, means[..., 0], covariances[:, 0, 0])
    # the kernel's variance, 0.02 at least, is a difference of numbers up to 5: 250 u of it, and 100 times the error of the density
    assert_close(actual, joint, 10 * QUADRATURE, joint.max(axis=1, keepdims=True))


@pytest.mark.parametrize("name", ["isotropic-2", "isotropic-5", "example-2.1"])
@pytest.mark.parametrize("t, t_prev", [(1, 0), (300, 299), (700, 200), (1000, 0)])
def test_reverse_kernel_of_isotropic_components_equals_the_tutorials(name, t, t_prev):
    mixture, schedule = MIXTURES[name], linear()
    A, A_prev, beta = schedule.signal_power(t), schedule.signal_power(t_prev), schedule.beta(t, t_prev)
    c, x = mixture.covariances, points(mixture)
    v, v_prev = A * c + schedule.noise_power(t), A_prev * c + schedule.noise_power(t_prev)
    gain, offsets = np.sqrt(A / A_prev) * v_prev / v, x[:, None] - np.sqrt(A) * mixture.means
    weights, means, covariances = mixture.reverse_kernel(x, schedule, t, t_prev)
    expected = np.sqrt(A_prev) * mixture.means + gain[:, None] * offsets
    assert_close(means, expected, EXACT, np.abs(offsets).max() + np.abs(mixture.means).max())
    assert_close(covariances, (beta * v_prev / v)[:, None, None] * np.eye(mixture.dimension), EXACT, v_prev.max())
    assert_close(weights, mixture.noised(np.sqrt(A), np.sqrt(1 - A)).responsibilities(x), MIXTURE, 1.0)


@pytest.mark.parametrize("name", ["full-2", "full-5", "one-gaussian"])
@pytest.mark.parametrize("t, t_prev", [(2, 1), (300, 299), (700, 200), (1000, 1)])
def test_reverse_kernel_of_full_covariances_adds_precisions(name, t, t_prev):
    mixture, schedule = MIXTURES[name], linear()
    a, beta, eye = schedule.signal_power(t) / schedule.signal_power(t_prev), schedule.beta(t, t_prev), np.eye(mixture.dimension)
    signal = schedule.signal(t_prev)
    prior = np.linalg.inv(signal**2 * mixture.full + schedule.noise_power(t_prev) * eye)
    expected = np.linalg.inv(prior + a / beta * eye)
    x = points(mixture)
    pull = signal * np.einsum("kij,kj->ki", prior, mixture.means) + np.sqrt(a) / beta * x[:, None]
    _, means, covariances = mixture.reverse_kernel(x, schedule, t, t_prev)
    assert_close(covariances, expected, MIXTURE, 1.0)
    assert_close(means, np.einsum("kij,nkj->nki", expected, pull), MIXTURE, np.abs(means).max())


@in_1d
@every_level
def test_mmse_follows_from_fisher_information(mixture, alpha, sigma):
    noised = mixture.noised(alpha, sigma)
    x, h = nodes(noised)
    p = np.exp(noised.log_density(x)) * h
    mmse = p @ mixture.posterior_covariance(x, alpha, sigma)[:, 0, 0]
    assert_close(mmse, (sigma / alpha) ** 2 * (1 - sigma**2 * (p @ noised.score(x)[:, 0] ** 2)), QUADRATURE, (sigma / alpha) ** 2 + 10)
    eps_floor = p @ (1 - mixture.expected_noise(x, alpha, sigma)[:, 0] ** 2)  # E eps^2 - E eps*^2
    assert_close(eps_floor, (alpha / sigma) ** 2 * mmse, QUADRATURE, 1 + 10 * (alpha / sigma) ** 2)


@in_2d
def test_mmse_in_2d_follows_from_fisher_information(mixture):
    schedule = cosine(10)
    alpha, sigma = schedule.signal(4), schedule.noise_scale(4)
    noised = mixture.noised(alpha, sigma)
    x, h = plane(noised)
    p = np.exp(noised.log_density(x)) * h
    mmse = p @ np.trace(mixture.posterior_covariance(x, alpha, sigma), axis1=1, axis2=2)
    assert_close(mmse, (sigma / alpha) ** 2 * (2 - sigma**2 * (p @ (noised.score(x) ** 2).sum(axis=1))), QUADRATURE, 20.0)


def test_a_single_gaussian_denoises_by_its_gain():
    mixture = Mixture(np.ones(1), np.array([[0.7]]), np.array([0.4]))
    x = np.array([[-1.0], [0.0], [3.0]])
    gain = 0.6 * 0.4 / (0.36 * 0.4 + 0.64)
    assert_close(mixture.posterior_mean(x, 0.6, 0.8), 0.7 + gain * (x - 0.42), EXACT, 4.0)
    assert_close(mixture.posterior_covariance(x, 0.6, 0.8)[:, 0, 0], np.full(3, 0.4 * 0.64 / (0.36 * 0.4 + 0.64)), EXACT)


@pytest.mark.parametrize("deviation", [1e-9, 1.0, 1e3, 1e9])
def test_reverse_kernel_is_accurate_for_narrow_and_wide_data(deviation):
    schedule, c = linear(), deviation**2
    v, v_prev = (schedule.signal_power(t) * c + schedule.noise_power(t) for t in (2, 1))
    _, _, covariances = Mixture(np.ones(1), np.zeros((1, 1)), np.array([c])).reverse_kernel(np.ones((1, 1)), schedule, 2, 1)
    assert_close(covariances[0, 0, 0], schedule.beta(2, 1) * v_prev / v, EXACT)
