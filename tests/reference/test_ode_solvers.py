"""Solvers of the probability-flow ODE: their order on the mixture of Ex 2.1, with its flow in closed form, and their cost.

In one dimension the flow maps quantiles to quantiles: the solution from time s to t is F_t^-1(F_s(x)).
"""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.diffusion.mixtures import example_2_1
from reference.diffusion.schedules import Schedule
from reference.samplers import check_grid, final_sample, with_denoising_step
from reference.samplers.ddim import ddim
from reference.samplers.dpm_solver import dpm_solver, dpm_solver_plus_plus
from reference.samplers.edm import edm, sigmas
from reference.samplers.grids import GRIDS
from reference.samplers.ode import TABLES, rk45, runge_kutta
from reference.sde.sde import VE, VP
from tests.call_counter import CallCounter
from tests.oracle_tolerances import EXACT, MIXTURE, SDE_FORMULA, U32, WITHIN_RK45, accumulated, assert_close, assert_printed, assert_slope
from tests.oracles import SDE_EXAMPLES, gaussian_score, sdes


class QuickVP(VP):
    """VP with the closed-form root of its quadratic in place of the general bisection."""

    def time_of_log_snr(self, log_snr):
        B = np.logaddexp(0, -log_snr)  # beta_min t + (beta_max - beta_min) t^2 / 2
        return float(2 * B / (self.beta_min + np.sqrt(self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * B)))


DISTRIBUTION, SDE, EARLY = example_2_1(), QuickVP(), 1e-3
QUANTILES = np.array([0.05, 0.1, 0.15, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95])  # none in the gap near 0.3, where the flow is steep
every_sde = pytest.mark.parametrize("sde", SDE_EXAMPLES.values(), ids=SDE_EXAMPLES)


@functools.cache
def noised(t):
    return DISTRIBUTION.noised(*SDE.marginal(t))


def score(x, t):
    return noised(t).score(x)


def noise(x, t):
    return score(x, t) * -SDE.noise_scale(t)


def flow(x, t):
    return SDE.reverse(score, 0.0)[0](x, t)


def quantiles(t):
    return noised(t).quantile(QUANTILES)[:, None]


@functools.cache
def finest():
    return GRIDS["log-snr"](SDE, 1280, t_min=EARLY)


def grid_of(n):
    return finest()[:: 1280 // n]


SOLVERS = {  # name: (run(model, grid, x), its model)
    **{name: (functools.partial(runge_kutta, method=name), flow) for name in TABLES},
    **{f"dpm-solver-{k}": (functools.partial(lambda k, f, grid, x: dpm_solver(SDE, f, grid, x, k), k), noise) for k in (1, 2, 3)},
    "dpm-solver++": (functools.partial(dpm_solver_plus_plus, SDE), noise),
}
ORDERS = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4, "dpm-solver-1": 1, "dpm-solver-2": 2, "dpm-solver-3": 3, "dpm-solver++": 2}
EVALUATIONS = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4, "dpm-solver-1": 1, "dpm-solver-2": 2, "dpm-solver-3": 3, "dpm-solver++": 1}
every_solver = pytest.mark.parametrize("name", SOLVERS)


@pytest.mark.parametrize("part", [1e-3, 0.05, 0.4, 1.0])
def test_quadratic_root_equals_the_bisection_result(part):
    log_snr = VP().log_snr(part)
    assert_close([SDE.time_of_log_snr(log_snr), VP().time_of_log_snr(log_snr)], [part, part], SDE_FORMULA)


# Order of convergence


def rms_error(solver, model, n):
    return float(np.sqrt(np.mean((final_sample(solver(model, grid_of(n), quantiles(1.0))) - quantiles(EARLY)) ** 2)))


@every_solver
def test_order_of_convergence_on_a_mixture_from_its_exact_prior(name):
    """Five grids, four halvings; ``slack`` bounds the effect of the next order."""
    counts = np.array([40, 80, 160, 320, 640] if name.startswith("dpm-solver-") else [80, 160, 320, 640, 1280])
    errors = [rms_error(*SOLVERS[name], n) for n in counts]
    slope, _ = np.polyfit(np.log(counts), np.log(errors), 1)
    assert abs(slope + ORDERS[name]) <= 0.1, f"slope {slope}, errors {errors}"
    assert_slope(counts[2:], errors[2:], ORDERS[name], 0.1)


@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8])
def test_rk45_is_within_ten_times_its_tolerance(rtol):
    middle = 0.2
    for (t, x, _), stop in zip(rk45(flow, (1.0, middle, EARLY), quantiles(1.0), rtol, rtol), (middle, EARLY), strict=True):
        assert t == stop
        assert_close(x, quantiles(t), WITHIN_RK45 * rtol, 1 + np.abs(x))


@every_sde
def test_the_flow_of_a_gaussian_preserves_standardised_points(sde):
    mean, variance = 0.7, 0.4
    line = lambda x, t: gaussian_score(sde, t, mean, variance)[2](x)
    (m, v, _), (m_last, v_last, _) = (gaussian_score(sde, t, mean, variance) for t in (sde.t_max, sde.t_min))
    z = np.linspace(-2, 2, 5)[:, None]
    start, end = m + np.sqrt(v) * z, m_last + np.sqrt(v_last) * z
    x = final_sample(rk45(sde.reverse(line, 0.0)[0], (sde.t_max, sde.t_min), start, 1e-8, 1e-8))
    assert_close(x, end, WITHIN_RK45 * 1e-8, 1 + np.abs(start))
    predict_noise = lambda x, t: line(x, t) * -sde.noise_scale(t)
    grid, counts = GRIDS["log-snr"](sde, 120), np.array([30, 60, 120])
    for order, solver in ((2, dpm_solver), (2, dpm_solver_plus_plus)):
        errors = [np.abs(final_sample(solver(sde, predict_noise, grid[:: 120 // n], start)) - end).max() for n in counts]
        assert_slope(counts, errors, order, 0.25)  # two halvings, from coarser steps than above


# The tables of Runge and Kutta


@pytest.mark.parametrize("name", TABLES)
def test_a_linear_step_is_the_taylor_polynomial_of_exp(name):
    ((_, x, _),) = runge_kutta(lambda x, t: x, (0.0, 0.5), np.ones((1, 1)), name)
    assert_close(x[0, 0], np.polyval([1 / 24, 1 / 6, 1 / 2, 1, 1][4 - ORDERS[name] :], 0.5), EXACT)


@pytest.mark.parametrize("name, degree", [("euler", 0), ("midpoint", 1), ("heun", 1), ("rk4", 3)])
def test_polynomial_slopes_in_time_are_exact_up_to_the_order(name, degree):
    f = lambda x, t: np.full_like(x, np.polyval([4.0, 3.0, 2.0, 1.0][3 - degree :], t))
    whole = lambda t: np.polyval(np.polyint([4.0, 3.0, 2.0, 1.0][3 - degree :]), t)
    for grid in ((0.2, 0.9, 1.3), (1.3, 0.9, 0.2)):
        x = final_sample(runge_kutta(f, grid, np.zeros((1, 1)), name))
        assert_close(x[0, 0], whole(grid[-1]) - whole(grid[0]), EXACT, 10.0)


@pytest.mark.parametrize("name, b", [("midpoint", [0.0, 1.0]), ("heun", [0.5, 0.5]), ("rk4", [1 / 6, 1 / 3, 1 / 3, 1 / 6])])
def test_runge_kutta_stages_use_their_times_and_weights(name, b):
    times, h = [], 0.5
    x = final_sample(
        runge_kutta(lambda x, t: times.append(t) or np.full_like(x, 10.0 ** len(times)), (1.0, 1.0 + h), np.zeros((1, 1)), name)
    )
    assert times == {"midpoint": [1.0, 1.25], "heun": [1.0, 1.5], "rk4": [1.0, 1.25, 1.25, 1.5]}[name]
    assert_close(x[0, 0], h * sum(weight * 10.0 ** (i + 1) for i, weight in enumerate(b)), EXACT)


@pytest.mark.parametrize("h, printed, missing", [(0.2, "3.16969", ".23864"), (0.1, "3.28408", ".12425"), (0.05, "3.34490", ".06343")])
def test_printed_values_of_eulers_method_on_example_4_8(h, printed, missing):
    exact = lambda t: t * t + 2 * t + 2 - 2 * (t + 1) * np.log(t + 1)
    f = lambda x, t: (x + t**2 - 2) / (t + 1)
    x = final_sample(runge_kutta(f, np.linspace(0, 2, round(2 / h) + 1), np.full((1, 1), 2.0), "euler"))
    assert_printed(x[0, 0], printed)
    assert_printed(exact(2.0) - x[0, 0], missing)


@pytest.mark.parametrize("beta, printed", [(1.0, ".00939"), (2.0, ".01920")])
def test_printed_error_of_the_iteration_of_example_4_1(beta, printed):
    grid = np.arange(101) * 0.1
    x = [x[0, 0] for _, x, _ in runge_kutta(lambda x, t: -beta / 2 * x, grid, np.ones((1, 1)), "euler")]
    assert_close(x, (1 - beta / 2 * 0.1) ** np.arange(1, 101), accumulated(100))
    assert_printed(np.abs(x - np.exp(-beta / 2 * grid[1:])).max(), printed)


# EDM


@pytest.mark.parametrize("n, euler, heun", [(18, ".13132", ".043568"), (36, ".063836", ".0091515"), (72, ".031582", ".0021123")])
def test_printed_errors_and_evaluations_of_edm_on_the_mixture(n, euler, heun):
    x, levels = DISTRIBUTION.noised(1.0, 80.0).quantile(QUANTILES)[:, None], sigmas(n)
    denoise = CallCounter(lambda x, sigma: DISTRIBUTION.posterior_mean(x, 1.0, sigma))
    error = lambda x: np.sqrt(np.mean((x - DISTRIBUTION.quantile(QUANTILES)[:, None]) ** 2))
    states = list(edm(denoise, levels, x))
    assert [sigma for sigma, _, _ in states] == levels[1:].tolist() and denoise.evaluations == 2 * n - 1
    assert_printed(error(states[-1][1]), heun)
    slope = lambda x, sigma: (x - denoise(x, sigma)) / sigma
    assert_printed(error(final_sample(runge_kutta(slope, levels, x, "euler"))), euler)


def test_order_of_edm_is_2():
    x, exact = DISTRIBUTION.noised(1.0, 80.0).quantile(QUANTILES)[:, None], DISTRIBUTION.quantile(QUANTILES)[:, None]
    denoise, counts = lambda x, sigma: DISTRIBUTION.posterior_mean(x, 1.0, sigma), np.array([36, 72, 144, 288, 576])
    errors = [np.sqrt(np.mean((final_sample(edm(denoise, sigmas(n), x)) - exact) ** 2)) for n in counts]
    slope, _ = np.polyfit(np.log(counts), np.log(errors), 1)
    assert abs(slope + 2) <= 0.1


@given(st.integers(2, 50), st.floats(1e-3, 0.5), st.floats(1.0, 100.0), st.floats(1.0, 9.0))
def test_edm_levels_are_even_in_sigma_to_1_over_rho_and_end_with_0(n, sigma_min, sigma_max, rho):
    levels = sigmas(n, sigma_min, sigma_max, rho)
    roots = levels[:-1] ** (1 / rho)
    assert len(levels) == n + 1 and levels[-1] == 0 and (np.diff(levels) < 0).all()
    assert_close(levels[[0, -2]], [sigma_max, sigma_min], SDE_FORMULA)
    assert_close(np.diff(roots), np.full(n - 1, (roots[-1] - roots[0]) / (n - 1)), SDE_FORMULA, roots[0])


def test_edm_levels_match_karras():
    assert_close(sigmas(18), sigmas(18, 0.002, 80.0, 7.0), EXACT, 1.0)


# Solvers that are equal


def test_ddim_equals_euler_in_sigma_and_dpm_solver_1():
    """Along y = x / signal and sigma = noise_scale / signal the flow is dy/dsigma = eps."""
    times = GRIDS["t"](SDE, 12, t_min=0.01)
    chain = Schedule(np.concatenate(([0.0], SDE.log_alpha_bar(times[::-1]))))
    time_of = dict(enumerate(times[::-1], start=1))
    x = quantiles(1.0)
    by_ddim = final_sample(ddim(lambda x, t: noise(x, time_of[t]), chain, list(range(13, 0, -1)), x, 0, np.arange(len(x))))
    by_dpm = final_sample(dpm_solver(SDE, noise, times, x, 1))
    alphas, scales = SDE.signal(times), SDE.noise_scale(times)
    at = dict(zip((scales / alphas).tolist(), times))
    eps = lambda y, sigma: noise(y * SDE.signal(at[sigma]), at[sigma])
    by_euler = final_sample(runge_kutta(eps, scales / alphas, x / alphas[0], "euler")) * alphas[-1]
    assert_close(by_ddim, by_euler, 12 * MIXTURE, 1 + np.abs(x).max())
    assert_close(by_dpm, by_euler, 12 * MIXTURE, 1 + np.abs(x).max())


def test_edm_equals_heun_in_sigma_except_in_the_last_step():
    x, levels = 5 * quantiles(1.0), sigmas(7, 0.1, 8.0)
    denoise = lambda x, sigma: DISTRIBUTION.posterior_mean(x, 1.0, sigma)
    slope = lambda x, sigma: (x - denoise(x, sigma)) / sigma
    *heun, (_, end, _) = edm(denoise, levels, x)
    assert_close(heun[-1][1], final_sample(runge_kutta(slope, levels[:-1], x, "heun")), 7 * MIXTURE, 8.0)
    assert_close(end, denoise(heun[-1][1], 0.1), MIXTURE, 8.0)  # x - sigma slope: the mean of x_0


# The interface


@every_solver
@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_step_costs_one_evaluation_per_stage(name, n):
    solver, model = SOLVERS[name]
    counted = CallCounter(model)
    assert [t for t, _, _ in solver(counted, grid_of(n), quantiles(1.0))] == grid_of(n)[1:].tolist()
    assert counted.evaluations == n * EVALUATIONS[name]


@every_solver
@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 16 * U32), (np.float64, 16 * U32 * 2.0**-28)])
@pytest.mark.parametrize("shape", [(1,), (2,), (2, 3, 1)])
def test_every_shape_and_dtype_is_kept_and_entries_do_not_mix(name, dtype, tolerance, shape):
    """For a model linear in x; at most 6 steps and 4 stages, with coefficients up to 1 / signal(1) = 150."""
    solver, _ = SOLVERS[name]
    predict_noise = lambda x, t: x * 0.3 + t
    x = np.linspace(-1, 1, 4 * int(np.prod(shape))).reshape(4, *shape).astype(dtype)
    for grid in (np.linspace(1.0, 0.1, 7), np.linspace(0.1, 1.0, 7)):
        before = x.copy()
        states = list(solver(predict_noise, grid, x))
        assert all(y.dtype == dtype and y.shape == x.shape and extra is None for _, y, extra in states)
        assert np.array_equal(x, before)
        flat = final_sample(solver(predict_noise, grid, x.astype(np.float64).reshape(-1, 1)))
        assert_close(states[-1][1].reshape(-1, 1), flat, 24 * tolerance, 150.0 * (1 + np.abs(flat).max()))


@pytest.mark.parametrize("shape", [(1,), (2, 3, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rk45_and_edm_keep_shape_and_dtype(shape, dtype):
    x = np.linspace(-1, 1, 4 * int(np.prod(shape))).reshape(4, *shape).astype(dtype)
    seen = []
    for states in (rk45(lambda x, t: seen.append(x.dtype) or -x, (0.0, 1.0, 2.0), x), edm(lambda x, sigma: 0 * x, sigmas(3), x)):
        for _, y, extra in states:
            assert y.shape == x.shape and y.dtype == dtype and extra is None
    assert set(seen) == {np.dtype(dtype)}


@every_solver
def test_the_order_is_the_same_forward_in_time(name):
    solver, model = SOLVERS[name]
    counts = np.array([40, 80, 160])
    errors = [np.abs(final_sample(solver(model, grid_of(n)[::-1], quantiles(EARLY))) - quantiles(1.0)).max() for n in counts]
    assert_slope(counts, errors, ORDERS[name], 0.25)  # two halvings, from coarser steps than above


@pytest.mark.parametrize("span", [(0.25, 0.75), (0.75, 0.25)])
def test_rk45_evaluates_no_time_outside_its_interval(span, monkeypatch):
    from scipy import integrate

    solver, asked = integrate.solve_ivp, []

    def far_sighted(f, span, y, **options):  # like SciPy before 1.14 when it chooses its first step
        for t in (2 * span[1] - span[0], 2 * span[0] - span[1]):
            f(t, y)
        return solver(f, span, y, **options)

    monkeypatch.setattr(integrate, "solve_ivp", far_sighted)
    final_sample(rk45(lambda x, t: asked.append(t) or x, span, np.ones((1, 1))))
    assert len(asked) > 2 and (min(asked), max(asked)) == (0.25, 0.75)


def test_rk45_reports_when_it_fails():
    with pytest.raises(ValueError, match=r"rk45 failed on the way from t = 0.0 to 2.0: .*step size"):
        list(rk45(lambda x, t: x * x, (0.0, 2.0), np.ones((1, 1))))


@pytest.mark.parametrize("grid", [[], [1.0], [1.0, 1.0], [0.0, 1.0, 0.5], [1.0, 0.5, 0.6], [1.0, float("nan")]])
def test_a_grid_that_is_not_strictly_monotone_is_refused(grid):
    with pytest.raises(ValueError, match="grid must hold two or more times, rising or falling strictly, got"):
        check_grid(grid)
    for solver, model in SOLVERS.values():
        with pytest.raises(ValueError, match="grid must hold two or more times"):
            list(solver(model, grid, quantiles(1.0)))


def test_grid_times_are_passed_on_as_python_numbers():
    assert check_grid(np.array([3, 1, 0])) == [3.0, 1.0, 0.0] and all(type(t) is float for t in check_grid((1, 2)))


def test_the_denoising_step_appends_the_mean_at_the_last_time():
    steps = [(0.5, np.ones(1), None), (0.1, np.full(1, 3.0), None)]
    *before, (t, x, x0) = with_denoising_step(iter(steps), lambda x, t: x + t)
    assert before == steps and t == 0.0 and x == 3.1 and x0 is None


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: runge_kutta(flow, (1.0, 0.5), quantiles(1.0), "rk5"), "method must be one of euler, midpoint, heun, rk4, got 'rk5'"),
        (lambda: dpm_solver(SDE, noise, (1.0, 0.5), quantiles(1.0), 4), "order must be 1, 2 or 3, got 4"),
        (lambda: edm(noise, (1.0, 1.0), quantiles(1.0)), "grid must hold two or more times"),
        (lambda: iter([sigmas(1)]), "n must be at least 2 and 0 < sigma_min < sigma_max, got 1, 0.002 and 80.0"),
        (lambda: iter([sigmas(5, 3.0, 2.0)]), "n must be at least 2 and 0 < sigma_min < sigma_max, got 5, 3.0 and 2.0"),
        (lambda: iter([sigmas(5, 0.0)]), "n must be at least 2 and 0 < sigma_min < sigma_max, got 5, 0.0 and 80.0"),
    ],
)
def test_invalid_input_is_named_with_its_value(call, message):
    with pytest.raises(ValueError, match=message):
        list(call())


# Grids

MEASURES = {"t": lambda sde, t: t, "log-snr": lambda sde, t: sde.log_snr(t), "karras": lambda sde, t: np.exp(-sde.log_snr(t) / 14)}


@pytest.mark.parametrize("name", GRIDS)
@given(sde=sdes(), n=st.integers(1, 12), ends=st.none() | st.tuples(st.floats(0.01, 0.4), st.floats(0.5, 1.0)))
def test_grids_decrease_strictly_and_evenly_in_their_measure(name, sde, n, ends):
    low, high = (sde.t_min, sde.t_max) if ends is None else (part * sde.t_max for part in ends)
    grid = GRIDS[name](sde, n) if ends is None else GRIDS[name](sde, n, t_min=low, t_max=high)
    assert len(grid) == n + 1 and (grid[0], grid[-1]) == (high, low) and (np.diff(grid) < 0).all()
    measure = np.array([MEASURES[name](sde, t) for t in grid])
    even = np.linspace(measure[0], measure[-1], n + 1)
    assert_close(measure, even, SDE_FORMULA, 16 * (1 + np.abs(measure).max()))  # the time's rounding times the measure's slope


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("n, ends, message", [
    (0, {}, "steps must be at least 1, got 0"),
    (5, {"t_min": 0.0}, "times must satisfy 0 < t_min < t_max <= 1, the t_max of the SDE, got 0.0 and 1.0"),
    (5, {"t_min": 0.5, "t_max": 0.5}, "times must satisfy 0 < t_min < t_max <= 1, the t_max of the SDE, got 0.5 and 0.5"),
    (5, {"t_max": 1.01}, "times must satisfy 0 < t_min < t_max <= 1, the t_max of the SDE, got .* and 1.01"),
    (5, {"t_min": float("nan")}, "times must satisfy 0 < t_min < t_max <= 1, the t_max of the SDE, got nan and 1.0"),
])  # fmt: skip
def test_invalid_grid_ends_or_counts_are_refused(grid, n, ends, message):
    with pytest.raises(ValueError, match=message):
        grid(VE(), n, **ends)
