"""Exact answers for students of a sampler, against samplers, SciPy's solver, direct quadrature and the published numbers."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import norm

from reference.data.metrics import wasserstein_1d
from reference.diffusion.mixtures import example_2_1
from reference.diffusion.schedules import of_sigmas, vp
from reference.distillation import exact
from reference.samplers import final_sample
from reference.samplers.ddim import ddim
from reference.samplers.edm import edm
from reference.tutorial.experiments import Outcome, few_steps_exact
from reference.tutorial.experiments.few_steps_exact import EULER, HEUN, NUMBERS, TRAINING, karras
from tests.mixture_examples import in_1d, nodes, points
from tests.oracle_tolerances import (
    DETERMINISTIC_ORDER,
    EXACT,
    LINEAR_SAMPLER,
    MIXTURE,
    PRECISE,
    QUADRATURE,
    assert_close,
    assert_printed,
    integrated,
)
from tests.oracles import SDE_EXAMPLES, exact_noise, normal_data

LEVELS = np.array([0.0, 0.05, 0.3, 1.1, 4.0])  # few and far apart
# Newton's steps end below 1e-12 of the range of x, at most 40 here
SOLVED = 40 * exact.NEWTON_CONVERGED
# Splines of fifth degree with 0.02 between points, 0.1 of the narrowest deviation: (0.1)^6 / 100 of the size of f a level, and few levels.
SPLINED = 1e-7
MANY_NODES = 100  # for functions that change fast within the deviation of a long step, where 24 nodes err by 1e-4
# The mean error of 24 nodes, which enters the W1: a requirement, a tenth of the published digits.
NODES = 1e-5


# The flow


def solved_flow(mixture, x, b, a):
    """dx/dsigma = -sigma score from b to a by SciPy's solver."""
    slope = lambda sigma, x: -sigma * mixture.noised(1.0, sigma).score(x[:, None])[:, 0]
    return solve_ivp(slope, (b, a), x, method="DOP853", **PRECISE).y[:, -1]


@in_1d
def test_the_flow_on_the_line_is_the_map_of_quantiles(mixture):
    """Beside the solver's error a step, neighbouring paths diverge by the ratio of the densities at both ends, at most 1e4 here."""
    x = points(mixture, 15)[:, 0]
    end = solved_flow(mixture, x, 0.02, 3.0)
    assert_close(
        exact.quantile_map(mixture.noised(1.0, 0.02), mixture.noised(1.0, 3.0), x), end, integrated(1000, **PRECISE), 1 + np.abs(end)
    )
    back = exact.quantile_map(mixture.noised(1.0, 3.0), mixture.noised(1.0, 0.02), end)
    assert_close(back, x, 1e4 * integrated(1000, **PRECISE), 1.0)


@pytest.mark.parametrize("name", SDE_EXAMPLES)
def test_the_flow_of_a_gaussian_is_its_map_of_quantiles_and_solves_the_ode(name):
    sde, mean, variance = SDE_EXAMPLES[name], 0.7, 0.3
    data, x = normal_data(mean, variance), np.linspace(-6, 5, 12)
    start, end = sde.marginal(0.9 * sde.t_max), sde.marginal(0.1 * sde.t_max)
    found = exact.gaussian_flow(x, mean, variance, start, end)
    assert_close(exact.quantile_map(data.noised(*start), data.noised(*end), x), found, SOLVED, 1.0)
    drift, _ = sde.reverse(lambda x, t: data.noised(*sde.marginal(t)).score(x[:, None])[:, 0], 0.0)
    solved = solve_ivp(lambda t, x: drift(x, t), (0.9 * sde.t_max, 0.1 * sde.t_max), x, method="DOP853", **PRECISE).y[:, -1]
    assert_close(found, solved, integrated(1000, **PRECISE), 1 + np.abs(solved))


def test_tails_keep_their_digits():
    """Far to the right Ex 2.1 is N(2, 1) alone, for which the flow is linear; at 30 the mass beyond is 1e-88, 1e-173 of data."""
    data, x = example_2_1(), np.array([12.0, 20.0, 30.0])
    found = exact.quantile_map(data.noised(1.0, 1.0), data, x)
    assert_close(found, 2 + (x - 2) / 2**0.5, 1e-10)
    assert_close(exact.quantile_map(data, data.noised(1.0, 1.0), found), x, 1e-10)


@in_1d
def test_the_map_there_and_back_is_the_identity(mixture):
    y = exact.data_mesh(mixture, 0.1)
    for level in (0.002, 0.3, 3.0, 80.0):
        assert_close(exact.quantile_map(mixture.noised(1.0, level), mixture, exact.mesh(mixture, level, y)), y, 1e-10, 1.0)


def test_the_mesh_holds_all_mass():
    data = example_2_1()
    y = exact.data_mesh(data)
    assert_close(np.trapezoid(np.exp(data.log_density(y[:, None])), y), 1.0, QUADRATURE)


# Gaussians


def test_the_gain_of_ddim_is_that_of_the_sampler():
    """For any schedule, from N(m, c): a step of the sampler moves x by the gain times its deviation from alpha m."""
    schedule, mean, variance = vp(12), 0.7, 0.3
    data, level = normal_data(mean, variance), lambda t: (schedule.signal(t), schedule.noise_scale(t))
    x = np.linspace(-3, 3, 5)[:, None]
    for grid in ((9, 4), (12, 6, 0), (5, 1)):
        end = final_sample(ddim(exact_noise(data, schedule), schedule, grid, x, 0, np.arange(5)))
        gain = exact.ddim_gain if len(grid) == 2 else exact.progressive_gain
        moved = gain(variance, *map(level, grid)) * (x - schedule.signal(grid[0]) * mean)
        assert_close(end, schedule.signal(grid[-1]) * mean + moved, LINEAR_SAMPLER, 1.0)


def test_the_gain_of_ddim_is_the_regression_of_the_next_level_on_this():
    """Cov[x_s, x_t] / Var[x_t] for x = alpha x_0 + sigma eps with the same x_0 and eps."""
    rows, covariance = np.array([[0.9, 0.4], [0.5, 0.8]]), np.diag([0.3, 1.0])
    joint = rows @ covariance @ rows.T
    assert_close(exact.ddim_gain(0.3, rows[1], rows[0]), joint[0, 1] / joint[1, 1], EXACT)
    assert_close(exact.power(0.3, rows[1]), joint[1, 1], EXACT)


@pytest.mark.parametrize("N", NUMBERS)
def test_gains_of_students_are_those_of_the_samplers(N):
    """N-step DDIM and Heun's method on the exact denoiser."""
    variance, levels, x = 0.25, karras(N), np.array([[-1.0], [2.0]])
    data, schedule = normal_data(0.0, variance), of_sigmas(levels)
    grid = range(N + 1, 0, -1)
    end = final_sample(ddim(exact_noise(data, schedule), schedule, grid, x, 0, np.arange(2)))
    assert_close(exact.consistency_gains(variance, levels)[-1] * x, end, LINEAR_SAMPLER)
    denoise = lambda x, sigma: variance / (variance + sigma**2) * x
    assert_close(exact.heun_gain(variance, levels) * x, final_sample(edm(denoise, levels[::-1], x)), LINEAR_SAMPLER)


@pytest.mark.parametrize("N", NUMBERS)
def test_floors_sum_to_the_variance_that_samples_lack(N):
    variance, levels = 0.25, karras(N)
    gain = exact.consistency_gains(variance, levels)[-1]
    lacking = exact.power(variance, (1.0, levels[0])) - gain**2 * exact.power(variance, (1.0, levels[-1]))
    assert_close(exact.consistency_floors(variance, levels).sum(), lacking, LINEAR_SAMPLER, 1.0)


def test_floors_are_the_mean_squares_of_a_regression():
    """E[(f_n(x_n) - f_{n+1}(x_{n+1}))^2] for the linear optimum, from the covariance of x_n and x_{n+1}."""
    variance, gains = 0.3, exact.consistency_gains(0.3, LEVELS)
    for n, floor in enumerate(exact.consistency_floors(variance, LEVELS)):
        rows = np.array([[1, LEVELS[n]], [1, LEVELS[n + 1]]])
        joint = rows @ np.diag([variance, 1.0]) @ rows.T
        difference = np.array([gains[n], -gains[n + 1]])
        assert_close(floor, difference @ joint @ difference, EXACT, gains[n] ** 2 * joint[0, 0])


# Mixtures by quadrature


def conditional_mean(mixture, f, x, a, b):
    """E[f(x_0 + a eps) | x_0 + b eps = x] by an integral over x_0, where eps = (x - x_0) / b."""
    x0, _ = nodes(mixture)
    eps = (x - x0) / b
    joint = np.exp(mixture.log_density(x0))[:, None] * norm.pdf(eps)
    return (joint * f(x0 + a * eps)).sum(axis=0) / joint.sum(axis=0)


@in_1d
@pytest.mark.parametrize("a, b", [(0.5, 0.8), (0.1, 1.0), (3.0, 4.0)])
def test_conditional_moments_are_integrals_over_the_data(mixture, a, b):
    """f is a polynomial of third degree, for which the nodes are exact."""
    x = points(mixture, 20)[:, 0]
    f = lambda x: 1 + x - x**3 / 10
    first, second = exact.conditional_moments(mixture, f, x, a, b)
    size = (1 + np.abs(x) + b * 8) ** 3
    assert_close(first, conditional_mean(mixture, f, x, a, b), QUADRATURE, size)
    assert_close(second, conditional_mean(mixture, lambda x: f(x) ** 2, x, a, b), QUADRATURE, size**2)


@in_1d
def test_the_optimum_of_training_is_a_chain_of_conditional_means(mixture):
    """f_1 is the posterior mean, and f_2 its conditional mean, both without splines."""
    levels = np.array([0.0, 0.5, 1.5])
    trained = exact.consistency_training(mixture, levels, nodes=MANY_NODES)
    first = lambda x: mixture.posterior_mean(x.reshape(-1, 1), 1.0, 0.5).reshape(x.shape)
    x = points(mixture, 20)[:, 0]
    assert_close(trained.function(1)(x), first(x), SPLINED, 1 + np.abs(x))
    assert_close(trained.function(2)(x), conditional_mean(mixture, first, x, 0.5, 1.5), SPLINED, 1 + np.abs(x))


def test_training_on_one_gaussian_has_the_closed_form():
    variance = 0.3
    trained = exact.consistency_training(normal_data(0.7, variance), LEVELS)
    gains = exact.consistency_gains(variance, LEVELS)
    for x, values, gain in zip(trained.points, trained.values, gains):
        assert_close(values, 0.7 + gain * (x - 0.7), SPLINED, 1.0)
    assert_close(trained.floors, exact.consistency_floors(variance, LEVELS), SPLINED, 1.0)


def test_more_nodes_and_points_change_nothing():
    data, levels = example_2_1(), karras(10)
    coarse = exact.consistency_training(data, levels)
    y, many = exact.data_mesh(data), exact.consistency_training(data, levels, nodes=MANY_NODES)
    assert np.trapezoid(np.exp(data.log_density(y[:, None])) * np.abs(coarse.values - many.values), y).max() < NODES
    assert_close(coarse.floors, exact.consistency_training(data, levels, spacing=0.01).floors, SPLINED, 1.0)


def test_an_interpolant_continues_by_tangents():
    x = np.linspace(-1.0, 3.0, 50)
    f = exact.Consistency(x[None], x[None] ** 2, np.zeros(0)).function(0)
    assert_close(f(np.array([-2.0, 0.7, 5.0])), np.array([1.0 + 2.0, 0.7**2, 9.0 + 2.0 * 6.0]), MIXTURE)


@pytest.mark.parametrize("method, gain", [("euler", lambda c, levels: exact.consistency_gains(c, levels)[-1]), ("heun", exact.heun_gain)])
def test_distillation_composes_the_steps_of_the_teacher(method, gain):
    """On a Gaussian these are the closed forms; a Heun step to 0 is Euler's."""
    x = np.linspace(-3, 3, 7)
    levels = karras(10)
    found = exact.distilled(normal_data(0.7, 0.25), levels, x, method)
    assert_close(found, 0.7 + gain(0.25, levels) * (x - 0.7), LINEAR_SAMPLER, 1.0)
    last = exact.distilled(normal_data(0.7, 0.25), np.array([0.0, 0.4]), x, method)
    assert_close(last, 0.7 + 0.25 / (0.25 + 0.16) * (x - 0.7), LINEAR_SAMPLER, 1.0)


# Distances


@in_1d
def test_distances_of_known_maps(mixture):
    """A shift, a change of scale about a point beyond all mass, and two maps of one law."""
    y = exact.data_mesh(mixture)
    assert_close(exact.wasserstein(mixture, y, y + 0.3), 0.3, EXACT, 1.0)
    low = y[0]
    # the sum over the mesh is the mean to rounding, since nothing changes sign
    mean = float(mixture.mean[0])
    assert_close(exact.wasserstein(mixture, y, low + 1.5 * (y - low)), 0.5 * (mean - low), MIXTURE, np.abs(y).max())
    assert_close(exact.wasserstein(mixture, y, y + 0.3, y - 1.0), 1.3, EXACT, 1.0)


def test_a_map_that_falls_has_the_law_of_its_mirror_image():
    """-x has the law of x, for N(0, 1)."""
    data = normal_data(0.0, 1.0)
    y = exact.data_mesh(data)
    assert exact.wasserstein(data, y, -y) < (y[1] - y[0]) ** 2
    assert_close(exact.wasserstein(data, y, 2 - y), 2.0, EXACT, 1.0)


def test_distances_equal_those_of_many_samples():
    """A map that does not preserve order, x -> |x|, on quantiles of the data: 20,000 differ from the law by their spacing."""
    data, n = example_2_1(), 20_000
    y = exact.data_mesh(data, 0.002)
    x = data.quantile((np.arange(n) + 0.5) / n)
    assert_close(exact.wasserstein(data, y, np.abs(y)), wasserstein_1d(np.abs(x), x), 1e-3, 1.0)


# The published numbers, and the experiment


@pytest.fixture(scope="module")
def on_line():
    return few_steps_exact.gaussian()


@pytest.fixture(scope="module")
def on_mixture():
    return few_steps_exact.mixture()


@pytest.mark.parametrize(
    "student, printed",
    [
        (TRAINING, (".7528", ".8676", ".9651", ".9912")),
        (EULER, (".7528", ".8676", ".9651", ".9912")),
        (HEUN, ("1.1746", "1.0392", "1.0023", "1.0001")),
    ],
)
def test_deviations_on_a_gaussian_are_those_published(on_line, student, printed):
    found = dict(zip(NUMBERS, on_line.values[student]))
    for N, number in zip((10, 20, 80, 320), printed):
        assert_printed(found[N], number)


@pytest.mark.parametrize(
    "student, printed, order",
    [(TRAINING, (".558", ".227", ".092"), 0.65), (EULER, (".301", ".076", ".019"), 1.0), (HEUN, (".131", ".0069", ".0004"), 2.0)],
)
def test_distances_to_example_2_1_are_those_published(on_mixture, student, printed, order):
    answers, _ = on_mixture
    found = dict(zip(NUMBERS, answers.values[student]))
    for N, number in zip((10, 40, 160), printed):
        assert_printed(found[N], number)
    slack = 0.01 if student == TRAINING else DETERMINISTIC_ORDER  # "about .65"
    assert abs(few_steps_exact.fitted_order(answers.values[student]) - order) < slack


def test_every_check_of_the_exact_part_holds_and_can_fail(on_line, on_mixture):
    answers, lacking = on_mixture
    outcome = Outcome()
    few_steps_exact.report(outcome, on_line, answers)
    few_steps_exact.check_gaussian(outcome, on_line)
    few_steps_exact.check_mixture(outcome, answers, lacking)
    assert outcome.passed and len(outcome.checks) == 10
    for header, rows in outcome.tables.values():
        assert {f"N = {N}" for N in NUMBERS} < {*header} and all(len(row) == len(header) for row in rows)
    # exchanged students, lost variance
    training, euler, heun = answers.values.values()
    exchanged = few_steps_exact.Answers({TRAINING: heun, EULER: training, HEUN: euler}, answers.floors)
    wrong = Outcome()
    few_steps_exact.check_mixture(wrong, exchanged, np.array(lacking) * 1.001)
    assert not any(holds for _, _, holds in wrong.checks)
    swapped = few_steps_exact.Answers(
        {TRAINING: on_line.values[HEUN], EULER: on_line.values[HEUN], HEUN: on_line.values[EULER]}, on_line.floors
    )
    wrong = Outcome()
    few_steps_exact.check_gaussian(wrong, swapped)
    assert not any(holds for _, _, holds in wrong.checks)


def test_an_order_is_the_slope_of_a_power_law():
    assert_close(few_steps_exact.fitted_order([3.0 * N**-1.7 for N in NUMBERS]), 1.7, EXACT)


def test_the_first_order_constant_is_an_integral_over_the_levels():
    """In the variable t, where t'(u) = 7 t^{6/7} (80^{1/7} - .002^{1/7}), by SciPy."""
    from scipy.integrate import quad

    span = 80 ** (1 / 7) - 0.002 ** (1 / 7)
    A, _ = quad(lambda t: 0.25 * 7 * t ** (6 / 7) * span / (0.25 + t**2) ** 2 / 2, 0.002, 80, points=[0.1, 1, 5], epsabs=1e-12)
    # midpoints with 20,000 nodes: relative error below (some tens of widths / 20,000)^2
    assert_close(few_steps_exact.first_order_constant(0.25), A, 1e-6)
