"""EDM with churn and SDE-DPM-Solver++(2M) on Gaussian data N(m, c): the law of the samples, by recursions of two numbers, and its limits.

``moments`` gives the exact law of the samplers' own results.  The recursions here are written in other terms: EDM's by the gain of Heun's
step, DPM-Solver's by the coefficients of DDPM's posterior.
"""

from itertools import pairwise

import numpy as np
import pytest

from reference import ops
from reference.ddpm.ddpm import posterior
from reference.diffusion.mixtures import example_2_1
from reference.diffusion.schedules import Schedule
from reference.ops.random import Purpose
from reference.samplers import final_sample
from reference.samplers.dpm_solver import dpm_solver_plus_plus
from reference.samplers.edm import check_churn, edm, sigmas
from reference.samplers.grids import GRIDS
from reference.sde.sde import VP
from tests.oracle_tolerances import (
    DETERMINISTIC_ORDER,
    EXACT,
    LINEAR_SAMPLER,
    SDE_FORMULA,
    accumulated,
    assert_close,
    assert_mean,
    assert_slope,
    line,
)
from tests.oracles import SDE_EXAMPLES, ImpulsePort, moments
from tests.sde_examples import COUNTS, MEAN, SAMPLE, VARIANCE, distribution, every_sde, score_of

LARGEST, SMALLEST, RHO = 80.0, 0.002, 7.0
MOST = 2**0.5 - 1


def denoise(x, sigma):
    return MEAN + VARIANCE / (VARIANCE + sigma**2) * (x - MEAN)


def churned(n, mean=MEAN, **options):
    """(mean, variance) of EDM's samples from N(mean, c + 80^2), exactly."""
    levels = sigmas(n).tolist()
    low, high = options.get("churn_interval") or (0.0, np.inf)
    draws = sum(low <= sigma <= high for sigma in levels[:-1]) if options.get("churn") else 0
    run = lambda x, port: edm(denoise, levels, x, 1, SAMPLE, ops=port, **options)
    return moments(run, draws, mean, VARIANCE + LARGEST**2)


def churned_recursion(n, mean, churn=0.0, churn_noise=1.0, churn_interval=(0.0, np.inf), largest=np.inf):
    """The same: x - m shrinks by the gain of Heun's step, after its variance grew."""
    shrink = lambda sigma: sigma / (VARIANCE + sigma**2)  # the slope is (x - m) times this
    off, variance = mean - MEAN, VARIANCE + LARGEST**2
    for sigma, after in pairwise(sigmas(n)):
        raised = sigma
        if churn_interval[0] <= sigma <= churn_interval[1]:
            raised = min(sigma + sigma * min(churn / n, MOST), largest)
        variance += churn_noise**2 * (raised - sigma) * (raised + sigma)
        h = raised - after
        first = shrink(raised)
        gain = 1 - h * first if after == 0 else 1 - h / 2 * (first + shrink(after) * (1 - h * first))
        off, variance = gain * off, gain**2 * variance
    return MEAN + off, variance


CHURNS = {
    "none": {},
    "little": {"churn": 3.0},
    "bounded": {"churn": 1e6},
    "noisier": {"churn": 5.0, "churn_noise": 1.1},
    "within an interval": {"churn": 6.0, "churn_interval": (0.05, 5.0)},
    "below the largest": {"churn": 1e6, "largest": LARGEST},
}


@pytest.mark.parametrize("options", CHURNS.values(), ids=CHURNS)
@pytest.mark.parametrize("n", [2, 18, 60])
def test_the_law_of_churned_samples_is_its_recursion(n, options):
    """From the right mean, and from another one."""
    for mean in (MEAN, MEAN + 50.0):
        expected = churned_recursion(n, mean, **options)
        assert_close(churned(n, mean, **options), expected, LINEAR_SAMPLER, np.array((1 + abs(mean), 1 + expected[1])))


@pytest.mark.parametrize("churn", [0.0, 5.0, 40.0])
def test_edm_is_of_weak_order_2_at_any_churn(churn):
    """To the law of E[x_0 | x] at the smallest noise, with which Euler's last step ends."""
    counts = 4 * COUNTS
    laws = np.array([churned(n, churn=churn) for n in counts])
    assert_close(laws[:, 0], np.full(len(counts), MEAN), accumulated(counts[-1]), 1.0)
    assert_slope(counts[1:], laws[1:, 1] - VARIANCE**2 / (VARIANCE + SMALLEST**2), 2, DETERMINISTIC_ORDER)


def limit_of_churn(churn, churn_noise, low, high):
    """The variance of infinitely many steps over the right one.

    The levels are sigma(u) = (A + u (B - A))^rho, u = n / N from 0 to 1.  New noise adds 2 churn S^2 sigma^2 du to the variance v, and the
    flow keeps w = v / (c + sigma^2): dw/du = 2 churn sigma^2 / (c + sigma^2) (S^2 - w) within the interval, from w = 1.
    """
    ends = LARGEST ** (1 / RHO), SMALLEST ** (1 / RHO)
    u, du = line(*((ends[0] - level ** (1 / RHO)) / (ends[0] - ends[1]) for level in (high, low)), 1e-3)
    power = (ends[0] + u * (ends[1] - ends[0])) ** (2 * RHO)
    rate = power / (VARIANCE + power)
    return churn_noise**2 + (1 - churn_noise**2) * np.exp(-2 * churn * (rate.sum() - (rate[0] + rate[-1]) / 2) * du)


@pytest.mark.parametrize("low, high", [(SMALLEST, LARGEST), (0.05, 5.0), (0.3, 20.0)])
@pytest.mark.parametrize("churn", [1.0, 4.0])
@pytest.mark.parametrize("churn_noise", [0.9, 1.2])
def test_noise_of_another_size_changes_the_variance_as_in_continuous_churn(churn, churn_noise, low, high):
    """A level lies inside of the interval or outside, and gamma (2 + gamma) is not 2 gamma: at most (1 + churn)^2 / N of the change."""
    expected, end = limit_of_churn(churn, churn_noise, low, high), VARIANCE**2 / (VARIANCE + SMALLEST**2)
    options = {"churn": churn, "churn_noise": churn_noise, "churn_interval": (low / (1 + EXACT), high * (1 + EXACT))}
    for n in (500, 2000):
        error = churned(n, **options)[1] / end - expected
        assert abs(error) <= (1 + churn) ** 2 / n * abs(churn_noise**2 - 1)


@pytest.mark.parametrize(
    "options", [{"churn": 2.0}, {"churn": 30.0}, {"churn": 2.0, "churn_interval": (0.1, 3.0)}, {"churn": 1e9, "largest": 50.0}]
)
def test_churn_raises_levels_by_its_share_within_the_interval_and_at_most_doubles_the_variance(options):
    levels, seen = sigmas(20), []
    final_sample(edm(lambda x, sigma: seen.append(sigma) or denoise(x, sigma), levels, np.ones((3, 1)), 1, SAMPLE, **options))
    low, high = options.get("churn_interval", (0.0, np.inf))
    raised = np.where((low <= levels) & (levels <= high), levels * (1 + min(options["churn"] / 20, MOST)), levels)
    raised = np.maximum(levels, np.minimum(raised, options.get("largest", np.inf)))[:-1]
    assert_close(seen[::2], raised, EXACT)
    assert_close(seen[1::2], levels[1:-1], EXACT)
    assert (raised**2 <= 2 * levels[:-1] ** 2 * (1 + EXACT)).all()


@pytest.mark.parametrize("options", [{"churn": 0.0, "churn_noise": 2.0}, {"churn": 9.0, "churn_interval": (100.0, 200.0)}])
def test_without_churn_at_any_level_the_samples_are_those_of_the_ode(options):
    mixture, x = example_2_1(), 80 * ops.normal(1, SAMPLE, 0, Purpose.PRIOR, (1,), np.float32)
    mean = lambda x, sigma: mixture.posterior_mean(x, 1.0, sigma).astype(x.dtype)
    for (_, y, _), (_, z, _) in zip(edm(mean, sigmas(18), x), edm(mean, sigmas(18), x, 5, SAMPLE, **options), strict=True):
        assert y.dtype == np.float32 and np.array_equal(y, z)


# SDE-DPM-Solver++


def predict_noise_of(sde):
    score = score_of(sde)
    return lambda x, t: score(x, t) * -sde.noise_scale(t)


def solved(sde, grid, reverse_noise, start):
    """(mean, variance) of the samples, exactly."""
    run = lambda x, port: dpm_solver_plus_plus(sde, predict_noise_of(sde), grid, x, 1, SAMPLE, reverse_noise, port)
    return moments(run, len(grid) - 1 if reverse_noise else 0, *start)


def solved_recursion(sde, grid, reverse_noise, start):
    """The same, by mean and covariance of x and of the x_0 of the step before.

    With r = alpha_s sigma_t / (alpha_t sigma_s) and c = reverse_noise^2, the steps have c_x = sigma_t / sigma_s r^c,
    c_x0 = alpha_t (1 - r^(1 + c)) and the variance sigma_t^2 (1 - r^(2 c)): for c = 1 those of DDPM's posterior.
    """
    mean, covariance = np.array([start[0], 0.0]), np.diag([start[1], 0.0])
    c, h_before = reverse_noise**2, np.inf  # the first step takes x_0 alone
    for s, t in pairwise(grid):
        (alpha_s, sigma_s), (alpha_t, sigma_t) = sde.marginal(s), sde.marginal(t)
        r = alpha_s * sigma_t / (alpha_t * sigma_s)
        gain = alpha_s * VARIANCE / (alpha_s**2 * VARIANCE + sigma_s**2)  # x_0 = gain x + offset
        offset = (1 - gain * alpha_s) * MEAN
        c_x, c_x0, share = sigma_t / sigma_s * r**c, alpha_t * (1 - r ** (1 + c)), -np.log(r) / (2 * h_before)
        step = np.array([[c_x + c_x0 * (1 + share) * gain, -c_x0 * share], [gain, 0.0]])
        mean = step @ mean + np.array([c_x0 * (1 + share), 1.0]) * offset
        covariance = step @ covariance @ step.T + np.diag([sigma_t**2 * (1 - r ** (2 * c)), 0.0])
        h_before = -np.log(r)
    return mean[0], covariance[0, 0]


@every_sde
@pytest.mark.parametrize("reverse_noise", [0.0, 0.6, 1.0, 2.0])
def test_the_law_of_sde_dpm_solver_is_its_recursion(sde, reverse_noise):
    for grid in (GRIDS["log-snr"](sde, 12), np.linspace(sde.t_max, sde.t_max / 9, 7), (0.5 * sde.t_max, 0.2 * sde.t_max)):
        mean, variance = distribution(sde, grid[0])
        start = (mean + 1.0, variance)
        expected = solved_recursion(sde, grid, reverse_noise, start)
        assert_close(solved(sde, grid, reverse_noise, start), expected, LINEAR_SAMPLER, np.array((1.0 + abs(mean), variance + expected[1])))


@every_sde
@pytest.mark.parametrize("reverse_noise", [0.5, 1.0, 2.0])
def test_sde_dpm_solver_is_of_weak_order_2(sde, reverse_noise):
    grid, (mean, variance) = GRIDS["log-snr"](sde, COUNTS[-1]), distribution(sde, sde.t_min)
    laws = np.array([solved(sde, grid[:: COUNTS[-1] // n], reverse_noise, distribution(sde, sde.t_max)) for n in COUNTS])
    assert_close(laws[:, 0], np.full(len(COUNTS), mean), LINEAR_SAMPLER, 1.0)
    assert_slope(COUNTS[2:], laws[2:, 1] - variance, 2, DETERMINISTIC_ORDER)


def test_the_first_step_of_sde_dpm_solver_is_the_posterior_step_of_ddpm():
    sde, times = VP(), np.array([0.0, 0.1, 0.25, 0.5, 0.8])
    chain, x, constant = Schedule(sde.log_alpha_bar(times)), np.array([[-1.0], [0.3], [2.0]]), np.array([[0.2], [0.4], [-0.7]])
    predict_noise = lambda x, t: (x - sde.signal(t) * constant) / sde.noise_scale(t)
    for t, t_prev in ((4, 3), (3, 1), (2, 1)):
        c_x, c_x0, variance = posterior(chain, t, t_prev)
        ((_, y, _),) = dpm_solver_plus_plus(sde, predict_noise, times[[t, t_prev]], x, 3, SAMPLE, 1.0)
        z = ops.normal(3, SAMPLE, 0, Purpose.STEP_NOISE, (1,), np.float64)
        assert_close(y, c_x * x + c_x0 * constant + variance**0.5 * z, SDE_FORMULA, 1 + np.abs(x) / chain.signal(t))


@every_sde
@pytest.mark.parametrize("reverse_noise", [0.5, 1.0, 3.0])
def test_a_constant_x0_has_its_exact_law_in_any_steps(sde, reverse_noise):
    grid = np.array([1.0, 0.7, 0.65, 0.2]) * sde.t_max
    x0, at = 1.3, [sde.marginal(t) for t in grid[[0, -1]]]
    predict_noise = lambda x, t: (x - sde.signal(t) * x0) / sde.noise_scale(t)
    run = lambda x, port: dpm_solver_plus_plus(sde, predict_noise, grid, x, 1, SAMPLE, reverse_noise, port)
    expected = [(alpha * x0, sigma**2) for alpha, sigma in at]
    assert_close(moments(run, 3, *expected[0]), expected[1], LINEAR_SAMPLER, np.array((1 + x0, expected[0][1] + expected[1][1])))


def test_without_noise_sde_dpm_solver_draws_none_and_is_the_ode_solver():
    sde, port = SDE_EXAMPLES["vp"], ImpulsePort(2)
    both = (dpm_solver_plus_plus(sde, predict_noise_of(sde), GRIDS["t"](sde, 9), port.x, *how) for how in ((), (4, SAMPLE, 0.0, port)))
    assert np.array_equal(*map(final_sample, both)) and not port.keys


# Particles


def test_particles_have_the_mean_and_variance_of_the_recursions():
    """With the noise that users get.  20,000 draws see 5 % of a variance."""
    n, sde = 20_000, SDE_EXAMPLES["vp"]
    sample, options, grid = np.arange(n), {"churn": 20.0, "churn_noise": 1.3}, GRIDS["log-snr"](sde, 8)
    z = ops.normal(8, sample, 0, Purpose.PRIOR, (1,), np.float64)
    start = distribution(sde, sde.t_max)
    by_edm = final_sample(edm(denoise, sigmas(12), MEAN + (VARIANCE + LARGEST**2) ** 0.5 * z, 8, sample, **options))
    by_dpm = final_sample(dpm_solver_plus_plus(sde, predict_noise_of(sde), grid, start[0] + start[1] ** 0.5 * z, 8, sample, 1.0))
    laws = churned_recursion(12, MEAN, **options), solved_recursion(sde, grid, 1.0, start)
    for x, (mean, variance) in zip((by_edm, by_dpm), laws):
        assert_mean(x, mean, 4)
        assert_mean((x - mean) ** 2, variance, 4)


@pytest.mark.parametrize(
    "options, message",
    [
        ((-1.0, 1.0, None), "churn must be finite and not negative, got -1"),
        ((float("nan"), 1.0, None), "churn must be finite and not negative, got nan"),
        ((1.0, -0.5, None), "churn-noise must be finite and not negative, got -0.5"),
        ((1.0, 1.0, (3.0, 2.0)), "churn-interval must be a low and a higher noise level, got 3 2"),
        ((1.0, 1.0, (-1.0, 2.0)), "churn-interval must be a low and a higher noise level, got -1 2"),
    ],
)
def test_invalid_churn_is_named_with_its_value(options, message):
    for call in (lambda: check_churn(*options), lambda: list(edm(denoise, sigmas(3), np.ones((3, 1)), 1, SAMPLE, *options))):
        with pytest.raises(ValueError, match=message):
            call()
