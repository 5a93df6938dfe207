"""Noise schedules against their closed forms, for every T."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.integrate import quad

from reference.diffusion.forward_process import forward, forward_step
from reference.diffusion.schedules import SCHEDULES, ContinuousVP, Schedule, constant, cosine, from_betas, linear, scaled_linear, vp
from tests.oracle_tolerances import EXACT, accumulated, assert_close, assert_slope

every_schedule = pytest.mark.parametrize("name", sorted(SCHEDULES))
lengths = st.integers(1, 2000)


def any_length(test):
    return example(T=1)(example(T=2)(example(T=1000)(given(T=lengths)(test))))


@every_schedule
@any_length
def test_alpha_bar_begins_at_one_and_decreases_strictly(name, T):
    schedule = SCHEDULES[name](T)
    alpha_bar = schedule.signal_power(np.arange(T + 1))
    assert schedule.T == T and alpha_bar.shape == (T + 1,)
    assert alpha_bar[0] == 1 and alpha_bar[-1] > 0
    assert (np.diff(alpha_bar) < 0).all()


@every_schedule
@any_length
def test_derived_quantities_are_finite_and_in_range(name, T):
    schedule, t = SCHEDULES[name](T), np.arange(1, T + 1)
    power, beta, log_snr = schedule.noise_power(t), schedule.beta(t, t - 1), schedule.log_snr(t)
    assert (power > 0).all() and (power <= 1).all() and (np.diff(power) >= 0).all()
    assert (beta > 0).all() and (beta < 1).all()
    assert np.isfinite(log_snr).all() and (np.diff(log_snr) < 0).all()
    assert schedule.noise_power(0) == schedule.noise_scale(0) == 0 and schedule.signal(0) == 1 and schedule.log_snr(0) == np.inf


@every_schedule
@any_length
def test_signal_and_noise_share_unit_power(name, T):
    schedule, t = SCHEDULES[name](T), np.arange(T + 1)
    assert_close(schedule.signal(t) ** 2, schedule.signal_power(t), EXACT)
    assert_close(schedule.noise_scale(t) ** 2, schedule.noise_power(t), EXACT)
    assert_close(schedule.signal_power(t) + schedule.noise_power(t), np.ones(T + 1), EXACT)
    assert_close(
        schedule.log_snr(t[1:]), np.log(schedule.signal_power(t[1:]) / schedule.noise_power(t[1:])), EXACT, 1 - schedule.log_alpha_bar[1:]
    )


@every_schedule
def test_tables_are_float64_read_only_copies(name):
    table = SCHEDULES[name](10).log_alpha_bar
    assert table.dtype == np.float64 and not table.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        table[1] = 0
    mine = np.array(table)
    schedule = Schedule(mine)
    mine[1:] = 0
    assert (schedule.log_alpha_bar == table).all()


@every_schedule
def test_whole_numbers_give_python_floats_and_arrays_give_arrays(name):
    schedule = SCHEDULES[name](10)
    for function in (schedule.signal_power, schedule.noise_power, schedule.signal, schedule.noise_scale, schedule.log_snr):
        for t in (3, 3.0, np.int32(3), np.array(3)):
            assert type(function(t)) is float
        assert (function(np.array([3, 7])) == [function(3), function(7)]).all()
    for function in (schedule.beta, schedule.log_ratio):
        assert type(function(3, np.int64(2))) is float
        assert (function(np.array([3, 7]), np.array([1, 0])) == [function(3, 1), function(7, 0)]).all()


@any_length
def test_constant_is_a_power(T):
    t = np.arange(T + 1)
    assert_close(constant(T).signal_power(t), 0.97**t, accumulated(T, T * 0.0305))


@given(st.integers(1, 300), st.floats(1e-8, 0.99))
def test_constant_with_any_beta_is_a_power(T, beta):
    size = -T * math.log1p(-beta)
    assert_close(constant(T, beta).log_alpha_bar[-1], -size, accumulated(T))


@pytest.mark.parametrize(
    "schedule, betas",
    [
        (linear(), np.linspace(1e-4, 0.02, 1000)),
        (scaled_linear(), np.linspace(np.sqrt(0.00085), np.sqrt(0.012), 1000) ** 2),
    ],
)
def test_linear_schedules_are_cumulative_products_at_a_thousand_steps(schedule, betas):
    expected = np.cumprod(1 - betas)
    assert_close(schedule.signal_power(np.arange(1, 1001)), expected, accumulated(1000, 10.0))
    assert_close(schedule.beta(np.arange(1, 1001), np.arange(1000)), betas, accumulated(1000, 10.0), 1.0)


@any_length
def test_cosine_follows_its_formula_until_beta_is_clipped(T):
    schedule, t = cosine(T), np.arange(T + 1)
    complement = np.sin((1 - t / T) / 1.008 * np.pi / 2)
    ratios = (complement[1:] / complement[:-1]) ** 2
    free = ratios > 1e-3
    assert free[:-1].all()  # T is large enough, or only the last step is clipped
    kept = t[1:][free]
    formula = (complement[kept] / complement[0]) ** 2
    # beta = 1 - ratio carries a few u, which is relative to the ratio; the cosines themselves are ill-conditioned by 1 / cos
    tolerance = accumulated(T, 15.0) + 16 * accumulated(1) * (1 / ratios[free]).cumsum() + accumulated(1) * 8 / complement[kept]
    assert_close(schedule.signal_power(kept), formula, tolerance)
    beta = schedule.beta(t[1:], t[1:] - 1)
    assert_close(beta[~free], np.full((~free).sum(), 0.999), accumulated(T, 15.0))
    assert (beta <= 0.999 * (1 + accumulated(T, 15.0))).all()


@any_length
def test_vp_is_the_exponential_of_minus_the_integral_of_beta(T):
    schedule, curve = vp(T), ContinuousVP()
    for t in {1, (T + 1) // 2, T}:
        integral, _ = quad(curve.beta, 0, t / T)
        assert_close(schedule.log_alpha_bar[t], -integral, EXACT)


@given(st.floats(0.01, 1.0), st.floats(1.0, 40.0))
def test_vp_takes_other_ends_of_beta(beta_min, beta_max):
    assert_close(vp(7, beta_min, beta_max).log_alpha_bar[-1], -(beta_min + beta_max) / 2, EXACT)


@pytest.mark.parametrize("name", ["linear", "scaled-linear", "vp"])
@any_length
def test_the_last_alpha_bar_does_not_depend_on_the_number_of_steps(name, T):
    last = SCHEDULES[name](1000).log_alpha_bar[-1]
    assert_close(SCHEDULES[name](T).log_alpha_bar[-1], last, EXACT)


@pytest.mark.parametrize("name", ["linear", "scaled-linear", "vp"])
@pytest.mark.parametrize("factor", [2, 3])
def test_more_steps_pass_through_the_same_curve(name, factor):
    coarse, fine = SCHEDULES[name](1000), SCHEDULES[name](1000 * factor)
    assert_close(fine.log_alpha_bar[::factor], coarse.log_alpha_bar, accumulated(1000), 10.0)


def one_minus_exp(x):
    """1 - e^{-x} in exact rational arithmetic, for a small rational x."""
    return sum((-1) ** (n + 1) * x**n / math.factorial(n) for n in range(1, 24))


@pytest.mark.parametrize("T", [1, 10, 1000, 10**5])
def test_noise_power_at_the_first_step_of_vp_is_accurate(T):
    t = Fraction(1, T)
    exact = one_minus_exp(Fraction(0.1) * t + (Fraction(20.0) - Fraction(0.1)) * t * t / 2) if T > 1 else 1 - math.exp(-10.05)
    assert_close(vp(T).noise_power(1), float(exact), EXACT)


@given(st.floats(1e-300, 0.5))
def test_noise_power_at_the_first_step_of_given_betas_is_accurate(beta):
    assert_close(from_betas([beta, 0.5]).noise_power(1), beta, EXACT)


@pytest.mark.parametrize("schedule, beta", [(linear(), 1e-4), (scaled_linear(), 0.00085), (constant(), 0.03)])
def test_noise_power_at_the_first_step_is_the_first_beta(schedule, beta):
    assert_close(schedule.noise_power(1), beta, EXACT)
    assert_close(schedule.beta(1, 0), beta, EXACT)


@pytest.mark.parametrize("T", [10, 1000, 2000])
def test_noise_power_at_the_first_step_of_cosine_is_accurate(T):
    first, second = 0.008 / 1.008 * np.pi / 2, (0.008 + 1 / T) / 1.008 * np.pi / 2
    beta = np.sin(np.pi / 2 / 1.008 / T) * np.sin(first + second) / np.cos(first) ** 2
    assert_close(cosine(T).noise_power(1), beta, EXACT)


def check_grid(schedule, steps):
    grid = schedule.timesteps(steps)
    assert len(grid) == steps + 1 and grid[0] == schedule.T and grid[-1] == 0
    gaps = -np.diff(grid)
    assert gaps.min() >= 1 and gaps.max() - gaps.min() <= 1
    assert all(type(t) is int for t in grid)


@pytest.mark.parametrize("T", [1, 2, 3, 7, 30])
def test_every_short_grid_is_even_and_runs_from_the_last_step_to_zero(T):
    for steps in range(1, T + 1):
        check_grid(constant(T), steps)


@every_schedule
@given(data=st.data())
def test_any_grid_is_even_and_runs_from_the_last_step_to_zero(name, data):
    T = data.draw(lengths)
    check_grid(SCHEDULES[name](T), data.draw(st.integers(1, T)))


@every_schedule
@given(data=st.data())
def test_step_ratios_compose(name, data):
    T = data.draw(st.integers(2, 2000))
    r, s, t = sorted(data.draw(st.lists(st.integers(0, T), min_size=3, max_size=3, unique=True)))
    schedule = SCHEDULES[name](T)
    size = 1 - schedule.log_alpha_bar[t]
    assert_close((1 - schedule.beta(t, s)) * (1 - schedule.beta(s, r)), 1 - schedule.beta(t, r), EXACT, size)
    assert_close(schedule.log_ratio(t, s) + schedule.log_ratio(s, r), schedule.log_ratio(t, r), EXACT, size)
    assert_close(schedule.signal_power(t), schedule.signal_power(r) * (1 - schedule.beta(t, r)), EXACT, size)


def test_products_of_small_steps_tend_to_the_integral_at_first_order():
    curve, N = ContinuousVP(), 10 ** np.arange(3, 7)
    errors = [np.log1p(-curve.beta(np.arange(1, n + 1) / n) / n).sum() - curve.log_alpha_bar(1.0) for n in N]
    # log(1 - y) = -y - y^2/2: the Riemann sum misses by (beta_max - beta_min) / 2N, the squares add int beta^2 / 2N;
    # the next order is about 10 / N of that
    constant = -((20.0 - 0.1) / 2 + (20.0**3 - 0.1**3) / (3 * 19.9) / 2)
    assert_close(N * errors, np.full(4, constant), 16 / N + accumulated(10**6))
    assert_slope(N, errors, 1, 16 / N[0])


@pytest.mark.parametrize("T", [10, 100, 1000])
def test_each_vp_step_has_the_integral_of_beta_over_the_step(T):
    t = np.arange(1, T + 1)
    small = ContinuousVP().beta((t - 0.5) / T) / T  # the midpoint rule is exact for a straight line
    assert_close(-np.log1p(-vp(T).beta(t, t - 1)), small, accumulated(T, 10.0), 1.0 + 1 / (1 - vp(T).beta(t, t - 1)))


NAN = float("nan")


@every_schedule
@pytest.mark.parametrize("T", [0, -1, 1.5, 10.0, NAN, True])
def test_a_length_that_is_not_a_positive_whole_number_is_refused(name, T):
    with pytest.raises(ValueError, match=rf"T .*{re.escape(str(T))}"):
        SCHEDULES[name](T)


@pytest.mark.parametrize("beta", [0.0, 1.0, -0.1, 1.5, NAN])
def test_betas_outside_the_unit_interval_are_refused(beta):
    for make in (lambda: constant(10, beta), lambda: from_betas([0.1, beta, 0.2])):
        with pytest.raises(ValueError, match=re.escape(str(beta))):
            make()
    for ends in ({"first": beta}, {"last": beta}):
        for make in (linear, scaled_linear):
            with pytest.raises(ValueError, match=re.escape(str(beta))):
                make(10, **ends)


@pytest.mark.parametrize("first", [0.0, -0.5])
def test_scaled_linear_refuses_betas_that_are_not_positive(first):
    for ends in ({"first": first}, {"last": first}):
        with pytest.raises(ValueError, match=re.escape(str(first))):
            scaled_linear(10, **ends)


@pytest.mark.parametrize("ends", [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.5), (NAN, 1.5)])
def test_vp_refuses_ends_out_of_order(ends):
    with pytest.raises(ValueError, match=re.escape(f"{ends[0]} and {ends[1]}")):
        vp(10, *ends)


@pytest.mark.parametrize("table", [[0.0], [0.0, -1.0, -1.0], [0.0, 1.0], [-0.1, -1.0], [0.0, -np.inf], [0.0, NAN], [[0.0, -1.0]], 0.0])
def test_invalid_schedule_tables_are_refused(table):
    with pytest.raises(ValueError, match=r"log_alpha_bar|T must"):
        Schedule(np.array(table))


@every_schedule
@pytest.mark.parametrize("t", [-1, 11, 2.5, NAN, float("inf")])
def test_times_outside_the_table_are_refused(name, t):
    schedule = SCHEDULES[name](10)
    for function in (schedule.signal_power, schedule.noise_power, schedule.signal, schedule.noise_scale, schedule.log_snr):
        for time in (t, np.array([1, t])):
            with pytest.raises(ValueError, match=re.escape(str(t).strip("0").rstrip("."))):
                function(time)
    with pytest.raises(ValueError, match="t must be"):
        schedule.beta(10, t if t < 10 else -1)


@pytest.mark.parametrize("t, t_prev", [(3, 3), (3, 4), (0, 0), (np.array([5, 3]), np.array([1, 3]))])
def test_a_step_of_length_zero_or_backward_is_refused(t, t_prev):
    for function in (constant(10).beta, constant(10).log_ratio):
        with pytest.raises(ValueError, match=r"t_prev must be smaller than t, got .*3|got 0 and 0"):
            function(t, t_prev)


@every_schedule
@pytest.mark.parametrize("steps", [0, -1, 11, 2.5, 5.0, NAN, True])
def test_an_invalid_number_of_steps_is_refused(name, steps):
    with pytest.raises(ValueError, match=re.escape(str(steps))):
        SCHEDULES[name](10).timesteps(steps)


@every_schedule
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noised_data_keep_their_dtype(name, dtype):
    schedule = SCHEDULES[name](10)
    x0, noise = np.ones((3, 2, 2, 1), dtype), np.full((3, 2, 2, 1), 2, dtype)
    for t in (0, 5, np.int64(5), np.array([1, 5, 10])):
        assert forward(schedule, x0, t, noise).dtype == dtype
    assert forward_step(schedule, x0, 5, 2, noise).dtype == dtype
