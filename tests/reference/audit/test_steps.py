"""A measured step: its coefficients, its prediction, its verdict."""

import numpy as np
import pytest

from reference.audit.audit import audit
from reference.audit.checks.step_verdicts import FIRST_ORDER, judge
from reference.audit.levels import PREDICTIONS, recognise
from reference.audit.step_coefficients import fitting_predictions, measure
from reference.audit.target import Target
from reference.ddpm.ddim import ddim_deviation, ddim_kernel
from reference.ddpm.ddpm import posterior
from reference.diffusion.conversions import conversion
from reference.diffusion.schedules import cosine, linear
from tests.oracle_tolerances import AUDITED_STEP

PAIRS = ((1000, 999), (1000, 700), (700, 400), (400, 20), (20, 3), (3, 2), (2, 1))
KNOWN = ("noise", "x0", "v", "score")


def target_of(schedule, kernel, prediction="noise"):
    """A target whose step is x_prev = c_x x + c_x0 x0 + deviation z, with ``kernel(t, t_prev)``."""

    def step(prediction_value, t, x, noise, t_prev):
        a, b = conversion(prediction, "x0", schedule.signal(t), schedule.noise_scale(t))
        c_x, c_x0, deviation = kernel(t, t_prev)
        return c_x * x + c_x0 * (a * x + b * prediction_value) + deviation * noise

    def marginal(t):
        return np.array([schedule.signal(t), schedule.noise_scale(t)])

    claims = {"time": "1-based", "T": schedule.T}
    return Target("a step", {"marginal": marginal, "step": step}, claims)


def measured(schedule, kernel, prediction="noise"):
    target = target_of(schedule, kernel, prediction)
    levels = recognise(target)
    return [measure(target, levels, t, t_prev) for t, t_prev in PAIRS]


def ddpm(schedule, variance=lambda posterior_variance, beta: posterior_variance):
    def kernel(t, t_prev):
        c_x, c_x0, v = posterior(schedule, t, t_prev)
        return c_x, c_x0, np.sqrt(variance(v, schedule.beta(t, t_prev)))

    return kernel


def ddim(schedule, eta):
    def kernel(t, t_prev):
        deviation = ddim_deviation(schedule, t, t_prev, eta)
        return *ddim_kernel(schedule, t, t_prev, deviation), deviation

    return kernel


@pytest.mark.parametrize("prediction", KNOWN)
@pytest.mark.parametrize("schedule", [linear(1000), cosine(1000)], ids=["linear", "cosine"])
def test_one_prediction_explains_a_ddpm_step(schedule, prediction):
    assert fitting_predictions(measured(schedule, ddpm(schedule), prediction))[0] == [prediction]


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        (ddpm(linear(1000)), "posterior"),
        (ddpm(linear(1000), lambda v, beta: beta), "beta"),
        (ddpm(linear(1000), lambda v, beta: np.sqrt(v * beta)), "between posterior and beta"),
        (ddim(linear(1000), 0.0), "none"),
        (ddim(linear(1000), 0.5), "eta"),
        (ddim(linear(1000), 1.0), "posterior"),
    ],
    ids=["posterior", "beta", "learned", "ddim", "eta", "eta 1"],
)
def test_kind_of_a_variance(kernel, kind):
    steps = measured(linear(1000), kernel)
    kinds = [judge(step, "noise") for step in steps]
    # beta and the posterior variance of the first steps do not differ from those between them
    assert {part for part, _ in kinds} == {None}
    assert sum(found == kind for _, found in kinds) >= 5, kinds


@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_a_variance_outside_of_its_range_is_a_fault(factor):
    low, high = (lambda v, beta: factor * v), (lambda v, beta: factor * beta)
    kernel = ddpm(linear(1000), low if factor < 1 else high)
    assert {judge(step, "noise")[0] for step in measured(linear(1000), kernel)} == {"variance"}


@pytest.mark.parametrize("coefficient", [0, 1])
@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_a_wrong_coefficient_of_the_mean_is_a_fault(coefficient, factor):
    def kernel(t, t_prev):
        values = list(ddpm(linear(1000))(t, t_prev))
        values[coefficient] *= factor
        return values

    verdicts = [judge(step, "noise")[0] for step in measured(linear(1000), kernel)]
    # the coefficient of x is small on a long step, and that of x_0 on a short one at high noise
    assert verdicts.count("mean") >= 5, verdicts


def euler_steps(schedule, drift_of_score, noise):
    """Steps of Euler's method for dx = (-beta/2 x - drift_of_score beta s) dt, with beta the
    variance that the step adds: one step of the SDE in the schedule's own time.
    """
    predict = lambda t: conversion("noise", "score", schedule.signal(t), schedule.noise_scale(t))[1]

    def step(prediction, t, x, noise_value, t_prev):
        beta = -schedule.log_ratio(t, t_prev) if t_prev else schedule.beta(1, 0)
        drift = x / 2 + drift_of_score * predict(t) * prediction
        return x + beta * drift + noise * np.sqrt(beta) * noise_value

    return step


def euler_report(drift_of_score, noise, steps):
    schedule = linear(1000)
    target = target_of(schedule, None)
    target.pieces["step"] = euler_steps(schedule, drift_of_score, noise)
    target.claims["prediction"] = "noise"
    return audit(target, steps)


RIGHT = [(1.0, 1.0), (0.5, 0.0)]  # the reverse SDE, the probability flow


@pytest.mark.parametrize("steps", [20, 300, 1000])
@pytest.mark.parametrize(("drift_of_score", "noise"), RIGHT, ids=["SDE", "ODE"])
def test_euler_steps_in_time_are_right_to_first_order(drift_of_score, noise, steps):
    report = euler_report(drift_of_score, noise, steps)
    assert not report.faults
    assert any(FIRST_ORDER in row.target for row in report.conventions)


@pytest.mark.parametrize("steps", [20, 300, 1000])
@pytest.mark.parametrize(("drift_of_score", "noise"), [(0.5, 1.0), (1.0, 0.0)], ids=["SDE", "ODE"])
def test_half_or_twice_the_score_is_a_fault(drift_of_score, noise, steps):
    """The tutorial's misprint E5, and the reverse SDE's drift without its noise."""
    report = euler_report(drift_of_score, noise, steps)
    faults = {check.name: check for check in report.faults if check.name != "last step"}
    assert list(faults) == ["step mean"]
    # A0 alone is right on short steps, and the variance of some, too
    assert len(faults["step mean"].details) > steps / 2


@pytest.mark.parametrize("steps", [5, 30, 300])
def test_a_coefficient_wrong_by_a_hundredth_is_a_fault_at_any_length(steps):
    """It is not taken for the error of an Euler step."""
    schedule = linear(1000)

    def kernel(t, t_prev):
        c_x, c_x0, deviation = ddpm(schedule)(t, t_prev)
        return (1.01 * c_x, c_x0, deviation) if t_prev else (c_x, c_x0, deviation)

    target = target_of(schedule, kernel)
    target.claims["prediction"] = "noise"
    assert [check.name for check in audit(target, steps).faults] == ["step mean"]


def test_a_wrong_step_fits_no_prediction():
    steps = measured(linear(1000), lambda t, t_prev: (0.5, 0.7, 0.1))
    assert not fitting_predictions(steps)[0]


@pytest.mark.parametrize("prediction", KNOWN)
def test_means_are_those_of_exact_predictions(prediction):
    """A0 and A1 against the step itself, with x_0 and eps drawn at random."""
    schedule = linear(1000)
    target = target_of(schedule, ddpm(schedule), prediction)
    levels = recognise(target)
    x0, eps = np.random.default_rng(1).standard_normal((2, 1, 4))
    for t, t_prev in PAIRS:
        alpha, sigma = levels.at(t)
        r0, r1 = PREDICTIONS[prediction](alpha, sigma)
        given = {"prediction": r0 * x0 + r1 * eps, "x": alpha * x0 + sigma * eps}
        came = target.call("step", t=t, t_prev=t_prev, noise=np.zeros((1, 4)), **given)
        A0, A1 = measure(target, levels, t, t_prev).means(prediction)
        # each product is rounded; x_0 is a difference that is divided by alpha
        np.testing.assert_allclose(A0 * x0 + A1 * eps, came, rtol=0, atol=AUDITED_STEP / alpha)
