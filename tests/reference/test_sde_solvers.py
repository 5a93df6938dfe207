"""Solvers of SDEs, forward and reverse, against exact moments: no test but the last of the samplers' laws throws dice.

Samplers that are linear in x and in their draws have Gaussian laws, which ``oracles.moments`` takes from the code itself; laws of one step
of a solver that is linear in x alone are integrals over one normal draw, by Gauss-Hermite quadrature.
"""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from reference import ops
from reference.commands.ode_sde_options import OPTIONS, STEPS, as_schedule, fill_defaults, prior_sample, solve
from reference.ddpm.ddpm import posterior
from reference.diffusion.mixtures import Mixture, example_2_1
from reference.diffusion.schedules import Schedule, VarianceExplodingSchedule
from reference.ops.random import Key, Purpose
from reference.samplers import CallCounter, final_sample
from reference.samplers.sde import (
    PREDICTORS,
    ancestral_predictor,
    corrector,
    euler_maruyama,
    euler_maruyama_predictor,
    milstein,
    predictor_corrector,
    reverse_diffusion_predictor,
    stochastic_heun,
)
from reference.sde.sde import VE, VP, Brownian, OrnsteinUhlenbeck
from tests.oracle_tolerances import (
    EXACT,
    MIXTURE,
    QUADRATURE,
    SDE_FORMULA,
    U32,
    accumulated,
    assert_close,
    assert_printed,
    assert_slope,
    ks_distance,
)
from tests.oracles import SDE_EXAMPLES, Impulses, gaussian_score, moments

MEAN, VARIANCE = 0.7, 0.4
every_sde = pytest.mark.parametrize("sde", SDE_EXAMPLES.values(), ids=SDE_EXAMPLES)
every_predictor = pytest.mark.parametrize("predictor", PREDICTORS)
SAMPLE = np.arange(3)
COUNTS = np.array([40, 80, 160, 320, 640])


def forward(sde):
    """drift and diffusion of the SDE itself."""
    return lambda x, t: sde.drift_coefficient(t) * x, lambda x, t: sde.diffusion(t)


def score_of(sde):
    return lambda x, t: gaussian_score(sde, t, MEAN, VARIANCE)[2](x)


def distribution(sde, t):
    return gaussian_score(sde, t, MEAN, VARIANCE)[:2]


SOLVERS = {
    "euler-maruyama": euler_maruyama,
    "milstein": lambda drift, diffusion, *rest, **more: milstein(drift, diffusion, lambda x, t: 0.0, *rest, **more),
    "stochastic-heun": stochastic_heun,
}
every_solver = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)


# Forward in time, noise that does not depend on x


def additive_errors(solver, sde, n):
    """(weak error of mean, of variance, strong error) of n steps over all of the SDE's time from x_0 = 2, in closed form.

    The solution is signal(T) x_0 + sum_k I_k, I_k = int a(T, s) diffusion(s) dw over step k, and the solver's x is c x_0 + sum_k c_k z_k
    with z_k = dW_k / sqrt(h): E (x - x_T)^2 = ((c - signal) x_0)^2 + sum_k (c_k^2 - 2 c_k Cov(z_k, I_k) + Var I_k).
    """
    grid, port = np.linspace(0, sde.t_max, n + 1), Impulses(n)
    _, c, weights = port.weights(final_sample(solver(*forward(sde), grid, port.x, 1, SAMPLE, ops=port)))
    alpha, sigma = sde.marginal(sde.t_max)
    nodes, quadrature = np.polynomial.legendre.leggauss(8)
    h = grid[1] - grid[0]
    s = grid[:-1, None] + (nodes + 1) / 2 * h
    inside = alpha / sde.signal(s) * sde.diffusion(s) * np.ones_like(s)
    covariance, power = inside @ quadrature * h**0.5 / 2, inside**2 @ quadrature * h / 2
    assert_close(power.sum(), sigma**2, 1e-9)  # the quadrature is fine enough
    strong = (2 * (c - alpha)) ** 2 + (weights**2 - 2 * weights * covariance + power).sum()
    return abs(c - alpha), abs(weights @ weights - sigma**2), strong**0.5


@every_solver
@pytest.mark.parametrize("name", ["vp", "subvp", "ou", "ve"])
def test_where_noise_does_not_depend_on_x_the_strong_order_is_1_and_the_weak_one_too(name, solver):
    mean, variance, strong = np.array([additive_errors(solver, SDE_EXAMPLES[name], n) for n in COUNTS]).T
    assert_slope(COUNTS[1:], strong[1:], 1, 0.2)
    if name != "ve":
        order = 2 if solver is stochastic_heun else 1
        assert_slope(COUNTS[1:], mean[1:], order, 0.2)
    if solver is not stochastic_heun:  # the trapezoidal rule is of second order in the variance, too
        assert_slope(COUNTS[1:], variance[1:], 1, 0.2)


@every_solver
def test_brownian_motion_is_solved_exactly(solver):
    sde = Brownian(a=1.7, t_max=2.5)
    mean, variance = moments(lambda x, port: solver(*forward(sde), np.linspace(0, 2.5, 9), x, 1, SAMPLE, ops=port), 8, 0.3, 0.2)
    assert_close([mean, variance], [0.3, 0.2 + 1.7**2 * 2.5], EXACT)


@pytest.mark.parametrize("gamma, q, h", [(0.5, 0.01, 1.0), (1.0, 2.0, 0.3), (2.0, 0.7, 0.9)])
def test_the_long_run_variance_of_euler_maruyama_is_too_large_in_closed_form(gamma, q, h):
    port = Impulses(1)
    sde = OrnsteinUhlenbeck(gamma=gamma, q=q)
    offset, gain, (noise,) = port.weights(final_sample(euler_maruyama(*forward(sde), (0.0, h), port.x, 1, SAMPLE, ops=port)))
    assert offset == 0
    assert_close([gain, noise**2], [1 - gamma * h, q * h], EXACT)
    assert_close(noise**2 / (1 - gain**2), q / (2 * gamma) / (1 - gamma * h / 2), EXACT)


def test_printed_long_run_variance_of_example_4_4_as_it_is_drawn_and_as_it_should_be():
    """E13: x <- (1 - alpha/2) x + beta z takes h = 1 for granted: with alpha = 1, beta = 0.1 the variance is .013333, not .01."""
    sde, printed = OrnsteinUhlenbeck(gamma=0.5, q=0.1**2, t_max=1000.0), {1.0: ".013333", 0.01: ".010025"}
    for h, variance in printed.items():
        port = Impulses(1)
        _, gain, (noise,) = port.weights(final_sample(euler_maruyama(*forward(sde), (0.0, h), port.x, 1, SAMPLE, ops=port)))
        assert_printed(noise**2 / (1 - gain**2), variance)
    assert_printed(sde.noise_power(sde.t_max), ".01")


@pytest.mark.parametrize("h", [0.2, -0.2])
def test_a_step_is_as_written_whatever_its_direction(h):
    """By hand, for drift sin(x) + t and diffusion 1 + x^2/4 + t; backward in time dW still has variance |h|."""
    f, g, slope = lambda x, t: np.sin(x) + t, lambda x, t: 1 + x**2 / 4 + t, lambda x, t: x / 2
    x, z = np.linspace(-1, 1, 3)[:, None], ops.normal(7, SAMPLE, 0, Purpose.STEP_NOISE, (1,))
    t, s, dW = 0.5, 0.5 + h, 0.2**0.5 * z
    em = x + f(x, t) * h + g(x, t) * dW
    for states, expected in (
        (euler_maruyama(f, g, (t, s), x, 7, SAMPLE), em),
        (milstein(f, g, slope, (t, s), x, 7, SAMPLE), em + g(x, t) * slope(x, t) / 2 * (0.2 * z**2 - 0.2)),
        (stochastic_heun(f, g, (t, s), x, 7, SAMPLE), x + (f(x, t) + f(em, s)) / 2 * h + (g(x, t) + g(em, s)) / 2 * dW),
    ):
        ((time, y, extra),) = states
        assert time == s and extra is None
        assert_close(y, expected, EXACT, 5.0)


# Noise that depends on x: dx = mu x dt + s x dw, whose solution is x_0 exp((mu - s^2/2) t + s w_t) in Ito's sense


MU, S = -0.5, 0.8
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
GEOMETRIC = {
    "euler-maruyama": lambda *rest, ops: euler_maruyama(lambda x, t: MU * x, lambda x, t: S * x, *rest, ops=ops),
    "milstein": lambda *rest, ops: milstein(lambda x, t: MU * x, lambda x, t: S * x, lambda x, t: S, *rest, ops=ops),
    "stochastic-heun": lambda *rest, ops: stochastic_heun(lambda x, t: MU * x, lambda x, t: S * x, *rest, ops=ops),
}


def factors(solver, h):
    """By what one step multiplies x, at the nodes of the quadrature for its draw."""
    port = SimpleNamespace(normal=lambda *key: NODES[:, None])
    return final_sample(solver((0.0, h), np.ones((40, 1)), 1, SAMPLE, ops=port))[:, 0]


def strong_error(solver, n, ito):
    """Root of E (x_n - x(1))^2 after n steps over one unit of time: the steps are independent, E x_n x(1) = (E step solution's step)^n."""
    h = 1 / n
    step, exact = factors(solver, h), np.exp((MU - ito * S**2 / 2) * h + S * h**0.5 * NODES)
    return np.sqrt((WEIGHTS @ step**2) ** n - 2 * (WEIGHTS @ (step * exact)) ** n + (WEIGHTS @ exact**2) ** n)


@pytest.mark.parametrize("name, ito, order", [("euler-maruyama", 1, 0.5), ("milstein", 1, 1.0), ("stochastic-heun", 0, 1.0)])
def test_strong_order_where_noise_depends_on_x(name, ito, order):
    counts = np.array([16, 32, 64, 128, 256])
    assert_slope(counts, [strong_error(GEOMETRIC[name], n, ito) for n in counts], order, 0.2)


@pytest.mark.parametrize(
    "name, growth",
    [("euler-maruyama", MU), ("milstein", MU), ("stochastic-heun", MU + S**2 / 2)],
    ids=["euler-maruyama", "milstein", "heun"],
)
def test_weak_order_1_where_noise_depends_on_x(name, growth):
    counts = np.array([16, 32, 64, 128, 256])
    means = np.array([(WEIGHTS @ factors(GEOMETRIC[name], 1 / n)) ** n for n in counts])
    assert_slope(counts, means - np.exp(growth), 1, 0.2)


@pytest.mark.parametrize("name, ito", [("euler-maruyama", 1), ("milstein", 1), ("stochastic-heun", 0)])
def test_on_nested_increments_of_one_path_a_solver_comes_to_its_own_solution(name, ito):
    """Steps multiply x, each by its own increment; Ito's and Stratonovich's solutions are exp(s^2/2) = 1.38 apart."""
    finest = 1024
    increments = ops.normal(3, np.arange(finest), 0, Purpose.STEP_NOISE, (1,))[:, 0] / finest**0.5
    exact = np.exp(MU - ito * S**2 / 2 + S * increments.sum())
    errors = []
    for n in (16, 1024):
        z = increments.reshape(n, -1).sum(axis=1) * n**0.5
        port = SimpleNamespace(normal=lambda seed, sample, step, *key, z=z: np.full((1, 1), z[step]))
        x = final_sample(GEOMETRIC[name](np.linspace(0, 1, n + 1), np.full((1, 1), 3.0), 1, SAMPLE, ops=port))[0, 0]
        errors.append(abs(x / 3 / exact - 1))
    assert errors[1] < 5 * strong_error(GEOMETRIC[name], 1024, ito) / exact
    assert errors[1] < errors[0]


def test_printed_means_of_stratonovich_and_ito():
    """dx = -g x dt + sqrt(2) b x dw with g = 1, b = 0.5 to t = 1: e^(-g + b^2) and e^-g but for the step of 1/400."""
    drift, diffusion, port = lambda x, t: -x, lambda x, t: 0.5**0.5 * x, SimpleNamespace(normal=lambda *key: NODES[:, None])
    for solver, printed, limit in ((stochastic_heun, ".4726", np.exp(-0.75)), (euler_maruyama, ".3674", np.exp(-1.0))):
        mean = lambda h, solver=solver: (
            WEIGHTS @ final_sample(solver(drift, diffusion, (0.0, h), np.ones((40, 1)), 1, SAMPLE, ops=port))[:, 0]
        )
        assert_printed(mean(1 / 400) ** 400, printed)
        assert_slope(COUNTS, [mean(1 / n) ** int(n) - limit for n in COUNTS], 1, 0.1)


# Predictors


@every_sde
def test_the_predictors_coefficients_in_closed_form(sde):
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
def test_on_vp_ancestral_is_ddpms_posterior_step_with_tweedies_estimate(t, t_prev):
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


def test_on_ve_reverse_diffusion_is_4_21_and_ancestral_has_less_noise():
    """E11c: x + (s_i^2 - s_j^2) score + noise of that variance, or of s_j^2 / s_i^2 of that."""
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
    """Relative error of the mean, over the deviation, and of the variance after n steps from end to last, even in log t."""
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
        if np.abs(error[0]) > accumulated(counts[-1], 16):  # else exact: the mean where the signal stays, or with an exact posterior
            assert_slope(counts[1:], error[1:], 1, 0.2)
        else:
            assert_close(error, 0 * error, accumulated(counts[-1], 16), size)


def test_on_ve_reverse_diffusion_spreads_too_much_and_ancestral_too_little():
    sde = SDE_EXAMPLES["ve"]
    wide, narrow = predicted("reverse-diffusion", sde, 2000)[1], predicted("ancestral", sde, 2000)[1]
    assert wide > 1e-3 and narrow < -1e-3


def test_data_of_variance_1_keep_it_under_vp_exactly_with_the_noise_of_the_forward_step():
    """The map x <- (x - beta x) / sqrt(1 - beta) = sqrt(1 - beta) x + sqrt(beta) z; the printed beta/2 gives 6.23 after 100 steps (E5)."""
    right = printed = 1.0
    sde = constant_chain(0.05)
    c_x, c_score, _ = ancestral_predictor(sde, 0.5, 0.49)
    for _ in range(100):
        right, printed = (c_x - c_score) ** 2 * right + 0.05, (c_x - c_score / 2) ** 2 * printed + 0.05
    assert_close(right, 1.0, accumulated(100))
    assert_printed(printed, "6.23")


def constant_chain(beta):
    """VP whose steps of 1/100 each have that variance; it goes on to t = 3."""
    rate = -100 * np.log1p(-beta)
    return VP(beta_min=rate, beta_max=rate, t_max=3.0)


def total_variance(N, share):
    """Of (4.17) on the mixture of Ex 4.6, from N(0, 1), of x and of x given x > 0.

    A transition on a grid: nodes less than a deviation of a step's noise apart make the trapezoidal rule wrong by e^-20 at most.
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
    """Moments of predictor-corrector on Gaussian data from its exact law at grid[0], Langevin steps of step sigma_t^2."""
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
def test_predictor_and_corrector_have_the_moments_of_their_recursion_and_about_those_of_the_data(sde, predictor, corrections, step):
    """As Algorithm 1 must be (E11, E11b), every draw used once.

    Errors of the steps, each from the exact law, are not magnified; a corrector's bias is at most step/2 / (1 - step/2) of the variance.
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
def test_the_corrector_leaves_a_gaussian_as_it_is_but_for_the_bias_of_its_step(sde, step):
    """v / (1 - length / (2 v)); with the printed noise of variance ``length`` (E11) it would be half of that."""
    for t in (sde.t_min, 0.5 * sde.t_max, sde.t_max):
        m, v = distribution(sde, t)
        length, port = step * sde.noise_power(t), Impulses(1)
        key = Key(1, SAMPLE, 0, Purpose.CORRECTOR)
        offset, gain, (noise,) = port.weights(corrector(port.x, score_of(sde)(port.x, t), length, key, port))
        assert_close(offset + gain * m, m, SDE_FORMULA, 1.0)
        assert_close(noise**2 / (1 - gain**2), v / (1 - length / (2 * v)), SDE_FORMULA, v / (1 - abs(gain)))


def test_printed_variances_of_the_corrector_with_its_noise_and_with_the_tutorials():
    length, target, port = 0.01, 2.0, Impulses(1)
    _, gain, (noise,) = port.weights(corrector(port.x, -port.x / target, length, Key(1, SAMPLE, 0, Purpose.CORRECTOR), port))
    assert_printed(noise**2 / (1 - gain**2), "2.005")
    assert_printed(noise**2 / 2 / (1 - gain**2), "1.0025")


@every_predictor
@pytest.mark.parametrize("corrections", [0, 1, 3])
def test_the_score_is_that_of_the_time_asked_once_to_predict_and_once_for_every_correction(predictor, corrections):
    """E11b: the corrector is at the new time, at the x that was predicted."""
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
def test_without_corrections_its_first_predictor_is_euler_maruyama_on_the_reverse_sde(sde):
    grid, x = np.geomspace(sde.t_max, sde.t_min, 9), ops.normal(1, SAMPLE, 0, Purpose.PRIOR, (2,))
    whole = final_sample(euler_maruyama(*sde.reverse(score_of(sde)), grid, x, 4, SAMPLE))
    assert_close(
        whole, final_sample(predictor_corrector(sde, score_of(sde), grid, x, 4, SAMPLE, "euler-maruyama", 0)), MIXTURE, 10 + np.abs(whole)
    )


@every_sde
@every_solver
@pytest.mark.parametrize("reverse_noise", [0.5, 1.0, 2.0])
def test_the_reverse_family_keeps_the_marginals_of_a_gaussian_up_to_the_order_of_the_solver(sde, solver, reverse_noise):
    m, v = distribution(sde, sde.t_min)
    errors = []
    for n in (120, 240):
        grid = np.geomspace(sde.t_max, sde.t_min, n + 1)
        run = lambda x, port, grid=grid: solver(*sde.reverse(score_of(sde), reverse_noise), grid, x, 1, SAMPLE, ops=port)
        mean, variance = moments(run, n, *distribution(sde, sde.t_max))
        errors.append(abs(mean - m) / v**0.5 + abs(variance / v - 1))
    assert errors[0] < 0.5 and errors[1] < 0.65 * errors[0]


# What a caller sees


def samplers(x, sample, score=lambda x, t: (0.5 - x) / (0.3 + t), steps=4, ops=ops):
    """Every solver of the reverse SDE, ready to run: (its evaluations a step, the steps)."""
    sde, grid = SDE_EXAMPLES["vp"], np.linspace(1.3, 0.3, steps + 1)
    return {
        **{
            name: (2 if name == "stochastic-heun" else 1, s(*sde.reverse(score), grid, x, 6, sample, ops=ops))
            for name, s in SOLVERS.items()
        },
        **{f"{name}, corrected": (3, predictor_corrector(sde, score, grid, x, 6, sample, name, 2, ops=ops)) for name in PREDICTORS},
    }


every_sampler = pytest.mark.parametrize("name", samplers(np.zeros((1, 1)), SAMPLE[:1]))


@every_sampler
def test_evaluations_a_step(name):
    score = CallCounter(lambda x, t: -x)
    evaluations, states = samplers(np.ones((3, 1)), SAMPLE, score)[name]
    final_sample(states)
    assert score.evaluations == 4 * evaluations


@every_sampler
@pytest.mark.parametrize("shape", [(1,), (3,), (2, 3, 1)])
def test_shape_and_dtype_are_kept_and_single_precision_is_double_rounded(name, shape):
    x = ops.normal(1, np.arange(5), 0, Purpose.PRIOR, shape, np.float32)
    before = x.copy()
    _, states = samplers(x, np.arange(5))[name]
    _, exact = samplers(x.astype(np.float64), np.arange(5))[name]
    for (t, y, extra), (t64, y64, _) in zip(states, exact, strict=True):
        assert y.dtype == np.float32 and y64.dtype == np.float64 and y.shape == x.shape and extra is None and t == t64
        assert_close(y, y64, 4 * 3 * 16 * U32, 4 * (1 + np.abs(y64).max()))  # 4 steps of 3 stages; gains of at most 4
    assert np.array_equal(x, before)


@every_sampler
def test_a_sample_does_not_depend_on_its_batch(name):
    x, sample = ops.normal(1, np.arange(8), 0, Purpose.PRIOR, (2, 2)), np.arange(8)
    whole = final_sample(samplers(x, sample)[name][1])
    for i in range(8):
        assert np.array_equal(whole[i : i + 1], final_sample(samplers(x[i : i + 1], sample[i : i + 1])[name][1]))
    assert len(np.unique(whole)) == whole.size


@every_sampler
def test_every_step_has_a_draw_of_its_own(name):
    draws = 4 * (1 if name in SOLVERS else 3)
    port = Impulses(draws)
    final_sample(samplers(port.x, SAMPLE, ops=port)[name][1])
    assert len(port.keys) == draws
    steps = [step for _, step, purpose in port.keys if purpose == Purpose.STEP_NOISE]
    assert steps == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "call, said",
    [
        ({"predictor": "best"}, "predictor must be one of euler-maruyama, reverse-diffusion, ancestral, got 'best'"),
        ({"corrections": -1}, "corrections must not be negative, got -1"),
        ({"step": 0.0}, "step must be a positive number, got 0.0"),
        ({"step": float("nan")}, "step must be a positive number, got nan"),
        ({"grid": (0.5, 1.0, 0.2)}, "grid must hold two or more times, rising or falling strictly"),
        ({"grid": (1.5, 1.0)}, r"t must lie in \[0, 1\], the time of the SDE, got 1.5"),
    ],
)
def test_bad_input_is_named_with_what_was_given(call, said):
    arguments = {"grid": (1.0, 0.5)} | call
    with pytest.raises(ValueError, match=said):
        list(predictor_corrector(VP(), lambda x, t: -x, x=np.ones((1, 1)), seed=1, sample=SAMPLE[:1], **arguments))


def test_a_corrector_at_its_stability_limit_is_warned_of():
    with pytest.warns(UserWarning, match="step = 2 is not below the stability limit 2: the samples may diverge"):
        predictor_corrector(VP(), lambda x, t: -x, (1.0, 0.5), np.ones((1, 1)), 1, SAMPLE[:1], step=2.0)
    for solver in SOLVERS.values():
        with pytest.raises(ValueError, match="grid must hold two or more times"):
            list(solver(lambda x, t: x, lambda x, t: 1.0, (1.0,), np.ones((1, 1)), 1, SAMPLE[:1]))


# All solvers as ``sample`` runs them, on the mixture of Ex 2.1 with its own score


@pytest.mark.parametrize("name", STEPS)
def test_the_usual_number_of_steps_gives_the_law_of_the_mixture(name):
    mixture, sde, count = example_2_1(), VP(), 1000
    variance = float(mixture.covariance[0, 0] + mixture.mean[0] ** 2)
    model = SimpleNamespace(schedule=sde, data_variance=variance, network=SimpleNamespace(sample_shape=(1,)))
    score = CallCounter(lambda x, alpha, sigma: mixture.noised(alpha, sigma).score(x))
    how = fill_defaults(name, **dict.fromkeys(OPTIONS[name]))
    states = list(solve(SimpleNamespace(model=model), ops, np.arange(count), name, 1, score=score, **how))
    t, x, _ = states[-1]
    assert t == 0 and x.shape == (count, 1) and x.dtype == np.float32
    at, below = np.sort(mixture.cdf(x[:, 0])), np.arange(count)
    assert max(np.max((below + 1) / count - at), np.max(at - below / count)) <= ks_distance(count)
    cost = {
        "stochastic-heun": 2,
        "predictor-corrector": 2,
        "ode-midpoint": 2,
        "ode-heun": 2,
        "ode-rk4": 4,
        "dpm-solver-2": 2,
        "dpm-solver-3": 3,
    }
    if name == "edm":
        assert score.evaluations == 2 * STEPS[name] - 1
    elif STEPS[name]:
        assert score.evaluations == cost.get(name, 1) * STEPS[name] + 1  # one more for the mean at the end


def test_quadrature_by_hermite_is_exact_for_the_moments_of_a_normal_draw():
    assert_close([WEIGHTS @ NODES**k for k in (0, 2, 4, 6)], [1.0, 1.0, 3.0, 15.0], QUADRATURE)
    assert_close(WEIGHTS @ np.exp(S * NODES), np.exp(S**2 / 2), QUADRATURE)


def run_of(sde, variance=0.6):
    """What a solver needs of a trained run, with the exact denoiser of Gaussian data of mean 0."""
    mean = lambda x, alpha, sigma: alpha * variance * x / (alpha**2 * variance + sigma**2)
    model = SimpleNamespace(
        schedule=sde, data_variance=variance, network=SimpleNamespace(sample_shape=(2,)), posterior_mean_function=lambda params, ops: mean
    )
    return SimpleNamespace(model=model, state=SimpleNamespace(ema={}))


@every_sde
def test_a_solver_starts_with_the_variance_that_data_have_at_the_end(sde):
    x = prior_sample(run_of(sde), SAMPLE, 4)
    scale = np.sqrt(sde.signal(sde.t_max) ** 2 * 0.6 + sde.noise_scale(sde.t_max) ** 2)
    assert x.dtype == np.float32
    assert_close(x, scale * ops.normal(4, SAMPLE, 0, Purpose.PRIOR, (2,), np.float32), 4 * U32)


@pytest.mark.parametrize("name", ["vp", "ve", "subvp"])
@pytest.mark.parametrize("steps", [1, 6])
def test_the_samplers_of_chains_get_the_sdes_mean_of_x0_at_even_times(name, steps):
    sde = SDE_EXAMPLES[name]
    chain, x0_of = as_schedule(run_of(sde), ops, steps)
    times = np.linspace(sde.t_min, sde.t_max, steps) if steps > 1 else np.array([sde.t_max])
    assert chain.T == steps and type(chain) is (VarianceExplodingSchedule if name == "ve" else Schedule)
    x = np.ones((3, 2))
    for t, time in enumerate(times, start=1):
        alpha, sigma = chain.signal(t), chain.noise_scale(t)
        assert_close(sigma / alpha, sde.noise_scale(time) / sde.signal(time), SDE_FORMULA)
        assert_close(x0_of(x, t), alpha * 0.6 * x / (alpha**2 * 0.6 + sigma**2), SDE_FORMULA)
