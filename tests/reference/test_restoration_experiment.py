"""The parts of the experiment ``restoration`` against published laws, recursions by hand and the exact posterior."""

import functools

import numpy as np
import pytest

from reference import ops
from reference.ops.random import Key, Purpose
from reference.restoration.operators import Matrix
from reference.samplers import final_sample
from reference.tutorial.experiments import Outcome, linear_samplers, restoration_gaussians, restoration_mixtures
from reference.tutorial.experiments.linear_samplers import law
from reference.tutorial.experiments.posterior_calibration import QUANTITIES, SAMPLES, bound, calibration, covariance_error, ratio
from reference.tutorial.experiments.restoration_gaussians import CASES, relative_law, sampler_law
from reference.tutorial.experiments.restoration_methods import (
    DDRM,
    DIFFPIR,
    DMPS,
    DPS,
    EXACT,
    EXACT_ODE,
    HIGH,
    LIKELIHOOD,
    METHODS,
    PIGDM,
    WIDE_DIFFPIR,
)
from reference.tutorial.experiments.restoration_mixtures import DIRECT, HEUN, SHAPES, measure, operators, samples
from tests.oracle_tolerances import EXACT as CLOSED_FORM
from tests.oracle_tolerances import MIXTURE, assert_close, assert_printed, z_score

# Mean gain / exact and variance / exact for s = 1, s_y = .1, in 20 and in 1,000 steps, as published with the question.
PUBLISHED = {
    EXACT: ("1.000 .507", "1.000 .984"),
    PIGDM: ("1.000 .507", "1.000 .984"),
    EXACT_ODE: (".999 .686", ".999 .992"),
    DPS: (".973 5.97", "1.010 .388"),
    LIKELIHOOD: (None, "1.010 .493"),
    DMPS: (".959 .442", ".973 .929"),
    DDRM: (".989 .714", "1.009 .029"),
    WIDE_DIFFPIR: (".961 3.85", ".945 5.99"),
    DIFFPIR: ("1.000 .349", "1.000 .495"),
}


@pytest.mark.parametrize("column, N", [(0, 20), (1, 1000)])
def test_samplers_have_their_published_laws(column, N):
    for name, columns in PUBLISHED.items():
        gain, variance = relative_law(name, *CASES[0], N)
        if columns[column] is None:
            assert variance > HIGH**2, f"{name} does not diverge: {variance}"
        else:
            for value, printed in zip((gain, variance), columns[column].split()):
                assert_printed(value, printed)


@pytest.mark.parametrize("N, printed", [(20, ".989 .357"), (1000, "1.009 .014")])
def test_noise_divided_by_sqrt_2_halves_the_variance_of_ddrm(N, printed, monkeypatch):
    """The mistake of a library whose tests passed."""

    def port(first):
        made = right(first)
        normal = made.normal
        made.normal = lambda *arguments: normal(*arguments) / 2**0.5
        return made

    right = linear_samplers.impulse_port
    monkeypatch.setattr(linear_samplers, "impulse_port", port)
    for value, digits in zip(relative_law(DDRM, *CASES[0], N), printed.split()):
        assert_printed(value, digits)


def two_steps(x, y, sample, ops):
    """x <- .5 x + .3 y + .2 z twice: .25 x_T + .45 y + .1 z_1 + .2 z_2."""
    for step in range(2):
        x = ops.reverse_step(x, y, 0.5, 0.3, 0.2, Key(0, sample, step, Purpose.STEP_NOISE))
        yield step, x, None


@pytest.mark.parametrize("draws", [2, 5])
def test_the_law_of_a_linear_sampler_is_its_recursion(draws):
    a, v = law(two_steps, 4.0, draws)
    assert_close(a, 0.45, CLOSED_FORM)
    assert_close(v, 4 * 0.25**2 + 0.1**2 + 0.2**2, CLOSED_FORM)


def test_a_sampler_may_not_draw_more_often_than_stated():
    with pytest.raises(IndexError):
        law(two_steps, 4.0, 1)


def test_gaussian_laws_agree_with_theory():
    outcome = Outcome()
    found = restoration_gaussians.laws(outcome)
    assert outcome.passed, outcome.text()
    ((_, rows),) = outcome.tables.values()
    assert len(rows) == len(found) == 4 * 9 and np.isfinite([row[3:] for row in rows]).all()


@pytest.mark.parametrize("name", [DDRM, DIFFPIR, DPS])
def test_particles_have_the_law_of_the_impulses(name):
    """Twelve steps with y = 2: mean 2 a and variance v."""
    n, (s, noise) = 20_000, CASES[1]
    problem = restoration_gaussians.gaussian_problem(Matrix(np.full((1, 1), s)), np.full((n, 1), 2.0), noise)
    x = HIGH * ops.normal(1, np.arange(n), 0, Purpose.PRIOR, (1,), np.float64)
    drawn = final_sample(METHODS[name](problem, 12, x, 1, np.arange(n), ops))
    a, v = sampler_law(name, s, noise, 12)
    assert_close(drawn.mean(), 2 * a, z_score(6) * (v / n) ** 0.5, 1.0)
    assert_close(drawn.var(), v, z_score(6) * (2 / n) ** 0.5)


# Mixtures


@pytest.mark.parametrize("d", [2, 16])
@pytest.mark.parametrize("sigma", [0.05, 0.5])
def test_the_exact_denoiser_is_the_posterior_mean_of_each_measurement(d, sigma):
    alpha, n = 0.7, 3
    for operator in operators(SHAPES[d]).values():
        measured = measure(SHAPES[d], operator, 0.3, n)
        x = alpha * samples(measured, DIRECT, 0) + sigma * np.random.default_rng(0).standard_normal((n, SAMPLES, d))
        found = measured.problem().exact(x.reshape(n * SAMPLES, *operator.shape), alpha, sigma)
        for each, points, means in zip(measured.posteriors, x, found.reshape(x.shape)):
            assert_close(means, each.posterior_mean(points, alpha, sigma), MIXTURE, 10.0)


def test_the_mixture_is_what_its_docstring_says():
    """Pixels at 1/4 and 3/4: the means cos(pi / 4) and cos(3 pi / 4), the covariance .25 exp(-.5^2 / (2 .2^2)) beside .25 1.05."""
    data = restoration_mixtures.mixture(SHAPES[2])
    assert_close(data.means[0], np.array([0.5, -0.5]) * 2**0.5, CLOSED_FORM)
    beside = np.exp(-(0.5**2) / (2 * 0.2**2))
    assert_close(data.covariances[0], 0.25 * np.array([[1.05, beside], [beside, 1.05]]), CLOSED_FORM)


@functools.cache
def drawn(d=16, n=60):
    measured = measure(SHAPES[d], operators(SHAPES[d])["block mean"], 0.1, n)
    return measured, samples(measured, DIRECT, 0)


def test_a_ratio_of_means_has_its_standard_error():
    value, error = ratio(np.array([1.0, 2.0, 6.0]), np.array([1.0, 1.0, 4.0]))
    assert_close(value, 1.5, CLOSED_FORM)
    assert_close(error, np.std([-0.5, 0.5, 0.0], ddof=1) / 3**0.5 / 2, CLOSED_FORM)


def test_a_constant_error_of_the_covariance_is_found_and_noise_is_subtracted():
    """Noise +-.1 in four entries: the mean of 4 has the variance 4 (.04 / 3) / 4; the error of .5 I has the square .5."""
    exact, noise = np.stack([np.eye(2)] * 4), np.array([0.1, -0.1, 0.1, -0.1])[:, None, None]
    for scale, square in ((1.5, 0.5 - 0.04 / 3), (1.0, 0.0)):
        found = covariance_error(scale * exact + noise, exact)
        assert_close(found, np.sqrt(np.array([square, 0.04 / 3]) / 2), CLOSED_FORM, 1.0)


@pytest.mark.parametrize(
    "wrong, change",
    [
        (None, lambda x, mean: x),
        ("variance", lambda x, mean: mean + 1.4 * (x - mean)),
        ("coverage", lambda x, mean: mean + (x - mean) / 2),
        ("bias", lambda x, mean: x + 0.2),
        ("z mean", lambda x, mean: x + 0.2),
        ("chi2", lambda x, mean: x + 0.2),
    ],
)
def test_only_samples_of_the_posterior_are_calibrated(wrong, change):
    measured, x = drawn()
    found = calibration(measured, change(x, x.mean(axis=1, keepdims=True)))
    limit = bound(len(x), 5)
    known = {name: exact for name, (_, exact) in QUANTITIES.items() if exact is not None}
    distances = {name: abs(found[name][0] - exact) / found[name][1] for name, exact in known.items()}
    if wrong is None:
        assert max(distances.values()) < limit, found
    else:
        assert distances[wrong] > limit, found


def test_a_smaller_problem_of_the_experiment_passes_and_a_wrong_noise_fails(monkeypatch):
    outcome, sizes = Outcome(), {2: 40}
    found = restoration_mixtures.calibrations(outcome, sizes, (0.3,), 10)
    assert outcome.passed and len(found) == 4 * 10 and len(outcome.checks) == 2
    assert [len(rows) for _, rows in outcome.tables.values()] == [40, 10, 8]
    assert np.isfinite([list(values.values()) for values in found.values()]).all()
    for name, wrong in ((HEUN, 2.0), (DIRECT, 0.5)):
        outcome = Outcome()
        value, error = found[2, "blur", 0.3, name]["chi2"]
        changed = found | {(2, "blur", 0.3, name): found[2, "blur", 0.3, name] | {"chi2": (wrong * value, error)}}
        restoration_mixtures.check_exact(outcome, changed, sizes)
        assert not outcome.passed
