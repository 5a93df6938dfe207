"""Likelihood by the flow against exact densities of mixtures: with the exact score and prior only the solver's error remains."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm

from reference import ops
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.mixtures import Mixture, example_2_1
from reference.networks import MLP
from reference.ops.random import Key, Purpose
from reference.runs.evaluation import flow_likelihood
from reference.samplers import final_sample
from reference.samplers.ode import rk45
from reference.sde.likelihood import bits_per_dimension, dequantise, gaussian_prior, log_likelihood
from reference.sde.sde import VE, VP, OrnsteinUhlenbeck, SubVP
from tests.call_counter import CallCounter
from tests.example_networks import random_parameters
from tests.oracle_tolerances import CENTRAL, COARSE, EXACT, FLOW_LIKELIHOOD, FLOW_SOLVER, assert_close, assert_printed

LINE, GAUSSIAN = example_2_1(), Mixture(np.ones(1), np.array([[0.7]]), np.array([0.4]))
PLANE = Mixture(np.array([0.3, 0.7]), np.array([[-1.0, 0.5], [1.0, 0.0]]), np.array([[[0.3, 0.1], [0.1, 0.2]], [[0.5, -0.2], [-0.2, 0.4]]]))
SPACE = Mixture(
    np.array([0.6, 0.4]),
    np.array([[-1.0, 0.5, 0.0], [1.0, 0.0, 0.3]]),
    np.array([np.diag([0.3, 0.5, 0.2]) + 0.1, np.diag([0.6, 0.2, 0.4]) - 0.05]),
)
SDES = {"vp": VP(), "ve": VE(sigma_max=20.0), "subvp": SubVP(beta_max=12.0), "ou": OrnsteinUhlenbeck(t_max=3.0)}
DISTRIBUTIONS = {"example-2.1": LINE, "gaussian": GAUSSIAN, "plane": PLANE}
UNLABELLED = SimpleNamespace(classes=0)
every_sde = pytest.mark.parametrize("sde", SDES.values(), ids=SDES)


def exact(distribution, sde, shape=None):
    """score_and_pullback of the distribution under the SDE; x may have another shape than [b,d]."""

    def at(x, t):
        noised, flat = distribution.noised(*sde.marginal(t)), x.reshape(len(x), -1)
        jacobian = noised.score_jacobian(flat)
        pullback = lambda v: np.einsum("nij,ni->nj", jacobian, v.reshape(flat.shape)).reshape(x.shape)
        return noised.score(flat).reshape(x.shape), pullback

    return at


def prior_of(distribution, sde):
    return distribution.noised(*sde.marginal(sde.t_max)).log_density


def points(distribution, count=5):
    return distribution.sample(3, np.arange(count))[0]


@every_sde
@pytest.mark.parametrize("distribution", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_likelihood_with_exact_score_and_prior_is_the_exact_log_density(distribution, sde):
    x = points(distribution)
    found = log_likelihood(sde, exact(distribution, sde), x, prior=prior_of(distribution, sde), **FLOW_SOLVER)
    assert found.shape == (5,) and found.dtype == np.float64
    assert_close(found, distribution.log_density(x), FLOW_LIKELIHOOD, 1.0)


@every_sde
def test_likelihood_from_a_later_time_is_the_density_at_that_time(sde):
    distribution = PLANE.noised(*sde.marginal(0.3 * sde.t_max))
    x = points(distribution)
    found = log_likelihood(sde, exact(PLANE, sde), x, prior=prior_of(PLANE, sde), t_start=0.3 * sde.t_max, **FLOW_SOLVER)
    assert_close(found, distribution.log_density(x), FLOW_LIKELIHOOD, 1.0)


@pytest.mark.parametrize("distribution", [PLANE, SPACE], ids=["plane", "space"])
def test_the_mean_over_all_sign_probes_is_the_exact_trace(distribution):
    """Hutchinson's estimate is linear in v vᵀ with mean I over all 2^d sign vectors; the path of x does not depend on the probe."""
    sde, d = SDES["vp"], distribution.dimension
    probes = np.array(list(itertools.product((-1.0, 1.0), repeat=d)))
    x = np.repeat(points(distribution, 1), len(probes), axis=0)
    arguments = {"prior": prior_of(distribution, sde), **FLOW_SOLVER}
    estimates = log_likelihood(sde, exact(distribution, sde), x, probes, **arguments)
    assert_close(estimates.mean(), distribution.log_density(x[:1])[0], FLOW_LIKELIHOOD, 1.0)
    assert np.ptp(estimates) > 0.1


def test_a_probe_needs_one_pullback_and_the_trace_one_per_dimension():
    sde, x, asked = SDES["vp"], points(SPACE), []

    def at(x, t):
        score, pullback = exact(SPACE, sde)(x, t)
        asked.append(CallCounter(pullback))
        return score, asked[-1]

    for probe, count in ((np.ones_like(x), 1), (None, 3)):
        asked.clear()
        log_likelihood(sde, at, x, probe, **COARSE)
        assert {pullback.evaluations for pullback in asked} == {count}


@pytest.mark.parametrize("shape", [(3, 1), (1, 3, 1)])
def test_likelihood_does_not_depend_on_the_shape_of_x(shape):
    sde, x = SDES["vp"], points(SPACE)
    probe = np.array([[1.0, -1.0, 1.0]] * 5)
    for v in (None, probe):
        flat = log_likelihood(sde, exact(SPACE, sde), x, v)
        shaped = log_likelihood(sde, exact(SPACE, sde), x.reshape(5, *shape), None if v is None else v.reshape(5, *shape))
        assert_close(shaped, flat, EXACT, 1.0)


def test_float32_x_is_evaluated_in_float32():
    sde, asked = SDES["vp"], set()

    def at(x, t):
        asked.add(x.dtype)
        return -x, lambda v: asked.add(v.dtype) or -v

    found = log_likelihood(sde, at, points(PLANE).astype(np.float32), **COARSE)
    assert asked == {np.dtype(np.float32)} and found.dtype == np.float64


# The prior


@every_sde
def test_the_prior_is_a_gaussian_of_the_documented_scale(sde):
    x = points(PLANE)
    assert_close(gaussian_prior(sde)(x), norm.logpdf(x, 0, sde.prior_scale).sum(axis=1), 16 * EXACT, 10.0)
    assert_close(gaussian_prior(sde)(x.reshape(5, 2, 1)), gaussian_prior(sde)(x), EXACT)


def test_prior_bias_is_the_error_of_the_density_where_the_flow_ends():
    """In 1D the flow ends at F_end^-1(F_0(x)): the bias is log N - log p_end there, and smaller for a longer path."""
    x, sizes = points(LINE, 8), []
    for sde in (VP(beta_max=8.0), VP()):
        found = log_likelihood(sde, exact(LINE, sde), x, **FLOW_SOLVER)
        end = LINE.noised(*sde.marginal(sde.t_max))
        x_end = end.quantile(LINE.cdf(x[:, 0]))
        bias = norm.logpdf(x_end) - end.log_density(x_end[:, None])
        assert_close(found - LINE.log_density(x), bias, FLOW_LIKELIHOOD, 1.0)
        sizes.append(np.abs(bias).max())
    assert 1e-4 < sizes[1] < 2e-2 < sizes[0]


# With a network


def test_likelihood_of_a_network_is_the_log_determinant_of_its_flow():
    """log p(x) = log N(x_end) + log det dx_end/dx; the Jacobian of the path by central differences of its end, on one grid of times."""
    sde, first = VP(beta_max=6.0), 0.8
    network = MLP(size=(2,), width=5, depth=2, embedding=4)
    model, params = Denoiser(network, sde, "v", 1.3), {name: p / 4 for name, p in random_parameters(network).items()}
    at = model.score_and_pullback(params)
    score_and_pullback = lambda x, t: at(x, *sde.marginal(t))
    x, h = np.array([[0.3, -0.5], [-1.0, 0.8]]), 1e-3
    found = log_likelihood(sde, score_and_pullback, x, t_start=first, **FLOW_SOLVER)

    flow, _ = sde.reverse(lambda x, t: score_and_pullback(x, t)[0], 0.0)
    moved = np.concatenate([x, *(x + s * h * e for e in np.eye(2) for s in (1, -1))])
    end, *sides = np.split(final_sample(rk45(flow, (first, sde.t_max), moved, **FLOW_SOLVER)), 5)
    jacobian = np.stack([(sides[2 * i] - sides[2 * i + 1]) / (2 * h) for i in range(2)], axis=2)
    expected = norm.logpdf(end).sum(axis=1) + np.log(np.linalg.det(jacobian))
    assert_close(found, expected, h**2 / 6 + FLOW_LIKELIHOOD, 10.0)


@pytest.mark.parametrize("prediction", ["noise", "x0", "v"])
def test_network_score_trace_by_pullbacks_equals_that_by_differences(prediction):
    sde, network = VP(), MLP(size=(3,), width=5, depth=2, embedding=4)
    at = Denoiser(network, sde, prediction, 0.8).score_and_pullback(random_parameters(network))
    x, (alpha, sigma), h = points(SPACE), sde.marginal(0.4), 1e-5
    _, pullback = at(x, alpha, sigma)
    for i, e in enumerate(np.eye(3)):
        difference = (at(x + h * e, alpha, sigma)[0] - at(x - h * e, alpha, sigma)[0])[:, i] / (2 * h)
        assert_close(pullback(np.broadcast_to(e, x.shape).copy())[:, i], difference, CENTRAL, 10.0)


# Bits


@pytest.mark.parametrize("width", [0.25, 0.125])
def test_bits_of_a_bin_follow_from_its_mass(width):
    """The mean of -log_2 density over a bin is at least -log_2 of its mass, by O(width^2)."""
    left = np.arange(-24, 24) * width
    mass = norm.cdf(left + width) - norm.cdf(left)
    nodes, weights = np.polynomial.legendre.leggauss(16)
    x = dequantise(left[:, None] + width / 2, width, (nodes + 1) / 2)
    assert_close(x, left[:, None] + width * (nodes + 1) / 2, EXACT, 10.0)
    bits = bits_per_dimension(norm.logpdf(x), 1, width) @ weights / 2
    surplus = bits + np.log2(mass)
    curvature = (width * (np.abs(left) + width)) ** 2 / 24 + width**2  # of log p in a bin, and of p against its mass
    assert (surplus > 0).all() and (surplus < curvature).all()
    assert mass @ bits > -mass @ np.log2(mass)


def test_bits_per_dimension_divide_by_the_number_of_entries():
    assert_close(bits_per_dimension(np.log([0.5, 0.25]), 1, 1.0), [1.0, 2.0], EXACT)
    assert_close(bits_per_dimension(4 * np.log(0.5), 4, 1.0), 1.0, EXACT)
    assert_close(bits_per_dimension(0.0, 64, 1 / 8), 3.0, EXACT)  # uniform on the unit cube, 8 bins a side
    assert_printed(bits_per_dimension(-2 * np.log(2 * np.pi * np.e) / 2, 2, 0.125), "5.047")  # 1/2 log_2(2 pi e) + 3


def test_dequantisation_spreads_data_over_bins_and_keeps_the_dtype():
    x, u = np.array([[0.5, -0.25]], np.float32), np.array([[0.25, 1.0]])
    spread = dequantise(x, 0.5, u)
    assert spread.dtype == np.float32 and spread.tolist() == [[0.375, 0.0]]
    u = ops.uniform(1, np.arange(1000), 0, Purpose.EVALUATION, (2,))
    assert np.abs(dequantise(0 * u, 0.5, u)).max() <= 0.25


# As reported by ``evaluate``


@pytest.mark.parametrize("width", [None, 0.25])
def test_evaluate_reports_the_density_at_the_smallest_noise(width):
    """The prior is off by less than 0.02, as above, and the solver by some times 1e-3."""
    sde, sample = VP(min_noise_ratio=1.0), np.arange(40)
    data = SimpleNamespace(
        held_out=points(PLANE, 50), bin_width=width, is_image=False, shape=(2,), mixture=None, held_out_labels=np.zeros(50, int)
    )
    by_time = lambda x, alpha, sigma: exact(PLANE, sde)(x, sde.time_of(alpha, sigma))
    model = SimpleNamespace(schedule=sde, network=UNLABELLED, score_and_pullback=lambda params, ops: by_time)
    rows = flow_likelihood(SimpleNamespace(model=model, data=data, state=SimpleNamespace(ema={})), ops, seed=3, count=40)
    x, (alpha, sigma) = data.held_out[:40], sde.marginal(sde.t_min)
    if width:
        x = dequantise(x, width, ops.uniform(3, sample, 0, Purpose.EVALUATION, (2,)))
    x = ops.add_noise(x, alpha, sigma, Key(3, sample, 1, Purpose.EVALUATION))
    nats = -PLANE.noised(alpha, sigma).log_density(x).mean()
    assert abs(rows["-log p with noise 1 (nats)"] - nats) < 0.02
    assert abs(nats + PLANE.log_density(data.held_out[:40]).mean()) > 0.1  # this noise changes the density
    assert len(rows) == (2 if width else 1)
    if width:
        expected = bits_per_dimension(-rows["-log p with noise 1 (nats)"], 2, width)
        assert_close(rows["-log p (bits per dimension, bins of 0.25)"], expected, EXACT)


def test_images_use_one_random_sign_per_entry_as_probe():
    sde, seen = VP(min_noise_ratio=0.1), []
    data = SimpleNamespace(
        held_out=points(PLANE, 6).reshape(6, 2, 1),
        bin_width=None,
        is_image=True,
        shape=(2, 1),
        mixture=None,
        held_out_labels=np.zeros(50, int),
    )
    by_time = lambda x, alpha, sigma: (-x, lambda v: seen.append(v) or -v)
    model = SimpleNamespace(schedule=sde, network=UNLABELLED, score_and_pullback=lambda params, ops: by_time)
    flow_likelihood(SimpleNamespace(model=model, data=data, state=SimpleNamespace(ema={})), ops)
    expected = np.where(ops.uniform(2, np.arange(6), 0, Purpose.PROBE, (2, 1)) < 0.5, -1, 1)
    assert seen and all(np.array_equal(v, expected) for v in seen)
