"""Predictors, and the predictor-corrector sampler, against exact moments for Gaussian data and mixtures on a grid."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from reference import ops
from reference.ddpm.ddpm import posterior
from reference.diffusion.mixtures import Mixture
from reference.diffusion.schedules import Schedule
from reference.ops.random import Key, Purpose
from reference.samplers import final_sample
from reference.samplers.sde import (
    PREDICTORS,
    ancestral_predictor,
    corrector,
    euler_maruyama,
    euler_maruyama_predictor,
    predictor_corrector,
    reverse_diffusion_predictor,
)
from reference.sde.sde import VE, VP
from tests.call_counter import CallCounter
from tests.oracle_tolerances import EXACT, MIXTURE, SDE_FORMULA, accumulated, assert_close, assert_printed, assert_slope
from tests.oracles import SDE_EXAMPLES, ImpulsePort, moments
from tests.sde_examples import COUNTS, SAMPLE, SOLVERS, distribution, every_sde, score_of

every_predictor = pytest.mark.parametrize("predictor", PREDICTORS)


# Predictors


@every_sde
def test_predictor_coefficients_have_their_closed_form(sde):
    for t, t_prev in ((0.9 * sde.t_max, 0.7 * sde.t_max), (0.2 * sde.t_max, 0.15 * sde.t_max)):
        (alpha, sigma), (alpha_prev, sigma_prev) = sde.marginal(t), sde.marginal(t_prev)
        h, power = t - t_prev, sde.diffusion(t) ** 2
        expected = 1 - sde.drift_coefficient(t) * h, power * h, (power * h) ** 0.5
        assert_close(euler_maruyama_predictor(sde, t, t_prev), expected, SDE_FORMULA, 1 + power)
        a = alpha / alpha_prev
        added = sigma**2 - a**2 * sigma_prev**2
        assert_close(reverse_diffusion_predictor(sde, t, t_prev), (2 - a, added, added**0.5), 16 * SDE_FORMULA, 1 + power)
        expected = 1 / a, added / a, (sigma_prev**2 * added / sigma**2) ** 0.5
        assert_close(ancestral_predictor(sde, t, t_prev), expected, 16 * SDE_FORMULA, 1 + power)


@pytest.mark.parametrize("t, t_prev", [(5, 4), (5, 2), (2, 1), (3, 0)])
def test_ancestral_predictor_on_vp_is_the_ddpm_posterior_step(t, t_prev):
    """E5: (x + beta s) / sqrt(1 - beta), the whole of beta."""
    sde, times = VP(), np.array([0.0, 0.1, 0.25, 0.5, 0.8, 1.0])
    chain = Schedule(sde.log_alpha_bar(times))
    c_x, c_x0, variance = posterior(chain, t, t_prev)
    alpha, sigma = chain.signal(t), chain.noise_scale(t)  # x0 = (x + sigma^2 s) / alpha
    actual = ancestral_predictor(sde, times[t], times[t_prev])
    assert_close(actual, (c_x + c_x0 / alpha, c_x0 * sigma**2 / alpha, variance**0.5), SDE_FORMULA, 1 / chain.signal(t))
    beta, root = chain.beta(t, t_prev), np.exp(chain.log_ratio(t, t_prev) / 2)  # sqrt(1 - beta), which beta near 1 would not give
    assert_close(actual[:2], (1 / root, beta / root), SDE_FORMULA, 1 / chain.signal(t))
    expected = (2 - root, beta, beta**0.5)
    assert_close(reverse_diffusion_predictor(sde, times[t], times[t_prev]), expected, SDE_FORMULA, 2.0)


def test_predictors_on_ve_are_4_21_and_ancestral_with_less_noise():
    """E11c: x + (s_i^2 - s_j^2) score + noise of variance s_i^2 - s_j^2, or of s_j^2 / s_i^2 times that."""
    sde = VE(sigma_min=0.01, sigma_max=50.0)
    for t, t_prev in ((1.0, 0.9), (0.5, 0.2)):
        high, low = sde.noise_power(t), sde.noise_power(t_prev)
        assert_close(reverse_diffusion_predictor(sde, t, t_prev), (1.0, high - low, (high - low) ** 0.5), EXACT)
        assert_close(ancestral_predictor(sde, t, t_prev), (1.0, high - low, (low * (high - low) / high) ** 0.5), EXACT)


def one_step(predictor, sde, t, t_prev, mean, variance):
    """Moments after a step on Gaussian data, from the predictor's coefficients."""
    c_x, c_score, deviation = PREDICTORS[predictor](sde, t, t_prev)
    m, v = distribution(sde, t)
    gain = c_x - c_score / v
    return gain * mean + c_score / v * m, gain**2 * variance + deviation**2


def predicted(predictor, sde, n):
    """Errors after n steps from end to last, even in log t: of the mean over the deviation, and the relative one of the variance."""
    grid = np.geomspace(sde.t_max, sde.t_min, n + 1)
    mean, variance = distribution(sde, sde.t_max)
    for t, t_prev in pairwise(grid):
        mean, variance = one_step(predictor, sde, t, t_prev, mean, variance)
    m, v = distribution(sde, sde.t_min)
    return (mean - m) / v**0.5, variance / v - 1


@every_sde
@every_predictor
def test_each_predictor_is_of_weak_order_1_for_every_sde(sde, predictor):
    counts = 2 * COUNTS
    errors = np.array([predicted(predictor, sde, n) for n in counts])
    for error, size in zip(errors.T, (1.0, 1.0)):
        if np.abs(error[0]) > accumulated(counts[-1], 16):  # else exact: the mean if the signal is constant, or with an exact posterior
            assert_slope(counts[1:], error[1:], 1, 0.2)
        else:
            assert_close(error, 0 * error, accumulated(counts[-1], 16), size)


def test_on_ve_reverse_diffusion_is_too_wide_and_ancestral_too_narrow():
    sde = SDE_EXAMPLES["ve"]
    wide, narrow = predicted("reverse-diffusion", sde, 2000)[1], predicted("ancestral", sde, 2000)[1]
    assert wide > 1e-3 and narrow < -1e-3


def test_unit_variance_is_kept_exactly_under_vp_with_the_forward_noise():
    """The map x <- (x - beta x) / sqrt(1 - beta) = sqrt(1 - beta) x + sqrt(beta) z; the printed beta/2 gives 6.23 after 100 steps (E5)."""
    right = printed = 1.0
    sde = constant_chain(0.05)
    c_x, c_score, _ = ancestral_predictor(sde, 0.5, 0.49)
    for _ in range(100):
        right, printed = (c_x - c_score) ** 2 * right + 0.05, (c_x - c_score / 2) ** 2 * printed + 0.05
    assert_close(right, 1.0, accumulated(100))
    assert_printed(printed, "6.23")


def constant_chain(beta):
    """VP with noise variance ``beta`` in each step of 1/100, up to t = 3."""
    rate = -100 * np.log1p(-beta)
    return VP(beta_min=rate, beta_max=rate, t_max=3.0)


def total_variance(N, share):
    """Variances of x and of x given x > 0 for (4.17) on the mixture of Ex 4.6, from N(0, 1).

    A transition on a grid: nodes less than a deviation of a step's noise apart make the trapezoidal rule wrong by e^{-20} at most.
    """
    beta, sde = 0.05, constant_chain(0.05)
    mixture = Mixture(np.array([0.5, 0.5]), np.array([[3.0], [-3.0]]), np.array([1.0, 1.0]))
    x = np.linspace(-40, 40, 401) if share < 1 else np.linspace(-14, 14, 561)
    p = np.exp(-(x**2) / 2)
    for i in range(N, 0, -1):
        t, t_prev = i / 100, (i - 1) / 100
        c_x, c_score, _ = ancestral_predictor(sde, t, t_prev)
        y = c_x * x + share * c_score * mixture.noised(*sde.marginal(t)).score(x[:, None])[:, 0]
        p = np.exp(-((x[:, None] - y) ** 2) / (2 * beta)) @ p
        p /= p.sum()
    right = p * np.heaviside(x, 0.5)  # the rule's weight at its end
    right /= right.sum()
    return p @ x**2, right @ (x - right @ x) ** 2


def test_printed_variances_of_example_4_7_with_the_right_beta():
    whole, of_one_mode = total_variance(100, 1.0)
    assert_printed(whole, "9.913")
    assert_printed(of_one_mode, "1.0139")


@pytest.mark.parametrize("N, printed", [(60, "13.74"), (100, "19.83"), (200, "31.54")])
def test_printed_variances_of_example_4_7_with_half_of_beta(N, printed):
    assert_printed(total_variance(N, 0.5)[0], printed)


# Predictor and corrector


def by_hand(sde, grid, predictor, corrections, step):
    """Moments of predictor-corrector on Gaussian data from its exact distribution at grid[0], Langevin steps of step sigma_t^2."""
    mean, variance = distribution(sde, grid[0])
    for t, t_prev in pairwise(grid):
        mean, variance = one_step(predictor, sde, t, t_prev, mean, variance)
        m, v = distribution(sde, t_prev)
        length = step * sde.noise_scale(t_prev) ** 2
        for _ in range(corrections):
            mean, variance = mean + length * (m - mean) / v, (1 - length / v) ** 2 * variance + 2 * length
    return mean, variance


@every_sde
@every_predictor
@pytest.mark.parametrize("corrections, step", [(0, 0.1), (1, 0.1), (3, 0.3)])
def test_predictor_corrector_has_the_recursion_moments_near_the_datas(sde, predictor, corrections, step):
    """The corrected Algorithm 1 (E11, E11b), with every draw used once.

    Errors of the steps are not amplified; a corrector's bias is at most step/2 / (1 - step/2) of the variance.
    """
    n = 60
    grid = np.geomspace(sde.t_max, sde.t_min, n + 1)
    run = lambda x, port: predictor_corrector(sde, score_of(sde), grid, x, 1, SAMPLE, predictor, corrections, step, ops=port)
    mean, variance = moments(run, n * (1 + corrections), *distribution(sde, sde.t_max))
    expected = by_hand(sde, grid, predictor, corrections, step)
    assert_close([mean, variance], expected, accumulated(n * (1 + corrections), 16), 1 + sde.noise_power(sde.t_max))
    m, v = distribution(sde, sde.t_min)
    made = np.zeros(2)
    for t, t_prev in pairwise(grid):
        (mean_prev, variance_prev), scale = distribution(sde, t_prev), distribution(sde, t_prev)[1]
        after = one_step(predictor, sde, t, t_prev, *distribution(sde, t))
        made += np.abs((after[0] - mean_prev) / scale**0.5), np.abs(after[1] / variance_prev - 1)
    bias = step / 2 / (1 - step / 2) if corrections else 0.0
    assert abs(mean - m) / v**0.5 <= made[0] + MIXTURE and abs(variance / v - 1) <= made[1] + bias + MIXTURE


@every_sde
@pytest.mark.parametrize("step", [0.1, 1.0, 1.9])
def test_the_corrector_keeps_a_gaussian_except_for_the_bias_of_its_step(sde, step):
    """v / (1 - length / (2 v)); the printed noise of variance ``length`` (E11) would give half of it."""
    for t in (sde.t_min, 0.5 * sde.t_max, sde.t_max):
        m, v = distribution(sde, t)
        length, port = step * sde.noise_power(t), ImpulsePort(1)
        key = Key(1, SAMPLE, 0, Purpose.CORRECTOR)
        offset, gain, (noise,) = port.weights(corrector(port.x, score_of(sde)(port.x, t), length, key, port))
        assert_close(offset + gain * m, m, SDE_FORMULA, 1.0)
        assert_close(noise**2 / (1 - gain**2), v / (1 - length / (2 * v)), SDE_FORMULA, v / (1 - abs(gain)))


def test_printed_variances_of_the_corrector_with_and_without_the_misprint():
    length, target, port = 0.01, 2.0, ImpulsePort(1)
    _, gain, (noise,) = port.weights(corrector(port.x, -port.x / target, length, Key(1, SAMPLE, 0, Purpose.CORRECTOR), port))
    assert_printed(noise**2 / (1 - gain**2), "2.005")
    assert_printed(noise**2 / 2 / (1 - gain**2), "1.0025")


@every_predictor
@pytest.mark.parametrize("corrections", [0, 1, 3])
def test_predictor_and_corrector_evaluate_the_score_at_the_right_times(predictor, corrections):
    """E11b: the corrector uses the new time and the predicted x."""
    sde, grid, asked, steps = SDE_EXAMPLES["vp"], (1.3, 0.9, 0.4), [], []

    def score(x, t):
        asked.append((t, x.copy()))
        return -x

    def reverse_step(x, prediction, a, b, c, noise):
        steps.append((noise.purpose, noise.step, ops.reverse_step(x, prediction, a, b, c, noise)))
        return steps[-1][2]

    counted = CallCounter(score)
    port = SimpleNamespace(reverse_step=reverse_step)
    states = list(predictor_corrector(sde, counted, grid, np.ones((3, 1)), 5, SAMPLE, predictor, corrections, ops=port))
    assert counted.evaluations == 2 * (1 + corrections)
    assert [t for t, _ in asked] == [1.3, *[0.9] * corrections, 0.9, *[0.4] * corrections]
    for (_, x), (_, _, before) in zip(asked[1:], steps[:-1]):
        assert np.array_equal(x, before)
    assert [t for t, _, _ in states] == [0.9, 0.4] and np.array_equal(states[-1][1], steps[-1][2])
    kinds = [(purpose, step) for purpose, step, _ in steps]
    assert [step for purpose, step in kinds if purpose == Purpose.STEP_NOISE] == [0, 1]
    assert [step for purpose, step in kinds if purpose == Purpose.CORRECTOR] == list(range(2 * corrections))


@every_sde
def test_predictor_corrector_without_corrections_equals_euler_maruyama(sde):
    grid, x = np.geomspace(sde.t_max, sde.t_min, 9), ops.normal(1, SAMPLE, 0, Purpose.PRIOR, (2,))
    whole = final_sample(euler_maruyama(*sde.reverse(score_of(sde)), grid, x, 4, SAMPLE))
    assert_close(
        whole, final_sample(predictor_corrector(sde, score_of(sde), grid, x, 4, SAMPLE, "euler-maruyama", 0)), MIXTURE, 10 + np.abs(whole)
    )


def test_a_corrector_at_its_stability_limit_gives_a_warning():
    with pytest.warns(UserWarning, match="step = 2 is not below the stability limit 2: the samples may diverge"):
        predictor_corrector(VP(), lambda x, t: -x, (1.0, 0.5), np.ones((1, 1)), 1, SAMPLE[:1], step=2.0)
    for solver in SOLVERS.values():
        with pytest.raises(ValueError, match="grid must hold two or more times"):
            list(solver(lambda x, t: x, lambda x, t: 1.0, (1.0,), np.ones((1, 1)), 1, SAMPLE[:1]))
