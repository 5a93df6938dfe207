"""The trained variational autoencoder: its loss in nats, gradients, bounds and samples."""

import numpy as np
import pytest
from scipy import stats

from reference import ops
from reference.networks import Autoencoder
from reference.vae.linear import LinearVAE, probabilistic_pca
from reference.vae.vae import VAE
from tests.example_networks import numbers, random_parameters
from tests.oracle_tolerances import EXACT, LINEAR_ALGEBRA, assert_close, assert_mean, z_score
from tests.reference.test_networks import gradient_of_each

NETWORK = Autoencoder(size=(3,), latent=2, width=5, depth=2)
MODEL = VAE(NETWORK, 1.7)
X, EPS = 1.3 * numbers(1, 4, 3), numbers(2, 4, 2)
SIGNS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])  # average a quadratic function of two normals exactly


@pytest.mark.parametrize("size", [(3,), (2, 2, 1)], ids=["points", "images"])
def test_gradient_of_the_loss_in_every_parameter(size):
    model = VAE(Autoencoder(size=size, latent=2, width=5, depth=2), 1.7)
    params, x = random_parameters(model.network), numbers(1, 4, *size)
    mean, per_sample, gradients = model.loss(params, x, EPS)
    assert_close(mean, per_sample.mean(), EXACT, np.abs(per_sample).max())
    gradient_of_each(lambda p: float(model.loss(p, x, EPS)[0]), params, gradients, np.abs(per_sample).sum() + 20)


def test_the_loss_is_minus_log_likelihood_plus_kl_in_nats():
    """All constants are included, in the units of the data, with sums (never means) over entries and latent variables."""
    params = random_parameters(NETWORK)
    k = 1.7**0.5
    mean, log_var, _ = NETWORK.encode(params, X / k)
    y, _ = NETWORK.decode(params, mean + np.exp(log_var / 2) * EPS)
    deviation = k * np.exp(params["decoder.log_var"][0] / 2)
    reconstruction = -stats.norm.logpdf(X, k * y, deviation).sum(axis=1)
    divergence = ((mean**2 + np.exp(log_var) - 1 - log_var) / 2).sum(axis=1)
    _, per_sample, _ = MODEL.loss(params, X, EPS)
    assert_close(per_sample, reconstruction + divergence, EXACT, np.abs(reconstruction) + divergence + 10)
    terms = MODEL.elbo_terms(params, X, EPS)
    assert_close(terms["kl"], divergence, EXACT, divergence + 2)
    assert_close(terms["reconstruction"], reconstruction, EXACT, np.abs(reconstruction) + 10)


def linear(model, data_variance=1.0):
    """A ``LinearVAE`` with diagonal D as the parameters of an autoencoder without hidden layers."""
    d, k = model.W.shape
    network, s = Autoencoder(size=(d,), latent=k, depth=0), data_variance**0.5
    encoder = np.concatenate((s * model.V.T, np.zeros((d, k))), axis=1)
    params = {
        "encoder.0.w": encoder,
        "encoder.0.b": np.concatenate((model.b, np.log(np.diagonal(model.D)))),
        "decoder.0.w": model.W.T / s,
        "decoder.0.b": model.mu / s,
        "decoder.log_var": np.array([np.log(model.s2 / data_variance)]),
    }
    return VAE(network, data_variance), params


def a_linear_model():
    W, V = numbers(3, 2, 3, 2)
    return LinearVAE(W, numbers(4, 3), 0.3, V.T, numbers(5, 2), np.diag([0.2, 0.7]))


@pytest.mark.parametrize("data_variance", [1.0, 2.5])
def test_without_hidden_layers_the_mean_loss_is_the_linear_elbo(data_variance):
    exact = a_linear_model()
    model, params = linear(exact, data_variance)
    each = [model.loss(params, X, np.broadcast_to(eps, (4, 2)))[1] for eps in SIGNS]
    expected = -exact.elbo(X)
    assert_close(np.mean(each, axis=0), expected, LINEAR_ALGEBRA, np.abs(expected) + 10)


def test_the_mean_log_weight_is_the_elbo():
    """E log [p(x | z) p(z) / q(z | x)] over draws, without closed-form integrals; false alarm 1e-6 for all four x."""
    params, n = random_parameters(NETWORK), 20_000
    draws = np.stack([MODEL.log_weight(params, X, numbers([6, i], 4, 2)) for i in range(n // 10)])
    exact = np.stack([sum(MODEL.elbo_terms(params, X, numbers([6, i], 4, 2)).values()) for i in range(n // 10)])
    assert_mean(draws + exact, np.zeros(4))


def test_with_the_exact_posterior_every_weight_is_the_evidence():
    x = numbers(7, 50, 3) @ np.diag([2.0, 1.0, 0.5])
    best = probabilistic_pca(x, 1)
    model, params = linear(best)
    expected = best.log_likelihood(X)
    assert_close(model.log_weight(params, X, EPS[:, :1]), expected, LINEAR_ALGEBRA, np.abs(expected) + 20)
    assert_close(model.importance_weighted(params, X, 5, 0), expected, LINEAR_ALGEBRA, np.abs(expected) + 20)


def test_more_importance_weights_tighten_the_bound_below_the_evidence():
    exact = a_linear_model()
    model, params = linear(exact)
    x = numbers(8, 4000, 3)
    bounds = [model.importance_weighted(params, x, count, 1) for count in (1, 4, 64)]
    differences = [later - earlier for earlier, later in zip(bounds, [*bounds[1:], exact.log_likelihood(x)])]
    for difference in differences:  # each mean is positive beyond statistical error
        assert difference.mean() > z_score(3) * difference.std() / len(x) ** 0.5


def test_the_importance_bound_with_one_weight_is_the_log_weight():
    params = random_parameters(NETWORK)
    eps = ops.normal(5, np.arange(4), 0, ops.Purpose.EVALUATION, (2,))
    assert_close(MODEL.importance_weighted(params, X, 1, 5), MODEL.log_weight(params, X, eps), EXACT, 10.0)


def test_samples_of_a_linear_decoder_have_its_covariance():
    exact = a_linear_model()
    model, params = linear(exact, 2.5)
    sample = np.arange(40_000)
    for noise, covariance in ((False, exact.W @ exact.W.T), (True, exact.W @ exact.W.T + exact.s2 * np.eye(3))):
        x = model.sample(params, 0, sample, noise, np.float64) - exact.mu
        assert_mean(x, np.zeros(3), 4)
        assert_mean(x[:, :, None] * x[:, None], covariance, 4)


def test_a_sample_depends_only_on_its_index_and_the_seed():
    params = random_parameters(NETWORK)
    all_at_once = MODEL.sample(params, 0, np.arange(8), True, np.float64)
    for i in range(8):
        assert_close(MODEL.sample(params, 0, np.array([i]), True, np.float64)[0], all_at_once[i], EXACT, 8.0)
    assert (MODEL.sample(params, 1, np.arange(8), True, np.float64) != all_at_once).all()


def test_single_precision_stays_single():
    params = NETWORK.init(0)
    mean, per_sample, gradients = MODEL.loss(params, X.astype(np.float32), EPS.astype(np.float32))
    assert mean.dtype == per_sample.dtype == np.float32
    assert {g.dtype for g in gradients.values()} == {np.dtype(np.float32)} and gradients.keys() == params.keys()
    assert MODEL.sample(params, 0, np.arange(3), True).dtype == np.float32


@pytest.mark.parametrize("variance", [0.0, -1.0, float("nan"), float("inf")])
def test_an_invalid_data_variance_is_refused(variance):
    with pytest.raises(ValueError, match="data_variance must be a positive number"):
        VAE(NETWORK, variance)
