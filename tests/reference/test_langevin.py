"""Langevin dynamics against its moments, against transition operators on grids, and on the mixture of the tutorial's Ex 3.2."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import brentq
from scipy.stats import norm

from reference import ops
from reference.diffusion.mixtures import Mixture
from reference.ops.random import Purpose
from reference.samplers import final_sample
from reference.samplers.langevin import gradient_ascent, langevin, mala, sgld, stability_limit
from tests.oracle_tolerances import EXACT, MIXTURE, QUADRATURE, accumulated, assert_close, assert_mean, assert_printed, z_score

EXAMPLE_3_2 = Mixture(np.array([0.6, 0.4]), np.array([[2.0], [-2.0]]), np.array([0.5**2, 0.2**2]))
MINIMUM = -0.820708  # minimum of its density between the modes
PLANE = Mixture(np.ones(1), np.array([[0.5, -1.0]]), np.array([[[0.5, 0.2], [0.2, 0.3]]]))
COUNT = 20_000


def normal_distribution(mean, variance):
    return Mixture(np.ones(1), np.array([[mean]]), np.array([variance]))


def coefficients(run):
    """(a, b, c) of each step a x + b prediction + c noise of a sampler; ``run`` takes a port that records them."""
    seen = []

    def reverse_step(x, prediction, a, b, c, noise):
        seen.append((a, b, c))
        return ops.reverse_step(x, prediction, a, b, c, noise)

    final_sample(run(SimpleNamespace(reverse_step=reverse_step)))
    return seen


def drift_and_noise(tau):
    """b and c of a Langevin step in the code."""
    ((a, b, c),) = coefficients(lambda port: langevin(lambda x: x, np.zeros((1, 1)), tau, 1, 0, np.arange(1), ops=port))
    assert a == 1
    return b, c


def uniform_start(count, low=-3.0, high=3.0):
    return low + (high - low) * ops.uniform(31, np.arange(count), 0, Purpose.DATA, (1,))


# One step, and the moments of many


@pytest.mark.parametrize(
    "distribution, tau",
    [(normal_distribution(0.7, 0.5), 0.1), (normal_distribution(-2.0, 4.0), 5.0), (PLANE, 0.2)],
    ids=["line", "long", "plane"],
)
def test_a_step_on_a_gaussian_is_affine_with_noise_variance_two_tau(distribution, tau):
    x, sample, d = distribution.mean + uniform_start(50), np.arange(7, 57), distribution.dimension
    gain = np.eye(d) - tau * np.linalg.inv(distribution.full[0])
    for n, (number, y, extra) in enumerate(langevin(distribution.score, x, tau, 20, 5, sample)):
        z = ops.normal(5, sample, n, Purpose.STEP_NOISE, (d,))
        assert number == n + 1 and extra is None
        assert_close(y, distribution.mean + (x - distribution.mean) @ gain + np.sqrt(2 * tau) * z, EXACT, 10 * (1 + np.abs(x).max()))
        x = y


@pytest.mark.parametrize("s2, tau", [(0.25, 0.05), (0.04, 0.05), (1.0, 0.01), (1.0, 1.9), (3.0, 0.5)])
def test_mean_and_variance_follow_their_recursions(s2, tau):
    distribution, sample = normal_distribution(1.5, s2), np.arange(COUNT)
    start = 3.0 + np.sqrt(2.0) * ops.normal(3, sample, 0, Purpose.PRIOR, (1,))
    mean, variance = 3.0, 2.0
    for n, x, _ in langevin(distribution.score, start, tau, 40, 4, sample):
        mean, variance = 1.5 + (1 - tau / s2) * (mean - 1.5), (1 - tau / s2) ** 2 * variance + 2 * tau
        assert_close(mean - 1.5, (1 - tau / s2) ** n * 1.5, accumulated(n), 1.5)
        if n in (1, 2, 5, 40):  # false alarms: FALSE_ALARM in all
            assert_mean(x, mean, 8 * 5)
            assert_mean((x - mean) ** 2, variance, 8 * 5)


def chain(distribution, starts, tau, steps):
    """States [steps,m,d] of chains with shared noise."""
    sample = np.zeros(len(starts), int)
    return np.stack([x for _, x, _ in langevin(distribution.score, np.array(starts), tau, steps, 1, sample)])


def test_two_chains_with_shared_noise_converge_at_the_rate_of_the_gain():
    tau, s2 = 0.05, 0.25
    x = chain(normal_distribution(2.0, s2), [[0.0], [1.0]], tau, 50)
    assert_close(x[:, 1] - x[:, 0], (1 - tau / s2) ** np.arange(1, 51)[:, None], accumulated(50), 10.0)


def test_each_eigenvalue_of_the_covariance_has_its_own_gain():
    tau, (values, vectors) = 0.1, np.linalg.eigh(PLANE.full[0])
    for eigenvalue, vector in zip(values, vectors.T):
        x = chain(PLANE, [[0.0, 0.0], vector], tau, 30)
        expected = (1 - tau / eigenvalue) ** np.arange(1, 31)[:, None] * vector
        assert_close(x[:, 1] - x[:, 0], expected, accumulated(30), 20.0)


def stationary(s2, tau):
    """The stationary variance of the code's drift and noise."""
    b, c = drift_and_noise(tau)
    return c**2 / (1 - (1 - b / s2) ** 2)


@pytest.mark.parametrize("s2, tau", [(0.25, 0.05), (0.04, 0.05), (1.0, 0.01), (1.0, 1.9), (3.0, 0.5)])
def test_stationary_variance_is_too_large_by_a_factor_in_closed_form(s2, tau):
    assert_close(stationary(s2, tau), s2 / (1 - tau / (2 * s2)), EXACT, 1 / (1 - abs(1 - tau / s2)))


def test_printed_deviations_of_the_modes_of_example_3_2():
    assert_printed(np.sqrt(stationary(0.25, 0.05) / 0.25), "1.054")
    assert_printed(np.sqrt(stationary(0.04, 0.05) / 0.04), "1.633")
    assert_printed(stationary(0.04, 0.05), ".1067")


def test_the_bias_of_the_deviation_is_a_quarter_of_the_step_to_first_order():
    for s2 in (0.25, 1.0, 4.0):
        tau = 1e-4 * s2
        assert_close(np.sqrt(stationary(s2, tau)) - np.sqrt(s2), tau / (4 * np.sqrt(s2)), tau / s2)  # the next order: 3/8 tau / s2


def test_stationary_covariance_in_2d_follows_per_eigenvalue():
    tau, sample, (values, vectors) = 0.15, np.arange(COUNT), np.linalg.eigh(PLANE.full[0])
    x = final_sample(
        langevin(PLANE.score, PLANE.mean + np.zeros((COUNT, 2)), tau, 60, 9, sample)
    )  # gains below 0.6: 60 steps forget the start
    rotated = (x - PLANE.mean) @ vectors
    assert_mean(rotated[:, :, None] * rotated[:, None], np.diag(values / (1 - tau / (2 * values))))


def test_langevin_on_a_gaussian_is_reversible():
    mu, s2, tau = 0.3, 0.5, 0.4
    b, c = drift_and_noise(tau)
    x, y = np.meshgrid(np.linspace(-3, 3, 31), np.linspace(-3, 3, 31))
    flux = lambda x, y, v: norm.pdf(x, mu, np.sqrt(v)) * norm.pdf(y, x + b * (mu - x) / s2, c)
    own = stationary(s2, tau)
    assert_close(flux(x, y, own), flux(y, x, own), MIXTURE)
    assert np.abs(flux(x, y, s2) - flux(y, x, s2)).max() > 0.01  # and not for the distribution of its target


# Stability


@pytest.mark.parametrize("distribution", [EXAMPLE_3_2, PLANE, normal_distribution(1.0, 0.3)], ids=["example-3.2", "plane", "line"])
def test_the_score_slope_never_exceeds_the_bound_of_the_stability_limit(distribution):
    limit = stability_limit(distribution)
    assert_close(limit, 2 * np.linalg.eigvalsh(distribution.full).min(), EXACT)
    x = distribution.mean + 3 * ops.normal(2, np.arange(2000), 0, Purpose.DATA, (distribution.dimension,))
    steepest = -np.linalg.eigvalsh(distribution.score_jacobian(x)).min(axis=1)
    assert (steepest <= (2 / limit) * (1 + MIXTURE)).all() and steepest.max() > 1.9 / limit


def test_printed_stability_limit_of_example_3_2():
    assert_printed(stability_limit(EXAMPLE_3_2), ".08")


@pytest.mark.parametrize("distribution", [PLANE, normal_distribution(1.0, 0.3)], ids=["plane", "line"])
def test_chains_diverge_above_the_stability_limit_and_converge_below(distribution):
    limit, steepest = stability_limit(distribution), np.linalg.eigh(distribution.full[0])[1][:, 0]
    starts = [distribution.mean, distribution.mean + steepest]
    with pytest.warns(UserWarning, match="may diverge"):
        list(langevin(distribution.score, np.array(starts), 1.01 * limit, 1, 1, np.zeros(2, int), limit=limit))
    for tau, grows in ((0.99 * limit, False), (1.01 * limit, True)):
        x = chain(distribution, starts, tau, 200)
        distance = np.linalg.norm(x[:, 1] - x[:, 0], axis=1)
        assert (distance[-1] > 10) if grows else (distance[-1] < 0.1)


@pytest.mark.parametrize("tau", [0.5, 0.5001, 3.0])
def test_a_step_at_or_above_the_limit_gives_a_warning_with_the_limit(tau):
    distribution = normal_distribution(0.0, 0.25)
    with pytest.warns(UserWarning, match=f"tau = {tau:.4g} is not below the stability limit 0.5: the samples may diverge") as warned:
        langevin(distribution.score, np.zeros((1, 1)), tau, 1, 0, np.arange(1), limit=stability_limit(distribution))
    assert warned[0].filename == __file__


def test_a_step_below_the_limit_or_without_limit_gives_no_warning():
    final_sample(langevin(EXAMPLE_3_2.score, np.zeros((1, 1)), 0.0799, 1, 0, np.arange(1), limit=stability_limit(EXAMPLE_3_2)))
    final_sample(langevin(EXAMPLE_3_2.score, np.zeros((1, 1)), 3.0, 1, 0, np.arange(1)))


# Ex 3.2: two modes


def test_printed_density_and_score_of_example_3_2():
    rows = {0.0: ("1.60596271e-4", "8.0"), 1.0: ("6.47891598e-2", "4.0"), -1.0: ("2.98073009e-6", "-24.9094956"), 2.5: (".290364869", "-2")}
    for x, (density, score) in rows.items():
        at = np.array([[x]])
        assert_printed(np.exp(EXAMPLE_3_2.log_density(at))[0], density)
        assert_printed(EXAMPLE_3_2.score(at)[0, 0], score)


def test_printed_minimum_of_the_density_between_the_modes():
    x = brentq(lambda x: EXAMPLE_3_2.score(np.array([[x]]))[0, 0], -1.5, 0.5, xtol=1e-12)
    assert_printed(x, str(MINIMUM))
    assert_printed(np.exp(EXAMPLE_3_2.log_density(np.array([[x]])))[0], "8.128e-8")


def test_gradient_ascent_adds_the_score_and_no_noise():
    x = uniform_start(20)
    for n, (number, y, extra) in enumerate(gradient_ascent(EXAMPLE_3_2.score, x, 0.02, 10)):
        assert number == n + 1 and extra is None
        assert_close(y, x + 0.02 * EXAMPLE_3_2.score(x), EXACT, 1 + np.abs(x).max())
        x = y


def test_gradient_ascent_from_zero_climbs_to_the_mode_at_two():
    path = np.array([x[0, 0] for _, x, _ in gradient_ascent(EXAMPLE_3_2.score, np.zeros((1, 1)), 0.05, 500)])
    assert (np.diff(path) >= 0).all()
    assert_close(path[-1], 2.0, MIXTURE)  # 0.8^500 is negligible, and so is the other mode there, e^{-200}


def test_gradient_ascent_ends_at_the_mode_of_its_basin():
    starts = np.array([[-3.0], [-2.0], [MINIMUM - 0.01], [MINIMUM + 0.01], [1.0], [3.0]])
    modes = final_sample(gradient_ascent(EXAMPLE_3_2.score, starts, 0.02, 1000))
    assert_close(modes, np.array([[-2.0]] * 3 + [[2.0]] * 3), MIXTURE)


# The distribution after any number of steps, by a transition operator on a grid


def operator(distribution, tau, low=-7.0, high=8.0):
    """Nodes x[m], their weight h, and T[m,m]: densities before a step -> densities after it.

    A kernel is N(y; x + b score(x), c^2).  Where the step stretches most, nodes are 0.7 c apart in y: on Gaussians as wide as that the
    trapezoidal rule is wrong by exp(-2 pi^2 / 0.49), e^{-40}.  No mass leaves [low, high].
    """
    b, c = drift_and_noise(tau)
    stretch = max(1, np.abs(1 + b * distribution.score_jacobian(np.linspace(low, high, 2001)[:, None])).max())
    x, h = np.linspace(low, high, int((high - low) * stretch / (0.7 * c)) + 1, retstep=True)
    return x, h, h * norm.pdf(x[:, None], x + b * distribution.score(x[:, None])[:, 0], c)


def long_run(distribution, tau):
    """Nodes and stationary probabilities of a step."""
    x, _, T = operator(distribution, tau)
    system, right = T / T.sum(axis=0) - np.eye(len(x)), np.zeros(len(x))
    system[-1] = right[-1] = 1.0
    return x, np.linalg.solve(system, right)


def from_uniform(distribution, tau, steps):
    """Nodes and probabilities after ``steps`` steps from U[-3, 3]; the first step by Gauss-Legendre on 100 panels of 20 nodes."""
    b, c = drift_and_noise(tau)
    x, h, T = operator(distribution, tau)
    t, w = np.polynomial.legendre.leggauss(20)
    start = (np.arange(100)[:, None] + (t + 1) / 2).ravel() * 0.06 - 3
    p = norm.pdf(x[:, None], start + b * distribution.score(start[:, None])[:, 0], c) @ np.tile(w, 100) / 200
    for _ in range(steps - 1):
        p = T @ p
    return x, h * p


def narrow_mode(x, p):
    """Share, mean and variance of the part left of the minimum."""
    left = p * (x < MINIMUM)
    mean = left @ x / left.sum()
    return left.sum(), mean, left @ (x - mean) ** 2 / left.sum()


@pytest.mark.parametrize("s2, tau", [(0.25, 0.05), (0.5, 0.2)])
def test_transition_operator_on_a_gaussian_has_the_closed_form_limit(s2, tau):
    x, p = long_run(normal_distribution(0.5, s2), tau)
    assert_close(p @ x, 0.5, QUADRATURE / (tau / s2))
    assert_close(p @ (x - 0.5) ** 2, s2 / (1 - tau / (2 * s2)), QUADRATURE / (tau / s2))


@pytest.mark.parametrize("tau, wide", [(0.05, ".9997"), (0.02, ".9333"), (0.01, ".7648"), (0.001, ".6042")])
def test_long_steps_reduce_the_stationary_weight_of_the_narrow_mode(tau, wide):
    share, _, _ = narrow_mode(*long_run(EXAMPLE_3_2, tau))
    assert_printed(1 - share, wide)


@pytest.mark.parametrize("tau, wide", [(0.001, ".630"), (0.01, ".632"), (0.05, ".641")])
def test_a_hundred_steps_from_uniform_keep_about_the_basin_weights(tau, wide):
    share, _, _ = narrow_mode(*from_uniform(EXAMPLE_3_2, tau, 100))
    assert_printed((3 - MINIMUM) / 6, ".6368")
    assert_printed(1 - share, wide)


def test_short_langevin_chains_keep_wrong_mode_weights():
    share, mean, variance = narrow_mode(*from_uniform(EXAMPLE_3_2, 0.05, 100))
    assert_printed(variance / 0.2**2, "2.66")
    sample = np.arange(10_000)
    x = final_sample(langevin(EXAMPLE_3_2.score, uniform_start(10_000), 0.05, 100, 1, sample))
    left = x < MINIMUM
    assert_mean(left, share, 3)
    assert_mean(x[left], mean, 3)
    assert_mean((x[left] - mean) ** 2, variance, 3)
    assert abs(left.mean() - 0.4) > z_score() * np.sqrt(0.4 * 0.6 / 10_000)
    assert x[left].var() > 2.4 * 0.2**2


def relaxation_rates(distribution, h):
    """The four smallest eigenvalues of the Fokker-Planck operator on a grid: jumps to neighbours with rates in detailed balance."""
    log_p = distribution.log_density(np.arange(-4, 7, h)[:, None])
    up, down = np.exp(np.diff(log_p) / 2) / h**2, np.exp(-np.diff(log_p) / 2) / h**2
    away = np.append(up, 0) + np.insert(down, 0, 0)
    return eigh_tridiagonal(away, np.full(len(up), -1 / h**2), eigvals_only=True, select="i", select_range=(0, 3))


def test_printed_relaxation_rates_of_example_3_2():
    coarse, fine = relaxation_rates(EXAMPLE_3_2, 0.02), relaxation_rates(EXAMPLE_3_2, 0.01)
    stationary_rate, between, *within = (4 * fine - coarse) / 3  # the error is of second order
    assert_close(stationary_rate, 0.0, EXACT, 4 / 0.01**2)
    assert_printed(between, "1.788e-6")
    assert_printed(within[0], "4.0000")
    assert_printed(within[1], "8.0003")


# The interface


def gaussian_score(x):
    return (0.5 - x) / 0.3


def gaussian_log_density(x):
    return -((x - 0.5) ** 2).reshape(len(x), -1).sum(axis=1) / 0.6


def samplers(x, sample, seed=2, steps=6):
    """Every sampler of the module, ready to run."""
    return {
        "ascent": gradient_ascent(gaussian_score, x, 0.1, steps),
        "langevin": langevin(gaussian_score, x, 0.1, steps, seed, sample),
        "sgld": sgld(lambda x, n: gaussian_score(x) + n, x, lambda n: 0.1 / (1 + n), steps, seed, sample),
        "mala": mala(gaussian_log_density, gaussian_score, x, 0.3, steps, seed, sample),
    }


every_sampler = pytest.mark.parametrize("sampler", list(samplers(np.zeros((1, 1)), np.arange(1))))


@every_sampler
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1,), (3,), (2, 3, 1)])
def test_each_step_is_numbered_and_keeps_shape_and_dtype(sampler, dtype, shape):
    x = ops.normal(1, np.arange(5), 0, Purpose.PRIOR, shape, dtype)
    start = x.copy()
    for number, (n, y, extra) in enumerate(samplers(x, np.arange(5))[sampler]):
        assert n == number + 1 and y.shape == x.shape and y.dtype == dtype
        assert (extra.shape, extra.dtype) == ((5,), bool) if sampler == "mala" else extra is None
    assert n == 6 and (x == start).all()


@every_sampler
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_particles_do_not_depend_on_their_batch(sampler, dtype):
    sample = np.array([3, 0, 7, 2**32 - 1, 5, 1, 2, 6])
    run = lambda indices: final_sample(samplers(ops.normal(1, indices, 0, Purpose.PRIOR, (3, 1), dtype), indices)[sampler])
    together = run(sample)
    for i in range(8):
        assert (run(sample[i : i + 1])[0] == together[i]).all()
    assert len(np.unique(together)) == together.size


@pytest.mark.parametrize("sampler", ["langevin", "sgld", "mala"])
def test_other_seeds_give_other_langevin_chains(sampler):
    x = np.ones((8, 1))
    one, same, other = (final_sample(samplers(x, np.arange(8), seed)[sampler]) for seed in (1, 1, 2))
    assert (one == same).all() and (one != other).all()


@pytest.mark.parametrize("tau", [0, -0.1, float("nan"), float("inf")])
def test_an_invalid_langevin_step_is_refused(tau):
    x, sample = np.zeros((1, 1)), np.arange(1)
    runs = (
        lambda: gradient_ascent(gaussian_score, x, tau, 1),
        lambda: langevin(gaussian_score, x, tau, 1, 0, sample),
        lambda: mala(gaussian_log_density, gaussian_score, x, tau, 1, 0, sample),
    )
    for run in runs:
        with pytest.raises(ValueError, match=f"tau must be a positive number, got {tau}"):
            final_sample(run())
