"""Solvers of SDEs against exact moments, without random draws.

Solvers that are linear in x and in their draws have Gaussian distributions, computed by ``oracles.moments`` from the code itself.  One step
of a solver that is linear in x only is an integral over one normal draw, by Gauss-Hermite quadrature.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from reference import ops
from reference.ops.random import Purpose
from reference.samplers import final_sample
from reference.samplers.sde import euler_maruyama, milstein, stochastic_heun
from reference.sde.sde import Brownian, OrnsteinUhlenbeck
from tests.oracle_tolerances import EXACT, QUADRATURE, assert_close, assert_printed, assert_slope
from tests.oracles import SDE_EXAMPLES, ImpulsePort, moments
from tests.sde_examples import COUNTS, SAMPLE, every_solver, forward

# Forward in time, additive noise


def additive_errors(solver, sde, n):
    """(weak error of mean, of variance, strong error) of n steps over all of the SDE's time from x_0 = 2, in closed form.

    The solution is signal(T) x_0 + sum_k I_k, I_k = int a(T, s) diffusion(s) dw over step k, and the solver's x is c x_0 + sum_k c_k z_k
    with z_k = dW_k / sqrt(h): E (x - x_T)^2 = ((c - signal) x_0)^2 + sum_k (c_k^2 - 2 c_k Cov(z_k, I_k) + Var I_k).
    """
    grid, port = np.linspace(0, sde.t_max, n + 1), ImpulsePort(n)
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
def test_strong_and_weak_order_are_1_for_additive_noise(name, solver):
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
def test_stationary_variance_of_euler_maruyama_is_too_large_by_a_closed_form(gamma, q, h):
    port = ImpulsePort(1)
    sde = OrnsteinUhlenbeck(gamma=gamma, q=q)
    offset, gain, (noise,) = port.weights(final_sample(euler_maruyama(*forward(sde), (0.0, h), port.x, 1, SAMPLE, ops=port)))
    assert offset == 0
    assert_close([gain, noise**2], [1 - gamma * h, q * h], EXACT)
    assert_close(noise**2 / (1 - gain**2), q / (2 * gamma) / (1 - gamma * h / 2), EXACT)


def test_printed_stationary_variances_of_example_4_4():
    """E13: x <- (1 - alpha/2) x + beta z assumes h = 1: with alpha = 1, beta = 0.1 the variance is .013333, not .01."""
    sde, printed = OrnsteinUhlenbeck(gamma=0.5, q=0.1**2, t_max=1000.0), {1.0: ".013333", 0.01: ".010025"}
    for h, variance in printed.items():
        port = ImpulsePort(1)
        _, gain, (noise,) = port.weights(final_sample(euler_maruyama(*forward(sde), (0.0, h), port.x, 1, SAMPLE, ops=port)))
        assert_printed(noise**2 / (1 - gain**2), variance)
    assert_printed(sde.noise_power(sde.t_max), ".01")


@pytest.mark.parametrize("h", [0.2, -0.2])
def test_a_step_equals_its_formula_in_either_time_direction(h):
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


# Multiplicative noise: dx = mu x dt + s x dw with the Ito solution x_0 exp((mu - s^2/2) t + s w_t)


MU, S = -0.5, 0.8
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
GEOMETRIC = {
    "euler-maruyama": lambda *rest, ops: euler_maruyama(lambda x, t: MU * x, lambda x, t: S * x, *rest, ops=ops),
    "milstein": lambda *rest, ops: milstein(lambda x, t: MU * x, lambda x, t: S * x, lambda x, t: S, *rest, ops=ops),
    "stochastic-heun": lambda *rest, ops: stochastic_heun(lambda x, t: MU * x, lambda x, t: S * x, *rest, ops=ops),
}


def factors(solver, h):
    """Factor of x in one step, at the quadrature nodes of its draw."""
    port = SimpleNamespace(normal=lambda *key: NODES[:, None])
    return final_sample(solver((0.0, h), np.ones((40, 1)), 1, SAMPLE, ops=port))[:, 0]


def strong_error(solver, n, ito):
    """Root of E (x_n - x(1))^2 after n steps over one unit of time: the steps are independent, E x_n x(1) = (E step solution's step)^n."""
    h = 1 / n
    step, exact = factors(solver, h), np.exp((MU - ito * S**2 / 2) * h + S * h**0.5 * NODES)
    return np.sqrt((WEIGHTS @ step**2) ** n - 2 * (WEIGHTS @ (step * exact)) ** n + (WEIGHTS @ exact**2) ** n)


@pytest.mark.parametrize("name, ito, order", [("euler-maruyama", 1, 0.5), ("milstein", 1, 1.0), ("stochastic-heun", 0, 1.0)])
def test_strong_order_for_multiplicative_noise(name, ito, order):
    counts = np.array([16, 32, 64, 128, 256])
    assert_slope(counts, [strong_error(GEOMETRIC[name], n, ito) for n in counts], order, 0.2)


@pytest.mark.parametrize(
    "name, growth",
    [("euler-maruyama", MU), ("milstein", MU), ("stochastic-heun", MU + S**2 / 2)],
    ids=["euler-maruyama", "milstein", "heun"],
)
def test_weak_order_is_1_for_multiplicative_noise(name, growth):
    counts = np.array([16, 32, 64, 128, 256])
    means = np.array([(WEIGHTS @ factors(GEOMETRIC[name], 1 / n)) ** n for n in counts])
    assert_slope(counts, means - np.exp(growth), 1, 0.2)


@pytest.mark.parametrize("name, ito", [("euler-maruyama", 1), ("milstein", 1), ("stochastic-heun", 0)])
def test_a_solver_converges_to_its_own_solution_on_one_brownian_path(name, ito):
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
    """dx = -g x dt + sqrt(2) b x dw with g = 1, b = 0.5 to t = 1: e^{-g + b^2} and e^{-g} but for the step of 1/400."""
    drift, diffusion, port = lambda x, t: -x, lambda x, t: 0.5**0.5 * x, SimpleNamespace(normal=lambda *key: NODES[:, None])
    for solver, printed, limit in ((stochastic_heun, ".4726", np.exp(-0.75)), (euler_maruyama, ".3674", np.exp(-1.0))):
        mean = lambda h, solver=solver: (
            WEIGHTS @ final_sample(solver(drift, diffusion, (0.0, h), np.ones((40, 1)), 1, SAMPLE, ops=port))[:, 0]
        )
        assert_printed(mean(1 / 400) ** 400, printed)
        assert_slope(COUNTS, [mean(1 / n) ** int(n) - limit for n in COUNTS], 1, 0.1)


def test_hermite_quadrature_is_exact_for_normal_moments():
    assert_close([WEIGHTS @ NODES**k for k in (0, 2, 4, 6)], [1.0, 1.0, 3.0, 15.0], QUADRATURE)
    assert_close(WEIGHTS @ np.exp(S * NODES), np.exp(S**2 / 2), QUADRATURE)
