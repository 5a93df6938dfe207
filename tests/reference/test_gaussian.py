"""Gaussians in closed form and two estimators of gradients (tutorial, Sec. 1.3), against quadrature, SciPy and draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reference.vae.estimators import pathwise_gradient, score_function_gradient
from reference.vae.gaussian import factor, kl, kl_diagonal, log_density, reparameterise, reparameterise_full
from reference.vae.linear import mean_elbo_and_gradient
from tests.oracle_tolerances import EXACT, LINEAR_ALGEBRA, QUADRATURE, assert_close, assert_mean, line
from tests.tolerances import assert_gradient

every_method = pytest.mark.parametrize("method", ["cholesky", "eigen"])
every_dimension = pytest.mark.parametrize("d", [1, 2, 5, 9])
seeds = st.integers(0, 2**32)
N = 50_000


def gaussian(seed, d):
    """mean[d] and covariance[d,d], of condition number below 100."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d, d)) / np.sqrt(d)
    return rng.normal(size=d), root @ root.T + 0.1 * np.eye(d)


def size(mean0, covariance0, mean1, covariance1):
    """A bound on the terms of the divergence."""
    inverse, m = np.linalg.inv(covariance1), np.abs(mean1) + np.abs(mean0)
    logs = np.abs(np.log(np.linalg.eigvalsh(covariance0))).sum() + np.abs(np.log(np.linalg.eigvalsh(covariance1))).sum()
    return np.trace(inverse) * (np.trace(covariance0) + m @ m) + len(m) + logs


# The divergence (Thm 1.3).


@pytest.mark.parametrize("mean0, variance0", [(0.0, 1.0), (-1.5, 0.04), (0.3, 9.0)])
@pytest.mark.parametrize("mean1, variance1", [(0.0, 1.0), (2.0, 0.3), (-1.0, 4.0)])
def test_kl_divergence_in_1d_equals_its_defining_integral(mean0, variance0, mean1, variance1):
    z, h = line(-12, 12, 1.0)
    x, p = mean0 + np.sqrt(variance0) * z, stats.norm.pdf(z) * h
    logs = stats.norm.logpdf(x, mean0, np.sqrt(variance0)), stats.norm.logpdf(x, mean1, np.sqrt(variance1))
    expected, scale = p @ (logs[0] - logs[1]), p @ (np.abs(logs[0]) + np.abs(logs[1]))
    assert_close(kl([mean0], [[variance0]], [mean1], [[variance1]]), expected, QUADRATURE, scale)
    assert_close(kl_diagonal([mean0], variance0, mean1, variance1), expected, QUADRATURE, scale)


@pytest.mark.parametrize("seed", range(4))
def test_kl_divergence_in_2d_equals_its_defining_integral(seed):
    (mean0, covariance0), (mean1, covariance1) = gaussian(seed, 2), gaussian(seed + 10, 2)
    z, h = line(-12, 12, 1.0)
    grid = np.stack(np.meshgrid(z, z), axis=-1).reshape(-1, 2)
    x, p = mean0 + grid @ np.linalg.cholesky(covariance0).T, stats.norm.pdf(grid).prod(axis=1) * h**2
    logs = stats.multivariate_normal(mean0, covariance0).logpdf(x), stats.multivariate_normal(mean1, covariance1).logpdf(x)
    scale = p @ (np.abs(logs[0]) + np.abs(logs[1]))
    assert_close(kl(mean0, covariance0, mean1, covariance1), p @ (logs[0] - logs[1]), QUADRATURE, scale)


@every_dimension
def test_kl_divergence_is_the_mean_log_ratio_of_draws(d):
    """False alarm 1e-6 in all."""
    (mean0, covariance0), (mean1, covariance1) = gaussian(d, d), gaussian(d + 10, d)
    x = np.random.default_rng(d).multivariate_normal(mean0, covariance0, N)
    ratio = stats.multivariate_normal(mean0, covariance0).logpdf(x) - stats.multivariate_normal(mean1, covariance1).logpdf(x)
    assert_mean(ratio, kl(mean0, covariance0, mean1, covariance1), 4)


@given(seeds, st.integers(1, 6), st.floats(0.01, 10))
def test_kl_divergence_is_zero_only_for_equal_gaussians(seed, d, step):
    mean, covariance = gaussian(seed, d)
    direction = np.random.default_rng(seed).normal(size=d)
    direction /= np.linalg.norm(direction)
    wider = covariance + step * np.trace(covariance) * np.outer(direction, direction)
    rounding = LINEAR_ALGEBRA * size(mean, covariance, mean, covariance)
    assert_close(kl(mean, covariance, mean, covariance), 0.0, rounding, 1.0)
    assert kl(mean + step * direction, covariance, mean, covariance) > rounding
    assert kl(mean, wider, mean, covariance) > rounding
    assert kl(mean, covariance, mean, wider) > rounding


@given(seeds, st.integers(1, 6))
def test_kl_divergence_does_not_depend_on_coordinates(seed, d):
    rng = np.random.default_rng(seed)
    mean0, mean1, shift, scales = rng.normal(size=(4, d))
    root0, root1, basis = rng.normal(size=(3, d, d))
    turn = np.linalg.qr(basis)[0] * np.exp(scales / 2)
    distribution = lambda mean, root: (mean, root @ root.T + 0.1 * np.eye(d))
    moved = lambda mean, root: (turn @ mean + shift, (turn @ root) @ (turn @ root).T + 0.1 * turn @ turn.T)
    here = *distribution(mean0, root0), *distribution(mean1, root1)
    there = *moved(mean0, root0), *moved(mean1, root1)
    assert_close(kl(*there), kl(*here), LINEAR_ALGEBRA, size(*here) + size(*there))


@given(seeds, st.integers(1, 6))
def test_full_diagonal_and_isotropic_kl_divergences_agree(seed, d):
    rng = np.random.default_rng(seed)
    (mean0, mean1), (variance0, variance1) = rng.normal(size=(2, d)), rng.uniform(0.1, 3, (2, d))
    full = lambda v0, v1: kl(mean0, v0 * np.eye(d), mean1, v1 * np.eye(d))
    scale = 4 * size(mean0, np.diag(variance0), mean1, np.diag(variance1)) + 400 * d
    assert_close(kl_diagonal(mean0, variance0, mean1, variance1), full(variance0, variance1), LINEAR_ALGEBRA, scale)
    assert_close(kl_diagonal(mean0, variance0[0], mean1, variance1), full(variance0[0], variance1), LINEAR_ALGEBRA, scale)
    assert_close(kl_diagonal(mean0, variance0, mean1, variance1[0]), full(variance0, variance1[0]), LINEAR_ALGEBRA, scale)
    assert_close(kl_diagonal(mean0, variance0[0], mean1, variance1[0]), full(variance0[0], variance1[0]), LINEAR_ALGEBRA, scale)


@given(seeds, st.integers(1, 6), st.floats(0.05, 5))
def test_kl_divergence_from_the_unit_normal_counts_constants_per_dimension(seed, d, s):
    mean = np.random.default_rng(seed).normal(size=d)
    expected = (d * s**2 - d + mean @ mean - 2 * d * np.log(s)) / 2  # (1.26)
    scale = d * (s**2 + 1 + 2 * abs(np.log(s))) + mean @ mean
    assert_close(kl_diagonal(mean, s**2), expected, EXACT, scale)
    assert_close(kl_diagonal(mean, np.full(d, s**2)), expected, EXACT, scale)
    assert_close(kl(mean, s**2 * np.eye(d), np.zeros(d), np.eye(d)), expected, LINEAR_ALGEBRA, scale)


def test_batched_diagonal_kl_divergence_equals_single_ones():
    rng = np.random.default_rng(0)
    means, variances = rng.normal(size=(2, 3, 4)), rng.uniform(0.1, 3, (2, 3, 4))
    together = kl_diagonal(means, variances)
    assert together.shape == (2, 3)
    for i in np.ndindex(2, 3):
        assert_close(together[i], kl_diagonal(means[i], variances[i]), EXACT)


# Factors (1.22) to (1.24).


@every_method
@every_dimension
def test_a_factor_times_its_transpose_is_the_covariance(method, d):
    _, covariance = gaussian(d, d)
    A = factor(covariance, method)
    assert_close(A @ A.T, covariance, LINEAR_ALGEBRA, np.trace(covariance))


@every_dimension
def test_covariance_factors_are_cholesky_and_eigen_and_differ_by_a_rotation(d):
    _, covariance = gaussian(d, d)
    triangle, eigen, trace = factor(covariance), factor(covariance, "eigen"), np.trace(covariance)
    assert (np.triu(triangle, 1) == 0).all() and (np.diagonal(triangle) > 0).all()
    assert_close(eigen.T @ eigen, np.diag(np.linalg.eigvalsh(covariance)), LINEAR_ALGEBRA, trace)
    turn = np.linalg.solve(triangle, eigen)
    assert_close(turn @ turn.T, np.eye(d), LINEAR_ALGEBRA, trace * np.trace(np.linalg.inv(covariance)))


@pytest.mark.parametrize(
    "covariance, message",
    [
        (np.diag([1.0, -0.5]), "covariance must be positive definite, its smallest eigenvalue is -0.5"),
        (np.diag([1.0, 0.0]), "covariance must be positive definite, its smallest eigenvalue is 0"),
        (np.zeros((1, 1)), "covariance must be positive definite, its smallest eigenvalue is 0"),
        ([[1.0, 2.0], [2.0, 1.0]], "covariance must be positive definite, its smallest eigenvalue is -1"),
        ([[2.0, 0.5], [0.25, 2.0]], "covariance must be symmetric, its transpose differs by up to 0.25"),
        ([[np.nan, 0.0], [0.0, 1.0]], "covariance must be symmetric"),
        (np.ones((2, 3)), r"covariance must be a square matrix, got shape \(2, 3\)"),
        (np.ones(4), r"covariance must be a square matrix, got shape \(4,\)"),
        (np.ones((0, 0)), r"covariance must be a square matrix, got shape \(0, 0\)"),
    ],
)
@every_method
def test_invalid_covariances_are_refused(covariance, message, method):
    with pytest.raises(ValueError, match=message):
        factor(covariance, method)


@given(seeds, st.integers(2, 6))
def test_a_singular_covariance_is_refused_despite_rounding(seed, d):
    root = np.random.default_rng(seed).normal(size=(d, d - 1))
    for method in ("cholesky", "eigen"):
        with pytest.raises(ValueError, match="covariance must be positive definite, its smallest eigenvalue is"):
            factor(root @ root.T, method)


@pytest.mark.parametrize("method", ["svd", "", "Cholesky", None])
def test_an_unknown_factor_method_is_refused(method):
    with pytest.raises(ValueError, match=f"method must be cholesky or eigen, got {method!r}"):
        factor(np.eye(2), method)


@pytest.mark.parametrize("sizes", [(1, 2, 2, 2), (2, 1, 2, 2), (2, 2, 1, 2), (2, 2, 2, 1), (2, 3, 2, 3)])
def test_kl_divergence_of_different_dimensions_is_refused(sizes):
    m0, C0, m1, C1 = sizes
    with pytest.raises(ValueError, match=rf"must have one dimension, got shapes \({m0},\), \({C0}, {C0}\), \({m1},\), \({C1}, {C1}\)"):
        kl(np.zeros(m0), np.eye(C0), np.zeros(m1), np.eye(C1))


@pytest.mark.parametrize("variance", [0.0, -1.0, np.nan, np.array([1.0, -2.0]), np.array([0.0, 2.0])])
def test_variances_that_are_not_positive_are_refused(variance):
    with pytest.raises(ValueError, match="variances must be positive, got"):
        kl_diagonal(np.zeros(2), variance)
    with pytest.raises(ValueError, match="variances must be positive, got"):
        kl_diagonal(np.zeros(2), 1.0, 0.0, variance)


# Draws as functions of their parameters (1.16) to (1.22), Ex 1.7 and 1.8.


@every_method
@pytest.mark.parametrize("d", [1, 2, 5])
def test_full_draws_have_the_mean_and_the_covariance(method, d):
    """False alarm 1e-6 in all."""
    mean, covariance = gaussian(d, d)
    z = reparameterise_full(mean, factor(covariance, method), np.random.default_rng(d).normal(size=(N, d)))
    centred = z - mean
    assert_mean(centred, 0.0, 12)
    assert_mean(centred[:, :, None] * centred[:, None], covariance, 12)


def test_diagonal_draws_have_the_mean_and_the_variances_and_no_correlation():
    """False alarm 1e-6 in all."""
    mean, deviation = np.array([1.0, -2.0, 0.0]), np.array([0.1, 1.0, 3.0])
    centred = reparameterise(mean, deviation, np.random.default_rng(0).normal(size=(N, 3))) - mean
    assert_mean(centred, 0.0, 2)
    assert_mean(centred[:, :, None] * centred[:, None], np.diag(deviation**2), 2)


@given(seeds, st.integers(1, 6))
def test_diagonal_log_density_is_the_noises_minus_log_determinant(seed, d):
    rng = np.random.default_rng(seed)
    (mean, eps), deviation = rng.normal(size=(2, d)), np.exp(rng.normal(size=d))
    z = reparameterise(mean, deviation, eps)
    jacobian = np.stack([reparameterise(mean, deviation, eps + e) - z for e in np.eye(d)], axis=1)  # of an affine map, exactly
    log_det = np.linalg.slogdet(jacobian)[1]
    scale = d * (1 + np.abs(mean) / deviation).max() + np.abs(np.log(deviation)).sum() + eps @ eps
    assert_close(log_det, np.log(deviation).sum(), LINEAR_ALGEBRA, scale)
    assert_close(log_density(z, mean, deviation), stats.norm.logpdf(eps).sum() - log_det, LINEAR_ALGEBRA, scale)


@every_method
@every_dimension
def test_full_log_density_is_the_noises_minus_log_determinant(method, d):
    mean, covariance = gaussian(d, d)
    A, eps = factor(covariance, method), np.random.default_rng(d).normal(size=(7, d))
    expected = stats.norm.logpdf(eps).sum(axis=1) - np.linalg.slogdet(A)[1]
    actual = stats.multivariate_normal(mean, covariance).logpdf(reparameterise_full(mean, A, eps))
    assert_close(np.reshape(actual, 7), expected, LINEAR_ALGEBRA, np.abs(expected) + size(mean, covariance, mean, covariance))


@given(seeds, st.integers(1, 6))
def test_diagonal_log_density_is_the_sum_over_entries(seed, d):
    rng = np.random.default_rng(seed)
    (x, mean), deviation = rng.normal(size=(2, 3, d)), np.exp(rng.normal(size=d))
    logs = stats.norm.logpdf(x, mean, deviation)
    scale = np.abs(logs) + np.abs(np.log(deviation)) + ((np.abs(x) + np.abs(mean)) / deviation) ** 2 + 1
    assert_close(log_density(x, mean, deviation), logs.sum(axis=1), EXACT, scale.sum(axis=1))


@given(seeds, st.integers(1, 4))
def test_entropy_depends_on_the_log_determinant_only(seed, d):
    """E[-log q] over q: the exponent is quadratic in the noise, and draws of +1 and -1 have the moments of a normal draw."""
    rng = np.random.default_rng(seed)
    mean, deviation = rng.normal(size=d), np.exp(rng.normal(size=d))
    z = reparameterise(mean, deviation, np.array([[1.0], [-1.0]]) * np.ones(d))
    expected = d / 2 * np.log(2 * np.pi * np.e) + np.log(deviation).sum()
    scale = 2 * d + np.abs(np.log(deviation)).sum() + (np.abs(mean) / deviation).sum()
    assert_close(-log_density(z, mean, deviation).mean(), expected, EXACT, scale)


# Estimators.  In 1D the noise is the nodes of a quadrature rule; its weights give the exact mean and variance.


def estimates(estimator, f, mean, deviation):
    """(means, variances) [2] each of the draws of d/dmean and d/dlog_var, and the size of the terms in the means."""
    z, h = line(-12, 12, 1.0)
    p = stats.norm.pdf(z) * h
    draws = np.hstack(estimator(f, np.array([mean]), np.array([2 * np.log(deviation)]), z[:, None]))
    means = p @ draws
    return means, p @ (draws - means) ** 2, p @ (np.abs(draws) + draws**2)


every_gaussian = pytest.mark.parametrize("mean, deviation", [(0.0, 1.0), (0.7, 0.5), (-2.0, 1.5), (0.1, 0.05)])


@every_gaussian
def test_gradient_estimators_of_mean_square_have_printed_mean_and_variance(mean, deviation):
    m, s = mean**2, deviation**2
    by_path = estimates(pathwise_gradient, lambda z: 2 * z, mean, deviation)
    by_score = estimates(score_function_gradient, lambda z: z[:, 0] ** 2, mean, deviation)
    for means, _, scale in (by_path, by_score):
        assert_close(means, np.array([2 * mean, s]), QUADRATURE, scale)
    # moments 1, 3, 15, 105 of the unit normal
    assert_close(by_path[1], np.array([4 * s, m * s + 2 * s**2]), QUADRATURE, by_path[2])
    expected = np.array([m**2 / s + 14 * m + 15 * s, m**2 / 2 + 15 * m * s + 18.5 * s**2])
    assert_close(by_score[1], expected, QUADRATURE, by_score[2])
    assert (by_score[1] > by_path[1]).all()


@every_gaussian
@pytest.mark.parametrize("frequency", [0.5, 2.0])
def test_gradient_estimators_of_mean_sine_are_unbiased(mean, deviation, frequency):
    """E sin(w z) = exp(-w^2 deviation^2 / 2) sin(w mean)."""
    w, damping = frequency, np.exp(-((frequency * deviation) ** 2) / 2)
    expected = damping * np.array([w * np.cos(w * mean), -((w * deviation) ** 2) / 2 * np.sin(w * mean)])
    for means, _, scale in (
        estimates(pathwise_gradient, lambda z: w * np.cos(w * z), mean, deviation),
        estimates(score_function_gradient, lambda z: np.sin(w * z[:, 0]), mean, deviation),
    ):
        assert_close(means, expected, QUADRATURE, scale)


@every_gaussian
def test_gradient_estimators_of_mean_tanh_are_unbiased(mean, deviation):
    """The derivative of E tanh(z) by quadrature over z, with the parameters in the density."""
    direction = np.random.default_rng(0).normal(size=2)
    x, h = line(mean - 20 * deviation, mean + 20 * deviation, deviation / 2)
    density = lambda step: stats.norm.pdf(x, mean + step * direction[0] * deviation, deviation * np.exp(step * direction[1] / 2)) * h
    for means, _, scale in (
        estimates(pathwise_gradient, lambda z: 1 / np.cosh(z) ** 2, mean, deviation),
        estimates(score_function_gradient, lambda z: np.tanh(z[:, 0]), mean, deviation),
    ):
        analytic = means @ (direction * [deviation, 1])
        assert_gradient(analytic, lambda step: density(step) @ np.tanh(x), density(0.0) @ np.abs(np.tanh(x)), scale.sum())


@every_gaussian
def test_the_score_of_the_own_distribution_has_mean_zero(mean, deviation):
    means, variances, scale = estimates(score_function_gradient, lambda z: np.ones(len(z)), mean, deviation)
    assert_close(means, np.zeros(2), QUADRATURE, scale)
    assert_close(variances, np.array([1 / deviation**2, 0.5]), QUADRATURE, scale)


def test_pathwise_draws_are_derivatives_at_fixed_noise():
    rng = np.random.default_rng(1)
    (eps, upstream), (mean, log_var, to_mean, to_log_var) = rng.normal(size=(2, 5, 3)), rng.normal(size=(4, 3))
    d_mean, d_log_var = pathwise_gradient(lambda z: upstream * np.cos(z), mean, log_var, eps)
    sine = lambda m, v: (upstream * np.sin(m + np.exp(v / 2) * eps)).sum()
    magnitude = np.abs(upstream).sum()
    assert_gradient((d_mean @ to_mean).sum(), lambda h: sine(mean + h * to_mean, log_var), magnitude)
    assert_gradient((d_log_var @ to_log_var).sum(), lambda h: sine(mean, log_var + h * to_log_var), magnitude)


def test_gradient_estimators_of_the_elbo_are_unbiased():
    """f = log p(x, z) - log q(z|x) of a linear VAE at one x; only grad log q (1.15) would give zero.  False alarm 1e-6 in all."""
    rng = np.random.default_rng(2)
    W, V, (mu, x), s2 = rng.normal(size=(4, 3)), rng.normal(size=(3, 4)) / 2, rng.normal(size=(2, 4)), 0.8
    b, log_D = rng.normal(size=(2, 3)) / 2
    _, (*_, d_mean, d_log_var) = mean_elbo_and_gradient((W, mu, np.log(s2), V, b, log_D), x[None])
    mean, D = V @ x + b, np.exp(log_D)

    def f(z):
        log_p = stats.norm.logpdf(x, z @ W.T + mu, np.sqrt(s2)).sum(axis=1) + stats.norm.logpdf(z).sum(axis=1)
        return log_p - stats.norm.logpdf(z, mean, np.sqrt(D)).sum(axis=1)

    gradient = lambda z: (x - z @ W.T - mu) @ W / s2 - z + (z - mean) / D
    eps = rng.normal(size=(N, 3))
    by_path, by_score = pathwise_gradient(gradient, mean, log_D, eps), score_function_gradient(f, mean, log_D, eps)
    for expected, path, score in zip((d_mean, d_log_var), by_path, by_score):
        assert_mean(path, expected, 4)
        assert_mean(score, expected, 4)
        assert (score.var(axis=0) > path.var(axis=0)).all()
