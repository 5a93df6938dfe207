"""The samplers, measures and the student of the experiment ``few_steps``."""

import json

import numpy as np
import pytest

from reference import ops
from reference.diffusion.mixtures import example_2_1
from reference.distillation import exact
from reference.ops.random import Purpose
from reference.samplers import final_sample
from reference.tutorial.experiments import Outcome, few_steps, few_steps_exact, few_steps_frontier, few_steps_samplers, few_steps_student
from reference.tutorial.experiments.few_steps_exact import HIGH, LOW, NUMBERS, karras
from reference.tutorial.experiments.few_steps_frontier import FLOW_ERROR, MEDIAN, SLICED, fast_score, last_order, measure, problem, reached
from reference.tutorial.experiments.few_steps_samplers import LANGEVIN_STEPS, METHODS, PROCESS, SEED
from tests.command_runs import run
from tests.mixture_examples import LEVELS, every_mixture, points
from tests.oracle_tolerances import EXACT, MIXTURE, assert_close, z_score

METHODS_BUT_LANGEVIN = [name for name in METHODS if name != "annealed Langevin"]


@pytest.fixture(scope="module")
def plane():
    return problem(2, 50)


@pytest.fixture(scope="module")
def on_line():
    return problem(1, 50)


# Samplers


def test_the_process_ends_at_the_largest_level_of_the_grid():
    assert_close(PROCESS.noise_scale(PROCESS.t_max) / PROCESS.signal(PROCESS.t_max), HIGH, 1e-9)
    assert_close(PROCESS.noise_scale(PROCESS.t_min) / PROCESS.signal(PROCESS.t_min), LOW, 1e-9)
    levels = karras(12)
    assert len(levels) == 13 and (np.diff(levels) > 0).all()
    assert_close(levels[[0, -1]], np.array([LOW, HIGH]), EXACT)
    assert_close(np.diff(levels ** (1 / 7), 2), np.zeros(11), EXACT, 2.0)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("steps", [3, 8])
def test_a_sampler_costs_its_stages_a_step_and_one_evaluation(name, steps, plane):
    evaluations, errors = measure(plane, METHODS[name], steps)
    assert evaluations == METHODS[name].stages * steps + 1
    assert {*errors} == ({SLICED} if METHODS[name].noisy else {FLOW_ERROR, MEDIAN, SLICED})


@pytest.mark.parametrize("name", METHODS_BUT_LANGEVIN)
def test_a_sampler_ends_near_the_data_after_many_steps(name, plane):
    """At the deviation of the error of 50 exact draws, 1 / sqrt(50), and far below the start of 80 deviations."""
    _, errors = measure(plane, METHODS[name], 96 // METHODS[name].stages)
    assert errors.get(FLOW_ERROR, 0.0) < 0.05 and errors[SLICED] < 4 / 50**0.5


def test_annealed_langevin_needs_many_evaluations(plane):
    errors = [measure(plane, METHODS["annealed Langevin"], steps)[1][SLICED] for steps in (24, 192)]
    assert errors[0] > 1 > errors[1] and LANGEVIN_STEPS == METHODS["annealed Langevin"].stages


@pytest.mark.parametrize("name, method", [("DDIM", "euler"), ("EDM", "heun"), ("DPM-Solver-1", "euler")])
def test_samplers_take_the_steps_of_distillation_and_denoise(name, method, on_line):
    """On the same levels: what the exact part computes for students, and then E[x_0 | x]."""
    data, N = example_2_1(), 10
    chosen = METHODS[name] if name in METHODS else few_steps_samplers.Method(few_steps_samplers._solver("dpm-solver-1"))
    states = chosen.states(on_line.score, N, on_line.flowing, np.arange(len(on_line.flowing)), ops)
    start = exact.mesh(data, HIGH, on_line.grid)
    end = exact.distilled(data, karras(N), start, method)
    denoised = data.posterior_mean(end[:, None], 1.0, LOW)
    # the times of the process have relative errors of 1e-9
    assert_close(final_sample(states), denoised, 1e-7, 1 + np.abs(denoised))


# Measures


@every_mixture
def test_the_fast_score_is_the_score(mixture):
    x = points(mixture)
    for alpha, sigma in LEVELS:
        expected = mixture.noised(alpha, sigma).score(alpha * x)
        scale = (np.abs(x) + np.abs(mixture.means).max()) / sigma**2
        assert_close(fast_score(mixture)(alpha * x, alpha, sigma), expected, MIXTURE, scale)


def test_the_flow_leads_starts_on_the_line_to_the_points_of_data(on_line):
    """The last evaluation moves x by LOW^2 / 2 times the score of the data, at most 8 deviations of 1 / 0.2; the flow's error is less."""
    assert_close(on_line.exact[:, 0], on_line.grid, LOW**2 * 8 / 0.2, 1.0)
    assert_close(on_line.flow_error(on_line.exact), 0.0, EXACT, 1.0)
    assert_close(on_line.flow_error(on_line.exact + 0.1), 0.1 / example_2_1().covariance[0, 0] ** 0.5, EXACT)


def test_the_flow_in_the_plane_is_that_of_an_adaptive_solver(plane):
    at = lambda x, t: plane.score(x, *PROCESS.marginal(t))
    states = few_steps_frontier.integrate(PROCESS, at, plane.x, np.arange(50), "ode-rk45", SEED, tolerance=1e-9)
    assert_close(plane.exact, final_sample(states), 1e-5, 1.0)  # of the fixed 200 steps: fourth order, 3e-5 with 48 in all


def test_the_coupled_error_is_a_mean_length_and_its_median_forgets_a_few(plane):
    """A sampler that errs by (0.3, 0.4), and for ten of fifty particles by (30, 40)."""
    error = np.array([0.3, 0.4]) * np.where(np.arange(50) < 10, 100.0, 1.0)[:, None]
    wrong = few_steps_samplers.Method(lambda score, steps, x, sample, ops: iter([(0.0, plane.exact + error, None)]))
    _, errors = measure(plane, wrong, 1)
    deviation = np.trace(plane.mixture.covariance) ** 0.5
    assert_close([errors[FLOW_ERROR], errors[MEDIAN]], np.array([0.2 * 50.0 + 0.8 * 0.5, 0.5]) / deviation, MIXTURE)


def test_starts_have_the_law_of_the_process():
    data, n = problem(2, 3000), 3000
    alpha, sigma = PROCESS.marginal(PROCESS.t_max)
    noised = data.mixture.noised(alpha, sigma)
    error = data.x.mean(axis=0) - noised.mean
    assert (np.abs(error) < z_score(2) * np.sqrt(np.diag(noised.covariance) / n)).all()
    spread = np.cov(data.x.T) - noised.covariance
    assert (np.abs(spread) < z_score(4) * (2 / n) ** 0.5 * noised.covariance.max()).all()


def test_the_sliced_distance_of_a_shift_is_its_mean_length_along_the_axes(plane):
    """Samples that are the quantiles on the line have distance 0."""
    n = len(plane.x)
    draws, _ = plane.mixture.sample(5, np.arange(n))
    moved = plane.sliced(draws + np.array([1000.0, 0.0]))
    assert_close(moved, 1000 * np.abs(plane.axes[:, 0]).mean(), 0.01)
    line = problem(1, n)
    x = line.mixture.quantile((np.arange(n) + 0.5) / n)
    assert_close([line.sliced(x[:, None]), line.sliced(x[::-1, None])], np.zeros(2), EXACT, 1.0)


def test_axes_measure_in_deviations(plane):
    variances = np.einsum("ji,ik,jk->j", plane.axes, plane.mixture.covariance, plane.axes)
    assert_close(variances, np.ones(len(variances)), EXACT, 10.0)
    # quantiles at (i + 1/2) / n have the moments of the law up to the tails beyond, of mass 1 / n
    fine = problem(2, 1000)
    assert_close(fine.quantiles.mean(axis=1), fine.axes @ fine.mixture.mean, 5e-3, 1.0)
    assert_close(fine.quantiles.var(axis=1), np.ones(len(fine.axes)), 1e-2)


def test_the_floor_falls_with_the_root_of_the_particles():
    few, many = (few_steps_frontier.floor(problem(2, n), n, draws=16) for n in (50, 800))
    assert 2.5 < few / many < 6.0  # 4, from 16 means each


def test_orders_and_targets_of_power_laws():
    points = [(n, 40.0 * n**-2.0) for n in (6, 12, 24, 48)]
    assert_close(last_order([(n + 1, error) for n, error in points]), 2.0, EXACT, 10.0)
    assert_close(reached(points, 0.1), 20.0, EXACT, 100.0)
    assert reached(points, 0.01) == "" and reached(points, 0.1, floor=0.06) == "" and reached(points, 2.0) == 6
    assert last_order([*points, (96, 0.017)], 0.006) == last_order(points[:3]) and last_order(points[-2:], 0.02) == ""
    # an error that rises again counts from its last fall
    assert 8 < reached([(2, 0.2), (4, 0.05), (8, 0.2), (16, 0.05)], 0.1) < 16


def power_laws(changed=None):
    """Errors of all samplers at their theoretical orders but one."""
    found = {}
    for d in (1, 2):
        for name, method in METHODS.items():
            order = (method.order or 1) + (changed == name)
            kind = SLICED if method.noisy else FLOW_ERROR if d == 1 else MEDIAN
            found[d, name, kind] = [(n + 1, (10 / n) ** order) for n in (6, 12, 24)]
    return found


@pytest.mark.parametrize("changed", [None, *METHODS])
def test_a_wrong_order_fails_its_check_and_no_other(changed):
    outcome = Outcome()
    few_steps_frontier.check(outcome, power_laws(changed), {1: 1e-3, 2: 1e-3})
    failed = [claim for claim, _, holds in outcome.checks if not holds]
    orders_checked = [name for name, method in METHODS.items() if method.order == 1 or (method.order and not method.noisy)]
    checked = changed in orders_checked
    assert len(outcome.checks) == len(orders_checked) == 13 and [claim.partition(":")[0] for claim in failed] == [changed] * checked


# The student


class KnownStudent:
    """Stands for a trained model whose functions are the exact ones times ``factor``; its target uses the exact ones."""

    def __init__(self, model, known, factor=1.0):
        self.model, self.known, self.factor = model, known, factor
        self.levels, self.schedule, self.data_variance = model.levels, model.schedule, model.data_variance

    def sample_training_noise(self, seed, sample, step, shape, dtype, ops):
        t, r = self.model.sample_levels(seed, sample, step, ops)
        return t, r, t, r, ops.normal(seed, sample, step, Purpose.TRAINING_NOISE, shape, dtype)

    def at(self, x, t):
        values, grid = np.empty(x.shape), few_steps_student.noise_levels(self.model)
        for n, level in enumerate(grid):
            values[t == level] = self.known.function(n)(x[t == level])
        return values

    def evaluate(self, params, x, t, ops, keep):
        return self.factor * self.at(x, t), None, None

    def target_of(self, params, x, y, t, r, at_t, at_r, noise, ops):
        return self.at(y + r[:, None] * noise, r)


@pytest.mark.parametrize("factor", [1.0, 1.1])
def test_the_exact_student_has_the_floor_as_its_loss(factor):
    """And a student that is 1.1 times the exact one has a distance of 0.01 times its weighted mean square."""
    model, n = few_steps_student.consistency_model(6), 40_000
    levels = few_steps_student.noise_levels(model)
    assert levels[0] == 0 and len(levels) == 7
    known = exact.consistency_training(example_2_1(), levels)
    y = exact.data_mesh(example_2_1())
    density = np.exp(example_2_1().log_density(y[:, None]))
    weights = 1 / np.diff(levels)
    floor = (known.floors * weights).mean()
    squares = [np.trapezoid(density * values**2, y) for values in known.values[1:]]
    loss, error, distance = few_steps_student.held_out(KnownStudent(model, known, factor), None, known, n)
    far = (factor - 1) ** 2 * np.mean(squares * weights)
    assert abs(loss - floor - far) < z_score(2) * error
    # n draws of the level, and of x^2: relative deviations of some per cent
    assert_close(distance, far, 0.1, max(far, 1e-9))


def test_a_student_far_from_the_optimum_fails_its_checks():
    """Ten training steps: the function is still c_skip x."""
    outcome = Outcome()
    few_steps_student.compare(outcome, (6,), 10, 20_000, 0.02)
    assert [holds for claim, _, holds in outcome.checks if claim.endswith("too")] == [False]
    ((header, (row,)),) = outcome.tables.values()
    assert len(header) == len(row)


# The experiment


def test_the_command_takes_hyphens_and_writes_every_number_of_levels(tmp_path, monkeypatch):
    """A small problem: orders and the student may fail their checks, the exact part may not."""
    monkeypatch.setattr(few_steps, "QUICK", ({1: 200, 64: 20}, (6, 12)))
    monkeypatch.setattr(few_steps, "QUICK_STUDENTS", ((4,), 5, 500, 0.1))
    monkeypatch.setattr(few_steps_frontier, "LINE_BUDGETS", (6, 12, 24))
    monkeypatch.setattr(few_steps.few_steps_images, "images", lambda outcome, quick, ops, given: None)
    assert run("experiment", "few-steps", "--quick", "--out", tmp_path) in (0, 1)
    (report,) = json.loads((tmp_path / "results.json").read_text()).values()
    exact_checks = [holds for claim, _, holds in report["checks"] if claim.startswith(("Gaussian", "Ex 2.1"))]
    assert all(exact_checks) and len(exact_checks) == 10
    for title in ("One-step samples of N(0, 0.25): deviation / exact", "One-step samples of Ex 2.1: W1 to the data"):
        header, rows = report["tables"][title]
        assert header[1:-1] == [f"N = {N}" for N in NUMBERS] and [row[0] for row in rows] == [*few_steps_exact.STUDENTS]
        assert all(isinstance(value, float) for row in rows for value in row[1:])
    assert report["settings"]["N"] == list(NUMBERS) and (tmp_path / "few_steps.png").exists()


def test_findings_name_the_samplers_with_fewest_evaluations():
    found = {(1, name, FLOW_ERROR): [(6, 1.0), (60, 10.0 ** -(3 + k))] for k, name in enumerate(("DDIM", "EDM", "RK4", "Heun"))}
    first, last = few_steps.findings(found, {name: [0.3, 0.1 / k] for k, name in enumerate(few_steps_exact.STUDENTS, 1)})
    assert "Heun 13, RK4 15, EDM 19" in first.replace(".", "") and "W1 0.1000" in last
