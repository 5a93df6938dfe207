"""DDPM's forward chain, posterior, reverse kernels and ELBO against closed forms (tutorial, Secs. 2.1 to 2.5)."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import ops
from reference.ddpm.ddpm import VARIANCES, posterior, reverse_log_variance
from reference.diffusion.conversions import convert
from reference.diffusion.forward_process import forward, forward_step
from reference.diffusion.mixtures import example_2_1
from reference.diffusion.schedules import SCHEDULES, constant, linear, vp
from reference.samplers.ancestral import ancestral
from tests.oracle_tolerances import EXACT, accumulated, assert_close, assert_printed, assert_slope
from tests.oracles import gaussian_mmse, grids, normal_data

every_schedule = pytest.mark.parametrize("name", sorted(SCHEDULES))


# The forward chain


def responses(schedule, grid):
    """Weights of x0 and of the noise of every step in x at each time of the grid: the chain applied to the basis vectors."""
    units = np.eye(len(grid))
    x, states = units[0][:, None], [units[0]]
    for step, (t, t_prev) in enumerate(pairwise(grid[::-1])):
        x = forward_step(schedule, x, t_prev, t, units[step + 1][:, None]) if t_prev > t else None
        states.append(x[:, 0])
    return np.array(states)


def check_chain(schedule, grid):
    R, t = responses(schedule, grid), np.array(grid[::-1])
    steps = len(grid)
    assert_close(R[:, 0], schedule.signal(t), accumulated(steps, 1 - schedule.log_alpha_bar[-1]))
    later, earlier = np.maximum(t[:, None], t), np.minimum(t[:, None], t)
    kept = np.exp((schedule.log_alpha_bar[later] - schedule.log_alpha_bar[earlier]) / 2)
    assert_close(R[:, 1:] @ R[:, 1:].T, kept * schedule.noise_power(earlier.ravel()).reshape(earlier.shape), accumulated(steps), 1.0)


@every_schedule
def test_composed_steps_have_the_joint_covariances_of_the_one_shot_marginals(name):
    check_chain(SCHEDULES[name](100), list(range(100, -1, -1)))


@given(grids())
def test_composed_steps_of_any_length_have_the_one_shot_marginal(case):
    check_chain(*case)


def test_noise_of_a_chain_accumulates_as_in_theorem_2_1():
    a = np.sqrt(0.97)
    R, t = responses(constant(100), list(range(100, -1, -1))), np.arange(101)
    assert_close((R[:, 1:] ** 2).sum(axis=1), (1 - a**2) * (1 - a ** (2 * t)) / (1 - a**2), accumulated(100), 1.0)


@given(grids(), st.integers(0, 2**32))
def test_forward_sample_is_signal_plus_noise(case, seed):
    schedule, (t, *_) = case
    rng = np.random.default_rng(seed)
    x0, noise, t = rng.normal(size=(5, 2, 2, 1)), rng.normal(size=(5, 2, 2, 1)), rng.integers(0, t + 1, 5)
    alpha, sigma = (c[:, None, None, None] for c in (np.sqrt(schedule.signal_power(t)), np.sqrt(schedule.noise_power(t))))
    assert_close(forward(schedule, x0, t, noise), alpha * x0 + sigma * noise, EXACT, np.abs(x0) + np.abs(noise))
    assert_close(forward(schedule, x0, int(t[0]), noise)[0], forward(schedule, x0, t, noise)[0], EXACT, 4.0)
    assert_close(forward(schedule, x0, 0, noise), x0, EXACT)


@pytest.mark.parametrize("schedule", [linear(1000), constant(1000), vp(1000)], ids=["linear", "constant", "vp"])
def test_moments_of_the_mixture_follow_the_recursion(schedule):
    mixture, t = example_2_1(), np.arange(1, 1001)
    means, variances = [mixture.means[:, 0]], [mixture.covariances]
    for beta in schedule.beta(t, t - 1):
        means.append(np.sqrt(1 - beta) * means[-1])
        variances.append((1 - beta) * variances[-1] + beta)
    for time in range(0, 1001, 25):
        noised = mixture.noised(schedule.signal(time), schedule.noise_scale(time))
        assert_close(noised.means[:, 0], means[time], accumulated(1000), 2.0)
        assert_close(noised.covariances, variances[time], accumulated(1000))


# The posterior q(x_prev | x_t, x_0)


def check_posterior(schedule, grid):
    for t, t_prev in pairwise(grid):
        A, A_prev, power, power_prev = *schedule.signal_power(np.array([t, t_prev])), *schedule.noise_power(np.array([t, t_prev]))
        covariance = np.sqrt(A / A_prev) * power_prev
        gain = covariance / power
        c_x, c_x0, variance = posterior(schedule, t, t_prev)
        assert_close(c_x, gain, EXACT)
        assert_close(c_x0, np.sqrt(A_prev) - gain * np.sqrt(A), EXACT, 2.0)
        assert_close(variance, power_prev - gain * covariance, EXACT, power_prev)
        assert_close(variance, -np.expm1(schedule.log_alpha_bar[t] - schedule.log_alpha_bar[t_prev]) * power_prev / power, EXACT)
        assert variance >= 0
    assert posterior(schedule, grid[-2], 0) == (0, 1, 0)


@every_schedule
def test_posterior_is_the_bivariate_gaussian_conditioned_on_the_full_grid(name):
    check_posterior(SCHEDULES[name](300), range(300, -1, -1))


@given(grids(2000))
def test_posterior_is_the_bivariate_gaussian_conditioned_on_any_grid(case):
    check_posterior(*case)


@every_schedule
def test_posterior_variance_of_skipped_steps_differs_from_one_step(name):
    schedule = SCHEDULES[name](1000)
    for t, t_prev in pairwise(schedule.timesteps(50)[1:-1]):
        A, A_prev = schedule.signal_power(t), schedule.signal_power(t_prev)
        expected = (1 - A / A_prev) * (1 - A_prev) / (1 - A)
        assert_close(posterior(schedule, t, t_prev)[2], expected, EXACT, 1.0)
        assert posterior(schedule, t, t_prev)[2] > 1.01 * posterior(schedule, t, t - 1)[2]


@pytest.mark.parametrize(
    "t, c_x, c_x0, variance",
    [
        (1, "0", "1", "0"),
        (2, ".499307", ".499307", ".052632"),
        (10, ".892254", ".095564", ".094052"),
        (50, ".948137", ".007607", ".099942"),
    ],
)
def test_printed_coefficients_of_figure_2_10(t, c_x, c_x0, variance):
    for actual, printed in zip(posterior(constant(50, 0.1), t, t - 1), (c_x, c_x0, variance)):
        assert_printed(actual, printed)


@pytest.mark.parametrize("steps", [1000, 50, 7, 1])
@every_schedule
def test_the_mean_from_x0_is_the_mean_from_the_noise(name, steps):
    schedule = SCHEDULES[name](1000)
    x, eps = np.random.default_rng(1).normal(size=(2, 20, 1))
    for t, t_prev in pairwise(schedule.timesteps(steps)):
        alpha, sigma, beta = schedule.signal(t), schedule.noise_scale(t), schedule.beta(t, t_prev)
        c_x, c_x0, _ = posterior(schedule, t, t_prev)
        by_x0 = c_x * x + c_x0 * convert(eps, x, "noise", "x0", alpha, sigma)
        by_noise = (x - beta / sigma * eps) * schedule.signal(t_prev) / alpha
        scale = (np.abs(x) + np.abs(eps)) * (c_x + c_x0 / alpha + schedule.signal(t_prev) / alpha)
        assert_close(by_x0, by_noise, EXACT, scale)


# Variances of the reverse step


@given(grids(2000, 1), st.floats(1e-6, 1e6))
def test_variances_are_finite_and_ordered_on_every_grid(case, data_variance):
    schedule, grid = case
    mmse = gaussian_mmse(schedule, data_variance)
    for t, t_prev in pairwise(grid):
        small, large, exact = (reverse_log_variance(schedule, t, t_prev, choice, mmse) for choice in VARIANCES)
        assert np.isfinite([small, large, exact]).all()
        assert t_prev == 0 or small <= min(exact, large) + EXACT


@every_schedule
def test_variances_are_finite_for_every_number_of_steps(name):
    schedule = SCHEDULES[name](40)
    for steps in range(1, 41):
        for t, t_prev in pairwise(schedule.timesteps(steps)):
            small, large = (reverse_log_variance(schedule, t, t_prev, choice) for choice in ("posterior", "beta"))
            assert -np.inf < small <= large < 0


@given(grids(2000), st.floats(1e-3, 1e3))
def test_exact_variance_for_gaussian_data_matches_the_true_kernel(case, c):
    schedule, grid = case
    for t, t_prev in pairwise(grid):
        v, v_prev = (schedule.signal_power(s) * c + schedule.noise_power(s) for s in (t, t_prev))
        beta = schedule.beta(t, t_prev)
        actual = reverse_log_variance(schedule, t, t_prev, "exact", gaussian_mmse(schedule, c))
        assert_close(actual, np.log(beta * v_prev / v), EXACT, 1.0)


@pytest.mark.parametrize("choice", ["fixed", "", None, "Posterior"])
def test_unknown_variances_are_refused(choice):
    with pytest.raises(ValueError, match=f"posterior, beta, exact, got {choice!r}"):
        reverse_log_variance(constant(), 5, 4, choice)


def test_the_exact_variance_needs_the_denoisers_error():
    with pytest.raises(ValueError, match="mmse"):
        reverse_log_variance(constant(), 5, 4, "exact")


# Ancestral sampling of Gaussian data, exactly: the sampler is affine, and is applied to basis vectors


def deviations(schedule, grid, mean, variance, choice):
    """Mean and variance of the sampler's state at every time of the grid but the first, from exact x_T, for data N(mean, variance).

    Sample 0 starts at 0 without noise, sample 1 starts at 1, and sample 2 + j has unit noise in step j only.
    """
    distribution, steps, made = normal_data(mean, variance), len(grid) - 1, [0]
    units = np.eye(steps + 2)[:, 2:, None]

    def reverse_step(x, prediction, a, b, c, noise):
        if noise is None:
            return ops.reverse_step(x, prediction, a, b, c, noise)
        assert noise.step == made[0]
        made[0] += 1
        return ops.reverse_step(x, prediction, a, b, c, units[:, noise.step])

    def predict_noise(x, t):
        return distribution.expected_noise(x, schedule.signal(t), schedule.noise_scale(t))

    x, T = np.zeros((steps + 2, 1)), grid[0]
    x[1] = 1
    states = ancestral(
        predict_noise,
        schedule,
        grid,
        x,
        0,
        np.arange(steps + 2),
        choice,
        gaussian_mmse(schedule, variance),
        None,
        SimpleNamespace(reverse_step=reverse_step),
    )
    start = schedule.signal_power(T) * variance + schedule.noise_power(T)
    means, variances = [], []
    for _, x, _ in states:
        offset, slope, noises = x[0, 0], x[1, 0] - x[0, 0], x[2:, 0] - x[0, 0]
        means.append(offset + slope * schedule.signal(T) * mean)
        variances.append(slope**2 * start + (noises**2).sum())
    return np.array(means), np.array(variances)


def check_moments(schedule, grid, mean, variance):
    t = np.array(grid[1:])
    means, variances = deviations(schedule, grid, mean, variance, "exact")
    tolerance = 16 * accumulated(len(grid))  # a dozen roundings a step
    # for narrow data the offset of a step from t is a difference of terms of size 1 / signal_t
    amplification = 1 / schedule.signal(grid[0])
    assert_close(means, schedule.signal(t) * mean, tolerance, (1 + abs(mean)) * amplification)
    expected = schedule.signal_power(t) * variance + schedule.noise_power(t)
    expected[-1] -= gaussian_mmse(schedule, variance)(grid[-2])  # the last step returns the mean
    assert_close(variances, expected, tolerance, (1 + variance) * amplification)


@pytest.mark.parametrize("mean, variance", [(0.8, 0.25), (-2.0, 1.0), (0.0, 4.0)])
@pytest.mark.parametrize("steps", [1, 2, 10, 100])
def test_ancestral_with_exact_variance_is_exact_for_gaussians(steps, mean, variance):
    schedule = vp(100)
    check_moments(schedule, schedule.timesteps(steps), mean, variance)


@given(grids(100), st.floats(-3, 3), st.floats(0.05, 10))
def test_ancestral_with_exact_variance_is_exact_for_gaussians_on_any_grid(case, mean, variance):
    check_moments(*case, mean, variance)


@pytest.mark.parametrize("choice", VARIANCES)
@pytest.mark.parametrize("steps", [1, 5, 50])
def test_ancestral_transports_the_mean_exactly_for_any_variance(choice, steps):
    schedule = linear(50)
    grid = schedule.timesteps(steps)
    means, _ = deviations(schedule, grid, 1.3, 0.3, choice)
    assert_close(means, 1.3 * schedule.signal(np.array(grid[1:])), accumulated(steps), 16 / schedule.signal(50))


def error_at_the_first_time(T, variance, choice):
    """Relative error of the variance at t = 1 on the full grid of T steps."""
    schedule = vp(T)
    _, variances = deviations(schedule, schedule.timesteps(T), 0.0, variance, choice)
    expected = schedule.signal_power(1) * variance + schedule.noise_power(1)
    return variances[-2] / expected - 1


@pytest.mark.parametrize("variance, sign", [(0.25, 1), (0.9, 1), (1.1, -1), (4.0, -1)])
def test_variance_beta_errs_towards_one_at_first_order(variance, sign):
    N = [100, 200, 400]
    errors = np.array([error_at_the_first_time(T, variance, "beta") for T in N])
    assert (np.sign(errors) == sign).all()
    assert_slope(N, errors, 1, 0.15)  # the next order is beta_max / N = 0.2 at N = 100, half of it between 100 and 200


def test_variance_beta_is_exact_for_data_of_unit_variance():
    assert_close(error_at_the_first_time(100, 1.0, "beta"), 0.0, accumulated(100), 1.0)


@pytest.mark.parametrize("variance", [0.25, 1.0, 4.0])
def test_posterior_variance_makes_samples_too_narrow_at_first_order(variance):
    N = [200, 400, 800]
    errors = np.array([error_at_the_first_time(T, variance, "posterior") for T in N])
    assert (errors < 0).all()
    assert_slope(N, errors, 1, 0.15)


def test_posterior_variance_is_exact_for_a_point():
    schedule = vp(50)
    _, variances = deviations(schedule, schedule.timesteps(50), 0.5, 1e-24, "posterior")
    t = np.array(schedule.timesteps(50)[1:])
    assert_close(variances, schedule.noise_power(t), 16 * accumulated(50), 1.0)


def test_printed_final_variance_of_ddpm_with_and_without_the_2_5_misprint(monkeypatch):
    """E4: for N(0, 1) and the linear schedule of 1,000 steps, .991 with 1 - alpha_bar_prev, .609 with the printed root."""
    schedule = linear()
    final_variance = lambda: deviations(schedule, schedule.timesteps(1000), 0.0, 1.0, "posterior")[1][-1]
    assert_printed(final_variance(), ".991")
    ratio = lambda s, t_prev: np.log((1 - s.signal(t_prev)) / s.noise_power(t_prev))
    misprint = lambda s, t, t_prev, *rest: reverse_log_variance(s, t, t_prev, *rest) + ratio(s, t_prev)
    monkeypatch.setattr("reference.samplers.ancestral.reverse_log_variance", misprint)
    assert_printed(final_variance(), ".609")
