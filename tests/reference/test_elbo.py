"""DDPM's ELBO, term by term, against closed forms (tutorial, Secs. 2.2 to 2.4)."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reference.ddpm.ddpm import (
    VARIANCES,
    consistency_term,
    elbo_terms,
    elbo_weight,
    posterior,
    prior_term,
    reconstruction_term,
    reverse_log_variance,
)
from reference.diffusion.conversions import convert
from reference.diffusion.forward_process import forward
from reference.diffusion.mixtures import example_2_1
from reference.diffusion.schedules import SCHEDULES, Schedule, constant, vp
from tests.oracle_tolerances import (
    EXACT,
    EXACT32,
    QUADRATURE,
    accumulated,
    assert_close,
    assert_mean,
    assert_printed,
    assert_slope,
    line,
    z_score,
)
from tests.oracles import gaussian_mmse, grids, normal_data

every_schedule = pytest.mark.parametrize("name", sorted(SCHEDULES))


@given(grids(2000, 3))
def test_elbo_weights_equal_their_direct_form(case):
    schedule, grid = case
    for t, t_prev in pairwise(grid[:-1]):
        A_prev, power, beta = schedule.signal_power(t_prev), schedule.noise_power(t), schedule.beta(t, t_prev)
        variance = beta * schedule.noise_power(t_prev) / power
        by_x0 = beta**2 * A_prev / (power**2 * 2 * variance)
        by_noise = beta**2 / (2 * variance * power * (schedule.signal_power(t) / A_prev))
        # both are differences of SNRs with logs of size 1 + |log SNR|
        size = 1 + np.abs(schedule.log_snr(t)) + np.abs(schedule.log_snr(t_prev))
        assert_close(elbo_weight(schedule, t, t_prev), by_x0, EXACT, size * np.exp(schedule.log_snr(t_prev)))
        assert_close(elbo_weight(schedule, t, t_prev, "noise"), by_noise, EXACT, size * (1 + 2 * by_noise))


def test_elbo_weights_are_infinite_on_the_last_step():
    assert elbo_weight(constant(), 1, 0) == elbo_weight(constant(), 1, 0, "noise") == np.inf


@given(grids(200, 3), st.floats(-2, 2), st.floats(-2, 2), st.floats(-2, 2))
def test_weighted_squared_error_is_the_same_for_every_prediction(case, x, x0, wrong):
    schedule, grid = case
    for t, t_prev in pairwise(grid[:-1]):
        alpha, sigma = schedule.signal(t), schedule.noise_scale(t)
        restate = lambda prediction, guess, a=alpha, s=sigma: convert(np.array(guess), np.array(x), "x0", prediction, a, s)
        expected = elbo_weight(schedule, t, t_prev) * (x0 - wrong) ** 2
        for prediction in ("noise", "v", "score"):
            true, other = restate(prediction, x0), restate(prediction, wrong)
            weight = elbo_weight(schedule, t, t_prev, prediction)
            size = weight * (abs(true) + abs(other)) * (abs(true - other) + EXACT)
            assert_close(weight * (true - other) ** 2, expected, EXACT, size + expected)


@pytest.mark.parametrize("prediction", ["", "Noise"])
def test_elbo_weights_of_unknown_predictions_are_refused(prediction):
    with pytest.raises(ValueError, match=f"prediction must be one of noise, x0, v, score, velocity, F, got {prediction!r}"):
        elbo_weight(constant(), 5, 4, prediction)


def divergence(mean, variance, other_mean, other_variance):
    """KL(N(mean, variance) to N(other_mean, other_variance)) by quadrature."""
    z, h = line(-12, 12, 1.0)
    x = mean + np.sqrt(variance) * z
    log_ratio = stats.norm.logpdf(x, mean, np.sqrt(variance)) - stats.norm.logpdf(x, other_mean, np.sqrt(other_variance))
    return stats.norm.pdf(z) @ log_ratio * h


@every_schedule
@pytest.mark.parametrize("T", [1, 30])
def test_prior_term_is_a_divergence_from_the_unit_normal(name, T):
    schedule, x0 = SCHEDULES[name](T), np.random.default_rng(0).normal(size=(6, 2, 1, 2))
    alpha, power = schedule.signal(T), schedule.noise_power(T)
    expected = [sum(divergence(alpha * entry, power, 0.0, 1.0) for entry in sample.ravel()) for sample in x0]
    assert_close(prior_term(schedule, x0), np.array(expected), QUADRATURE, 4.0 * np.abs(x0).max() ** 2 + 10)


@given(grids(300, 3), st.floats(0.1, 10), st.integers(0, 2**32))
def test_consistency_term_is_a_divergence_for_any_variance(case, factor, seed):
    schedule, grid = case
    rng = np.random.default_rng(seed)
    x0, x = rng.normal(size=(2, 3, 2))
    for t, t_prev in pairwise(grid[:-1]):
        c_x, c_x0, variance = posterior(schedule, t, t_prev)
        deviation = np.sqrt(variance * factor)
        guess = x0 + rng.uniform(-2, 2, (3, 2)) * deviation / c_x0
        mean, other = c_x * x + c_x0 * x0, c_x * x + c_x0 * guess
        expected = [sum(divergence(m, variance, o, deviation**2) for m, o in zip(*rows)) for rows in zip(mean, other)]
        actual = consistency_term(schedule, t, t_prev, x0, guess, np.log(variance * factor))
        # quadrature forms (mean + deviation z - mean) / deviation: its error grows with mean / deviation
        assert_close(actual, np.array(expected), QUADRATURE, 100 * (1 + np.abs(mean).max() / np.sqrt(variance)))


@given(grids(300, 3), st.integers(0, 2**32))
def test_consistency_term_with_the_posterior_variance_is_a_weighted_square(case, seed):
    schedule, grid = case
    x0, guess = np.random.default_rng(seed).normal(size=(2, 4, 3))
    squares = ((x0 - guess) ** 2).sum(axis=1)
    for t, t_prev in pairwise(grid[:-1]):
        size = 1 + np.abs(schedule.log_snr(t)) + np.abs(schedule.log_snr(t_prev))
        actual = consistency_term(schedule, t, t_prev, x0, guess, np.log(posterior(schedule, t, t_prev)[2]))
        assert_close(actual, elbo_weight(schedule, t, t_prev) * squares, EXACT, size * np.exp(schedule.log_snr(t_prev)) * squares)


@given(st.floats(1e-6, 1e3), st.integers(0, 2**32))
def test_reconstruction_term_is_a_gaussian_log_density(variance, seed):
    x0, guess = np.random.default_rng(seed).normal(size=(2, 4, 2, 2, 1))
    logs = stats.norm.logpdf(x0, guess, np.sqrt(variance)).reshape(4, -1)
    assert_close(reconstruction_term(x0, guess, np.log(variance)), -logs.sum(axis=1), EXACT, np.abs(logs).sum(axis=1) + 50)


LATTICES = [2.0, 2 / 3, 2 / 16, 2 / 255]


def lattice(bin_width):
    return np.linspace(-1, 1, round(2 / bin_width) + 1)[:, None]


@pytest.mark.parametrize("bin_width", LATTICES)
@pytest.mark.parametrize("guess", [-3.0, -1.0, -0.4, 0.01, 0.9, 5.0])
@pytest.mark.parametrize("variance", [1e-4, 0.01, 1.0, 100.0])
def test_discretised_decoder_gives_probabilities_that_sum_to_one(bin_width, guess, variance):
    x0 = lattice(bin_width)
    logs = reconstruction_term(x0, np.full_like(x0, guess), np.log(variance), bin_width)
    assert (logs >= 0).all()
    # the probability of a cell is exp of logs down to -4e6, most of which underflow: relevant logs are below 40 in size
    assert_close(np.exp(-logs).sum(), 1.0, accumulated(len(x0), 40.0))


@pytest.mark.parametrize("bin_width", LATTICES)
@pytest.mark.parametrize("deviation", [0.1, 1.0])
def test_discretised_decoder_integrates_the_density_over_the_cell(bin_width, deviation):
    x0, guess = lattice(bin_width), 0.3
    edges = np.concatenate(([-np.inf], x0[:-1, 0] + bin_width / 2, [np.inf]))
    mass = np.diff(stats.norm.cdf(edges, guess, deviation))
    logs = reconstruction_term(x0, np.full_like(x0, guess), 2 * np.log(deviation), bin_width)
    assert_close(np.exp(-logs), mass, EXACT, 1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_discretised_decoder_is_finite_far_out_on_both_sides(dtype):
    x0, bin_width, deviation = lattice(2 / 16).astype(dtype), 2 / 16, 0.02
    for side in (-1, 1):
        guess = (x0 + side * 50 * deviation).astype(dtype)
        logs = reconstruction_term(x0, guess, 2 * np.log(deviation), bin_width)
        inner = logs[1:-1]
        nearest = 50 - bin_width / 2 / deviation  # the mass is at the cell's nearest edge, between the bounds of Mills' ratio
        bound = -stats.norm.logsf(nearest)
        assert_close(inner, np.full(15, bound), 50 * (EXACT32 if dtype == np.float32 else EXACT), bound * 50)
        assert np.isfinite(logs).all() and (logs >= 0).all()


def test_discretised_decoder_sums_over_the_entries_of_a_sample():
    x0 = np.random.default_rng(0).integers(0, 17, (5, 2, 2, 1)) / 8 - 1
    guess = np.random.default_rng(1).uniform(-1, 1, x0.shape)
    whole = reconstruction_term(x0, guess, np.log(0.1), 2 / 16)
    parts = reconstruction_term(x0.reshape(-1, 1), guess.reshape(-1, 1), np.log(0.1), 2 / 16).reshape(5, 4)
    assert_close(whole, parts.sum(axis=1), EXACT)


def expected_terms(schedule, grid, mean, variance, choice):
    """-ELBO of data N(mean, variance) with the exact denoiser, term by term: averages over x0 and x_t of the code's own terms.

    The terms are quadratic in x0 and x_t, so that Gauss-Hermite quadrature with 3 nodes each is exact.
    """
    z, w = np.polynomial.hermite_e.hermegauss(3)
    w = w / w.sum()
    x0, eps, weight = (np.ravel(a)[:, None] for a in (*np.meshgrid(mean + np.sqrt(variance) * z, z), np.outer(w, w)))
    distribution, mmse, consistency = normal_data(mean, variance), gaussian_mmse(schedule, variance), []
    for t, t_prev in pairwise(grid):
        guess = distribution.posterior_mean(forward(schedule, x0, t, eps), schedule.signal(t), schedule.noise_scale(t))
        if t_prev:
            step = reverse_log_variance(schedule, t, t_prev, choice, mmse)
            consistency.append(weight[:, 0] @ consistency_term(schedule, t, t_prev, x0, guess, step))
    return weight[:, 0] @ prior_term(schedule, x0), np.array(consistency), weight[:, 0] @ reconstruction_term(x0, guess, np.log(mmse(t)))


def entropy_and_prior_gap(schedule, mean, variance):
    """H(data) + KL(q(x_T) to N(0, 1)): a lower bound of every -ELBO of this chain."""
    A, power = schedule.signal_power(schedule.T), schedule.noise_power(schedule.T)
    v = A * variance + power
    return np.log(2 * np.pi * np.e * variance) / 2 + (v + A * mean**2 - 1 - np.log(v)) / 2


@pytest.mark.parametrize("mean, variance", [(0.0, 0.25), (0.7, 1.0), (-1.5, 3.0)])
@pytest.mark.parametrize("steps", [1, 2, 10, 60])
def test_elbo_of_gaussian_data_in_closed_form(steps, mean, variance):
    schedule = vp(60)
    grid, mmse = schedule.timesteps(steps), gaussian_mmse(schedule, variance)
    prior, consistency, reconstruction = expected_terms(schedule, grid, mean, variance, "posterior")
    A = schedule.signal_power(60)
    assert_close(prior, (A * (variance + mean**2) - A - np.log(1 - A)) / 2, EXACT, 1.0)
    inner = list(pairwise(grid[:-1]))
    expected = np.array([(np.exp(schedule.log_snr(s)) - np.exp(schedule.log_snr(t))) / 2 * mmse(t) for t, s in inner])
    assert_close(consistency, expected, EXACT, np.array([8 * np.exp(schedule.log_snr(s)) * (1 + variance) for _, s in inner]))
    assert_close(reconstruction, np.log(2 * np.pi * np.e * mmse(grid[-2])) / 2, EXACT, 16.0)


@pytest.mark.parametrize("mean, variance", [(0.0, 0.25), (0.7, 1.0), (-1.5, 3.0)])
@every_schedule
@pytest.mark.parametrize("steps", [1, 2, 7, 30])
def test_elbo_with_the_exact_variance_is_tight_in_any_number_of_steps(name, steps, mean, variance):
    schedule = SCHEDULES[name](30)
    prior, consistency, reconstruction = expected_terms(schedule, schedule.timesteps(steps), mean, variance, "exact")
    expected = entropy_and_prior_gap(schedule, mean, variance)
    assert_close(prior + consistency.sum() + reconstruction, expected, 16 * accumulated(steps), 10.0)  # a dozen roundings a term


@pytest.mark.parametrize("choice", ["posterior", "beta"])
@pytest.mark.parametrize("steps", [2, 7, 30])
def test_elbo_with_another_variance_stays_above_the_entropy(choice, steps):
    schedule = vp(30)
    prior, consistency, reconstruction = expected_terms(schedule, schedule.timesteps(steps), 0.7, 0.25, choice)
    assert prior + consistency.sum() + reconstruction > entropy_and_prior_gap(schedule, 0.7, 0.25) * (1 + QUADRATURE)


@pytest.mark.parametrize("T, gap", [(10**5, ".2924338"), (10**6, ".2891046"), (10**7, ".2886689")])
def test_printed_elbo_gap_of_posterior_variance_tends_to_half_euler_gamma(T, gap):
    assert_printed(gap_of_the_elbo(vp(T)), gap)


def test_printed_limit_of_the_elbo_gap_where_beta_begins_at_zero():
    """SNR ∝ 1/t^2 at 0: gamma + pi^2 / 12 = 1.3997, reached to these digits at T = 10^6."""
    assert_printed(gap_of_the_elbo(Schedule(-10 * (np.arange(10**6 + 1) / 10**6) ** 2)), "1.3997")


def gap_of_the_elbo(schedule, c=0.25):
    """-ELBO of N(0, c) with the exact denoiser and the posterior variance, less the entropy and the prior's divergence."""
    T = schedule.T
    t = np.arange(1, T + 1)
    snr, mmse = np.exp(schedule.log_snr(t)), c * schedule.noise_power(t) / (schedule.signal_power(t) * c + schedule.noise_power(t))
    weights = (snr[:-1] - snr[1:]) / 2
    for i in (0, 1, 10, 1000, T - 2):
        assert_close(elbo_weight(schedule, int(t[i + 1]), int(t[i])), weights[i], EXACT, snr[i])
    A = schedule.signal_power(T)
    prior = (A * c - A - np.log(1 - A)) / 2
    nelbo = prior + (weights * mmse[1:]).sum() + np.log(2 * np.pi * np.e * mmse[0]) / 2
    return nelbo - entropy_and_prior_gap(schedule, 0.0, c)


def test_consistency_tends_to_the_mmse_integral_at_first_order():
    c, N, errors = 0.25, [400, 800, 1600], []
    for n in N:
        schedule, first = vp(n), n // 20
        mmse, snr = gaussian_mmse(schedule, c), np.exp(schedule.log_snr(np.array([first, n])))
        total = sum(elbo_weight(schedule, t, t - 1) * mmse(t) for t in range(first + 1, n + 1))
        errors.append(total - np.log((1 + c * snr[0]) / (1 + c * snr[1])) / 2)
    assert min(errors) > 0  # the error grows with t, and each step uses its largest value
    assert_slope(N, np.array(errors), 1, 0.1)  # SNR falls by 2 / 20 in the first step: the next order, halved at each refinement


def test_elbo_terms_of_an_exact_denoiser_have_the_closed_form():
    schedule, mean, variance, n = vp(50), 0.4, 0.5, 20_000
    distribution, mmse = normal_data(mean, variance), gaussian_mmse(schedule, variance)
    x0, _ = distribution.sample(3, np.arange(n))
    predict_noise = lambda x, t: distribution.expected_noise(x, schedule.signal(t), schedule.noise_scale(t))
    for choice in VARIANCES:
        terms = elbo_terms(predict_noise, schedule, x0, 4, 10, choice, None, mmse)
        prior, consistency, reconstruction = expected_terms(schedule, schedule.timesteps(10), mean, variance, choice)
        assert_mean(terms["prior"], prior, 9)
        assert_mean(terms["consistency"], consistency, 9)
        assert_mean(terms["reconstruction"], reconstruction, 9)


def test_minus_elbo_exceeds_the_entropy_and_grows_with_a_worse_denoiser():
    schedule, distribution = vp(100), example_2_1()
    x0, _ = distribution.sample(1, np.arange(4000))
    good = lambda x, t: distribution.expected_noise(x, schedule.signal(t), schedule.noise_scale(t))
    totals = []
    for predict_noise in (good, lambda x, t: 0.9 * good(x, t), lambda x, t: 0 * x):
        terms = elbo_terms(predict_noise, schedule, x0, 2, 20)
        totals.append(terms["prior"] + terms["consistency"].sum(axis=1) + terms["reconstruction"])
    error = z_score() * totals[0].std() / np.sqrt(len(x0))
    assert totals[0].mean() - error > 1.5451  # the entropy of p_0, table 6.1
    assert totals[0].mean() < totals[1].mean() < totals[2].mean()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_elbo_terms_have_documented_shapes_for_images_and_one_step(dtype):
    schedule = vp(20)
    x0 = (np.random.default_rng(0).integers(0, 17, (3, 2, 2, 1)) / 8 - 1).astype(dtype)
    for steps, columns in ((1, 0), (5, 4), (None, 19)):
        terms = elbo_terms(lambda x, t: 0 * x, schedule, x0, 0, steps, bin_width=2 / 16)
        assert terms["prior"].shape == terms["reconstruction"].shape == (3,)
        assert terms["consistency"].shape == (3, columns)
        assert (terms["reconstruction"] >= 0).all() and (terms["consistency"] > 0).all()


def test_decoder_variance_is_given_or_the_error_or_the_first_beta():
    schedule, x0 = vp(20), np.zeros((2, 1))
    oracle = lambda x, t: x / schedule.noise_scale(t)  # for a point mass at 0: its estimate is 0
    last = lambda **options: elbo_terms(oracle, schedule, x0, 0, 4, **options)["reconstruction"]
    for actual, variance in (
        (last(), schedule.beta(5, 0)),
        (last(mmse=lambda t: 0.01 * t), 0.05),
        (last(mmse=lambda t: 0.01 * t, decoder_log_variance=np.log(0.3)), 0.3),
    ):
        assert_close(actual, np.full(2, np.log(2 * np.pi * variance) / 2), EXACT, 4.0)


# A chain that is not optimal: p(x_prev | x_t) = N(k x_t + m, r), linear, so that every integral is one of Gaussians.


def linear_chain(schedule, x0):
    """A linear estimate of x0 from x_t, wrong on purpose, and the resulting steps [(t, t_prev, k, m, r)]."""
    rng, steps = np.random.default_rng(4), []
    for t in range(schedule.T, 0, -1):
        slope, offset = rng.uniform(0.2, 0.9), rng.normal()
        c_x, c_x0, _ = posterior(schedule, t, t - 1)
        steps.append((t, t - 1, c_x + c_x0 * slope, c_x0 * offset, rng.uniform(0.05, 0.5), slope, offset))
    return steps


def minus_elbo(schedule, x0):
    """The sum of the code's terms; x_t = signal x0 + scale z with z = +1 and -1 averages a quadratic function of a unit normal exactly."""
    total, z = prior_term(schedule, np.array([[x0]]))[0], np.array([[1.0], [-1.0]])
    for t, t_prev, _, _, r, slope, offset in linear_chain(schedule, x0):
        guess = slope * forward(schedule, np.full((2, 1), x0), t, z) + offset
        term = (schedule, t, t_prev, np.full((2, 1), x0), guess, np.log(r))
        total += (consistency_term(*term) if t_prev else reconstruction_term(*term[3:])).mean()
    return total


def minus_elbo_directly(schedule, x0, independent=False):
    """E_q[log q(x_1 .. x_T | x_0) - log p(x_0 .. x_T)] from the joint Gaussian of all x_t, without Bayes' rule or KL divergences.

    ``independent`` takes neighbours as independent, each from its own marginal: Theorem 2.3 read literally (E3).
    """
    log_normal = lambda square, variance: -(square / variance + np.log(2 * np.pi * variance)) / 2
    total, T = 0.0, schedule.T
    for t, t_prev, k, m, r, _, _ in linear_chain(schedule, x0):
        both, power, power_prev = schedule.signal(t) / schedule.signal(t_prev), schedule.noise_power(t), schedule.noise_power(t_prev)
        total += log_normal(schedule.beta(t, t_prev), schedule.beta(t, t_prev))  # E log q(x_t | x_prev): the entropy of a step
        covariance = 0.0 if independent else both * power_prev
        mean = (schedule.signal(t_prev) - k * schedule.signal(t)) * x0 - m
        total -= log_normal(mean**2 + power_prev + k**2 * power - 2 * k * covariance, r)
    return total - log_normal(schedule.signal_power(T) * x0**2 + schedule.noise_power(T), 1.0)


@pytest.mark.parametrize("name", ["linear", "vp", "cosine"])
@pytest.mark.parametrize("x0", [-1.5, 0.3])
def test_elbo_term_by_term_is_the_direct_expectation_for_any_linear_chain(name, x0):
    schedule = SCHEDULES[name](6)
    size = sum(1 / r for *_, r, _, _ in linear_chain(schedule, x0)) * (1 + x0**2) * 4  # of the squares that are added
    assert_close(minus_elbo(schedule, x0), minus_elbo_directly(schedule, x0), EXACT, size)


def test_theorem_2_3_read_literally_gives_another_number():
    schedule = vp(6)
    assert abs(minus_elbo_directly(schedule, 0.3, independent=True) - minus_elbo(schedule, 0.3)) > 0.1


@pytest.mark.parametrize("x0", [-4.0, -1.0, 0.0, 0.5, 3.0])
def test_elbo_bounds_the_log_density_of_its_chain(x0):
    """p(x_0) of a linear chain is a Gaussian; its mean and variance follow from the steps."""
    schedule = vp(6)
    mean, variance = 0.0, 1.0
    for _, _, k, m, r, _, _ in linear_chain(schedule, x0):
        mean, variance = k * mean + m, k**2 * variance + r
    assert minus_elbo(schedule, x0) > -stats.norm.logpdf(x0, mean, variance**0.5)
