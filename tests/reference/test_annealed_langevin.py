"""Annealed Langevin dynamics against its recursion on Gaussian data, and on two modes that plain Langevin weights wrongly."""

import numpy as np
import pytest
from scipy.stats import norm

from reference import ops
from reference.ops.random import Purpose
from reference.samplers import final_sample
from reference.samplers.annealed_langevin import annealed_langevin, step_sizes
from reference.samplers.langevin import langevin
from tests.oracle_tolerances import EXACT, MIXTURE, U32, assert_close, assert_mean, assert_printed, z_score
from tests.reference.test_langevin import EXAMPLE_3_2, MINIMUM, coefficients, normal_distribution

LEVELS = np.geomspace(10.0, 0.05, 10)


def score_of(distribution):
    return lambda x, sigma: distribution.noised(1.0, sigma).score(x)


def gaussian(x, sigma):
    """The noised score of N(0.5, 0.3), entry by entry and in the dtype of x."""
    return (0.5 - x) / (0.3 + sigma**2)


def start(count, scale=1.0, shape=(1,), dtype=np.float64):
    return dtype(scale) * ops.normal(17, np.arange(count), 0, Purpose.PRIOR, shape, dtype)


# Step sizes


@pytest.mark.parametrize("epsilon", [2e-5, 0.3, 1.0])
def test_step_sizes_are_proportional_to_noise_power_and_end_with_epsilon(epsilon):
    for sigmas in (LEVELS, [2.0, 1.9, 0.1], [0.01], np.geomspace(1, 0.01, 10)):
        a = step_sizes(sigmas, epsilon)
        assert_close(a, np.array([epsilon * s**2 / sigmas[-1] ** 2 for s in sigmas]), EXACT)
        assert a[-1] == epsilon


def steps_and_levels(sigmas, steps_per_level, **options):
    """(sigma, drift, noise) of each step in the code, for one particle of N(0, 1), without the final denoising step."""
    asked, score = [], lambda x, sigma: asked.append(sigma) or -x / (1 + sigma**2)
    run = lambda port: annealed_langevin(
        score, sigmas, np.ones((1, 1)), steps_per_level, 0, np.arange(1), denoise=False, ops=port, **options
    )
    seen = coefficients(run)
    assert all(a == 1 for a, _, _ in seen) and len(asked) == len(seen)
    return [(sigma, b, c) for sigma, (_, b, c) in zip(asked, seen)]


@pytest.mark.parametrize("epsilon", [None, 2e-4])
def test_drift_and_noise_of_every_step(epsilon):
    base = 0.2 * 0.05**2 if epsilon is None else epsilon
    expected = [(s, base * (s / 0.05) ** 2 / 2, np.sqrt(base) * s / 0.05) for s in LEVELS for _ in range(3)]
    assert_close(np.array(steps_and_levels(LEVELS, 3, epsilon=epsilon)), np.array(expected), EXACT)


def test_default_step_size_matches_song_and_ermon():
    *_, (_, b, c) = steps_and_levels(np.geomspace(1, 0.01, 10), 1)
    assert_close(np.array([2 * b, c**2]), np.full(2, 2e-5), EXACT)


def test_each_step_uses_the_score_of_its_level_and_a_new_noise_draw():
    distribution, sample, x, sigmas = EXAMPLE_3_2, np.arange(5, 45), start(40, 3.0), [3.0, 1.0, 0.5]
    a = step_sizes(sigmas, 0.1)
    states = list(annealed_langevin(score_of(distribution), sigmas, x, 4, 6, sample, 0.1, denoise=False))
    assert [sigma for sigma, _, _ in states] == [s for s in sigmas for _ in range(4)]
    for n, (sigma, y, extra) in enumerate(states):
        z = ops.normal(6, sample, n, Purpose.STEP_NOISE, (1,))  # step numbers continue through the levels, so that no noise repeats
        expected = x + a[n // 4] / 2 * distribution.noised(1.0, sigma).score(x) + np.sqrt(a[n // 4]) * z
        assert extra is None
        assert_close(y, expected, EXACT, 40.0)
        x = y


# Gaussian data


def variances(c, variance, steps):
    """Variance on data of distribution N(0, c) after each of the steps (sigma, drift, noise)."""
    for sigma, b, noise in steps:
        variance = (1 - b / (c + sigma**2)) ** 2 * variance + noise**2
        yield variance


@pytest.mark.parametrize("c", [1.0, 0.01])
def test_the_variance_follows_its_recursion_from_level_to_level(c):
    sigmas, count, steps_per_level = np.geomspace(3.0, 0.1, 6), 20_000, 10
    distribution, a = normal_distribution(0.0, c), np.repeat(step_sizes(sigmas, 0.2 * 0.1**2), steps_per_level)
    noise_power = np.repeat(sigmas, steps_per_level) ** 2
    variance, expected = 9.0, list(variances(c, 9.0, steps_and_levels(sigmas, steps_per_level)))
    run = annealed_langevin(score_of(distribution), sigmas, start(count, 3.0), steps_per_level, 3, np.arange(count), denoise=False)
    for n, (_, x, _) in enumerate(run):
        variance = (1 - a[n] / (2 * (c + noise_power[n]))) ** 2 * variance + a[n]
        assert_close(expected[n], variance, EXACT * (n + 1))
        if n % steps_per_level == steps_per_level - 1:
            assert_mean(x, 0, 2 * 2 * len(sigmas))
            assert_mean(x**2, variance, 2 * 2 * len(sigmas))


def after(c, sigmas, steps_per_level, **options):
    *_, variance = variances(c, 100.0, steps_and_levels(sigmas, steps_per_level, **options))
    return variance


def test_many_short_steps_reach_the_variance_of_the_last_level():
    for epsilon in (0.02, 0.005):
        expected = 1 + 0.1**2
        assert_close(after(1.0, [1.0, 0.1], int(12 / epsilon), epsilon=epsilon), expected, epsilon)  # a quarter of it, to first order


def test_tutorial_step_size_is_unstable_at_small_noise():
    """E10: a_i = sigma_i^2 / sigma_L^2 with sigma_L = 0.01; unstable where it exceeds 4 (c + sigma_i^2)."""
    sigmas = np.geomspace(1.0, 0.01, 10)
    assert (step_sizes(sigmas, 1.0) > 4 * (1.0 + sigmas**2)).any()
    with pytest.warns(UserWarning, match="epsilon = 1 is not below the stability limit 0.0004"):
        assert after(1.0, sigmas, 10, epsilon=1.0) > 1e20
    assert after(1.0, sigmas, 100) < 2


def test_tutorial_step_size_gives_finite_but_wrong_variance_at_large_noise():
    sigmas = np.geomspace(10.0, 0.6, 10)
    assert (step_sizes(sigmas, 1.0) < 4 * (1.0 + sigmas**2)).all()
    assert_printed(after(1.0, sigmas, 100, epsilon=1.0), "1.67")


@pytest.mark.parametrize("last_sigma", [0.01, 0.5])
def test_a_point_mass_is_unstable_from_four_times_the_last_noise_power(last_sigma):
    sigmas, limit = np.array([10 * last_sigma, last_sigma]), 4 * last_sigma**2
    grown = lambda epsilon: after(0.0, sigmas, 400, epsilon=epsilon)
    assert grown(0.99 * limit) < 100 * limit
    with pytest.warns(UserWarning, match=f"epsilon = {1.01 * limit:.4g} is not below the stability limit {limit:.4g}") as warned:
        annealed_langevin(gaussian, sigmas, start(1), 1, 0, np.arange(1), epsilon=1.01 * limit)
    assert warned[0].filename == __file__
    with pytest.warns(UserWarning, match="may diverge"):
        assert grown(1.01 * limit) > 1e10


# Ex 3.2: weights of two modes


def weight_by_operators(distribution, sigmas, steps_per_level, share):
    """The weight right of the minimum after all levels from N(0, sigma_1^2), a_i = share sigma_i^2, by transition operators on grids.

    Where a step stretches most, nodes are 0.8 deviations of its noise apart: the error of the trapezoidal rule on these Gaussians is
    exp(-2 pi^2 / 0.64), e^{-30}.  A grid extends 8 deviations beyond the reach of the three levels before.
    """
    score, steps = score_of(distribution), steps_and_levels(sigmas, steps_per_level, epsilon=share * sigmas[-1] ** 2)
    x = p = h = None
    for sigma, before, (_, b, c) in zip(sigmas, [*[sigmas[0]] * 3, *sigmas], steps[::steps_per_level]):
        stretch = max(1, np.abs(1 + b * distribution.noised(1.0, sigma).score_jacobian(np.linspace(-3, 3, 601)[:, None])).max())
        low, high = -2 - 8 * np.hypot(0.2, before), 2 + 8 * np.hypot(0.5, before)
        y = np.linspace(low, high, int((high - low) * stretch / (0.8 * c)) + 1)
        kernel = lambda x, y=y, b=b, c=c, sigma=sigma: norm.pdf(y[:, None], x + b * score(x[:, None], sigma)[:, 0], c)
        p = norm.pdf(y, 0, sigma) if x is None else kernel(x) @ p * h
        count, x, h = steps_per_level - (x is not None), y, y[1] - y[0]
        T = h * kernel(y)
        for _ in range(count):
            p = T @ p
    assert_printed(h * p.sum(), "1.000000")
    return h * p[x > MINIMUM].sum()


@pytest.mark.parametrize("steps_per_level, share, printed", [(100, 0.2, ".5995"), (20, 0.2, ".5844"), (100, 0.02, ".5665")])
def test_printed_mode_weights_after_slow_and_fast_annealing(steps_per_level, share, printed):
    assert_printed(weight_by_operators(EXAMPLE_3_2, LEVELS, steps_per_level, share), printed)


def test_annealed_particles_have_the_mode_weights_of_transition_operators():
    count, steps_per_level, share = 10_000, 20, 0.2
    run = annealed_langevin(
        score_of(EXAMPLE_3_2), LEVELS, start(count, 10.0), steps_per_level, 1, np.arange(count), share * LEVELS[-1] ** 2
    )
    assert_mean(final_sample(run) > MINIMUM, weight_by_operators(EXAMPLE_3_2, LEVELS, steps_per_level, share))


def test_plain_langevin_keeps_its_initial_mode_weights():
    count = 4000
    right = final_sample(langevin(EXAMPLE_3_2.score, start(count, 10.0), 0.02, 300, 1, np.arange(count))) > MINIMUM
    assert_mean(right, norm.sf(MINIMUM / 10))
    assert abs(right.mean() - 0.6) > z_score() * np.sqrt(0.6 * 0.4 / count)


# The end of a run, and the interface


def test_the_run_ends_with_the_posterior_mean_at_the_last_level():
    distribution, sample, sigmas = EXAMPLE_3_2, np.arange(2000), [1.0, 0.3]
    noisy, denoised = (
        list(annealed_langevin(score_of(distribution), sigmas, start(2000, 2.0), 40, 2, sample, denoise=denoise))
        for denoise in (False, True)
    )
    assert len(noisy) == 80 and len(denoised) == 81
    assert all((one == other).all() and s == t for (s, one, _), (t, other, _) in zip(noisy, denoised))
    sigma, x, extra = denoised[-1]
    assert sigma == 0 and extra is None
    assert_close(x, distribution.posterior_mean(noisy[-1][1], 1.0, 0.3), MIXTURE, 5.0)


def test_final_denoising_reduces_the_variance_by_more_than_the_noise():
    c, sigma, count, steps_per_level, epsilon = 1.0, 0.5, 10_000, 150, 0.05
    run = annealed_langevin(
        score_of(normal_distribution(0.0, c)), [2.0, sigma], start(count, 10.0), steps_per_level, 4, np.arange(count), epsilon
    )
    variance, power = after(c, [2.0, sigma], steps_per_level, epsilon=epsilon), sigma**2
    assert_mean(final_sample(run) ** 2, (c / (c + power)) ** 2 * variance)
    assert (c / (c + power)) ** 2 * variance < c < variance


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1,), (3,), (2, 3, 1)])
def test_every_state_keeps_the_shape_and_dtype_of_the_start(dtype, shape):
    x = start(5, 3.0, shape, dtype)
    before = x.copy()
    states = list(annealed_langevin(gaussian, LEVELS, x, 2, 3, np.arange(5)))
    assert [sigma for sigma, _, _ in states] == [*np.repeat(LEVELS, 2), 0]
    for _, y, extra in states:
        assert y.shape == x.shape and y.dtype == dtype and extra is None
    assert (x == before).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_annealed_particles_do_not_depend_on_their_batch(dtype):
    sample = np.array([3, 0, 7, 2**32 - 1, 5, 1, 2, 6])
    x = start(8, 10.0, (3, 1), dtype)
    run = lambda at: final_sample(annealed_langevin(gaussian, LEVELS, x[at], 3, 1, sample[at]))
    together = run(slice(None))
    for i in range(8):
        assert (run(slice(i, i + 1))[0] == together[i]).all()
    assert len(np.unique(together)) == together.size


def test_single_and_double_precision_agree():
    runs = (annealed_langevin(gaussian, LEVELS, start(50, 10.0, (4,), dtype), 20, 3, np.arange(50)) for dtype in (np.float32, np.float64))
    for (_, one, _), (_, other, _) in zip(*runs):
        assert_close(one.astype(np.float64), other, 4 * 200 * U32, 40.0)  # each of 200 steps adds a few roundings and amplifies none


@pytest.mark.parametrize("sigmas", [[1.0, 2.0], [1.0, 1.0, 0.5], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")], [[2.0, 1.0]]])
def test_noise_levels_must_decrease_and_be_positive(sigmas):
    with pytest.raises(ValueError, match="sigmas must be positive and strictly decreasing, got "):
        step_sizes(sigmas, 0.1)


@pytest.mark.parametrize("sigmas", [[1.0, 2.0], [1.0, 0.0], [1.0, float("nan")]])
def test_invalid_noise_levels_are_refused_before_the_first_step(sigmas):
    with pytest.raises(ValueError, match="sigmas must be positive and strictly decreasing, got "):
        annealed_langevin(gaussian, sigmas, start(1), 1, 0, np.arange(1))


@pytest.mark.parametrize("epsilon", [0, -0.1, float("nan"), float("inf")])
def test_an_invalid_base_step_is_refused(epsilon):
    with pytest.raises(ValueError, match=f"epsilon must be a positive number, got {epsilon}"):
        annealed_langevin(gaussian, LEVELS, start(1), 1, 0, np.arange(1), epsilon=epsilon)


def test_zero_steps_per_level_are_refused():
    with pytest.raises(ValueError, match="steps_per_level must be at least 1, got 0"):
        annealed_langevin(lambda x, sigma: -x, [2.0, 1.0], np.zeros((1, 1)), 0, 0, np.arange(1))
