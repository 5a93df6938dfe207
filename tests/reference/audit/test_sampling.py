"""The checks of samplers: orders of known solvers, and Monte Carlo checks under the null."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from reference.audit.audit import audit
from reference.audit.checks.convergence import errors_at, fit_order
from reference.audit.checks.guided_sampling import A, B
from reference.audit.checks.monte_carlo import LAW, agrees, draws, large_variances, p_values, recursion
from reference.audit.checks.trajectories import Gaussian, Listener, Sampler, exact_prediction, respond
from reference.audit.target import Target, TargetError
from reference.samplers.ode import runge_kutta
from tests.oracle_tolerances import EXACT, accumulated, assert_close

STEPS = (20, 28, 40, 57, 80)


def solver(method, sigma_min=0.002):
    """A sampler in sigma by a Runge-Kutta method, with the denoiser's x_0 at its last level."""

    def sample(denoise, x, steps, seed):
        grid = (80 ** (1 / 7) + np.linspace(0, 1, steps) * (sigma_min ** (1 / 7) - 80 ** (1 / 7))) ** 7
        slope = lambda x, sigma: (x - denoise(x, sigma)) / sigma
        path = runge_kutta(slope, grid.tolist(), x, method) if steps > 1 else ()
        *_, (_, end, _) = (0, x, None), *path
        return denoise(end, grid[-1])

    return sample


def ancestral(size=1.0):
    """Ancestral steps in sigma; ``size`` multiplies their noise."""

    def sample(denoise, x, steps, seed):
        rng = np.random.default_rng(seed)
        sigmas = [*np.geomspace(80, 0.002, steps), 0.0]
        for sigma, after in pairwise(sigmas):
            x0 = denoise(x, sigma)
            x = x0 + (after / sigma) ** 2 * (x - x0)
            x = x + size * after * np.sqrt(1 - (after / sigma) ** 2) * rng.standard_normal(x.shape)
        return x

    return sample


def report_on(sample, **pieces):
    claims = {"time": "sigma", "prediction": "x0"}
    return audit(Target("a sampler", {"sample": sample, **pieces}, claims))


def verdicts(report):
    return {check.name: check.verdict for check in report.checks}


@pytest.mark.parametrize("method, rate, order", [("euler", 1, 1), ("heun", 2, 2), ("rk4", 4, 4)])
def test_the_fitted_order_is_the_order_of_a_known_solver(method, rate, order):
    sampler = Sampler(Target(method, {"sample": solver(method)}), "x0")
    errors = [errors_at(sampler, n, rate)[0] for n in STEPS]
    fit = fit_order(STEPS, errors)
    assert abs(fit.order - order) < 0.3, (errors, fit)


def test_the_fitted_order_of_the_midpoint_rule_is_at_least_its_own():
    sampler = Sampler(Target("midpoint", {"sample": solver("midpoint")}), "x0")
    assert fit_order(STEPS, [errors_at(sampler, n, 2)[0] for n in STEPS]).order > 1.7


def test_the_interval_of_an_exact_power_is_its_order():
    fit = fit_order(STEPS, [3 * n**-2.0 for n in STEPS])
    assert fit.low <= 2 + 1e-9 and fit.high >= 2 - 1e-9 and fit.high - fit.low < 1e-6


def test_the_interval_of_an_order_holds_it_as_often_as_it_says():
    rng = np.random.default_rng(0)
    fits = [fit_order(STEPS, np.exp(-np.log(STEPS) + 0.1 * rng.standard_normal(len(STEPS)))) for _ in range(300)]
    missed = sum(not fit.low <= 1 <= fit.high for fit in fits)
    assert missed <= stats.binom.isf(1e-6, 300, 0.001), missed


def test_errors_below_the_floor_are_not_fitted():
    assert fit_order(STEPS, [1e-16] * len(STEPS), floor=1e-12) is None


def test_p_values_are_uniform_under_the_null():
    rng = np.random.default_rng(1)
    values = np.array([p_values(2 + 3 * rng.standard_normal(500), 9.0, 2.0) for _ in range(200)])
    assert (stats.kstest(values[:, 0], "uniform").pvalue > 1e-4) and (stats.kstest(values[:, 1], "uniform").pvalue > 1e-4)


def test_p_values_of_the_noise_of_a_right_sampler_are_uniform():
    sampler = Sampler(Target("ancestral", {"sample": ancestral()}), "x0")
    values = []
    for seed in range(200):
        z = np.random.default_rng([seed, 1]).standard_normal((50, 4))
        run = sampler.run(Gaussian(), z, 5, seed)
        values.append(p_values(run.x[-1], float(run.times[-1]) ** 2)[0])
    assert stats.kstest(values, "uniform").pvalue > 1e-4


def test_a_wrong_variance_or_mean_does_not_agree():
    draws = np.random.default_rng(2).standard_normal((3, 20000))
    assert agrees(draws, [1.0, 1.0, 1.0])
    assert not agrees(draws, [1.0, 1.1, 1.0]) and not agrees(draws, [1.0, 1.0, 1.0], mean=0.05)


def test_the_variance_beta_is_that_of_the_chain():
    alpha_bar = np.cumprod(1 - np.array([0.3, 0.2, 0.1]))
    level = np.sqrt(np.stack([alpha_bar, 1 - alpha_bar], axis=1))[::-1]
    wanted = [1 - alpha_bar[2]]
    for t in (2, 1):
        beta = 1 - alpha_bar[t] / alpha_bar[t - 1]
        shrink = np.sqrt(1 - beta) * (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t])
        wanted.append(shrink**2 * wanted[-1] + beta)
    assert_close(large_variances(level), wanted, EXACT)


def test_the_variance_of_samples_is_that_of_the_recursion():
    sampler = Sampler(Target("ancestral", {"sample": ancestral()}), "x0", stochastic=True)
    assert agrees([draws(sampler, LAW, 20).result], [recursion(sampler, 20, "marginals")], LAW.mean)


@pytest.mark.parametrize("prediction", ["noise", "x0", "v", "score", "velocity", "reversed velocity"])
def test_an_exact_prediction_of_a_point_mass_is_its_own(prediction):
    alpha, sigma = 0.6, 0.8
    eps = np.random.default_rng(3).standard_normal((5, 2))
    came = exact_prediction(Gaussian(2.0), prediction, lambda t: (alpha, sigma))(alpha * 2.0 + sigma * eps, 1.0)
    wanted = {
        "noise": eps,
        "x0": 2.0 + 0 * eps,
        "v": alpha * eps - sigma * 2.0,
        "score": -eps / sigma,
        "velocity": eps - 2.0,
        "reversed velocity": 2.0 - eps,
    }
    assert_close(came, wanted[prediction], EXACT, scale=1 + abs(eps))


def test_the_response_of_an_exact_sampler_is_at_its_levels():
    sampler = Sampler(Target("euler", {"sample": solver("euler")}), "x0")
    response = respond(sampler, 9)
    largest = response.level.max()
    assert_close(response.signal, response.level[:, 0], accumulated(9, largest), scale=1)
    assert_close(response.noise, response.level[:, 1], accumulated(9, largest), scale=1)


def test_a_right_sampler_has_no_fault_in_the_ode_and_the_sde():
    for sample in (solver("heun"), ancestral()):
        assert not report_on(sample).faults


def test_the_levels_the_noise_and_the_law_of_an_exact_sampler_are_right():
    found = verdicts(report_on(ancestral()))
    assert {found[name] for name in ("sample levels", "sample last step", "sample noise", "sample law")} == {"right"}


def test_noise_that_is_used_twice_is_named():
    def sample(denoise, x, steps, seed):
        z = np.random.default_rng(seed).standard_normal(x.shape)
        sigmas = [*np.geomspace(80, 0.002, steps), 0.0]
        for sigma, after in pairwise(sigmas):
            x0 = denoise(x, sigma)
            x = x0 + (after / sigma) ** 2 * (x - x0) + after * np.sqrt(1 - (after / sigma) ** 2) * z
        return x

    (fault,) = report_on(sample).faults
    assert fault.name == "sample noise" and "correlation" in fault.came


def test_noise_that_is_a_tenth_too_large_is_a_fault_of_the_noise_alone():
    assert [check.name for check in report_on(ancestral(1.1)).faults] == ["sample noise"]


def test_guidance_has_the_closed_form_of_the_ode():
    guided = lambda conditional, unconditional, weight: unconditional + weight * (conditional - unconditional)
    report = report_on(solver("heun"), guided=guided)
    (line,) = (check for check in report.checks if check.name == "sample with guidance")
    assert line.verdict == "right" and abs(line.details[1]["expected"] - B**2 / A) < 1e-4


def test_guidance_has_the_closed_form_of_the_sde():
    guided = lambda conditional, unconditional, weight: unconditional + weight * (conditional - unconditional)
    report = report_on(ancestral(), guided=guided)
    (line,) = (check for check in report.checks if check.name == "sample with guidance")
    assert line.verdict == "right" and abs(line.details[1]["expected"] - (A * B - B**4 / A**2) / (3 * (A - B))) < 1e-4


def test_a_sampler_that_returns_the_wrong_law_in_all_steps_is_a_fault():
    def sample(denoise, x, steps, seed):
        eps, sigmas = None, [*np.geomspace(80, 0.002, steps), 0.0]
        for sigma, after in pairwise(sigmas):
            x0 = denoise(x, sigma)
            eps = (x - x0) / sigma if eps is None else eps
            x = x0 + after * eps
        return x

    assert {check.name for check in report_on(sample).faults} == {"sample order"}


def test_a_sampler_that_fails_is_refused_in_a_sentence():
    def sample(denoise, x, steps, seed):
        raise KeyError("no such level")

    assert "sample raises KeyError" in report_on(sample).faults[0].came


def test_a_sampler_that_draws_its_own_start_is_not_judged():
    def sample(denoise, x, steps, seed):
        return denoise(np.random.default_rng(seed).standard_normal(x.shape) * 80, 80.0)

    assert not report_on(sample).faults
    assert verdicts(report_on(sample))["sample"] == "not decidable"


def test_a_sampler_that_calls_without_end_is_stopped():
    listener = Listener(lambda x, t: x, most=3)
    for _ in range(3):
        listener(np.zeros((1, 2)), 1.0)
    with pytest.raises(TargetError, match="more than 3 times"):
        listener(np.zeros((1, 2)), 1.0)
