"""The linear VAE in closed form: its ELBO (tutorial, Sec. 1.2), probabilistic PCA, and its gradient."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reference.vae.gaussian import kl
from reference.vae.linear import LinearVAE, fit, mean_elbo_and_gradient, probabilistic_pca, toy
from tests.oracle_tolerances import FITTED, LINEAR_ALGEBRA, QUADRATURE, assert_close, line
from tests.tolerances import assert_gradient

SHAPES = [(1, 1), (3, 1), (4, 3), (2, 2), (3, 5)]
every_shape = pytest.mark.parametrize("d, k", SHAPES)


def a_model(d, k):
    """A linear VAE with unrelated decoder and encoder."""
    rng = np.random.default_rng(10 * d + k)
    root = rng.normal(size=(k, k)) / np.sqrt(k)
    W, V, mu, b = rng.normal(size=(d, k)), rng.normal(size=(k, d)), rng.normal(size=d), rng.normal(size=k)
    return LinearVAE(W, mu, 0.7, V, b, root @ root.T + 0.2 * np.eye(k))


def points(d, n=5):
    return 2 * np.random.default_rng(d).normal(size=(n, d))


def encoded(model, x):
    return x @ model.V.T + model.b


MODELS = {f"{d}-{k}": a_model(d, k) for d, k in SHAPES} | {"toy": toy(0.8, -0.3, 0.6, 1.3, 0.4, 0.9, d=2)}
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


@every_model
def test_elbo_equals_its_defining_expectation(model):
    """Under q all logs are quadratic in z, so that Gauss-Hermite quadrature with 3 nodes per dimension is exact."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    k, x = len(model.b), points(len(model.mu))
    eps, weight = np.array(list(product(nodes, repeat=k))), np.array(list(product(weights / weights.sum(), repeat=k))).prod(axis=1)
    results = zip(x, encoded(model, x), model.reconstruction(x), model.kl(x), model.elbo(x))
    for row, m, reconstruction, divergence, elbo in results:
        z = m + eps @ np.linalg.cholesky(model.D).T
        log_likelihood = stats.norm.logpdf(row, z @ model.W.T + model.mu, np.sqrt(model.s2)).sum(axis=1)
        log_prior, log_q = stats.norm.logpdf(z).sum(axis=1), stats.multivariate_normal(m, model.D).logpdf(z)
        scale = weight @ (np.abs(log_likelihood) + np.abs(log_prior) + np.abs(log_q))
        assert_close(reconstruction, weight @ log_likelihood, LINEAR_ALGEBRA, scale)
        assert_close(divergence, weight @ (log_q - log_prior), LINEAR_ALGEBRA, scale)
        assert_close(elbo, weight @ (log_likelihood + log_prior - log_q), LINEAR_ALGEBRA, scale)


@every_model
def test_elbo_plus_posterior_kl_is_the_log_likelihood(model):
    x = points(len(model.mu))
    means, covariance = model.posterior(x)
    gaps = np.array([kl(m, model.D, mean, covariance) for m, mean in zip(encoded(model, x), means)])
    scale = np.abs(model.reconstruction(x)) + model.kl(x) + gaps
    assert_close(model.elbo(x) + gaps, model.log_likelihood(x), LINEAR_ALGEBRA, scale)
    assert (model.elbo(x) < model.log_likelihood(x)).all()


@every_model
def test_with_the_posterior_the_elbo_is_the_log_likelihood(model):
    x, tight = points(len(model.mu)), model.with_posterior()
    assert tight.W is model.W and tight.mu is model.mu and tight.s2 == model.s2
    assert_close(tight.elbo(x), model.log_likelihood(x), LINEAR_ALGEBRA, np.abs(tight.reconstruction(x)) + tight.kl(x))
    assert_close(encoded(tight, x), model.posterior(x)[0], LINEAR_ALGEBRA, np.abs(x).max() / model.s2)


@given(st.integers(0, 2**32), st.floats(1e-8, 1.0), st.floats(1e-5, 1.0))
def test_posterior_covariance_is_positive_for_ill_conditioned_decoders(seed, s2, last):
    U, _, turn = np.linalg.svd(np.random.default_rng(seed).normal(size=(5, 3)), full_matrices=False)
    model = LinearVAE(U * np.geomspace(1, last, 3) @ turn, np.zeros(5), s2, np.zeros((3, 5)), np.zeros(3), np.eye(3))
    _, D = model.posterior(np.zeros((1, 5)))
    assert (D == D.T).all() and (model.with_posterior().D == D).all()


@every_model
def test_posterior_follows_bayes_rule(model):
    x = points(len(model.mu))
    means, covariance = model.posterior(x)
    for row, mean, log_p in zip(x, means, model.log_likelihood(x)):
        z = mean + np.random.default_rng(0).normal(size=(6, len(mean)))
        log_likelihood = stats.norm.logpdf(row, z @ model.W.T + model.mu, np.sqrt(model.s2)).sum(axis=1)
        log_prior = stats.norm.logpdf(z).sum(axis=1)
        log_posterior = stats.multivariate_normal(mean, covariance).logpdf(z)
        scale = np.abs(log_likelihood) + np.abs(log_prior) + np.abs(log_posterior)
        assert_close(log_posterior + log_p, log_likelihood + log_prior, LINEAR_ALGEBRA, scale)


@every_model
def test_likelihood_is_gaussian_with_the_sum_of_two_covariances(model):
    x, d = points(len(model.mu)), len(model.mu)
    expected = stats.multivariate_normal(model.mu, model.W @ model.W.T + model.s2 * np.eye(d)).logpdf(x)
    assert_close(model.log_likelihood(x), expected, LINEAR_ALGEBRA, np.abs(expected) + d)


@pytest.mark.parametrize("d", [1, 3])
def test_likelihood_with_one_latent_variable_is_the_integral_over_it(d):
    model = a_model(d, 1)
    z, h = line(-12, 12, np.sqrt(model.posterior(points(d))[1][0, 0]))
    for row, log_p in zip(points(d), model.log_likelihood(points(d))):
        joint = stats.norm.logpdf(row, z[:, None] @ model.W.T + model.mu, np.sqrt(model.s2)).sum(axis=1) + stats.norm.logpdf(z)
        assert_close(np.exp(log_p), np.exp(joint).sum() * h, QUADRATURE)


@pytest.mark.parametrize("s2", [0.0, -1.0, np.nan])
def test_a_non_positive_noise_variance_is_refused(s2):
    with pytest.raises(ValueError, match=f"s2 must be positive, got {s2}"):
        replace(a_model(3, 1), s2=s2)


@pytest.mark.parametrize(
    "D, message",
    [
        (np.diag([1.0, -1.0]), "positive definite, its smallest eigenvalue is -1"),
        (np.array([[1.0, 0.5], [0.25, 1.0]]), "symmetric, its transpose differs by up to 0.25"),
        (np.ones((2, 1)), r"a square matrix, got shape \(2, 1\)"),
    ],
)
def test_an_encoder_without_a_covariance_is_refused(D, message):
    with pytest.raises(ValueError, match=f"covariance must be {message}"):
        replace(a_model(2, 2), D=D)


# Probabilistic PCA.

DATA = [(5, 2), (4, 1), (6, 3), (3, 2), (8, 4)]
every_data = pytest.mark.parametrize("d, k", DATA)


def data(d, seed=0, n=200):
    """x[n,d] of condition number about 100, rotated and shifted."""
    rng = np.random.default_rng(100 * d + seed)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    return rng.normal(size=(n, d)) * np.geomspace(3, 0.3, d) @ turn + 2 * rng.normal(size=d)


def spectrum(x):
    return np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2 / len(x)


def with_spectrum(values, n=100):
    """x[n,d] with a covariance of exactly these eigenvalues."""
    x = np.random.default_rng(0).normal(size=(n, len(values)))
    U, _, turn = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    return np.sqrt(n) * U * np.sqrt(values) @ turn


def best_log_likelihood(x, k):
    """-1/2 [d log 2 pi + sum of log lam_j over j <= k + (d - k) log s2 + d] of the eigenvalues."""
    lam, d = spectrum(x), x.shape[1]
    return -(d * np.log(2 * np.pi) + np.log(lam[:k]).sum() + (d - k) * np.log(lam[k:].mean()) + d) / 2


@every_data
def test_pca_elbo_and_likelihood_have_the_closed_form_of_the_eigenvalues(d, k):
    x = data(d)
    model, expected = probabilistic_pca(x, k), best_log_likelihood(x, k)
    logs = np.abs(np.log(spectrum(x))).sum() + 2 * d
    assert_close(model.log_likelihood(x).mean(), expected, LINEAR_ALGEBRA, logs)
    assert_close(model.elbo(x).mean(), expected, LINEAR_ALGEBRA, logs + model.kl(x).mean())
    assert_close(model.elbo(x), model.log_likelihood(x), LINEAR_ALGEBRA, logs + np.abs(model.reconstruction(x)) + model.kl(x))


@every_data
def test_pca_covariance_is_exact_in_k_directions_and_the_mean_in_the_rest(d, k):
    x, model = data(d), probabilistic_pca(data(d), k)
    lam = spectrum(x)
    sample, fitted = np.cov(x.T, bias=True), model.W @ model.W.T + model.s2 * np.eye(d)
    assert_close(model.W.T @ model.W, np.diag(lam[:k] - lam[k:].mean()), LINEAR_ALGEBRA, lam.sum())
    assert_close(sample @ model.W, model.W * lam[:k], LINEAR_ALGEBRA, lam.sum() ** 1.5)
    assert_close(model.mu, x.mean(axis=0), LINEAR_ALGEBRA, np.abs(x).max())
    assert_close(np.trace(fitted), np.trace(sample), LINEAR_ALGEBRA)
    assert_close(model.D, np.diag(lam[k:].mean() / lam[:k]), LINEAR_ALGEBRA, lam[0] / lam[-1])


@every_data
def test_pca_likelihood_equals_full_gaussian_for_k_equal_d_minus_1(d, k):
    x = data(d)
    best = stats.multivariate_normal(x.mean(axis=0), np.cov(x.T, bias=True)).logpdf(x)
    scale = np.abs(best) + d * np.log(spectrum(x)[0] / spectrum(x)[-1])
    assert_close(probabilistic_pca(x, d - 1).log_likelihood(x), best, LINEAR_ALGEBRA, scale)
    if k < d - 1:
        assert probabilistic_pca(x, k).log_likelihood(x).mean() < best.mean()


def moved(model, rng, size, with_s2=True):
    """The model with every parameter changed at random by a fraction of its scale."""
    k = len(model.b)
    like = lambda array: size * (np.abs(array).max() + 0.1) * rng.normal(size=np.shape(array))
    turn = np.eye(k) + size * rng.normal(size=(k, k))
    s2 = model.s2 * np.exp(size * rng.normal()) if with_s2 else model.s2
    W, mu, V, b = (a + like(a) for a in (model.W, model.mu, model.V, model.b))
    root = turn @ np.linalg.cholesky(model.D)
    return LinearVAE(W, mu, s2, V, b, root @ root.T)


@every_data
@pytest.mark.parametrize("size", [0.3, 0.03, 0.003])
def test_no_perturbation_of_pca_has_a_higher_elbo(d, k, size):
    x, rng = data(d), np.random.default_rng(1)
    model, best = probabilistic_pca(x, k), best_log_likelihood(x, k)
    for _ in range(20):
        other = moved(model, rng, size)
        assert other.elbo(x).mean() < other.log_likelihood(x).mean() < best


@every_data
def test_the_elbo_gradient_vanishes_at_pca(d, k):
    x, model = data(d), probabilistic_pca(data(d), k)
    parameters = (model.W, model.mu, np.log(model.s2), model.V, model.b, np.log(np.diagonal(model.D)))
    _, gradient = mean_elbo_and_gradient(parameters, x)
    scale = magnitude(parameters, x)
    for part in gradient:
        assert_close(part, np.zeros_like(part), LINEAR_ALGEBRA, scale)


@pytest.mark.parametrize("d, k, seed", [(5, 2, 0), (5, 2, 1), (4, 1, 0), (4, 1, 7), (6, 3, 0), (6, 3, 1), (3, 2, 4), (8, 4, 0)])
def test_training_reaches_the_likelihood_of_pca(d, k, seed):
    x = data(d, seed)
    model, best = fit(x, k, seed), best_log_likelihood(x, k)
    assert_close(model.elbo(x).mean(), best, FITTED, 1.0)
    assert_close(model.log_likelihood(x).mean(), best, FITTED, 1.0)
    assert (model.D == np.diag(np.diagonal(model.D))).all()


def test_training_is_deterministic_and_depends_on_the_initial_weights():
    x = data(4, n=50)
    first, again, other = fit(x, 2, 1), fit(x, 2, 1), fit(x, 2, 2)
    assert (first.W == again.W).all() and (first.V == again.V).all() and (first.W != other.W).any()


def turned(model, angle):
    """The decoder with its first two latent variables rotated into each other, and its posterior."""
    turn = np.eye(len(model.b))
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return replace(model, W=model.W @ turn).with_posterior()


def best_diagonal(model):
    """The best encoder of independent variables for a decoder: the mean of the posterior, and D_j = s2 / M_jj."""
    M = model.W.T @ model.W + model.s2 * np.eye(len(model.b))
    return replace(model.with_posterior(), D=np.diag(model.s2 / np.diagonal(M))), M


@pytest.mark.parametrize("angle, attained", [(0.0, True), (np.pi / 2, True), (np.pi, True), (0.3, False), (np.pi / 4, False)])
@pytest.mark.parametrize("d, k", [(5, 2), (6, 3)])
def test_diagonal_encoders_attain_the_optimum_only_where_m_is_diagonal(d, k, angle, attained):
    x = data(d)
    full, best = turned(probabilistic_pca(x, k), angle), best_log_likelihood(x, k)
    diagonal, M = best_diagonal(full)
    loss = (np.log(np.diagonal(M)).sum() - np.linalg.slogdet(M)[1]) / 2  # Hadamard's inequality
    assert_close(full.elbo(x).mean(), best, LINEAR_ALGEBRA, 100.0)
    assert_close(diagonal.elbo(x).mean(), best - loss, LINEAR_ALGEBRA, 100.0)
    assert (loss < LINEAR_ALGEBRA) == attained
    parameters = (full.W, full.mu, np.log(full.s2), diagonal.V, diagonal.b, np.log(np.diagonal(diagonal.D)))
    _, (_, _, _, *encoder) = mean_elbo_and_gradient(parameters, x)  # concave in the encoder: a zero gradient is the maximum
    for part in encoder:
        assert_close(part, np.zeros_like(part), LINEAR_ALGEBRA, magnitude(parameters, x))


@pytest.mark.parametrize("angle", [0.3, np.pi / 4, 2.0])
def test_directions_of_equal_variance_may_be_rotated(angle):
    x = with_spectrum([4.0, 4.0, 1.0, 0.5])
    diagonal, _ = best_diagonal(turned(probabilistic_pca(x, 2), angle))
    assert_close(diagonal.elbo(x).mean(), best_log_likelihood(x, 2), LINEAR_ALGEBRA, 100.0)


def with_fixed_noise(x, k, s2):
    """The best linear VAE with that noise: directions of less variance get no weight."""
    _, values, vectors = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    W = vectors[:k].T * np.sqrt(np.maximum(values[:k] ** 2 / len(x) - s2, 0))
    return replace(probabilistic_pca(x, k), W=W, s2=s2).with_posterior()


def test_latent_variables_with_less_variance_than_the_noise_collapse():
    x, s2 = with_spectrum([4.0, 2.0, 0.8, 0.5, 0.1]), 1.0
    model, rng = with_fixed_noise(x, 4, s2), np.random.default_rng(0)
    assert (model.W[:, 2:] == 0).all() and (model.V[2:] == 0).all() and (model.b[2:] == 0).all()
    assert_close(model.D, np.diag([1 / 4, 1 / 2, 1.0, 1.0]), LINEAR_ALGEBRA, 1.0)
    assert_close(model.elbo(x), with_fixed_noise(x, 2, s2).elbo(x), LINEAR_ALGEBRA, 100.0)
    best = model.elbo(x).mean()
    assert all(moved(model, rng, size, with_s2=False).elbo(x).mean() < best for size in np.geomspace(0.003, 0.3, 60))
    parameters = (model.W, model.mu, np.log(s2), model.V, model.b, np.log(np.diagonal(model.D)))
    _, (dW, dmu, _, *encoder) = mean_elbo_and_gradient(parameters, x)
    for part in (dW, dmu, *encoder):
        assert_close(part, np.zeros_like(part), LINEAR_ALGEBRA, magnitude(parameters, x))


@pytest.mark.parametrize("s2, pays", [(0.7, True), (0.9, False)])
def test_a_direction_raises_the_elbo_if_its_variance_exceeds_the_noise(s2, pays):
    x = with_spectrum([4.0, 2.0, 0.8, 0.5, 0.1])
    without = with_fixed_noise(x, 2, s2)
    direction = np.linalg.svd(x)[2][2]
    more = replace(without, W=np.column_stack((without.W, 0.1 * direction)), V=np.zeros((3, 5)), b=np.zeros(3), D=np.eye(3))
    assert (more.with_posterior().elbo(x).mean() > without.elbo(x).mean()) == pays


@pytest.mark.parametrize("k", [-1, 0, 4, 5])
def test_an_impossible_number_of_latent_variables_is_refused(k):
    with pytest.raises(ValueError, match=rf"k must lie in 1 \.\. 3, below the dimension of the data, got {k}"):
        probabilistic_pca(data(4), k)


@pytest.mark.parametrize("k", [1, 2])
def test_constant_data_are_refused(k):
    with pytest.raises(ValueError, match=f"x must vary in more than {k} directions"):
        probabilistic_pca(np.ones((5, 3)), k)


@given(st.integers(0, 2**32), st.integers(1, 4))
def test_data_of_rank_k_are_refused_despite_rounding(seed, k):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(30, k)) @ rng.normal(size=(k, 5)) + rng.normal(size=5)
    with pytest.raises(ValueError, match=f"x must vary in more than {k} directions"):
        probabilistic_pca(x, k)


@given(st.integers(3, 8), st.floats(0.1, 10))
def test_isotropic_data_leave_the_latent_variables_unused(d, size):
    x = size * np.concatenate((np.eye(d), -np.eye(d)))
    for k in range(1, d):
        model = probabilistic_pca(x, k)
        assert_close(model.W @ model.W.T, np.zeros((d, d)), LINEAR_ALGEBRA, size**2)
        assert_close(model.s2, size**2 / d, LINEAR_ALGEBRA)


# The gradient.

NAMES = ["W", "mu", "log_s2", "V", "b", "log_D"]


def magnitude(parameters, x):
    """The sum of absolute values in the mean ELBO."""
    W, mu, log_s2, V, b, log_D = (np.abs(p) for p in parameters)
    m = np.abs(x) @ V.T + b
    r = np.abs(x) + m @ W.T + mu
    squares = (r**2).sum(axis=1).mean() + (W**2).sum() * np.exp(log_D.max())
    return squares * np.exp(log_s2) + (m**2).sum(axis=1).mean() + (np.exp(log_D) + log_D).sum() + len(mu) * (2 + log_s2)


@pytest.mark.parametrize("part", range(6), ids=NAMES)
@pytest.mark.parametrize("d, k, n", [(1, 1, 1), (3, 1, 4), (4, 3, 7), (2, 4, 5)])
def test_the_gradient_of_every_parameter_is_the_derivative_of_the_elbo(part, d, k, n):
    rng = np.random.default_rng(d)
    draw = lambda: [rng.normal(size=shape) / 2 for shape in ((d, k), (d,), (), (k, d), (k,), (k,))]
    parameters, directions, x = draw(), draw(), rng.normal(size=(n, d))
    _, gradient = mean_elbo_and_gradient(parameters, x)

    def elbo(h):
        changed = [p + h * v if i == part else p for i, (p, v) in enumerate(zip(parameters, directions))]
        return mean_elbo_and_gradient(changed, x)[0]

    assert gradient[part].shape == parameters[part].shape
    size = magnitude([np.abs(p) + np.abs(v) / 4 for p, v in zip(parameters, directions)], x)
    assert_gradient((gradient[part] * directions[part]).sum(), elbo, size, size)


def test_the_value_returned_with_the_gradient_is_the_mean_elbo():
    rng, x = np.random.default_rng(0), data(4)
    W, mu, log_s2, V, b, log_D = (rng.normal(size=shape) for shape in ((4, 2), 4, (), (2, 4), 2, 2))
    elbo, _ = mean_elbo_and_gradient((W, mu, log_s2, V, b, log_D), x)
    expected = LinearVAE(W, mu, np.exp(log_s2), V, b, np.diag(np.exp(log_D))).elbo(x)
    assert_close(elbo, expected.mean(), LINEAR_ALGEBRA, np.abs(expected).mean())


@pytest.mark.parametrize("size", [1e-4, 1e-3, 1e4])
def test_the_fit_does_not_depend_on_the_units_of_the_data(size):
    x = size * (np.random.default_rng(0).normal(size=(500, 3)) * [3, 1, 0.3] + 5)
    found, best = fit(x, 1), probabilistic_pca(x, 1)
    assert_close(found.elbo(x).mean(), best.log_likelihood(x).mean(), FITTED, 1.0)


def test_data_without_spread_is_refused():
    with pytest.raises(ValueError, match="x must vary"):
        fit(np.ones((5, 2)), 1)
