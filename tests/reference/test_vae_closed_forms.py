"""Autoencoders without training, against closed forms: cosine transform, mixture components and the tutorial's toy (Secs. 1.1, 1.2)."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import fft, stats

from reference.diffusion.mixtures import Mixture, ring
from reference.vae.gaussian import log_density
from reference.vae.latent import dct_decode, dct_encode, dct_matrix, keep_largest, map_encode, map_error
from reference.vae.linear import toy
from tests.oracle_tolerances import EXACT, GAUSS_LEGENDRE, LINEAR_ALGEBRA, MIXTURE, accumulated, assert_close, assert_mean

N = 50_000

# The cosine transform (Ex 1.1).

SHAPES = [(1, 1), (8, 8), (5, 7), (2, 16)]
every_shape = pytest.mark.parametrize("h, w", SHAPES)


@pytest.mark.parametrize("n", [1, 2, 5, 8, 16])
def test_cosines_are_orthonormal(n):
    assert_close(dct_matrix(n) @ dct_matrix(n).T, np.eye(n), accumulated(n), 1.0)


@every_shape
def test_cosine_transform_equals_scipys_and_is_orthonormal(h, w):
    x = np.random.default_rng(0).normal(size=(6, h, w))
    z, energy = dct_encode(x), (x**2).sum(axis=(1, 2))
    entries = np.sqrt(energy)[:, None, None]
    assert_close(z, fft.dctn(x, axes=(1, 2), norm="ortho"), accumulated(h + w), entries)
    assert_close((z**2).sum(axis=(1, 2)), energy, accumulated(h * w))
    assert_close(dct_decode(z), x, accumulated(h + w), entries)


def test_decoding_one_coefficient_gives_the_product_of_two_cosines():
    h, w, k, l = 4, 6, 2, 5
    z = np.zeros((1, h, w))
    z[0, k, l] = 1
    i, j = np.arange(h)[:, None], np.arange(w)
    expected = 2 / np.sqrt(h * w) * np.cos(np.pi * k * (2 * i + 1) / (2 * h)) * np.cos(np.pi * l * (2 * j + 1) / (2 * w))
    assert_close(dct_decode(z)[0], expected, EXACT, 1.0)


@every_shape
@pytest.mark.parametrize("part", [0.0, 0.3, 1.0])
def test_the_error_of_the_largest_coefficients_is_the_energy_of_the_others(h, w, part):
    x = np.random.default_rng(1).normal(size=(6, h, w))
    z, count = dct_encode(x), int(part * h * w)
    kept = keep_largest(z, count)
    assert ((kept == z) | (kept == 0)).all() and (np.count_nonzero(kept, axis=(1, 2)) == count).all()
    dropped = np.sort(z.reshape(6, -1) ** 2, axis=1)[:, : h * w - count].sum(axis=1)
    error = ((x - dct_decode(kept)) ** 2).sum(axis=(1, 2))
    assert_close(error, dropped, accumulated(h * w), (x**2).sum(axis=(1, 2)))


@given(st.integers(0, 2**32), st.integers(0, 12))
def test_no_other_choice_of_coefficients_has_a_smaller_error(seed, count):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(4, 3, 4))
    others = np.stack([rng.permutation(12) < count for _ in z]).reshape(z.shape)
    best = ((z - keep_largest(z, count)) ** 2).sum(axis=(1, 2))
    assert (best <= (np.where(others, 0, z) ** 2).sum(axis=(1, 2)) * (1 + EXACT)).all()


def test_ties_keep_the_first_coefficients_and_signs_do_not_matter():
    z = np.array([[[1.0, -1.0], [-1.0, 1.0]], [[-3.0, 1.0], [2.0, 0.5]]])
    assert (keep_largest(z, 2) == [[[1.0, -1.0], [0.0, 0.0]], [[-3.0, 0.0], [2.0, 0.0]]]).all()


@pytest.mark.parametrize("count", [-1, 13])
def test_more_coefficients_than_exist_are_refused(count):
    with pytest.raises(ValueError, match=rf"count must lie in 0 \.\. 12, got {count}"):
        keep_largest(np.zeros((2, 3, 4)), count)


# A mixture's components as latent variable (Ex 1.2).

OVERLAPPING = Mixture(np.array([0.3, 0.7]), np.array([[-0.5], [1.0]]), np.array([0.25, 1.0]))


def plane():
    """Three unequal Gaussians in the plane that overlap."""
    roots = np.random.default_rng(3).normal(size=(3, 2, 2))
    covariances = roots @ roots.swapaxes(1, 2) + 0.1 * np.eye(2)
    return Mixture(np.array([0.2, 0.5, 0.3]), np.array([[0.0, 0.0], [1.5, 0.0], [0.0, 2.0]]), covariances)


def probabilities(mixture, x):
    """p(k|x) [n,k] by SciPy's densities."""
    components = zip(mixture.weights, mixture.means, mixture.covariances)
    joint = np.stack([w * stats.multivariate_normal(m, C).pdf(x) for w, m, C in components], axis=1)
    return joint / joint.sum(axis=1, keepdims=True)


def test_the_map_encoder_has_the_smallest_error_rate():
    mixture, x = plane(), np.random.default_rng(0).normal(size=(500, 2)) * 2
    right, nearest = probabilities(mixture, x), ((x[:, None] - mixture.means) ** 2).sum(axis=2).argmin(axis=1)
    assert (map_encode(mixture, x) == right.argmax(axis=1)).all()
    assert set(map_encode(mixture, x)) == {0, 1, 2}
    assert_close(map_error(mixture, x), 1 - right.max(axis=1), MIXTURE, 1.0)
    assert (1 - right[np.arange(500), nearest]).mean() > map_error(mixture, x).mean()


def boundaries(mixture):
    """Where two components on the line are equally probable: the roots of a quadratic."""
    (w0, w1), (m0, m1), (v0, v1) = mixture.weights, mixture.means[:, 0], mixture.covariances
    logs = np.log(w0 / w1) - np.log(v0 / v1) / 2
    return np.sort(np.roots([1 / v1 - 1 / v0, 2 * (m0 / v0 - m1 / v1), m1**2 / v1 - m0**2 / v0 + 2 * logs]).real)


def bayes_error(mixture):
    """Probability of the less likely component in each of three intervals, by its cdf; the narrow component 0 wins in the middle."""
    left, right = boundaries(mixture)
    cdf = lambda k, x: stats.norm.cdf(x, mixture.means[k, 0], np.sqrt(mixture.covariances[k]))
    return mixture.weights[0] * (cdf(0, left) + 1 - cdf(0, right)) + mixture.weights[1] * (cdf(1, right) - cdf(1, left))


def test_map_encoder_boundary_is_where_components_tie():
    left, right = boundaries(OVERLAPPING)
    x = np.array([[left - MIXTURE], [left + MIXTURE], [right - MIXTURE], [right + MIXTURE]])
    assert (map_encode(OVERLAPPING, x) == [1, 0, 0, 1]).all()


def test_map_encoder_error_is_the_bayes_error():
    z, weight = np.polynomial.legendre.leggauss(200)
    total, edges = 0.0, [-11.0, *boundaries(OVERLAPPING), 13.0]
    for low, high in pairwise(edges):
        x = ((low + high) / 2 + (high - low) / 2 * z)[:, None]
        total += (high - low) / 2 * weight @ (np.exp(OVERLAPPING.log_density(x)) * map_error(OVERLAPPING, x))
    assert_close(total, bayes_error(OVERLAPPING), GAUSS_LEGENDRE, 1.0)


def test_draws_are_misclassified_at_the_rate_of_the_bayes_error():
    """False alarm 1e-6 in all."""
    x, component = OVERLAPPING.sample(3, np.arange(N))
    assert_mean(map_encode(OVERLAPPING, x) != component, bayes_error(OVERLAPPING), 2)
    assert_mean(map_error(OVERLAPPING, x), bayes_error(OVERLAPPING), 2)


@pytest.mark.parametrize("k", range(3))
def test_decoding_a_component_draws_from_that_component(k):
    """False alarm 1e-6 in all."""
    mixture = plane()
    centred = mixture.sample_from(np.full(N, k), 5, np.arange(N)) - mixture.means[k]
    assert_mean(centred, 0.0, 6)
    assert_mean(centred[:, :, None] * centred[:, None], mixture.covariances[k], 6)


def test_decoding_the_components_of_draws_reproduces_the_draws():
    mixture, index = plane(), np.arange(40)
    x, component = mixture.sample(6, index, step=2)
    assert (mixture.sample_from(component, 6, index, 2) == x).all()
    assert all((mixture.sample_from(component[i : i + 1], 6, index[i : i + 1], 2)[0] == x[i]).all() for i in index)
    assert (mixture.sample_from(component, 6, index, 3) != x).all() and (mixture.sample_from(component, 7, index, 2) != x).all()


def test_distant_components_are_recovered_from_their_draws():
    mixture, component = ring(8, 1.0, 0.01), np.arange(800) % 8
    x = mixture.sample_from(component, 0, np.arange(800))
    assert (map_encode(mixture, x) == component).all()
    assert_close(map_error(mixture, x), np.zeros(800), MIXTURE, 1.0)


# The tutorial's toy (Ex 1.3 to 1.6) for x ~ N(mu, sig^2 I).

MU, SIG = 0.7, 1.6
every_dimension = pytest.mark.parametrize("d", [1, 3])


def restricted(t, s, d):
    """Ex 1.6: all parameters except the two deviations have the tutorial's values."""
    return toy(1 / SIG, -MU / SIG, t, SIG, MU, s, d)


def samples(d):
    return 2 * np.random.default_rng(d).normal(size=(5, d))


def log_p(x):
    return log_density(x, MU, SIG)


def two_points(d):
    """Points [2,d] over which a sum of squares of coordinates has the mean that it has over x ~ N(mu, sig^2 I)."""
    return MU + SIG * np.array([[1.0], [-1.0]]) * np.ones(d)


@every_dimension
@pytest.mark.parametrize("angle", [0.01, 0.3, np.pi / 4, 1.2, np.pi / 2])
def test_a_curve_of_toy_models_has_minus_the_entropy_as_mean_elbo(d, angle):
    c, s = SIG * np.cos(angle), SIG * np.sin(angle)
    model = toy(c / SIG**2, -c * MU / SIG**2, s / SIG, c, MU, s, d)
    scale = np.abs(model.reconstruction(samples(d))) + model.kl(samples(d)) + (samples(d) ** 2).sum(axis=1) / s**2
    assert_close(model.elbo(samples(d)), log_p(samples(d)), LINEAR_ALGEBRA, scale)
    entropy = d / 2 * np.log(2 * np.pi * np.e * SIG**2)
    assert_close(model.elbo(two_points(d)).mean(), -entropy, LINEAR_ALGEBRA, d * (10 + 10 / s**2))


numbers, deviations = st.floats(-3, 3), st.floats(0.1, 3)


@given(numbers, numbers, deviations, numbers, numbers, deviations)
def test_the_mean_elbo_of_toy_models_is_at_most_minus_the_entropy(a, b, t, c, v, s):
    value, entropy = toy(a, b, t, c, v, s).elbo(two_points(1)).mean(), np.log(2 * np.pi * np.e * SIG**2) / 2
    assert value <= -entropy + EXACT * (abs(value) + 100 / s**2)


@every_dimension
@pytest.mark.parametrize("t, s", [(1.0, SIG), (0.5, 0.3), (0.05, 2.0), (1e-6, 1e-3)])
def test_restricted_toy_terms_count_constants_per_dimension(d, t, s):
    x, model = samples(d), restricted(t, s, d)
    squares = (((x - MU) / SIG) ** 2).sum(axis=1)
    assert_close(model.kl(x), (t**2 * d - d + squares - 2 * d * np.log(t)) / 2, EXACT, 4 * (squares + d * (2 + abs(np.log(t)))))
    expected = -d / 2 * np.log(2 * np.pi) - d * np.log(s) - d * (SIG * t / s) ** 2 / 2
    assert_close(model.reconstruction(x), np.full(5, expected), EXACT, d * (2 + abs(np.log(s)) + (SIG * t / s) ** 2))


@every_dimension
@pytest.mark.parametrize("t", [1.0, 0.5, 0.1, 1e-3, 1e-6])
def test_restricted_toy_loses_half_t_squared_per_dimension(d, t):
    """At the tutorial's answer, t = 1 and s = sig, the loss is d/2 nats (E1)."""
    x, model = samples(d), restricted(t, SIG * t, d)
    squares = (((x - MU) / SIG) ** 2).sum(axis=1)
    assert_close(model.elbo(x), log_p(x) - d * t**2 / 2, EXACT, 4 * squares + d * (4 + 4 * abs(np.log(t))))


@every_dimension
@pytest.mark.parametrize("t", [1.0, 0.5, 0.1])
def test_the_best_noise_of_the_restricted_toy_depends_on_its_encoder(d, t):
    x = two_points(d)
    best = restricted(t, SIG * t, d).elbo(x).mean()
    assert all(restricted(t, SIG * t * factor, d).elbo(x).mean() < best for factor in (0.5, 0.99, 1.01, 2.0))


@every_dimension
def test_tutorial_answer_is_optimal_per_term_but_not_jointly(d):
    x, answer = two_points(d), restricted(1.0, SIG, d)
    assert all(restricted(t, SIG, d).kl(x).mean() > answer.kl(x).mean() for t in (0.5, 0.99, 1.01, 2.0))
    assert all(
        restricted(1.0, s, d).reconstruction(x).mean() < answer.reconstruction(x).mean() for s in SIG * np.array([0.9, 0.99, 1.01, 1.1])
    )
    elbos = [restricted(t, SIG * t, d).elbo(x).mean() for t in (1.0, 0.9, 0.5, 0.1, 0.01)]
    assert (np.diff(elbos) > 0).all()


@every_dimension
def test_reconstruction_is_unbounded_if_the_decoder_inverts_the_encoder(d):
    """Ex 1.5: with a = 1/sig, b = -mu/sig and t -> 0 the answer is v = mu, c = sig, s -> 0."""
    x = two_points(d)
    encoder = 1 / SIG, -MU / SIG, 1e-6
    inverse = toy(*encoder, SIG, MU, 0.1, d).reconstruction(x).mean()
    for c, v in ((SIG + 0.1, MU), (SIG - 0.1, MU), (SIG, MU + 0.1), (SIG, MU - 0.1)):
        assert toy(*encoder, c, v, 0.1, d).reconstruction(x).mean() < inverse
    growing = [restricted(s / 1000, s, d).reconstruction(x).mean() for s in (1.0, 0.1, 1e-2, 1e-3)]
    assert_close(np.diff(growing), np.full(3, d * np.log(10)), EXACT, growing[-1])
