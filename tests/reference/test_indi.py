"""InDI: the path from clean to degraded, the sampler back, and its limits in closed form (tutorial, version 1, Sec. 2.9)."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.signal import convolve2d

from reference.data.metrics import wasserstein_1d
from reference.ddpm.indi import Degradation, InDI, brownian_deviation, path
from reference.diffusion.conversions import log_alpha_bar_of_sigma
from reference.diffusion.mixtures import example_2_1
from reference.diffusion.schedules import VarianceExplodingSchedule
from reference.networks import MLP
from reference.ops import normal
from reference.ops.random import Purpose
from reference.samplers import final_sample
from reference.samplers.ddim import ddim
from reference.samplers.indi import indi, ode_drift
from tests.example_networks import numbers, random_parameters
from tests.oracle_tolerances import EXACT, MIXTURE, PRECISE, accumulated, assert_close, assert_slope, integrated, z_score
from tests.reference.test_networks import gradient_of_each

DISTRIBUTION = example_2_1()
X = np.linspace(-3, 4, 8)[:, None]


def even(steps):
    return [(steps - k) / steps for k in range(steps + 1)]


def gaussian(s2, n2):
    """E[x_0 | x_t] for x_0 ~ N(0, s2) and y = x_0 + noise of variance n2."""
    return lambda x, t: s2 / (s2 + t**2 * n2) * x


def exact(distribution, noise):
    return lambda x, t: distribution.posterior_mean(x, 1.0, t * noise)


# The path and its steps


def test_the_path_goes_from_clean_to_degraded():
    x0, y = numbers(0, 2, 3, 2)
    np.testing.assert_array_equal(path(x0, y, 0.0), x0)
    np.testing.assert_array_equal(path(x0, y, 1.0), y)
    t = np.array([0.25, 0.5, 1.0])
    assert_close(path(x0, y, t), (1 - t[:, None]) * x0 + t[:, None] * y, EXACT, 8.0)
    assert path(x0.astype(np.float32), y.astype(np.float32), t).dtype == np.float32


def test_a_step_is_the_conditional_mean_of_the_path_for_any_distribution():
    """Four pairs (x_0, y) of unequal weights, two of them with equal x_t at t = 1/2: E[x_{t-tau} | x_t], by enumeration."""
    x0, y, weight = np.array([0.0, 2.0, 1.0, -1.0]), np.array([2.0, 0.0, 1.0, 4.0]), np.array([0.1, 0.4, 0.2, 0.3])
    t, t_prev = 0.5, 0.2
    at, before = (1 - t) * x0 + t * y, (1 - t_prev) * x0 + t_prev * y
    mean_given = lambda values: np.array([(weight * values)[at == x].sum() / weight[at == x].sum() for x in at])
    assert len(np.unique(at)) == 2
    ((_, stepped, _),) = indi(lambda x, t: mean_given(x0)[:, None], [t, t_prev], at[:, None], 0, np.arange(4))
    assert_close(stepped[:, 0], mean_given(before), EXACT, 4.0)


@pytest.mark.parametrize("steps", [1, 2, 5, 40])
@pytest.mark.parametrize("s2, n2", [(1.0, 1.0), (0.25, 2.0), (4.0, 0.1)])
def test_gain_on_gaussian_data_is_the_product_over_steps(steps, s2, n2):
    (x,) = final_sample(indi(gaussian(s2, n2), even(steps), np.ones((1, 1)), 0, np.arange(1)))
    k = np.arange(1, steps + 1)
    expected = np.prod((1 - 1 / k) + (1 / k) * s2 / (s2 + (k / steps) ** 2 * n2))
    assert_close(x[0], expected, accumulated(steps))


def test_one_step_is_least_squares_and_many_steps_restore_the_variance():
    """The gain tends to sqrt(s2 / (s2 + n2)), so that restored data have the variance s2 of clean data, with an error of order 1/N."""
    s2, n2 = 0.7, 1.3
    gain = lambda steps: final_sample(indi(gaussian(s2, n2), even(steps), np.ones((1, 1)), 0, np.arange(1)))[0, 0]
    assert_close(gain(1), s2 / (s2 + n2), EXACT)
    steps = np.array([200, 400, 800, 1600, 3200])
    assert_slope(steps, [gain(n) - (s2 / (s2 + n2)) ** 0.5 for n in steps], 1, 0.01)


def test_small_steps_converge_to_the_flow_with_the_variance_of_clean_data():
    s2, n2 = 0.7, 1.3
    f = ode_drift(gaussian(s2, n2))
    solved = solve_ivp(lambda t, x: f(x, t), (1.0, 1e-9), [1.0, -2.0], **PRECISE)
    expected = np.array([1.0, -2.0]) * (s2 / (s2 + n2)) ** 0.5
    assert_close(solved.y[:, -1], expected, integrated(len(solved.t), **PRECISE, size=2.0), 1.0)


def test_indi_iterates_equal_ddim_on_the_noise_levels_of_the_path():
    """y = x_0 + s n makes x_t the variance-exploding x at sigma = t s, and an InDI step an Euler step of its probability flow."""
    noise, steps = 1.5, 9
    schedule = VarianceExplodingSchedule(log_alpha_bar_of_sigma(noise * np.arange(steps + 1) / steps))
    predict_noise = lambda x, t: DISTRIBUTION.expected_noise(x, 1.0, schedule.noise_scale(t))
    sample = np.arange(len(X))
    theirs = ddim(predict_noise, schedule, schedule.timesteps(steps), X, 0, sample)
    ours = indi(exact(DISTRIBUTION, noise), even(steps), X, 0, sample)
    for (t, x, x0), (k, y, y0) in zip(ours, theirs, strict=True):
        assert_close(t, k / steps, EXACT, 1.0)
        assert_close(x, y, steps * MIXTURE, 1 + np.abs(X))
        assert_close(x0, y0, steps * MIXTURE, 1 + np.abs(X))


def test_many_steps_restore_a_mixture_distribution_and_one_step_does_not():
    sample, noise = np.arange(4000), 1.0
    p = (sample + 0.5) / 4000
    y = DISTRIBUTION.noised(1.0, noise).quantile(p)[:, None]
    clean = DISTRIBUTION.quantile(p)[:, None]
    distance = lambda steps: wasserstein_1d(final_sample(indi(exact(DISTRIBUTION, noise), even(steps), y, 0, sample)), clean)
    assert distance(1) > 10 * distance(100) and distance(10) > distance(100)


# Noise on the path


def test_constant_noise_adds_none_per_step_and_brownian_noise_a_bridge():
    denoise = gaussian(1.0, 1.0)
    x = np.ones((3, 1))
    plain = final_sample(indi(denoise, even(5), x, 0, np.arange(3)))
    constant = final_sample(indi(denoise, even(5), x, 0, np.arange(3), lambda t: 0.3 * t))
    assert_close(constant, plain, EXACT, 1.0)
    epsilon, t, t_prev = 0.4, 0.8, 0.6
    sample = np.arange(3)
    ((_, stepped, _),) = indi(denoise, [t, t_prev], x, 7, sample, brownian_deviation(epsilon))
    z = normal(7, sample, 0, Purpose.STEP_NOISE, (1,))
    mean = t_prev / t * x + (1 - t_prev / t) * denoise(x, t)
    assert_close(stepped, mean + epsilon * ((t - t_prev) * t_prev / t) ** 0.5 * z, EXACT, 4.0)


def test_variance_at_every_step_matches_the_path():
    """x_0 known: from x_1 = y + w(1) n the distribution of x_t is N((1-t) x_0 + t y, w(t)^2) for any steps."""
    epsilon, x0, y = 0.5, 0.0, 0.0
    mean, variance = y, epsilon**2
    for t, t_prev in [(1.0, 0.7), (0.7, 0.3), (0.3, 0.1)]:
        added = brownian_deviation(epsilon)(t_prev) ** 2 - (t_prev / t) ** 2 * brownian_deviation(epsilon)(t) ** 2
        mean, variance = t_prev / t * mean + (1 - t_prev / t) * x0, (t_prev / t) ** 2 * variance + added
        assert_close(variance, epsilon**2 * t_prev, EXACT)


@pytest.mark.parametrize("deviation", [None, brownian_deviation(0.5)])
def test_last_step_returns_the_estimate_and_samples_ignore_their_batch(deviation):
    sample = np.arange(6)
    states = list(indi(gaussian(1.0, 1.0), even(4), X[:6], 3, sample, deviation))
    assert [t for t, _, _ in states] == [0.75, 0.5, 0.25, 0.0]
    assert_close(states[-1][1], states[-1][2], EXACT, 1.0)
    for i in range(6):
        alone = final_sample(indi(gaussian(1.0, 1.0), even(4), X[i : i + 1], 3, sample[i : i + 1], deviation))
        np.testing.assert_array_equal(alone[0], states[-1][1][i])


@pytest.mark.parametrize("grid", [[1.0, 1.0], [0.5, 0.7], [0.5, -0.1]])
def test_times_that_do_not_decrease_to_zero_are_refused(grid):
    with pytest.raises(ValueError, match="grid must decrease to a time not below 0"):
        list(indi(gaussian(1.0, 1.0), grid, X, 0, np.arange(8)))


def test_noise_that_grows_faster_than_the_path_is_refused():
    with pytest.raises(ValueError, match=r"deviation\(t\) / t must not grow with t"):
        list(indi(gaussian(1.0, 1.0), [1.0, 0.5, 0.1], X, 0, np.arange(8), lambda t: t**2))


# Degradations


def test_a_blur_is_a_normalised_gaussian_convolution_with_mirrored_borders():
    x0, n = numbers(0, 2, 7, 6, 2), numbers(1, 2, 7, 6, 2)
    k = np.exp(-(np.arange(-3, 4) ** 2) / 2 / 0.8**2)  # SciPy truncates the kernel at four deviations, here 3 pixels
    kernel = np.outer(k, k) / k.sum() ** 2
    expected = np.stack([[convolve2d(x0[b, ..., c], kernel, "same", "symm") for c in range(2)] for b in range(2)]).transpose(0, 2, 3, 1)
    actual = Degradation(0.1, 0.8)(x0, n)
    assert_close(actual, expected + 0.1 * n, EXACT, 8.0)
    assert_close(Degradation(0.1)(x0, n), x0 + 0.1 * n, EXACT, 8.0)
    assert Degradation(0.1, 0.8)(x0.astype(np.float32), n.astype(np.float32)).dtype == np.float32


def test_data_with_less_noise_than_trained_start_later_on_the_path():
    trained = Degradation(2.0)
    assert trained.start_time(2.0, 0.0) == trained.start_time() == 1.0 and trained.start_time(0.5, 0.0) == 0.25
    x0, n = numbers(0, 2, 5, 1)
    assert_close(Degradation(0.5)(x0, n), path(x0, trained(x0, n), 0.25), EXACT, 8.0)


@pytest.mark.parametrize(
    "trained, level, message",
    [
        (Degradation(2.0), (2.1, 0.0), "noise must be from 0.002 to 2, for which this run was trained, got 2.1"),
        (Degradation(2.0), (0.0, 0.0), "noise must be from 0.002 to 2"),
        (Degradation(2.0), (float("nan"), 0.0), "noise must be from"),
        (Degradation(2.0), (2.0, 1.0), "blur must be 0, for which this run was trained, got 1"),
        (Degradation(0.1, 1.0), (0.05, 1.0), "noise must be 0.1, for which this run was trained, got 0.05"),
        (Degradation(0.1, 1.0), (0.1, 0.5), "blur must be 1, for which this run was trained, got 0.5"),
    ],
)
def test_an_untrained_degradation_is_refused(trained, level, message):
    with pytest.raises(ValueError, match=message):
        trained.start_time(*level)


@pytest.mark.parametrize("fields", [(-1.0, 0.0), (0.0, 0.0), (float("nan"), 0.0), (1.0, -1.0), (1.0, float("inf"))])
def test_an_invalid_degradation_is_refused(fields):
    with pytest.raises(ValueError, match="noise and blur must not be negative and not both be 0"):
        Degradation(*fields)


def test_points_can_not_be_blurred():
    with pytest.raises(ValueError, match="blur needs images"):
        Degradation(0.1, 1.0)(X, X)


# The trained model


class Oracle:
    """A network with the exact prediction: x_0 from x_t scaled to unit variance."""

    classes = 0

    def __init__(self, distribution, noise, variance):
        self.distribution, self.noise, self.variance = distribution, noise, variance

    def forward(self, params, x, c, ops=None, labels=None, keep=True):
        t = float(c[0]) / 1000
        return self.distribution.posterior_mean(x * (self.variance + t**2 * self.noise**2) ** 0.5, 1.0, t * self.noise), None


def test_the_score_is_tweedies_at_any_trained_noise_level():
    model = InDI(Oracle(DISTRIBUTION, 2.0, 4.0), Degradation(2.0), 4.0)
    for alpha, sigma in ((1.0, 2.0), (1.0, 0.5), (0.3, 0.2)):
        expected = DISTRIBUTION.noised(alpha, sigma).score(X)
        assert_close(model.score_function({})(X, alpha, sigma), expected, 16 * MIXTURE, (1 + np.abs(X)) / sigma**2)
    schedule = model.schedule
    assert_close(model.predictor({})(X, 500), DISTRIBUTION.posterior_mean(X, 1.0, schedule.noise_scale(500)), 16 * MIXTURE, 1 + np.abs(X))
    with pytest.raises(ValueError, match=r"sigma / alpha = 2\.1 is outside of the trained range, 0\.002 to 2"):
        model.score_function({})(X, 1.0, 2.1)
    for other in (InDI(MLP(), Degradation(0.1, 1.0)), InDI(MLP(), Degradation(1.0), 1.0, 0.1)):
        with pytest.raises(ValueError, match="has a score only if its degradation is noise alone"):
            other.score_function({})


@pytest.mark.parametrize("epsilon", [0.0, 0.4])
def test_gradient_of_the_loss_in_every_parameter(epsilon):
    network = MLP(size=(2,), width=5, depth=2, embedding=4)
    model, params = InDI(network, Degradation(0.8), 1.7, epsilon), random_parameters(network)
    x0, n, z = numbers(1, 3, 5, 2)
    t = np.array([0.01, 0.3, 0.5, 0.9, 1.0])
    mean, per_sample, gradients = model.loss(params, x0, t, n, z)
    x = x0 + t[:, None] * 0.8 * n + epsilon * t[:, None] ** 0.5 * z
    expected = ((model.predict(params, x, t)[0] - x0) ** 2).mean(axis=1)
    assert_close(per_sample, expected, EXACT, 16 + expected)
    assert_close(mean, per_sample.mean(), EXACT)
    gradient_of_each(lambda p: float(model.loss(p, x0, t, n, z)[0]), params, gradients, per_sample.sum() + 1)


def test_a_training_step_draws_path_noise_only_if_the_path_has_noise():
    sample = np.arange(2000)
    t, n, z = InDI(MLP(), Degradation(1.0), 1.0, 0.3).sample_training_noise(0, sample, 5, (2,), np.float32)
    assert 0 < t.min() < 0.01 and 0.99 < t.max() < 1 and n.shape == z.shape == (2000, 2) and n.dtype == np.float32
    assert np.abs(np.corrcoef(n.ravel(), z.ravel())[0, 1]) < z_score() / n.size**0.5
    later, _, nothing = InDI(MLP(), Degradation(1.0)).sample_training_noise(0, sample, 6, (2,), np.float32)
    assert nothing is None and (later != t).all()


def test_single_precision_stays_single():
    model = InDI(MLP(), Degradation(0.5), 1.7, 0.2)
    params, x0 = model.network.init(0), numbers(0, 4, 2).astype(np.float32)
    mean, per_sample, gradients = model.loss(params, x0, *model.sample_training_noise(0, np.arange(4), 1, (2,), np.float32))
    assert mean.dtype == per_sample.dtype == np.float32 and {g.dtype for g in gradients.values()} == {np.dtype(np.float32)}
    assert final_sample(indi(model.denoise_function(params), even(3), x0, 0, np.arange(4), brownian_deviation(0.2))).dtype == np.float32
