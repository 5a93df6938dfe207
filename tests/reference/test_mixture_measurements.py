"""The posterior of a mixture given a measurement, against Bayes' rule by quadrature and by hand, and its mean, the Wiener filter."""

import numpy as np
import pytest
from scipy import stats

from reference.diffusion.mixtures import Mixture
from reference.diffusion.yardsticks import LinearDenoiser
from reference.restoration.operators import Mask, Matrix
from reference.restoration.posterior import posterior, wiener
from reference.restoration.separable import block_mean, blur
from tests.mixture_examples import MIXTURES, every_level, every_mixture, plane, points
from tests.oracle_tolerances import EXACT, MIXTURE, QUADRATURE, SVD, assert_close, central_difference
from tests.restoration_examples import dense, every_operator

IN_2D = {
    "first known": Mask(np.array([True, False])),
    "nothing known": Mask(np.zeros(2, bool)),
    "m < n": Matrix([[0.6, -1.3]]),
    "m = n": Matrix([[0.6, -1.3], [0.2, 0.5]]),
    "m > n": Matrix([[0.6, -1.3], [0.2, 0.5], [1.0, 1.0]]),
    "rank 1": Matrix([[1.0, 2.0], [2.0, 4.0]]),
}


def log_likelihood(operator, x, y, noise):
    """log N(y; A x, noise^2 I) for x[n,d]."""
    return stats.norm.logpdf(y - x @ dense(operator).T, 0, noise).sum(axis=1)


def measured(operator, seed=0):
    return 1.5 * np.random.default_rng(seed).normal(size=operator.measured_shape)


@pytest.mark.parametrize("operator", IN_2D.values(), ids=IN_2D)
def test_posterior_is_bayes_rule_by_quadrature(operator):
    mixture, noise = MIXTURES["full-2"], 0.5
    x, h = plane(mixture)
    y = measured(operator)
    joint = np.exp(mixture.log_density(x) + log_likelihood(operator, x, y, noise)) * h
    p = joint / joint.sum()
    exact = posterior(mixture, operator, y, noise)
    assert_close(np.exp(exact.log_density(x)) * h, p, QUADRATURE, p + 1e-6 * p.max())
    mean = p @ x
    assert_close(exact.mean, mean, QUADRATURE, np.abs(p @ np.abs(x)))
    assert_close(exact.covariance, (p[:, None] * (x - mean)).T @ (x - mean), QUADRATURE, p @ (x**2).sum(axis=1))


@every_mixture
@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_posterior_is_proportional_to_prior_times_likelihood_in_any_dimension(mixture, noise):
    d = mixture.dimension
    operator = Matrix(np.random.default_rng(d).normal(size=(max(1, d - 1), d)))
    y, x = measured(operator), points(mixture)
    terms = (posterior(mixture, operator, y, noise).log_density(x), mixture.log_density(x), log_likelihood(operator, x, y, noise))
    evidence = terms[1] + terms[2] - terms[0]
    assert_close(evidence, np.full(len(x), evidence[0]), MIXTURE, np.abs(terms).max())


def test_posterior_weights_and_moments_of_two_components_by_hand():
    """Prior .4 N((0, 0), I) + .6 N((2, 1), diag(4, .25)), and the first entry measured as 1.5 with noise 1.

    The evidence is N(1.5; 0, 1 + 1) and N(1.5; 2, 4 + 1); the gains are 1/2 and 4/5.
    """
    mixture = Mixture(np.array([0.4, 0.6]), np.array([[0.0, 0.0], [2.0, 1.0]]), np.array([np.eye(2), np.diag([4.0, 0.25])]))
    exact = posterior(mixture, IN_2D["first known"], np.array([1.5]), 1.0)
    evidence = np.array([0.4 * np.exp(-(1.5**2) / 4) / 2**0.5, 0.6 * np.exp(-(0.5**2) / 10) / 5**0.5])
    assert_close(exact.weights, evidence / evidence.sum(), EXACT)
    assert_close(exact.means, np.array([[0.75, 0.0], [1.6, 1.0]]), EXACT, 1.0)
    assert_close(exact.covariances, np.array([np.diag([0.5, 1.0]), np.diag([0.8, 0.25])]), EXACT, 1.0)


@every_mixture
def test_much_noise_leaves_the_prior_and_no_noise_leaves_the_measurement(mixture):
    d = mixture.dimension
    operator = Matrix(np.eye(d)[: max(1, d - 1)])
    y, x = measured(operator), points(mixture)
    prior = posterior(mixture, operator, y, 1e8)  # an error of 1e-16 |y| |x|
    assert_close(prior.log_density(x), mixture.log_density(x), MIXTURE, np.abs(mixture.log_density(x)).max())
    A, noise = dense(operator), 1e-6
    precise = posterior(mixture, operator, y, noise)
    # with V = A C A' + s^2 I: A m_k - y = s^2 V^{-1} (A m - y), and A C_k A' = s^2 I - s^4 V^{-1}
    left = noise**2 / np.linalg.eigvalsh(mixture.full).min()
    gaps, eyes = y - mixture.means @ A.T, np.broadcast_to(np.eye(len(y)), (len(mixture.weights), len(y), len(y)))
    assert_close(precise.means @ A.T, np.broadcast_to(y, gaps.shape), SVD + left, np.linalg.norm(gaps))
    assert_close(A @ precise.covariances @ A.T / noise**2, eyes, SVD + left, 1.0)


@every_operator
def test_wiener_filter_is_the_posterior_mean_of_a_gaussian(operator):
    n, rng = int(np.prod(operator.shape)), np.random.default_rng(1)
    root = rng.normal(size=(n, n)) / n**0.5
    mean, covariance = rng.normal(size=n), root @ root.T + 0.1 * np.eye(n)
    prior = Mixture(np.ones(1), mean[None], covariance[None])
    y = rng.normal(size=(3, *operator.measured_shape))
    found = wiener(mean, covariance, operator, y, 0.3)
    A = dense(operator)
    precision = np.linalg.inv(covariance) + A.T @ A / 0.3**2  # the same by adding precisions
    for one, restored in zip(y, found):
        exact = posterior(prior, operator, one, 0.3)
        assert_close(restored.ravel(), exact.mean, MIXTURE, 10.0)
        pull = np.linalg.solve(covariance, mean) + A.T @ one.ravel() / 0.3**2
        assert_close(exact.mean, np.linalg.solve(precision, pull), SVD, np.linalg.cond(precision))
        assert_close(exact.full[0], np.linalg.inv(precision), SVD, np.linalg.cond(precision))


def test_wiener_filter_of_noise_alone_is_the_best_linear_denoiser():
    x = np.random.default_rng(2).normal(size=(40, 3, 2, 1)) + 0.3
    best = LinearDenoiser.fit(x)
    covariance = best.vectors * best.eigenvalues @ best.vectors.T
    everything = Mask(np.ones((3, 2, 1), bool))
    found = wiener(best.mean, covariance, everything, x.reshape(40, 6), 0.7)
    assert_close(found, best.posterior_mean(x, 0.7), SVD, 10.0)


@pytest.mark.parametrize("noise", [0, -0.1, np.nan, np.inf])
def test_posterior_and_wiener_filter_need_noise(noise):
    y = np.zeros((1, 1))
    with pytest.raises(ValueError, match="the exact posterior needs a positive noise"):
        posterior(MIXTURES["full-2"], IN_2D["m < n"], y[0], noise)
    with pytest.raises(ValueError, match="the Wiener filter needs a positive noise"):
        wiener(np.zeros(2), np.eye(2), IN_2D["m < n"], y, noise)


@pytest.mark.parametrize("operator", [blur((8, 8, 1), 1.5), block_mean((8, 8, 1), 2)], ids=["blur", "block mean"])
@pytest.mark.parametrize("noise", [1e-6, 0.1])
def test_posterior_in_64_dimensions_is_a_mixture(operator, noise):
    """Its covariances pass the checks of symmetry and definiteness, for little noise too."""
    rng = np.random.default_rng(3)
    roots = rng.normal(size=(2, 64, 64)) / 8
    mixture = Mixture(np.array([0.5, 0.5]), rng.normal(size=(2, 64)), roots @ roots.swapaxes(1, 2) + 0.01 * np.eye(64))
    exact = posterior(mixture, operator, rng.normal(size=operator.measured_shape), noise)
    assert np.isfinite(exact.mean).all() and (np.linalg.eigvalsh(exact.full) > 0).all()


# the denoiser and its pullback


@every_mixture
@every_level
def test_pullback_of_a_mixture_is_the_derivative_of_its_posterior_mean(mixture, alpha, sigma):
    x, rng = points(mixture, 8), np.random.default_rng(4)
    v, direction = rng.normal(size=(2, *x.shape))
    mean, pullback = mixture.posterior_mean_and_pullback(x, alpha, sigma)
    assert_close(mean, mixture.posterior_mean(x, alpha, sigma), MIXTURE, 10.0)
    J = alpha / sigma**2 * mixture.posterior_covariance(x, alpha, sigma)
    assert_close(pullback(v), np.einsum("nij,nj->ni", J, v), MIXTURE, 10 * np.abs(J).max())
    h = 1e-3 * sigma
    f = lambda s: mixture.posterior_mean(x + s * direction, alpha, sigma)
    along = (8 * (f(h) - f(-h)) - f(2 * h) + f(-2 * h)) / (12 * h)
    error = central_difference(h, 10.0, sigma)
    assert_close((pullback(v) * direction).sum(axis=1), (v * along).sum(axis=1), error, np.abs(v).sum(axis=1))
