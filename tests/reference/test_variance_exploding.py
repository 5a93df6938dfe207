"""The two views of a noise schedule, and scores at any noise level."""

import numpy as np
import pytest

from reference.ddpm.ddpm import posterior, prior_term
from reference.ddpm.learned import LearnedVariance
from reference.diffusion.conversions import convert
from reference.diffusion.denoiser import TRAINABLE, Denoiser, exact_prediction
from reference.diffusion.mixtures import example_2_1
from reference.diffusion.schedules import SCHEDULES, Schedule, VarianceExplodingSchedule, geometric
from reference.networks import MLP
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral, prior
from reference.samplers.ddim import ddim
from reference.sde.sde import SDE, VE, VP
from tests.oracle_tolerances import CENTRAL, EXACT, LINEAR_ALGEBRA, MIXTURE, accumulated, assert_close

LADDER = geometric(8, 0.05, 10.0)
SIGMAS = 0.05 * 200 ** (np.arange(8) / 7)
TWIN = Schedule(LADDER.log_alpha_bar)  # the same levels, preserving the variance
DISTRIBUTION = example_2_1()
X = np.linspace(-4, 5, 10)[:, None]


def test_signal_is_constant_and_noise_grows_geometrically():
    t = np.arange(1, 9)
    assert (LADDER.signal(t) == 1).all() and (LADDER.signal_power(t) == 1).all() and LADDER.signal(3) == 1.0
    assert_close(LADDER.noise_scale(t), SIGMAS, EXACT)
    assert_close(LADDER.noise_power(t), SIGMAS**2, EXACT)
    assert LADDER.noise_scale(0) == 0
    assert_close(LADDER.prior_scale, 10.0, EXACT)


def test_the_variance_between_close_levels_keeps_its_digits():
    close = VarianceExplodingSchedule(-np.log1p(np.array([0.0, 1.0, 1.0 + 1e-9]) ** 2))
    exact = -(np.expm1(close.log_alpha_bar[2] - close.log_alpha_bar[1])) * np.exp(-close.log_alpha_bar[2])
    assert_close(close.beta(2, 1), exact, EXACT)
    for t in range(1, 9):
        assert_close(LADDER.beta(t, t - 1), SIGMAS[t - 1] ** 2 - (SIGMAS[t - 2] ** 2 if t > 1 else 0), EXACT)
        assert LADDER.log_ratio(t, t - 1) < 0  # for the twin schedule: its steps are still ordered


def test_both_views_have_the_same_log_snr():
    t = np.arange(1, 9)
    assert_close(LADDER.log_snr(t), -2 * np.log(SIGMAS), EXACT, 1 + np.abs(2 * np.log(SIGMAS)))
    np.testing.assert_array_equal(LADDER.log_snr(t), TWIN.log_snr(t))
    assert_close(TWIN.noise_scale(t) / TWIN.signal(t), LADDER.noise_scale(t), EXACT)


def test_network_time_is_proportional_to_log_sigma():
    for t in (1, 2.5, 8):
        sigma = 0.05 * 200 ** ((t - 1) / 7)
        assert_close(LADDER.network_time(t), 1000 * np.log(sigma / 0.05) / np.log(200), EXACT, 1000.0)
    assert TWIN.network_time(4) == 500.0


@pytest.mark.parametrize("schedule", [LADDER, *(make(40) for make in SCHEDULES.values())], ids=lambda s: s.name)
def test_the_time_of_a_noise_level_is_recovered(schedule):
    for t in (1, 2, 5, schedule.T):
        for factor in (1.0, 3.0):
            assert_close(schedule.time_of(factor * schedule.signal(t), factor * schedule.noise_scale(t)), float(t), LINEAR_ALGEBRA)
    alpha, sigma = schedule.to_schedule_scale(3.0 * schedule.signal(2), 3.0 * schedule.noise_scale(2))
    assert_close([alpha, sigma], [schedule.signal(2), schedule.noise_scale(2)], EXACT)


@pytest.mark.parametrize("schedule", [LADDER, *(make(40) for make in SCHEDULES.values())], ids=lambda s: s.name)
def test_times_of_arrays_are_those_of_their_numbers(schedule):
    t = np.array([1, 2, 5, 7])
    alpha, sigma = 3 * schedule.signal(t), 3 * schedule.noise_scale(t) * np.array([1, 1.1, 1.01, 1])
    levels = [*zip(alpha.tolist(), sigma.tolist())]
    assert_close(schedule.time_of(alpha, sigma), np.array([schedule.time_of(*level) for level in levels]), EXACT)
    for found, numbers in zip(schedule.to_schedule_scale(alpha, sigma), zip(*(schedule.to_schedule_scale(*level) for level in levels))):
        assert found.shape == (4,)
        assert_close(found, np.array(numbers), EXACT)
        assert all(isinstance(number, float) for number in numbers)
    value = 2 * np.log(alpha[0] / (sigma[0] / 2))
    with pytest.raises(ValueError, match=rf"a log-SNR of {value:.4g} is outside of what was trained"):
        schedule.time_of(alpha[[1, 0]], sigma[[1, 0]] / np.array([1, 2]))


@pytest.mark.parametrize("sigma", [0.049, 10.1])
def test_an_untrained_noise_level_is_refused_naming_the_trained_range(sigma):
    with pytest.raises(ValueError, match=r"outside of what was trained, -4\.605 to 5\.991"):
        LADDER.time_of(1.0, sigma)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((8, 1.0, 1.0), "0 < sigma_min < sigma_max, got 1.0 and 1.0"),
        ((8, 2.0, 1.0), "0 < sigma_min < sigma_max"),
        ((8, 0.0, 1.0), "0 < sigma_min < sigma_max"),
        ((8, float("nan"), 1.0), "0 < sigma_min < sigma_max"),
        ((8, 1.0, float("inf")), "0 < sigma_min < sigma_max"),
        ((1, 0.1, 1.0), "T must be at least 2 levels"),
    ],
)
def test_invalid_noise_levels_of_a_schedule_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        geometric(*arguments)


# Samplers on either view


def test_variance_exploding_posterior_matches_its_ancestral_sampler():
    """E11c: with s = sigma_prev: mean s^2/sigma^2 x + (1 - s^2/sigma^2) x_0, variance s^2 (sigma^2 - s^2) / sigma^2."""
    for t in range(2, 9):
        power, before = SIGMAS[t - 1] ** 2, SIGMAS[t - 2] ** 2
        expected = (before / power, 1 - before / power, before * (power - before) / power)
        for actual, value in zip(posterior(LADDER, t, t - 1), expected):
            assert_close(actual, value, EXACT)


def predict_noise(schedule):
    return lambda x, t: DISTRIBUTION.expected_noise(x, schedule.signal(t), schedule.noise_scale(t))


@pytest.mark.parametrize("sampler", [ancestral, ddim])
def test_samplers_give_the_same_samples_in_either_view(sampler):
    """E20: x / signal of one view equals x of the other at every step, with the same noise prediction and draws."""
    sample, grid = np.arange(10), LADDER.timesteps(8)
    x = 10.0 * X
    ours = sampler(predict_noise(LADDER), LADDER, grid, x, 3, sample)
    theirs = sampler(predict_noise(TWIN), TWIN, grid, x * TWIN.signal(8), 3, sample)
    for (t, exploding, x0), (_, preserving, other) in zip(ours, theirs, strict=True):
        assert_close(exploding, preserving / TWIN.signal(t), accumulated(8, 64), np.abs(x) + 10)
        assert_close(x0, other, accumulated(8, 64), np.abs(x) + 10)


def test_prior_has_the_deviation_of_the_last_level_and_small_divergence():
    x = prior(0, np.arange(6), (3,), np.float64, LADDER.prior_scale)
    assert_close(x, prior(0, np.arange(6), (3,), np.float64) * 10.0, EXACT)
    x0 = np.array([[1.0], [-2.0]])
    assert_close(prior_term(LADDER, x0), (x0[:, 0] / 10) ** 2 / 2, EXACT, 1.0)


# Scores at any noise level


class Oracle:
    """A network with the exact prediction at the noise level of its time input."""

    def __init__(self, schedule, prediction, variance):
        self.schedule, self.prediction, self.variance = schedule, prediction, variance

    def forward(self, params, x, c, ops=None, labels=None, keep=True):
        if isinstance(self.schedule, SDE):
            alpha, sigma = self.schedule.marginal(c[0] / 1000)
        else:
            times = np.arange(1, self.schedule.T + 1)
            t = np.interp(c[0], self.schedule.network_time(times), times)
            log_snr = np.interp(t, times, self.schedule.log_snr(times))
            alpha, sigma = self.schedule.to_schedule_scale(float(np.exp(log_snr / 2)), 1.0)
        x = x * (alpha**2 * self.variance + sigma**2) ** 0.5
        return convert(DISTRIBUTION.expected_noise(x, alpha, sigma), x, "noise", self.prediction, alpha, sigma), None


NAME = lambda value: value if isinstance(value, str) else getattr(value, "name", type(value).__name__)
DENSE = geometric(1000, 0.05, 10.0)
CASES = [
    (DENSE, "noise"),
    (SCHEDULES["vp"](), "noise"),
    (SCHEDULES["linear"](), "v"),
    (SCHEDULES["cosine"](), "x0"),
    (VP(), "v"),
    (VE(), "x0"),
]


@pytest.mark.parametrize("schedule, prediction", CASES, ids=NAME)
@pytest.mark.parametrize("alpha, sigma", [(1.0, 0.3), (1.0, 2.0), (0.5, 0.5), (0.1, 0.9)])
def test_the_score_of_an_exact_network_is_exact_at_any_noise_level(schedule, prediction, alpha, sigma):
    model = Denoiser(Oracle(schedule, prediction, 4.0), schedule, prediction, 4.0)
    expected = DISTRIBUTION.noised(alpha, sigma).score(X)
    assert_close(model.score_function({})(X, alpha, sigma), expected, 64 * MIXTURE, (1 + np.abs(X)) / sigma**2 + np.abs(expected))


@pytest.mark.parametrize("schedule", [LADDER, TWIN], ids=["exploding", "preserving"])
@pytest.mark.parametrize("prediction", ["noise", "x0", "v"])
def test_edm_output_is_interpolated_between_distant_levels(schedule, prediction):
    """Interpolation is linear in log(sigma) at equal z, the x of unit variance; at the levels there is none."""
    model, v = Denoiser(Oracle(schedule, prediction, 4.0), schedule, prediction, 4.0), 4.0

    def output(z, sigma):
        """(E[x_0 | x] - c_skip x) / c_out of Karras et al. 2022, Table 1."""
        x = z * np.sqrt(v + sigma**2)
        return (DISTRIBUTION.posterior_mean(x, 1.0, sigma) - v / (v + sigma**2) * x) / (sigma * np.sqrt(v / (v + sigma**2)))

    for share in (0.0, 0.25, 0.5, 1.0):
        sigma = float(SIGMAS[3] ** (1 - share) * SIGMAS[4] ** share)
        z = X / np.sqrt(v + sigma**2)
        F = (1 - share) * output(z, SIGMAS[3]) + share * output(z, SIGMAS[4])
        x0 = v / (v + sigma**2) * X + sigma * np.sqrt(v / (v + sigma**2)) * F
        assert_close(model.posterior_mean_function({})(X, 1.0, sigma), x0, 256 * MIXTURE, 1 + np.abs(X))
        assert_close(model.score_function({})(X, 1.0, sigma), (x0 - X) / sigma**2, 256 * MIXTURE, (1 + np.abs(X)) / sigma**2)


@pytest.mark.parametrize("schedule, worst", [(SCHEDULES["cosine"](100), 0.03), (SCHEDULES["cosine"](20), 0.04), (geometric(10), 0.065)])
def test_interpolated_score_of_example_2_1_errs_by_a_few_percent(schedule, worst):
    """Relative root mean square error at 100 noise levels; averaging the noise of two neighbouring levels would err by a factor."""
    v = float(DISTRIBUTION.covariance[0, 0] + DISTRIBUTION.mean[0] ** 2)
    score, errors = Denoiser(Oracle(schedule, "noise", v), schedule, "noise", v).score_function({}), []
    log_snrs = schedule.log_snr(np.array([1, schedule.T]))
    for ratio in np.exp(-np.linspace(*log_snrs, 102)[1:-1] / 2):
        distribution = DISTRIBUTION.noised(1.0, float(ratio))
        x, _ = distribution.sample(0, np.arange(1000))
        exact = distribution.score(x)
        errors.append(np.sqrt(((score(x, 1.0, float(ratio)) - exact) ** 2).mean() / (exact**2).mean()))
    assert max(errors) < worst


def pullback_is_the_derivative(at, function, level=(0.8, 0.7)):
    """For a network, by central differences with a random cotangent."""
    rng = np.random.default_rng(1)
    x, v, direction = rng.normal(size=(3, 5, 3))
    value, pullback = at(x, *level)
    assert_close(value, function(x, *level), EXACT)
    up, down = (at(x + h * direction, *level)[0] for h in (1e-5, -1e-5))
    found = (v * (up - down)).sum() / 2e-5
    assert_close((pullback(v) * direction).sum(), found, CENTRAL, np.abs(v * value).sum() + np.abs(found))


def drawn(network):
    rng = np.random.default_rng(1)
    return {name: 0.5 * rng.normal(size=value.shape) for name, value in network.init(0).items()}


@pytest.mark.parametrize("schedule, prediction", CASES[1:], ids=NAME)
def test_the_pullback_is_the_derivative_of_the_score(schedule, prediction):
    """Also between levels, where the pullbacks at two levels are added."""
    network = MLP(size=(3,), width=8, depth=2)
    params = drawn(network)
    for model in (Denoiser(network, schedule, prediction, 2.0), Denoiser(network, TWIN, prediction, 2.0)):
        pullback_is_the_derivative(model.score_and_pullback(params), model.score_function(params))


@pytest.mark.parametrize("prediction", TRAINABLE)
@pytest.mark.parametrize("schedule", [LADDER, TWIN], ids=["exploding", "preserving"])
@pytest.mark.parametrize("level", [(1.0, LADDER.noise_scale(4)), (0.8, 0.7)], ids=["trained", "between levels"])
@pytest.mark.parametrize("outputs", [1, 2], ids=["", "learned variance"])
def test_the_pullback_is_the_derivative_of_the_posterior_mean(prediction, schedule, level, outputs):
    network = MLP(size=(3,), width=8, depth=2, outputs=outputs)
    params = drawn(network)
    model = {1: Denoiser, 2: LearnedVariance}[outputs](network, schedule, prediction, 2.0)
    at, function = model.posterior_mean_and_pullback(params), model.posterior_mean_function(params)
    pullback_is_the_derivative(at, function, level)


def test_a_scaled_x_has_the_score_of_its_own_distribution():
    score = Denoiser(Oracle(LADDER, "noise", 4.0), LADDER, "noise", 4.0).score_function({})
    assert_close(score(3 * X, 3.0, 3 * 0.7), score(X, 1.0, 0.7) / 3, MIXTURE, np.abs(X) / 0.7**2 + 1)


def test_score_at_a_trained_level_is_minus_predicted_noise_over_sigma():
    model = Denoiser(Oracle(LADDER, "noise", 4.0), LADDER, "noise", 4.0)
    for t in (1, 4, 8):
        sigma = LADDER.noise_scale(t)
        assert_close(model.score_function({})(X, 1.0, sigma), model.noise_predictor({})(X, t) / -sigma, MIXTURE, (1 + np.abs(X)) / sigma**2)


def test_the_exact_prediction_uses_the_time_of_each_sample():
    t = np.array([1, 4, 8, 4, 1, 8, 2, 2, 3, 1])
    for schedule in (LADDER, TWIN):
        each = [
            DISTRIBUTION.expected_noise(x[None], schedule.signal(int(time)), schedule.noise_scale(int(time)))[0] for x, time in zip(X, t)
        ]
        assert_close(exact_prediction(DISTRIBUTION, schedule, X, t), np.array(each), MIXTURE, 1.0)


def test_ddim_on_noise_levels_ends_at_the_x0_estimate():
    (*_, (t, x, x0)) = ddim(predict_noise(LADDER), LADDER, LADDER.timesteps(4), 10 * X, 0, np.arange(10))
    assert t == 0
    assert_close(x, x0, EXACT, np.abs(X) + 1)
    assert_close(final_sample(ddim(predict_noise(LADDER), LADDER, LADDER.timesteps(4), 10 * X, 0, np.arange(10))), x, EXACT)
