"""The four losses of score matching: closed forms, and identities between them by quadrature."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.diffusion.mixtures import Mixture, example_2_1
from reference.smld.score_matching import denoising, explicit, implicit
from tests.example_networks import numbers
from tests.oracle_tolerances import EXACT, GAUSS_LEGENDRE, LINEAR_ALGEBRA, QUADRATURE, assert_close, assert_printed, line

# Two small networks in closed form


class Field:
    """A function of one variable and its derivative, without parameters: y = value(x)."""

    def __init__(self, value, slope):
        self.value, self.slope = value, slope

    def forward(self, params, x, c, ops=None):
        return self.value(x), x

    def backward(self, params, dy, saved, ops=None):
        return None, {}

    def jvp(self, params, v, saved, ops=None):
        return self.slope(saved) * v, None

    def jvp_backward(self, params, dy_dot, saved, saved_jvp, ops=None):
        return None, None, {}


class Affine:
    """y = x w + b, for x[n,d]."""

    def forward(self, params, x, c, ops=None):
        return x @ params["w"] + params["b"], x

    def backward(self, params, dy, saved, ops=None):
        return dy @ params["w"].T, {"w": saved.T @ dy, "b": dy.sum(axis=0)}

    def jvp(self, params, v, saved, ops=None):
        return v @ params["w"], v

    def jvp_backward(self, params, dy_dot, saved, saved_jvp, ops=None):
        return None, dy_dot @ params["w"].T, {"w": saved_jvp.T @ dy_dot}


def score_field(distribution):
    return Field(distribution.score, lambda x: distribution.score_jacobian(x)[:, :, 0])


MODELS = {
    "straight": Field(lambda x: -0.7 * x, lambda x: np.full_like(x, -0.7)),
    "wave": Field(lambda x: np.sin(2 * x) - x, lambda x: 2 * np.cos(2 * x) - 1),
    "other mixture": score_field(Mixture(np.array([0.5, 0.5]), np.array([[-1.0], [1.5]]), np.array([0.8, 1.5]))),
}


def nodes(distribution):
    """Nodes of a 1D distribution as x[n,1], and their weights: the density times the step."""
    deviation = np.sqrt(distribution.full[:, 0, 0])
    x, h = line((distribution.means[:, 0] - 12 * deviation).min(), (distribution.means[:, 0] + 12 * deviation).max(), deviation.min())
    return x[:, None], np.exp(distribution.log_density(x[:, None])) * h


def of_each(loss, network, *arguments):
    """``per_sample`` [n], after a check of the mean."""
    mean, per_sample, _ = loss(network, {}, *arguments)
    assert_close(mean, per_sample.mean(), EXACT, np.abs(per_sample).mean())
    return per_sample


def fisher(distribution):
    """E|grad log p|^2, from the implicit loss of the score itself."""
    x, p = nodes(distribution)
    return -2 * (p @ of_each(implicit, score_field(distribution), x, None))


# Gaussian data and a linear model: the losses are quadratic, so that batches with the right second moments give them exactly

CORNERS = np.array(list(product([-1.0, 1.0], repeat=2)))
positive = st.floats(0.05, 10)


def linear_model(a, d):
    return {"w": -a * np.eye(d), "b": np.zeros(d)}


def columns(values, d):
    """The same values in every dimension."""
    return np.repeat(values[:, None], d, axis=1)


@given(positive, positive, positive, st.integers(1, 3))
def test_denoising_loss_of_a_linear_model_on_gaussian_data(a, c, sigma, d):
    x0, noise = columns(np.sqrt(c) * CORNERS[:, 0], d), columns(CORNERS[:, 1], d)
    mean, _, gradients = denoising(Affine(), linear_model(a, d), x0, None, sigma, noise)
    assert_close(mean, d / 2 * (a**2 * (c + sigma**2) - 2 * a + 1 / sigma**2), EXACT, d * (a**2 * (c + sigma**2) + 2 * a + 1 / sigma**2))
    assert_close(-np.trace(gradients["w"]), d * (a * (c + sigma**2) - 1), EXACT, d * (a * (c + sigma**2) + 1) * (1 + np.sqrt(c) / sigma))


@given(positive, positive, positive, st.integers(1, 3))
def test_explicit_and_implicit_loss_of_a_linear_model_on_gaussian_data(a, c, sigma, d):
    v = c + sigma**2
    x = columns(np.array([-1.0, 1.0]) * np.sqrt(v), d)
    esm, _, esm_gradients = explicit(Affine(), linear_model(a, d), x, None, -x / v)
    ism, _, ism_gradients = implicit(Affine(), linear_model(a, d), x, None)
    assert_close(esm, d * v / 2 * (a - 1 / v) ** 2, EXACT, d * v * (a + 1 / v) ** 2)
    assert_close(ism, d * (-a + a**2 * v / 2), EXACT, d * (a + a**2 * v))
    for gradients in (esm_gradients, ism_gradients):
        assert_close(-np.trace(gradients["w"]), d * (a * v - 1), EXACT, d * (a * v + 1))
        assert_close(gradients["b"], np.zeros(d), EXACT, d * (a + 1 / v) * np.sqrt(v))
    assert_close(esm - ism, d / (2 * v), EXACT, d * (a + a**2 * v + 1 / v))
    x0, noise = columns(np.sqrt(c) * CORNERS[:, 0], d), columns(CORNERS[:, 1], d)
    dsm, _, _ = denoising(Affine(), linear_model(a, d), x0, None, sigma, noise)
    assert_close(dsm - esm, d * c / (2 * sigma**2 * v), EXACT, d * (a**2 * v + a + 1 / sigma**2 + 1 / v))


@given(positive, positive, st.integers(1, 3))
def test_denoising_finds_the_score_of_noised_data_not_of_clean_data(c, sigma, d):
    x0, noise = columns(np.sqrt(c) * CORNERS[:, 0], d), columns(CORNERS[:, 1], d)
    slope = lambda a: -np.trace(denoising(Affine(), linear_model(a, d), x0, None, sigma, noise)[2]["w"])
    assert_close(slope(1 / (c + sigma**2)), 0.0, EXACT, d * 4 * (1 + np.sqrt(c) / sigma))
    assert_close(slope(1 / c), d * sigma**2 / c, EXACT, d * (4 + sigma**2 / c) * (1 + np.sqrt(c) / sigma))


# Mixtures, by quadrature


TABLE = {  # sigma: E|grad log p_sigma|^2, the floor, sigma^2 floor, mean squared error of the best denoiser
    0.05: ("7.661174", "196.1694", ".490424", ".002452"),
    0.1: ("6.591482", "46.70426", ".467043", ".009341"),
    0.3: ("2.792871", "4.159120", ".374321", ".067378"),
    1.0: (".387179", ".306410", ".306410", ".612821"),
    3.0: (".076994", ".017059", ".153528", "2.763502"),
    10.0: (".009609", ".000196", ".019561", "3.912238"),
}


@pytest.mark.parametrize("sigma, printed", TABLE.items())
def test_printed_floors_of_the_denoising_loss_on_example_2_1(sigma, printed):
    distribution = example_2_1()
    information = fisher(distribution.noised(1.0, sigma))
    floor = (1 / sigma**2 - information) / 2
    x, p = nodes(distribution.noised(1.0, sigma))
    mmse = p @ distribution.posterior_covariance(x, 1.0, sigma)[:, 0, 0]
    for value, text in zip((information, floor, sigma**2 * floor, mmse), printed):
        assert_printed(value, text)
    assert_close(mmse, 2 * sigma**4 * floor, QUADRATURE, sigma**2)
    assert 0 < sigma**2 * floor < 1 / 2  # with weight sigma^2, all levels have similar size


def joint_loss(network, distribution, sigma):
    """The mean denoising loss over data and noise, by a product of two quadratures."""
    (x0, p), (z, h) = nodes(distribution), line(-12, 12, 1)
    x0, z = (grid.reshape(-1, 1) for grid in np.meshgrid(x0[:, 0], z, indexing="ij"))
    weights = np.outer(p, np.exp(-(z[: len(z) // len(p), 0] ** 2) / 2) / np.sqrt(2 * np.pi) * h).ravel()
    kept = weights > 0
    return weights[kept] @ of_each(denoising, network, x0[kept], None, sigma, z[kept])


def esm(network, distribution):
    x, p = nodes(distribution)
    return p @ of_each(explicit, network, x, None, distribution.score(x))


@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_denoising_equals_explicit_loss_of_the_noised_density_plus_constant(sigma):
    distribution = example_2_1()
    noised = distribution.noised(1.0, sigma)
    floor = (1 / sigma**2 - fisher(noised)) / 2
    assert_close(joint_loss(score_field(noised), distribution, sigma), floor, QUADRATURE, 1 / sigma**2)
    from_clean = []
    for network in MODELS.values():
        loss = joint_loss(network, distribution, sigma)
        assert_close(loss - esm(network, noised), floor, QUADRATURE, loss + 1 / sigma**2)
        from_clean.append(loss - esm(network, distribution))
    assert np.ptp(from_clean) > 0.01  # E10c: for the clean density the difference is not constant


@pytest.mark.parametrize("distribution", [example_2_1(), example_2_1().noised(1.0, 0.5)], ids=["example-2.1", "noised"])
@pytest.mark.parametrize("name", MODELS)
def test_implicit_equals_explicit_loss_minus_half_fisher_information(distribution, name):
    x, p = nodes(distribution)
    ism, information = p @ of_each(implicit, MODELS[name], x, None), p @ distribution.score(x)[:, 0] ** 2
    assert_close(fisher(distribution), information, QUADRATURE, 2 * information)
    assert_close(
        esm(MODELS[name], distribution) - ism, information / 2, QUADRATURE, information + esm(MODELS[name], distribution) + abs(ism)
    )


@pytest.mark.parametrize("name", MODELS)
def test_implicit_loss_errs_by_a_boundary_term_at_density_edges(name):
    """U[0, 1] has score 0 inside: integration by parts gives E s' = s(1) - s(0), not -E[s · 0]."""
    t, w = np.polynomial.legendre.leggauss(200)
    x, p, network = (t[:, None] + 1) / 2, w / 2, MODELS[name]
    esm, ism = p @ of_each(explicit, network, x, None, np.zeros_like(x)), p @ of_each(implicit, network, x, None)
    low, high = network.value(np.array([[0.0], [1.0]]))[:, 0]
    assert_close(ism - esm, high - low, GAUSS_LEGENDRE, esm + abs(ism))
    assert abs(high - low) > 0.05


def test_implicit_matching_of_uniform_data_finds_a_false_slope():
    t, w = np.polynomial.legendre.leggauss(20)
    x, p = (t[:, None] + 1) / 2, w / 2
    loss = lambda a: p @ of_each(implicit, Field(lambda x: a * x, lambda x: np.full_like(x, a)), x, None)
    assert_close(loss(2.0), 2 + 4 / 6, GAUSS_LEGENDRE)  # a + a^2/6
    assert_close((loss(-1.0) - loss(1.0)) / (loss(1.0) + loss(-1.0)) / 2, -3.0, GAUSS_LEGENDRE)  # minimum of that


# Exponential families: the minimum in closed form


def fit_exponential_family(gradients, laplacians):
    """theta[p], the minimiser of the implicit loss of s = sum_j theta_j ∇ phi_j(x): -E[G Gᵀ]^{-1}
    E[L] (Hyvarinen 2005).

    ``gradients`` G[n,p,d] and ``laplacians`` L[n,p] of the p statistics phi_j at n data points.
    For phi = (x, -x^2/2) the result is (mean, 1) / variance of the data.
    """
    moments = np.einsum("npd,nqd->pq", gradients, gradients) / len(gradients)
    return -np.linalg.solve(moments, laplacians.mean(axis=0))


def test_linear_quadratic_exponential_family_gives_mean_and_variance():
    x = 3 + 2 * numbers(1, 400)
    theta = fit_exponential_family(np.stack((np.ones_like(x), -x), axis=1)[:, :, None], np.tile([0.0, -1.0], (400, 1)))
    assert_close(theta, np.array([x.mean(), 1.0]) / x.var(), LINEAR_ALGEBRA, 1 + 3 / x.var() ** 2)
    params = {"w": np.array([[-theta[1]]]), "b": theta[:1]}
    _, _, gradients = implicit(Affine(), params, x[:, None], None)
    for gradient in gradients.values():
        assert_close(gradient, np.zeros_like(gradient), LINEAR_ALGEBRA, np.mean(x**2) * theta.max())


def test_quadratic_exponential_family_in_2d_gives_mean_and_precision():
    x = numbers(2, 300, 2) @ np.array([[1.0, 0.4], [0.0, 0.7]]) + np.array([0.5, -1.0])
    zero, one = np.zeros(300), np.ones(300)
    gradients = [(one, zero), (zero, one), (-x[:, 0], zero), (-x[:, 1], -x[:, 0]), (zero, -x[:, 1])]
    laplacians = np.tile([0.0, 0.0, -1.0, 0.0, -1.0], (300, 1))
    *linear, a, b, c = fit_exponential_family(np.array(gradients).transpose(2, 0, 1), laplacians)
    precision = np.linalg.inv(np.cov(x.T, ddof=0))
    assert_close(np.array([[a, b], [b, c]]), precision, LINEAR_ALGEBRA, np.trace(precision))
    assert_close(np.array(linear), precision @ x.mean(axis=0), LINEAR_ALGEBRA, 4 * np.trace(precision))
