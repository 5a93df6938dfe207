"""Ancestral sampling, DDIM and the exact kernel, driven by denoisers that are known in closed form."""

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
from reference.samplers.exact import exact_kernel
from tests.oracle_tolerances import (
    EXACT,
    FALSE_ALARM,
    MIXTURE,
    U32,
    accumulated,
    assert_close,
    assert_mean,
    assert_printed,
    assert_slope,
    ks_distance,
)

every_schedule = pytest.mark.parametrize("name", sorted(SCHEDULES))


def oracle(distribution, schedule):
    """The best noise prediction for data of that law."""
    return lambda x, t: distribution.expected_noise(x, schedule.signal(t), schedule.noise_scale(t))


def point(x0, schedule):
    """The same for a single point."""
    return lambda x, t: (x - schedule.signal(t) * x0) / schedule.noise_scale(t)


def gaussian(schedule, variance=0.25):
    """The same for N(0, variance), entry by entry and in the dtype of x."""

    def predict_noise(x, t):
        power = schedule.noise_power(t)
        return x * (power**0.5 / (schedule.signal_power(t) * variance + power))

    return predict_noise


def samplers(schedule, grid, x, seed=3, sample=None, clip=None, predict_noise=None, port=ops):
    """Every sampler that takes a noise prediction, ready to run."""
    sample, predict_noise = np.arange(len(x)) if sample is None else sample, predict_noise or gaussian(schedule)
    runs = {f"ancestral {v}": ancestral(predict_noise, schedule, grid, x, seed, sample, v, lambda t: 0.01, clip, port) for v in VARIANCES}
    return runs | {f"ddim {eta}": ddim(predict_noise, schedule, grid, x, seed, sample, eta, clip, port) for eta in (0.0, 0.5, 1.0)}


NAMES = list(samplers(vp(5), [5, 0], np.zeros((1, 1))))
every_sampler = pytest.mark.parametrize("sampler", NAMES)


# The end of a run


@every_sampler
@pytest.mark.parametrize("steps", [1, 2, 5, 30])
@every_schedule
def test_the_last_step_returns_the_guess_itself(sampler, steps, name):
    schedule = SCHEDULES[name](30)
    x = prior(0, np.arange(4), (2, 2, 1), np.float64)
    *_, (t, x, x0) = samplers(schedule, schedule.timesteps(steps), x)[sampler]
    assert t == 0 and (x == x0).all()


@every_sampler
@pytest.mark.parametrize("steps", [1, 2, 5, 30])
def test_the_denoiser_of_a_point_leads_to_the_point(sampler, steps):
    schedule, target = vp(30), np.array([0.3, -0.9])
    x = prior(0, np.arange(4), (2,), np.float64)
    grid = schedule.timesteps(steps)
    for t, (_, _, x0) in zip(grid, samplers(schedule, grid, x, predict_noise=point(target, schedule))[sampler]):
        assert_close(x0, np.broadcast_to(target, (4, 2)), EXACT, 1 + 4 / schedule.signal(t))


def test_ddim_needs_one_step_for_a_point():
    schedule = linear(1000)
    x = prior(0, np.arange(4), (2,), np.float64)
    out = final_sample(ddim(point(0.4, schedule), schedule, [300, 0], x, 0, np.arange(4)))
    assert_close(out, np.full((4, 2), 0.4), EXACT, 4 / schedule.signal(300))


def test_every_step_draws_its_noise_but_the_last():
    schedule, sample = vp(30), np.array([5, 9])
    for steps in (1, 2, 7):
        grid = schedule.timesteps(steps)
        for name in NAMES:
            seen = []

            def reverse_step(x, prediction, a, b, c, noise, seen=seen):
                seen.append((c, noise))
                return ops.reverse_step(x, prediction, a, b, c, noise)

            port = SimpleNamespace(reverse_step=reverse_step)
            final_sample(samplers(schedule, grid, np.zeros((2, 1)), 8, sample, port=port)[name])
            drawn = seen[1::2]  # every other call makes x0
            assert len(drawn) == steps and drawn[-1] == (0, None)
            for step, (c, noise) in enumerate(drawn[:-1]):
                if name == "ddim 0.0":
                    assert (c, noise) == (0, None)
                else:
                    assert c > 0 and noise.sample is sample
                    assert (noise.seed, noise.step, noise.purpose) == (8, step, Purpose.STEP_NOISE)


# The steps


def recorded_variances(run):
    """Variances of the noise that a sampler adds in each step; ``run`` takes the port that records them."""
    seen = []

    def reverse_step(x, prediction, a, b, c, noise):
        seen.append(c**2)
        return ops.reverse_step(x, prediction, a, b, c, noise)

    final_sample(run(SimpleNamespace(reverse_step=reverse_step)))
    return np.array(seen[1::2])


@every_schedule
@pytest.mark.parametrize("steps", [1, 3, 9, 27, 50, 100])
def test_ancestral_sampling_on_sub_grids_has_the_posterior_variance_of_its_steps(name, steps):
    schedule, x, sample = SCHEDULES[name](100), np.zeros((1, 1)), np.arange(1)
    grid = schedule.timesteps(steps)
    A, A_prev = schedule.signal_power(np.array(grid[:-1])), schedule.signal_power(np.array(grid[1:]))
    expected = (1 - A / A_prev) * (1 - A_prev) / (1 - A)
    predict_noise = gaussian(schedule)
    assert_close(recorded_variances(lambda port: ancestral(predict_noise, schedule, grid, x, 0, sample, ops=port)), expected, EXACT, 1.0)
    beta = np.append((1 - A / A_prev)[:-1], 0)
    assert_close(
        recorded_variances(lambda port: ancestral(predict_noise, schedule, grid, x, 0, sample, "beta", ops=port)), beta, EXACT, 1.0
    )
    for eta in (0.0, 0.3, 1.0):
        actual = recorded_variances(lambda port, eta=eta: ddim(predict_noise, schedule, grid, x, 0, sample, eta, ops=port))
        assert_close(actual, eta**2 * expected, EXACT, 1.0)


@pytest.mark.parametrize("variance", VARIANCES)
def test_an_ancestral_step_is_the_tutorials_noise_form(variance):
    schedule, distribution, sample = linear(1000), example_2_1(), np.arange(20)
    x = prior(1, sample, (1,), np.float64)
    mmse = lambda t: 0.3
    for t, t_prev in ((1000, 999), (700, 500), (20, 1)):
        eps, beta = oracle(distribution, schedule)(x, t), schedule.beta(t, t_prev)
        _, c_x0, small = posterior(schedule, t, t_prev)
        power = {"posterior": small, "beta": beta, "exact": small + c_x0**2 * 0.3}[variance]
        z = ops.normal(4, sample, 0, Purpose.STEP_NOISE, (1,))
        expected = (x - beta / schedule.noise_scale(t) * eps) / np.sqrt(1 - beta) + np.sqrt(power) * z
        _, actual, _ = next(ancestral(oracle(distribution, schedule), schedule, [t, t_prev], x, 4, sample, variance, mmse))
        assert_close(actual, expected, EXACT, 8 / schedule.signal(t))


@pytest.mark.parametrize("steps", [1000, 50])
def test_ddim_with_eta_one_is_ancestral_sampling_with_the_posterior_variance(steps):
    schedule, sample = linear(1000), np.arange(16)
    x, grid, predict_noise = prior(2, sample, (1,), np.float64), schedule.timesteps(steps), oracle(example_2_1(), schedule)
    runs = ancestral(predict_noise, schedule, grid, x, 2, sample), ddim(predict_noise, schedule, grid, x, 2, sample, 1.0)
    for (_, one, _), (_, other, _) in zip(*runs):
        assert_close(one, other, accumulated(steps, 20.0), 1.0)  # 1e-11: each step is wrong by u / signal, and errors grow between modes


def euler_case():
    schedule, sample = cosine(100), np.arange(30)
    return schedule, sample, prior(5, sample, (1,), np.float64), oracle(example_2_1(), schedule)


@pytest.mark.parametrize("t, t_prev", [(100, 99), (90, 10), (50, 49), (50, 0), (2, 1), (1, 0)])
def test_a_deterministic_ddim_step_is_eulers_in_the_exploding_variables(t, t_prev):
    schedule, sample, x, predict_noise = euler_case()
    _, actual, _ = next(ddim(predict_noise, schedule, [t, t_prev], x, 0, sample))
    sigma, sigma_prev = (schedule.noise_scale(s) / schedule.signal(s) for s in (t, t_prev))
    y = x / schedule.signal(t) + (sigma_prev - sigma) * predict_noise(x, t)
    assert_close(actual, schedule.signal(t_prev) * y, EXACT, 8 * schedule.signal(t_prev) / schedule.signal(t))


@pytest.mark.parametrize("t, t_prev", [(100, 99), (90, 10), (50, 49), (2, 1)])
def test_a_deterministic_ddim_step_is_the_first_order_dpm_solver(t, t_prev):
    schedule, sample, x, predict_noise = euler_case()
    _, actual, _ = next(ddim(predict_noise, schedule, [t, t_prev], x, 0, sample))
    h = (schedule.log_snr(t_prev) - schedule.log_snr(t)) / 2
    expected = schedule.signal(t_prev) / schedule.signal(t) * x - schedule.noise_scale(t_prev) * np.expm1(h) * predict_noise(x, t)
    scale = 8 * schedule.signal(t_prev) / schedule.signal(t) * (1 + abs(schedule.log_snr(t)))
    assert_close(actual, expected, EXACT, scale)


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(1, 1000), st.data())
def test_ddims_kernel_preserves_the_marginals_for_any_deviation(name, T, data):
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
    for gain, (_, y, _) in zip(gains, ddim(gaussian(schedule, 1.0), schedule, schedule.timesteps(N), x, 0, np.arange(2))):
        assert_close(y, gain * x, accumulated(N), 4 / schedule.signal(N))


def test_ddims_deficit_of_deviation_is_first_order():
    N, end = np.array([20, 40, 80, 160]), np.pi / 2 - 1e-3
    deficits = []
    for n in N:
        schedule = angles(n, end)
        deficits.append(
            1 - final_sample(ddim(gaussian(schedule, 1.0), schedule, schedule.timesteps(n), np.ones((1, 1)), 0, np.arange(1)))[0, 0]
        )
    assert_slope(
        N, np.array(deficits), 1, end**2 / 4 / N[0]
    )  # cos^N(end/N) = exp(-end^2 / 2N + ...): the next order is half the first's square
    assert_close(N * np.array(deficits), np.full(4, end**2 / 2), end**2 / 2 / N)


@pytest.mark.parametrize("c, t, t_prev", [(0.25, 90, 60), (4.0, 60, 20), (1.0, 20, 1)])
def test_ddims_gain_on_centred_gaussian_data(c, t, t_prev):
    schedule = vp(100)
    A, A_prev, x = schedule.signal_power(t), schedule.signal_power(t_prev), np.array([[1.5]])
    gain = (np.sqrt(A * A_prev) * c + np.sqrt((1 - A) * (1 - A_prev))) / (A * c + 1 - A)
    _, actual, _ = next(ddim(gaussian(schedule, c), schedule, [t, t_prev], x, 0, np.arange(1)))
    assert_close(actual, gain * x, EXACT, 4 / schedule.signal(t))


POINTS = np.array([-1.0, -0.4, 0.1, 0.6, 1.2])


def ddim_on_points(N):
    """Where DDIM in N steps ends from 400 exact quantiles of p_T, for data at five points of equal weight."""
    schedule, distribution = vp(N), Mixture(np.full(5, 0.2), POINTS[:, None], np.full(5, 1e-20))
    x = distribution.noised(schedule.signal(N), schedule.noise_scale(N)).quantile((np.arange(400) + 0.5) / 400)[:, None]
    return final_sample(ddim(oracle(distribution, schedule), schedule, schedule.timesteps(N), x, 0, np.arange(400)))


def test_ddim_ends_on_the_data_points_in_many_steps():
    distance = np.abs(ddim_on_points(400) - POINTS)
    assert (distance.min(axis=1) < 1e-3).all()
    # 400 / 5 starts belong to each point, but for those within DDIM's own error of a boundary
    assert (np.abs(np.bincount(distance.argmin(axis=1), minlength=5) - 80) <= 2).all()


def test_ddim_misses_the_data_points_in_few_steps():
    distance = np.abs(ddim_on_points(10) - POINTS).min(axis=1)
    assert (distance > 1e-3).mean() > 0.5


def test_inversion_and_decoding_miss_by_first_order():
    distribution, N, errors = Mixture(np.array([0.4, 0.6]), np.array([[-0.8], [0.7]]), np.array([0.3, 0.2])), [50, 100, 200, 400], []
    x = np.linspace(-1.5, 1.5, 7)[:, None]
    for n in N:
        schedule = vp(n)
        grid, predict_noise = schedule.timesteps(n), oracle(distribution, schedule)
        noise = final_sample(ddim_invert(predict_noise, schedule, grid, x))
        back = final_sample(ddim(predict_noise, schedule, grid, noise, 0, np.arange(7)))
        errors.append(np.abs(back - x).max())
    assert errors[-1] < 0.1
    assert_slope(N, np.array(errors), 1, 0.25)  # the next order is beta_max / N: 0.4 at N = 50, half of it between 50 and 100


def test_inversion_of_a_point_finds_its_noise():
    schedule = vp(20)
    grid, x = schedule.timesteps(7), np.full((1, 1), 0.4)
    eps = np.full((1, 1), 1.3)
    states = list(ddim_invert(lambda x, t: eps, schedule, grid, x))
    assert [t for t, _, _ in states] == grid[::-1][1:]
    for t, y, x0 in states:
        assert_close(y, schedule.signal(t) * x + schedule.noise_scale(t) * eps, accumulated(7), 4 / schedule.signal(t))
        assert_close(x0, x, accumulated(7), 4 / schedule.signal(t))


def test_inversion_asks_for_the_noise_where_it_stands():
    schedule, asked = vp(20), []
    grid = schedule.timesteps(5)
    final_sample(ddim_invert(lambda x, t: asked.append(t) or 0 * x, schedule, grid, np.ones((1, 1))))
    assert asked == [grid[-2], *grid[-2:0:-1]]


# The exact kernel


COUNT = 20_000
FULL = Mixture(
    np.array([0.2, 0.5, 0.3]),
    np.array([[-1.0, 0.5], [1.0, 1.0], [0.5, -1.5]]),
    np.array([[[0.3, 0.1], [0.1, 0.2]], [[0.5, -0.3], [-0.3, 0.4]], [[0.1, 0.0], [0.0, 0.6]]]),
)


def start(distribution, schedule, count=COUNT):
    """Exact draws of x_T."""
    return distribution.noised(schedule.signal(schedule.T), schedule.noise_scale(schedule.T)).sample(21, np.arange(count))[0]


def distance(distribution, x):
    """The Kolmogorov-Smirnov distance of the sample x[n,1] from the law."""
    p, n = distribution.cdf(np.sort(x[:, 0])), len(x)
    return max((np.arange(1, n + 1) / n - p).max(), (p - np.arange(n) / n).max())


def test_the_exact_kernel_has_the_right_law_at_every_time_of_a_coarse_grid():
    distribution, schedule = example_2_1(), vp(200)
    for t, x, x0 in exact_kernel(distribution, schedule, schedule.timesteps(10), start(distribution, schedule), 5, np.arange(COUNT)):
        noised = distribution.noised(schedule.signal(t), schedule.noise_scale(t))
        assert distance(noised, x) < ks_distance(COUNT, FALSE_ALARM / 10)
        assert x0 is None
    assert_printed(distribution.cdf(0.0), ".315925")
    assert_mean(x[:, 0] < 0, distribution.cdf(0.0))
    assert_mean(x, distribution.mean)
    assert_mean((x - distribution.mean) ** 2, distribution.covariance)


def test_ancestral_sampling_on_the_same_grid_has_not():
    distribution, schedule = example_2_1(), vp(200)
    run = ancestral(oracle(distribution, schedule), schedule, schedule.timesteps(10), start(distribution, schedule), 5, np.arange(COUNT))
    assert distance(distribution, final_sample(run)) > 2 * ks_distance(COUNT)


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_the_exact_kernel_has_the_right_moments_in_the_plane(steps):
    schedule = linear(100)
    x = final_sample(exact_kernel(FULL, schedule, schedule.timesteps(steps), start(FULL, schedule), 6, np.arange(COUNT)))
    assert_mean(x, FULL.mean, 6)
    centred = x - FULL.mean
    assert_mean(centred[:, :, None] * centred[:, None], FULL.covariance, 6)


def test_the_exact_kernel_has_the_right_joint_law():
    schedule = vp(50)
    T, t = 50, 10
    x_T = start(FULL, schedule)
    (_, x, _) = next(exact_kernel(FULL, schedule, [T, t], x_T, 7, np.arange(COUNT)))
    kept = schedule.signal(T) / schedule.signal(t)
    fresh = x_T - kept * x  # the noise of the forward step: independent of x
    assert_mean(fresh, 0, 3)
    assert_mean(fresh[:, :, None] * fresh[:, None], schedule.beta(T, t) * np.eye(2), 3)
    assert_mean(fresh[:, :, None] * x[:, None], np.zeros((2, 2)), 3)


# What a caller sees


def runs_of(schedule, grid, predict_noise, x):
    return samplers(schedule, grid, x, predict_noise=predict_noise) | {"invert": ddim_invert(predict_noise, schedule, grid, x)}


@pytest.mark.parametrize("sampler", [*NAMES, "invert"])
@pytest.mark.parametrize("steps", [1, 3, 9, 27, 30])
def test_one_state_and_one_evaluation_a_step(sampler, steps):
    schedule, asked = vp(30), []
    grid, predict_noise = schedule.timesteps(steps), gaussian(schedule)

    def counted(x, t):
        asked.append(t)
        return predict_noise(x, t)

    states = list(runs_of(schedule, grid, counted, np.ones((2, 3)))[sampler])
    assert len(asked) == len(states) == steps
    if sampler != "invert":
        assert [t for t, _, _ in states] == grid[1:] and asked == grid[:-1]
    for _, x, x0 in states:
        assert x.shape == x0.shape == (2, 3) and np.isfinite(x).all()


@pytest.mark.parametrize("sampler", [*NAMES, "invert"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_schedule
def test_samples_keep_the_dtype_of_their_start(sampler, dtype, name):
    schedule = SCHEDULES[name](20)
    x = prior(0, np.arange(3), (2, 2, 1), dtype)
    assert x.dtype == dtype
    for _, y, x0 in runs_of(schedule, schedule.timesteps(4), gaussian(schedule), x)[sampler]:
        assert y.dtype == x0.dtype == dtype and y.shape == x.shape


@every_sampler
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_do_not_depend_on_their_batch(sampler, dtype):
    schedule, sample = vp(50), np.array([3, 0, 7, 2**32 - 1, 5, 1, 2, 6])
    run = lambda indices: final_sample(samplers(schedule, schedule.timesteps(10), prior(1, indices, (3, 1), dtype), 1, indices)[sampler])
    together = run(sample)
    for i in range(8):
        assert (run(sample[i : i + 1])[0] == together[i]).all()
    assert len(np.unique(together)) == together.size


def test_draws_of_the_exact_kernel_belong_to_their_samples():
    schedule, sample = vp(50), np.arange(8)
    run = lambda indices: final_sample(exact_kernel(FULL, schedule, schedule.timesteps(10), start(FULL, schedule, 8)[indices], 1, indices))
    together = run(sample)
    for i in range(8):
        assert_close(run(sample[i : i + 1])[0], together[i], MIXTURE, 4.0)


@pytest.mark.parametrize("sampler", [name for name in NAMES if name != "ddim 0.0"])
def test_another_seed_gives_other_samples(sampler):
    schedule, x = vp(50), np.ones((4, 1))
    one, same, other = (final_sample(samplers(schedule, schedule.timesteps(10), x, seed)[sampler]) for seed in (1, 1, 2))
    assert (one == same).all() and (one != other).all()


def test_the_deterministic_sampler_ignores_the_seed():
    schedule, x = vp(50), np.ones((4, 1))
    one, other = (final_sample(samplers(schedule, schedule.timesteps(10), x, seed)["ddim 0.0"]) for seed in (1, 2))
    assert (one == other).all()


def test_the_prior_is_the_unit_normal_of_its_purpose():
    assert (prior(7, np.arange(5), (2, 3), np.float64) == ops.normal(7, np.arange(5), 0, Purpose.PRIOR, (2, 3))).all()


@every_sampler
def test_clipping_holds_the_guess_within_bounds_and_uses_it_there(sampler):
    schedule, x = vp(50), 2 * prior(1, np.arange(20), (3,), np.float64)
    wild = lambda x, t: 0 * x  # guesses x / signal
    grid = schedule.timesteps(10)
    free, held = (list(samplers(schedule, grid, x, predict_noise=wild, clip=clip)[sampler]) for clip in (None, 1.0))
    assert max(np.abs(x0).max() for _, _, x0 in held) == 1.0
    assert np.abs(free[0][2]).max() > 1.0
    assert (held[0][2] == free[0][2].clip(-1, 1)).all()
    if sampler.startswith("ancestral"):
        _, c_x0, _ = posterior(schedule, grid[0], grid[1])
        (_, x_free, guess), (_, x_held, clipped) = free[0], held[0]
        assert_close(x_free - x_held, c_x0 * (guess - clipped), EXACT, c_x0 * np.abs(guess) + 8)
    assert (held[-1][1] == held[-1][2]).all()


@every_sampler
def test_clipping_changes_nothing_while_the_guess_is_inside(sampler):
    schedule, x = vp(50), prior(1, np.arange(20), (3,), np.float64)
    free, held = (
        list(samplers(schedule, schedule.timesteps(10), x, predict_noise=point(0.5, schedule), clip=clip)[sampler]) for clip in (None, 1.0)
    )
    for (_, one, _), (_, other, _) in zip(free, held):
        assert (one == other).all()


@pytest.mark.parametrize("eta", [-0.1, 1.1, float("nan")])
def test_eta_outside_the_unit_interval_is_refused(eta):
    schedule = vp(10)
    with pytest.raises(ValueError, match=f"eta must lie between 0 and 1, got {eta}"):
        final_sample(ddim(gaussian(schedule), schedule, schedule.timesteps(5), np.ones((1, 1)), 0, np.arange(1), eta))


@pytest.mark.parametrize("variance, words", [("fixed", "variance must be one of posterior, beta, exact, got 'fixed'"), ("exact", "mmse")])
def test_variances_that_cannot_be_had_are_refused(variance, words):
    schedule = vp(10)
    with pytest.raises(ValueError, match=words):
        final_sample(ancestral(gaussian(schedule), schedule, schedule.timesteps(5), np.ones((1, 1)), 0, np.arange(1), variance))


def test_a_grid_that_climbs_is_refused():
    schedule = vp(10)
    for grid in ([5, 7, 0], [5, 5, 0], [11, 0], [0, 5, 10], [5], [5, -1]):
        for sampler in (ancestral, ddim):
            with pytest.raises(ValueError, match=r"grid must hold two or more times that fall strictly|t must be a whole number"):
                final_sample(sampler(gaussian(schedule), schedule, grid, np.ones((1, 1)), 0, np.arange(1)))
        with pytest.raises(ValueError, match=r"grid must hold two or more times that fall strictly|t must be a whole number"):
            final_sample(ddim_invert(gaussian(schedule), schedule, grid, np.ones((1, 1))))


def test_a_long_run_keeps_its_digits():
    """Single and double precision agree after 200 steps: each adds a few roundings of x, and the steps of a Gaussian don't enlarge them."""
    schedule, sample = vp(200), np.arange(50)
    grid, wide = schedule.timesteps(200), prior(3, sample, (4,), np.float64)
    runs = (ancestral(gaussian(schedule), schedule, grid, wide.astype(dtype), 3, sample) for dtype in (np.float32, np.float64))
    for (_, one, _), (_, other, _) in zip(*runs):
        assert_close(one.astype(np.float64), other, 4 * 200 * U32, 4.0)


def test_the_exact_kernel_shares_no_randomness_with_data_of_the_same_seed():
    """Started from exact draws of p_t made with the very seed that it then uses."""
    mixture, schedule, n = example_2_1(), linear(1000), 20_000
    x, _ = mixture.noised(schedule.signal(400), schedule.noise_scale(400)).sample(1, np.arange(n))
    x = final_sample(exact_kernel(mixture, schedule, [400, 0], x, 1, np.arange(n)))
    empirical = (np.arange(n) + 0.5) / n
    assert np.abs(mixture.cdf(np.sort(x[:, 0])) - empirical).max() < ks_distance(n) + 0.5 / n
