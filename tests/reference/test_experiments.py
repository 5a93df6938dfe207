"""The arithmetic of the experiments against closed forms, and the command ``experiment``."""

import importlib
import json

import numpy as np
import pytest

import reference.ops
from reference.diffusion.mixtures import Mixture
from reference.diffusion.schedules import vp
from reference.networks import MLP
from reference.ops.random import Key
from reference.plotting import new_figure
from reference.samplers import final_sample
from reference.samplers.langevin import langevin
from reference.samplers.sde import corrector
from reference.tutorial.experiments import (
    NAMES,
    Outcome,
    corrector_bias,
    discrete_and_continuous,
    mixture_steps,
    table,
    three_models,
    what_matters,
)
from reference.tutorial.experiments.chains import DISTRIBUTION, X_GRID, cdf, density, distance_to_data, fixed_noise_port, propagate
from tests.command_runs import files, run
from tests.oracle_tolerances import EXACT, LINEAR_ALGEBRA, QUADRATURE, assert_close, assert_printed
from tests.ports import recording_port

# Chains

# Three times the second moment beyond 7 of a Gaussian of deviation 1 about 1.22: z phi(z) + Q(z) at z = 5.78.
BEYOND_7 = 3 * 1.4e-7


def test_a_gaussian_chain_has_the_moments_of_its_recursion():
    """x <- 0.8 x + 0.5 + 0.6 z from N(0, 1): variance stays 1, the mean follows m <- 0.8 m + 0.5."""
    walk = lambda pair, x, seed, sample, ops: ops.reverse_step(x, np.ones_like(x), 0.8, 0.5, 0.6, Key(0, sample, 0, 0))
    mean = 0.0
    for points, mass in propagate(walk, range(4)):
        mean = 0.8 * mean + 0.5
        assert_close(mass @ points, mean, BEYOND_7, 1.0)
        assert_close(mass @ (points - mean) ** 2, 1.0, BEYOND_7)


def test_a_step_without_noise_moves_the_atoms():
    walk = lambda pair, x, seed, sample, ops: -2 * x + 1
    ((points, mass),) = propagate(walk, range(2))
    assert_close(points, np.sort(-2 * X_GRID + 1), EXACT, 8.0)
    assert_close(mass.sum(), 1.0, EXACT)
    assert (np.diff(points) > 0).all()


def test_cdf_wasserstein_distance_and_density_of_exact_data():
    """On 1,001 points the mixture's narrow mode, of deviation 0.2, has fourteen: differences of the functions are O(h^2)."""
    mass = np.exp(DISTRIBUTION.log_density(X_GRID[:, None]))
    chain = X_GRID, mass / mass.sum()
    h = X_GRID[1] - X_GRID[0]
    assert_close(cdf(chain, X_GRID), DISTRIBUTION.cdf(X_GRID), h**2, 4.0)
    assert distance_to_data(chain) < h**2 * 10
    assert_close(density(chain), mass, h**2 / 0.2**2, 2.0)
    shifted = X_GRID + 0.25, chain[1]
    assert_close(distance_to_data(shifted), 0.25, h**2, 20.0)


def test_a_port_with_fixed_noise_gives_mean_and_deviation():
    x = np.full((3, 1), 2.0)
    for value in (0.0, 1.0):
        assert_close(corrector(x, -x, 0.1, Key(0, np.arange(3), 0, 0), fixed_noise_port(value)), 0.9 * x + value * 0.2**0.5, EXACT)


# Reference values of the experiments


def test_f2_recursion_has_the_exact_moments_of_one_step_of_each_predictor():
    """From N(m, v) with score -(x - alpha M)/v: mean and variance of c_x x + c_score score + deviation z by hand."""
    alpha, sigma = corrector_bias.SDE.marginal(0.5)
    v = alpha**2 * corrector_bias.VARIANCE + sigma**2
    mean, variance = corrector_bias.affine_moments((1.1, 0.3, 0.2), 0.5, 0.7, 0.6)
    assert_close(mean, 1.1 * 0.7 - 0.3 * (0.7 - alpha * corrector_bias.MEAN) / v, EXACT)
    assert_close(variance, (1.1 - 0.3 / v) ** 2 * 0.6 + 0.04, EXACT)


def test_f2_error_is_the_wasserstein_distance_of_gaussians():
    alpha, sigma = corrector_bias.SDE.marginal(corrector_bias.SDE.t_min)
    exact = (alpha**2 * corrector_bias.VARIANCE + sigma**2) ** 0.5
    assert corrector_bias.wasserstein_error(alpha * corrector_bias.MEAN, exact**2) < LINEAR_ALGEBRA
    assert_close(corrector_bias.wasserstein_error(alpha * corrector_bias.MEAN + 0.3, (exact + 0.4) ** 2), 0.5, LINEAR_ALGEBRA)


def test_n2_mismatch_of_a_gaussian_has_its_closed_form():
    """For the mixture with alpha_bar so small that x_T is Gaussian to six digits; in general it is at least the Gaussian's."""
    schedule = vp(10)
    assert_close(what_matters.terminal_kl(schedule), what_matters.gaussian_terminal_kl(schedule.signal_power(10)), 1e-4)
    early = vp(10, 0.1, 1.0)
    assert what_matters.terminal_kl(early) > what_matters.gaussian_terminal_kl(early.signal_power(10))


def test_n2_stationary_distribution_of_langevin_on_a_gaussian_is_exact():
    """N(0, 1/(1 - tau/2)), exactly."""
    distribution = Mixture(np.ones(1), np.zeros((1, 1)), np.ones(1))
    mass = what_matters.stationary_masses(
        lambda grid, x, seed, sample, ops: final_sample(langevin(distribution.score, x, 0.2, 1, seed, sample, ops=ops))
    )
    expected = np.exp(-(X_GRID**2) * 0.9 / 2)
    assert_close(mass, expected / expected.sum(), QUADRATURE, 10.0)


def test_n2_finds_growth_only_above_the_stability_limit():
    assert what_matters.diverges(0.085) and not what_matters.diverges(0.075)


def test_n2_best_linear_loss_equals_least_squares():
    """Noise regressed on w h x and a constant for each time, on 20,000 draws of DISTRIBUTION."""
    schedule, rng = vp(20), np.random.default_rng(0)
    t, n = np.arange(1, 21), 20_000
    x0, noise = DISTRIBUTION.sample(1, np.arange(n))[0][:, 0], rng.standard_normal((20, n))
    power = DISTRIBUTION.mean[0] ** 2 + DISTRIBUTION.covariance[0, 0]
    x = schedule.signal(t)[:, None] * x0 + schedule.noise_scale(t)[:, None] * noise
    inputs = x / np.sqrt(schedule.signal_power(t) * power + schedule.noise_power(t))[:, None]
    centred, target = inputs - inputs.mean(axis=1, keepdims=True), noise - noise.mean(axis=1, keepdims=True)
    w = (centred * target).sum() / (centred**2).sum()
    assert_close(what_matters.best_linear_loss(schedule), ((target - w * centred) ** 2).mean(), 6 / (20 * n) ** 0.5)


def test_n2_elbo_gap_has_the_known_values():
    outcome = Outcome()
    what_matters.elbo_gap(outcome)
    (_, rows), *_ = outcome.tables.values()
    assert_printed(rows[3][1], ".2924338")
    assert_printed(rows[4][1], ".2891046")
    assert outcome.passed and all(
        abs(row[2]) < 1e-9 for row in rows
    )  # sum over a million neighbour differences with errors of 1e5 u each and either sign


def test_n3_equalities_hold():
    x = np.linspace(-3, 3, 13)[:, None]
    for value in (
        discrete_and_continuous.ddim_and_euler(x),
        discrete_and_continuous.smld_and_increments(),
        discrete_and_continuous.vp_and_ve(x),
        discrete_and_continuous.ddim_in_both_views(x),
        discrete_and_continuous.indi_and_flow(x),
    ):
        assert value < discrete_and_continuous.ROUNDING


def test_f1_last_step_adds_no_noise():
    for walk, grid in mixture_steps.vp_samplers(5).values():
        x = [walk(grid[-2:], np.linspace(-2, 2, 5)[:, None], 0, np.arange(5), fixed_noise_port(value)) for value in (0.0, 1.0)]
        np.testing.assert_array_equal(*x)


def test_n1_refuses_a_ring_without_modes_and_takes_exact_samples():
    n, rng = 4000, np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, n)
    modeless = np.stack((np.cos(angle), np.sin(angle)), axis=1) + 0.1 * rng.standard_normal((n, 2))
    for wider in (1.1, 1.25):
        for x, holds in ((three_models.DATA[:n], True), (modeless, False)):
            outcome = Outcome()
            three_models.mode_shares(outcome, {"DDPM": x}, n, wider)
            assert outcome.passed == holds


# Outcomes and the command


def test_a_table_is_as_wide_as_its_widest_cells():
    assert table(("a", "longer"), [("x", 0.123456), ("wide", 2)]) == "     a  longer\n     x  0.1235\n  wide       2"


def test_one_failed_check_fails_the_experiment():
    outcome = Outcome({"title": (("n",), [(1,)])}, findings=["found"])
    outcome.check("this holds", "1", True)
    assert outcome.passed
    outcome.check("this does not", "2", False)
    assert not outcome.passed
    assert outcome.text() == "title\n  n\n  1\n\npass  this holds: 1\nFAIL  this does not: 2\n\nfound"


@pytest.mark.parametrize("name", NAMES)
def test_every_listed_name_is_an_experiment(name):
    module = importlib.import_module(f"reference.tutorial.experiments.{name}")
    assert module.QUESTION.endswith("?") and callable(module.run)


def test_two_quick_experiments_write_a_figure_each_and_their_results(tmp_path, capsys):
    assert run("experiment", "corrector_bias", "discrete_and_continuous", "--quick", "--out", tmp_path / "out") == 0
    assert {path.name for path in files(tmp_path / "out")} == {
        "corrector_bias.png",
        "discrete_and_continuous.png",
        "results.json",
    }
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [*results] == ["corrector_bias", "discrete_and_continuous"]
    report = results["discrete_and_continuous"]
    assert {*report} == {"question", "quick", "settings", "tables", "checks", "findings"}
    assert report["settings"] == {"steps": list(discrete_and_continuous.STEPS), "draws": 4000}
    assert report["quick"] and len(report["checks"]) == 10 and all(holds for _, _, holds in report["checks"])
    out = capsys.readouterr().out
    assert "a corrector" in out and "FAIL" not in out


def test_an_experiment_computes_on_its_port():
    port = recording_port()
    assert discrete_and_continuous.run(True, port).passed
    assert port.called == {"mixture_log_density", "mixture_score", "normal", "reverse_step", "softmax", "uniform"}


def test_training_in_an_experiment_computes_on_its_port():
    port = recording_port()
    what_matters.trained_loss(vp(10), MLP((1,), 8), port, 2, 10)
    assert {"adam_step_", "ema_step_", "linear_backward", "mse", "normal"} <= port.called


def test_a_failed_criterion_exits_1_and_keeps_the_results(tmp_path, capsys, monkeypatch):
    given = []

    def fails(quick, ops=None):
        given.append(ops)
        outcome = Outcome(figure=new_figure(2, 2))
        outcome.check("one is two", "1", False)
        return outcome

    monkeypatch.setattr(corrector_bias, "run", fails)
    assert run("experiment", "corrector_bias", "--out", tmp_path) == 1 and given == [reference.ops]
    out = capsys.readouterr().out
    assert "FAIL  one is two: 1" in out and "criteria not met: corrector_bias" in out
    assert json.loads((tmp_path / "results.json").read_text())["corrector_bias"]["checks"] == [["one is two", "1", False]]


def test_results_in_a_folder_grow_with_all_digits(tmp_path, monkeypatch):
    """Numbers come back bit by bit."""
    for name, value in (("corrector_bias", 1 / 3), ("mixture_steps", 0.1 + 0.2)):
        made = lambda quick, ops, value=value: Outcome({"title": (("n",), [(value,)])}, figure=new_figure(2, 2))
        monkeypatch.setattr(importlib.import_module(f"reference.tutorial.experiments.{name}"), "run", made)
        assert run("experiment", name, "--out", tmp_path) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert {name: report["tables"]["title"] for name, report in results.items()} == {
        "corrector_bias": [["n"], [[1 / 3]]],
        "mixture_steps": [["n"], [[0.1 + 0.2]]],
    }


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"corrector_bias": {}}', "results.json holds corrector_bias already: name another --out"),
        ("[]", "results.json is not a file of results: name another --out"),
        ('{"mixture_steps": {', "results.json is not a file of results: name another --out"),
    ],
    ids=["held already", "a list", "broken"],
)
def test_results_are_not_overwritten(text, message, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(corrector_bias, "run", lambda quick, ops: Outcome(figure=new_figure(2, 2)))
    (tmp_path / "results.json").write_text(text)
    assert run("experiment", "corrector_bias", "--out", tmp_path) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"] and (tmp_path / "results.json").read_text() == text


@pytest.mark.parametrize(
    "words, message",
    [
        (
            ("f9",),
            "invalid choice: 'f9' (choose from 'all', 'mixture_steps', 'corrector_bias'",
        ),
        (("corrector_bias", "other"), "invalid choice: 'other'"),
        (("discrete_and_continuous",), "discrete_and_continuous.png exists already: name another --out"),
    ],
)
def test_bad_experiment_options_exit_2_before_anything_is_written(tmp_path, capsys, words, message):
    (tmp_path / "discrete_and_continuous.png").write_bytes(b"mine")
    assert run("experiment", *words, "--out", tmp_path) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["discrete_and_continuous.png"] and (
        tmp_path / "discrete_and_continuous.png"
    ).read_bytes() == b"mine"
