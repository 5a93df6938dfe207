"""Ancestral sampling and DDIM step by step, against closed forms for Gaussian data, points and mixtures."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import ops
from reference.ddpm.ddim import ddim_deviation, ddim_kernel
from reference.ddpm.ddpm import VARIANCES, posterior
from reference.diffusion.mixtures import Mixture, example_2_1
from reference.diffusion.schedules import SCHEDULES, Schedule, cosine, linear, vp
from reference.ops.random import Purpose
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral, prior
from reference.samplers.ddim import ddim, ddim_invert
from tests.oracle_tolerances import EXACT, accumulated, assert_close, assert_slope
from tests.oracles import every_schedule, exact_noise, gaussian_noise, point_mass_noise


def test_ddim_reaches_a_point_mass_in_one_step():
    schedule = linear(1000)
    x = prior(0, np.arange(4), (2,), np.float64)
    out = final_sample(ddim(point_mass_noise(0.4, schedule), schedule, [300, 0], x, 0, np.arange(4)))
    assert_close(out, np.full((4, 2), 0.4), EXACT, 4 / schedule.signal(300))


# The steps


def recorded_variances(run):
    """Variances of the noise that a sampler adds in each step; ``run`` takes a port that records them."""
    seen = []

    def reverse_step(x, prediction, a, b, c, noise):
        seen.append(c**2)
        return ops.reverse_step(x, prediction, a, b, c, noise)

    final_sample(run(SimpleNamespace(reverse_step=reverse_step)))
    return np.array(seen[1::2])


@every_schedule
@pytest.mark.parametrize("steps", [1, 3, 9, 27, 50, 100])
def test_ancestral_sampling_on_sub_grids_has_the_posterior_variance(name, steps):
    schedule, x, sample = SCHEDULES[name](100), np.zeros((1, 1)), np.arange(1)
    grid = schedule.timesteps(steps)
    A, A_prev = schedule.signal_power(np.array(grid[:-1])), schedule.signal_power(np.array(grid[1:]))
    expected = (1 - A / A_prev) * (1 - A_prev) / (1 - A)
    predict_noise = gaussian_noise(schedule)
    assert_close(recorded_variances(lambda port: ancestral(predict_noise, schedule, grid, x, 0, sample, ops=port)), expected, EXACT, 1.0)
    beta = np.append((1 - A / A_prev)[:-1], 0)
    assert_close(
        recorded_variances(lambda port: ancestral(predict_noise, schedule, grid, x, 0, sample, "beta", ops=port)), beta, EXACT, 1.0
    )
    for eta in (0.0, 0.3, 1.0):
        actual = recorded_variances(lambda port, eta=eta: ddim(predict_noise, schedule, grid, x, 0, sample, eta, ops=port))
        assert_close(actual, eta**2 * expected, EXACT, 1.0)


@pytest.mark.parametrize("variance", VARIANCES)
def test_an_ancestral_step_equals_the_tutorials_noise_form(variance):
    schedule, distribution, sample = linear(1000), example_2_1(), np.arange(20)
    x = prior(1, sample, (1,), np.float64)
    mmse = lambda t: 0.3
    for t, t_prev in ((1000, 999), (700, 500), (20, 1)):
        eps, beta = exact_noise(distribution, schedule)(x, t), schedule.beta(t, t_prev)
        _, c_x0, small = posterior(schedule, t, t_prev)
        power = {"posterior": small, "beta": beta, "exact": small + c_x0**2 * 0.3}[variance]
        z = ops.normal(4, sample, 0, Purpose.STEP_NOISE, (1,))
        expected = (x - beta / schedule.noise_scale(t) * eps) / np.sqrt(1 - beta) + np.sqrt(power) * z
        _, actual, _ = next(ancestral(exact_noise(distribution, schedule), schedule, [t, t_prev], x, 4, sample, variance, mmse))
        assert_close(actual, expected, EXACT, 8 / schedule.signal(t))


@pytest.mark.parametrize("steps", [1000, 50])
def test_ddim_with_eta_one_equals_ancestral_with_posterior_variance(steps):
    schedule, sample = linear(1000), np.arange(16)
    x, grid, predict_noise = prior(2, sample, (1,), np.float64), schedule.timesteps(steps), exact_noise(example_2_1(), schedule)
    runs = ancestral(predict_noise, schedule, grid, x, 2, sample), ddim(predict_noise, schedule, grid, x, 2, sample, 1.0)
    for (_, one, _), (_, other, _) in zip(*runs):
        assert_close(one, other, accumulated(steps, 20.0), 1.0)  # 1e-11: each step is wrong by u / signal, and errors grow between modes


def euler_case():
    schedule, sample = cosine(100), np.arange(30)
    return schedule, sample, prior(5, sample, (1,), np.float64), exact_noise(example_2_1(), schedule)


@pytest.mark.parametrize("t, t_prev", [(100, 99), (90, 10), (50, 49), (50, 0), (2, 1), (1, 0)])
def test_a_deterministic_ddim_step_equals_euler_in_exploding_variables(t, t_prev):
    schedule, sample, x, predict_noise = euler_case()
    _, actual, _ = next(ddim(predict_noise, schedule, [t, t_prev], x, 0, sample))
    sigma, sigma_prev = (schedule.noise_scale(s) / schedule.signal(s) for s in (t, t_prev))
    y = x / schedule.signal(t) + (sigma_prev - sigma) * predict_noise(x, t)
    assert_close(actual, schedule.signal(t_prev) * y, EXACT, 8 * schedule.signal(t_prev) / schedule.signal(t))


@pytest.mark.parametrize("t, t_prev", [(100, 99), (90, 10), (50, 49), (2, 1)])
def test_a_deterministic_ddim_step_equals_first_order_dpm_solver(t, t_prev):
    schedule, sample, x, predict_noise = euler_case()
    _, actual, _ = next(ddim(predict_noise, schedule, [t, t_prev], x, 0, sample))
    h = (schedule.log_snr(t_prev) - schedule.log_snr(t)) / 2
    expected = schedule.signal(t_prev) / schedule.signal(t) * x - schedule.noise_scale(t_prev) * np.expm1(h) * predict_noise(x, t)
    scale = 8 * schedule.signal(t_prev) / schedule.signal(t) * (1 + abs(schedule.log_snr(t)))
    assert_close(actual, expected, EXACT, scale)


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(1, 1000), st.data())
def test_ddim_kernel_preserves_the_marginals_for_any_deviation(name, T, data):
    schedule = SCHEDULES[name](T)
    t = data.draw(st.integers(1, T))
    t_prev = data.draw(st.integers(0, t - 1))
    power, power_prev = schedule.noise_power(t), schedule.noise_power(t_prev)
    deviation = data.draw(st.floats(0, 1)) * schedule.noise_scale(t_prev)
    c_x, c_x0 = ddim_kernel(schedule, t, t_prev, deviation)
    assert_close(c_x * schedule.signal(t) + c_x0, schedule.signal(t_prev), EXACT)
    assert_close(c_x**2 * power + deviation**2, power_prev, EXACT)
    for eta in (0.0, 0.4, 1.0):
        expected = eta**2 * (power_prev / power) * schedule.beta(t, t_prev)
        assert_close(ddim_deviation(schedule, t, t_prev, eta) ** 2, expected, EXACT)
    c_x, _ = ddim_kernel(schedule, t, t_prev, ddim_deviation(schedule, t, t_prev, 1.0))
    assert_close(c_x**2 * power, posterior(schedule, t, t_prev)[0] ** 2 * power, EXACT, power_prev)  # a difference of powers


def test_a_deviation_beyond_the_noise_is_refused():
    schedule = vp(10)
    ddim_kernel(schedule, 10, 5, schedule.noise_scale(5))
    with pytest.raises(ValueError, match="deviation must be at most"):
        ddim_kernel(schedule, 10, 5, 1.01 * schedule.noise_scale(5))


# DDIM as a solver


def angles(N, end):
    """alpha_bar = cos^2 theta in N equal angles."""
    return Schedule(2 * np.log(np.cos(np.arange(N + 1) * end / N)))


@pytest.mark.parametrize("N", [1, 2, 10, 100])
def test_ddim_shrinks_a_unit_gaussian_by_the_cosine_of_each_angle(N):
    end = np.pi / 2 - 1e-3
    schedule = angles(N, end)
    x = np.array([[1.0], [-2.0]])
    gains = np.cos(end / N) ** np.arange(1, N + 1)
    for gain, (_, y, _) in zip(gains, ddim(gaussian_noise(schedule, 1.0), schedule, schedule.timesteps(N), x, 0, np.arange(2))):
        assert_close(y, gain * x, accumulated(N), 4 / schedule.signal(N))


def test_ddim_loses_deviation_at_first_order():
    N, end = np.array([20, 40, 80, 160]), np.pi / 2 - 1e-3
    deficits = []
    for n in N:
        schedule = angles(n, end)
        deficits.append(
            1 - final_sample(ddim(gaussian_noise(schedule, 1.0), schedule, schedule.timesteps(n), np.ones((1, 1)), 0, np.arange(1)))[0, 0]
        )
    assert_slope(
        N, np.array(deficits), 1, end**2 / 4 / N[0]
    )  # cos^N(end/N) = exp(-end^2 / 2N + ...): the next order is half the first's square
    assert_close(N * np.array(deficits), np.full(4, end**2 / 2), end**2 / 2 / N)


@pytest.mark.parametrize("c, t, t_prev", [(0.25, 90, 60), (4.0, 60, 20), (1.0, 20, 1)])
def test_ddim_gain_on_centred_gaussian_data(c, t, t_prev):
    schedule = vp(100)
    A, A_prev, x = schedule.signal_power(t), schedule.signal_power(t_prev), np.array([[1.5]])
    gain = (np.sqrt(A * A_prev) * c + np.sqrt((1 - A) * (1 - A_prev))) / (A * c + 1 - A)
    _, actual, _ = next(ddim(gaussian_noise(schedule, c), schedule, [t, t_prev], x, 0, np.arange(1)))
    assert_close(actual, gain * x, EXACT, 4 / schedule.signal(t))


POINTS = np.array([-1.0, -0.4, 0.1, 0.6, 1.2])


def ddim_on_points(N):
    """End points of DDIM in N steps from 400 exact quantiles of p_T, for data at five points of equal weight."""
    schedule, distribution = vp(N), Mixture(np.full(5, 0.2), POINTS[:, None], np.full(5, 1e-20))
    x = distribution.noised(schedule.signal(N), schedule.noise_scale(N)).quantile((np.arange(400) + 0.5) / 400)[:, None]
    return final_sample(ddim(exact_noise(distribution, schedule), schedule, schedule.timesteps(N), x, 0, np.arange(400)))


def test_ddim_ends_on_the_data_points_in_many_steps():
    distance = np.abs(ddim_on_points(400) - POINTS)
    assert (distance.min(axis=1) < 1e-3).all()
    # 400 / 5 starts belong to each point, except for starts within DDIM's error of a boundary
    assert (np.abs(np.bincount(distance.argmin(axis=1), minlength=5) - 80) <= 2).all()


def test_ddim_misses_the_data_points_in_few_steps():
    distance = np.abs(ddim_on_points(10) - POINTS).min(axis=1)
    assert (distance > 1e-3).mean() > 0.5


def test_inversion_and_decoding_err_at_first_order():
    distribution, N, errors = Mixture(np.array([0.4, 0.6]), np.array([[-0.8], [0.7]]), np.array([0.3, 0.2])), [50, 100, 200, 400], []
    x = np.linspace(-1.5, 1.5, 7)[:, None]
    for n in N:
        schedule = vp(n)
        grid, predict_noise = schedule.timesteps(n), exact_noise(distribution, schedule)
        noise = final_sample(ddim_invert(predict_noise, schedule, grid, x))
        back = final_sample(ddim(predict_noise, schedule, grid, noise, 0, np.arange(7)))
        errors.append(np.abs(back - x).max())
    assert errors[-1] < 0.1
    assert_slope(N, np.array(errors), 1, 0.25)  # the next order is beta_max / N: 0.4 at N = 50, half of it between 50 and 100


def test_inversion_of_a_point_mass_recovers_its_noise():
    schedule = vp(20)
    grid, x = schedule.timesteps(7), np.full((1, 1), 0.4)
    eps = np.full((1, 1), 1.3)
    states = list(ddim_invert(lambda x, t: eps, schedule, grid, x))
    assert [t for t, _, _ in states] == grid[::-1][1:]
    for t, y, x0 in states:
        assert_close(y, schedule.signal(t) * x + schedule.noise_scale(t) * eps, accumulated(7), 4 / schedule.signal(t))
        assert_close(x0, x, accumulated(7), 4 / schedule.signal(t))


def test_inversion_evaluates_the_noise_at_its_current_time():
    schedule, asked = vp(20), []
    grid = schedule.timesteps(5)
    final_sample(ddim_invert(lambda x, t: asked.append(t) or 0 * x, schedule, grid, np.ones((1, 1))))
    assert asked == [grid[-2], *grid[-2:0:-1]]
