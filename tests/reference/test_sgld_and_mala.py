"""Langevin dynamics with estimated scores and decreasing steps, and with the Metropolis correction."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from reference import ops
from reference.diffusion.mixtures import Mixture
from reference.ops.random import Purpose
from reference.samplers import final_sample
from reference.samplers.langevin import decreasing_step_sizes, langevin, mala, sgld
from tests.oracle_tolerances import EXACT, FALSE_ALARM, MIXTURE, accumulated, assert_close, assert_mean, assert_slope, ks_distance, line

COUNT = 20_000

# Stochastic gradients: posterior of the mean of Gaussian data, minibatches with replacement

DATA = np.array([0.3, -1.2, 0.8, 2.1, 1.4, -0.2, 0.9, 1.7])
BATCH, PRIOR_VARIANCE = 2, 4.0
PRECISION = len(DATA) + 1 / PRIOR_VARIANCE
POSTERIOR_MEAN = DATA.sum() / PRECISION
GRADIENT_VARIANCE = len(DATA) ** 2 / BATCH * DATA.var()


def minibatch_gradient(theta, n):
    """Of log p(theta | DATA), up to noise of variance GRADIENT_VARIANCE that is new in every step and particle."""
    seen = DATA[np.random.default_rng([11, n]).integers(len(DATA), size=(len(theta), BATCH))]
    return -theta / PRIOR_VARIANCE + len(DATA) / BATCH * (seen - theta).sum(axis=1, keepdims=True)


def variances(start, step_sizes):
    """Variance of SGLD on that posterior after each step."""
    variance = start
    for e in step_sizes:
        variance = (1 - e / 2 * PRECISION) ** 2 * variance + e + (e / 2) ** 2 * GRADIENT_VARIANCE
        yield variance


@pytest.mark.parametrize("step_size", [lambda n: 0.05, decreasing_step_sizes(0.1, 5.0, 0.7)], ids=["constant", "decreasing"])
def test_sgld_adds_half_a_step_of_gradient_and_noise_of_step_variance(step_size):
    x, sample = ops.normal(1, np.arange(30), 0, Purpose.PRIOR, (2,)), np.arange(4, 34)
    gradient = lambda x, n: np.sin(3 * x + n)
    for n, (number, y, extra) in enumerate(sgld(gradient, x, step_size, 10, 8, sample)):
        z, e = ops.normal(8, sample, n, Purpose.STEP_NOISE, (2,)), step_size(n)
        assert number == n + 1 and extra is None
        assert_close(y, x + e / 2 * np.sin(3 * x + n) + np.sqrt(e) * z, EXACT, 10.0)
        x = y


def test_the_minibatch_gradient_is_unbiased_with_the_stated_variance():
    theta = np.full((COUNT, 1), 0.4)
    error = minibatch_gradient(theta, 3) - PRECISION * (POSTERIOR_MEAN - theta)
    assert_mean(error, 0, 2)
    assert_mean(error**2, GRADIENT_VARIANCE, 2)


@pytest.mark.parametrize("step_size", [lambda n: 0.05, decreasing_step_sizes(0.2, 2.0, 0.6)], ids=["constant", "decreasing"])
def test_sgld_follows_its_moment_recursions_with_minibatch_variance(step_size):
    mean, start = 0.0, np.zeros((COUNT, 1))
    expected = variances(0.0, map(step_size, range(60)))
    for variance, (n, x, _) in zip(expected, sgld(minibatch_gradient, start, step_size, 60, 12, np.arange(COUNT))):
        mean += step_size(n - 1) / 2 * PRECISION * (POSTERIOR_MEAN - mean)
        if n in (1, 2, 10, 60):
            assert_mean(x, mean, 16)
            assert_mean((x - mean) ** 2, variance, 16)


def test_a_constant_step_keeps_the_bias_of_step_and_minibatch():
    for e in (0.1, 0.01, 0.001):
        *_, variance = variances(1.0, np.full(20_000, e))
        expected = (1 + e / 4 * GRADIENT_VARIANCE) / PRECISION / (1 - e / 4 * PRECISION)
        assert_close(variance, expected, accumulated(2 / (e * PRECISION)))  # the memory of the recursion, in steps
        assert variance * PRECISION > 1 + e


def test_decreasing_steps_remove_the_bias():
    step_size = decreasing_step_sizes(0.1, 10.0, 0.9)
    bias = np.fromiter(variances(1.0, map(step_size, range(100_000))), float) * PRECISION - 1
    n = np.array([1000, 10_000, 99_999])
    e = np.array([step_size(i) for i in n])
    lag = 0.9 / (n + 10) / (e * PRECISION)  # decrease of the steps within the memory of the recursion
    assert_close(bias[n], e * (GRADIENT_VARIANCE + PRECISION) / 4 / (1 - lag), e * PRECISION + lag**2)  # to first order in either
    assert bias[n[-1]] < 0.01


@given(st.floats(0.001, 10), st.floats(0.5, 100), st.floats(0.51, 0.99), st.integers(1, 3000))
def test_decreasing_steps_sum_to_infinity_and_their_squares_do_not(first, offset, power, count):
    e = np.array([decreasing_step_sizes(first, offset, power)(n) for n in range(count)])
    assert e[0] == first and (np.diff(e) < 0).all()
    # an integral is below the sum at left ends, and above that sum without its first term
    integral = lambda p: offset / (1 - p) * ((1 + count / offset) ** (1 - p) - 1)
    low, room = first * integral(power), accumulated(count)
    assert low * (1 - room) <= e.sum() <= (low + first) * (1 + room)
    low = first**2 * integral(2 * power)
    assert low * (1 - room) <= (e**2).sum() <= (low + first**2) * (1 + room)
    assert (e**2).sum() < first**2 * (1 + offset / (2 * power - 1)) * (1 + room)  # for any number of particles


@pytest.mark.parametrize("power", [0.5, 0.0, -1.0, 1.0001, float("nan")])
def test_decay_powers_that_violate_a_condition_are_refused(power):
    with pytest.raises(ValueError, match=rf"power must lie in \(1/2, 1\], got {power}"):
        decreasing_step_sizes(0.1, power=power)
    assert decreasing_step_sizes(0.1, 2.0, 1.0)(2) == 0.05


def test_langevin_equals_sgld_with_steps_twice_as_long():
    x, score, sample = np.linspace(-1, 1, 6)[:, None], lambda x: -x / 0.4, np.arange(6)
    one = langevin(score, x, 0.1, 20, 3, sample)
    other = sgld(lambda x, n: score(x), x, lambda n: 0.2, 20, 3, sample)
    for (n, a, _), (m, b, _) in zip(one, other, strict=True):
        assert n == m and (a == b).all()


# Metropolis


WIDE = Mixture(np.array([0.3, 0.7]), np.array([[-1.0], [1.2]]), np.array([0.4, 0.3]))  # particles move between both modes
PLANE = Mixture(
    np.array([0.4, 0.6]),
    np.array([[-1.0, 0.5], [0.8, -0.3]]),
    np.array([[[0.5, 0.2], [0.2, 0.3]], [[0.4, -0.1], [-0.1, 0.6]]]),
)


def log_acceptance(log_density, score, x, y, tau):
    """Log-probability [n] that ``mala`` accepts a move from x[n,...] to y[n,...], by bisection over its uniform draw."""
    low, high = np.full(len(x), -700.0), np.zeros(len(x))
    for _ in range(64):
        middle = (low + high) / 2
        u = np.exp(middle)
        port = SimpleNamespace(reverse_step=lambda *_: y, uniform=lambda *_, u=u: u)
        ((_, moved, accepted),) = mala(log_density, score, x, tau, 1, 0, np.arange(len(x)), ops=port)
        assert (moved[accepted] == y[accepted]).all() and (moved[~accepted] == x[~accepted]).all()
        low, high = np.where(accepted, middle, low), np.where(accepted, high, middle)
    return (low + high) / 2


def log_proposal(distribution, y, x, tau):
    """log q(y|x) [n]."""
    means = x + tau * distribution.score(x)
    return np.array([multivariate_normal(m, 2 * tau * np.eye(distribution.dimension)).logpdf(point) for m, point in zip(means, y)])


@pytest.mark.parametrize("distribution", [WIDE, PLANE], ids=["line", "plane"])
@pytest.mark.parametrize("tau", [0.02, 0.3, 1.0])
def test_mala_acceptance_probability_is_in_detailed_balance(distribution, tau):
    x, y = (distribution.sample(40 + i, np.arange(60))[0] for i in range(2))
    there, back = (
        log_acceptance(distribution.log_density, distribution.score, x, y, tau),
        log_acceptance(distribution.log_density, distribution.score, y, x, tau),
    )
    flux = distribution.log_density(x) + log_proposal(distribution, y, x, tau) + there
    reverse = distribution.log_density(y) + log_proposal(distribution, x, y, tau) + back
    size = 1 + np.abs(log_proposal(distribution, y, x, tau)) + np.abs(log_proposal(distribution, x, y, tau))
    assert_close(flux, reverse, MIXTURE, size)
    assert_close(np.maximum(there, back), np.zeros(60), MIXTURE, size)  # and larger probabilities would violate the balance
    assert (np.minimum(there, back) < -0.01).any()


def test_mala_proposes_a_langevin_step_and_draws_one_uniform():
    x, sample, tau, seen = WIDE.sample(3, np.arange(50))[0], np.arange(9, 59), 0.5, []

    def uniform(*arguments):
        seen.append(arguments)
        return ops.uniform(*arguments)

    port = SimpleNamespace(reverse_step=ops.reverse_step, uniform=uniform)
    for n, (number, y, accepted) in enumerate(mala(WIDE.log_density, WIDE.score, x, tau, 20, 6, sample, port)):
        proposal = x + tau * WIDE.score(x) + np.sqrt(2 * tau) * ops.normal(6, sample, n, Purpose.STEP_NOISE, (1,))
        assert number == n + 1 and seen[n] == (6, sample, n, Purpose.ACCEPTANCE, ())
        assert_close(y, np.where(accepted[:, None], proposal, x), EXACT, 10.0)
        assert 0 < accepted.sum() < 50
        x = y


def test_mala_on_images_sums_over_all_entries():
    x, y = (ops.normal(seed, np.arange(20), 0, Purpose.PRIOR, (2, 3, 1)) for seed in (1, 2))
    score, log_density, tau = (lambda x: -x), (lambda x: -(x**2).sum(axis=(1, 2, 3)) / 2), 0.3
    expected = np.minimum(tau / 4 * (x**2 - y**2).sum(axis=(1, 2, 3)), 0)  # remaining log ratio for the unit normal
    assert_close(log_acceptance(log_density, score, x, y, tau), expected, MIXTURE, 20 / tau)


def distance(distribution, x):
    """The Kolmogorov-Smirnov distance of the sample x[n,1] from the distribution."""
    p, n = distribution.cdf(np.sort(x[:, 0])), len(x)
    return max((np.arange(1, n + 1) / n - p).max(), (p - np.arange(n) / n).max())


@pytest.mark.parametrize("tau", [0.05, 0.3, 1.0])
def test_mala_keeps_exact_draws_exact_for_any_step(tau):
    start, _ = WIDE.sample(5, np.arange(COUNT))
    for n, x, _ in mala(WIDE.log_density, WIDE.score, start, tau, 20, 7, np.arange(COUNT)):
        if n in (1, 5, 20):
            assert distance(WIDE, x) < ks_distance(COUNT, FALSE_ALARM / 9)


def test_langevin_without_the_correction_does_not_keep_exact_draws():
    x, _ = WIDE.sample(5, np.arange(COUNT))
    assert distance(WIDE, final_sample(langevin(WIDE.score, x, 0.3, 20, 7, np.arange(COUNT)))) > 2 * ks_distance(COUNT)


def test_mala_converges_to_its_target_from_another_start():
    count = 5000
    x = final_sample(mala(WIDE.log_density, WIDE.score, np.full((count, 1), 3.0), 0.3, 200, 8, np.arange(count)))
    assert distance(WIDE, x) < ks_distance(count)
    assert_mean(x < 0, WIDE.cdf(0.0))


def test_mala_finds_the_moments_of_a_2d_mixture():
    count = 5000
    x = final_sample(mala(PLANE.log_density, PLANE.score, np.zeros((count, 2)), 0.3, 150, 9, np.arange(count)))
    assert_mean(x, PLANE.mean, 2)
    centred = x - PLANE.mean
    assert_mean(centred[:, :, None] * centred[:, None], PLANE.covariance, 2)


def test_mala_never_leaves_the_support():
    """An exponential distribution: its density jumps at 0."""
    log_density, score = (lambda x: np.where(x[:, 0] > 0, -x[:, 0], -np.inf)), (lambda x: -np.ones_like(x))
    u = ops.uniform(3, np.arange(COUNT), 0, Purpose.DATA, (1,))
    x = final_sample(mala(log_density, score, -np.log(u), 0.5, 20, 4, np.arange(COUNT)))
    assert (x > 0).all()
    assert_mean(x, 1, 2)
    assert_mean(x > 2, np.exp(-2), 2)


def rejection(tau):
    """Rejection rate of stationary MALA on the unit normal, by quadrature over x and the noise."""
    nodes, h = line(-8, 8, 0.5)
    x, z = (grid.reshape(-1, 1) for grid in np.meshgrid(nodes, nodes))
    y = x - tau * x + np.sqrt(2 * tau) * z
    there = log_acceptance(lambda x: -(x[:, 0] ** 2) / 2, lambda x: -x, x, y, tau)
    return (norm.pdf(x) * norm.pdf(z))[:, 0] @ -np.expm1(there) * h**2


def test_rejection_rate_scales_as_step_to_the_three_halves():
    tau = np.array([0.002, 0.004, 0.008, 0.016])
    rates = np.array([rejection(t) for t in tau])
    # log acceptance is tau/4 (x^2 - y^2) = -tau^{3/2} / sqrt(2) x z + ..: half of its mean size, 2/pi tau^{3/2} / sqrt(2)
    expected = tau**1.5 / (np.sqrt(2) * np.pi)
    room = tau + 1 / 16**2  # the next order is at most tau, and the trapezoidal rule's error at the kink at most its step squared
    assert_close(rates, expected, room)
    assert_slope(1 / tau, rates, 1.5, 2 * room.max())


def test_acceptance_rate_equals_the_mean_acceptance_probability():
    x, sample = ops.normal(1, np.arange(COUNT), 0, Purpose.PRIOR, (1,)), np.arange(COUNT)
    (_, _, accepted), _ = mala(lambda x: -(x[:, 0] ** 2) / 2, lambda x: -x, x, 0.8, 2, 2, sample)
    assert_mean(accepted, 1 - rejection(0.8))
