"""The parts of the experiment ``guidance`` against recursions by hand, SciPy's solvers and a Fokker-Planck equation."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import norm

from reference import ops
from reference.diffusion.guidance import guide
from reference.fokker_planck.fokker_planck import FokkerPlanck
from reference.ops.random import Purpose
from reference.samplers import final_sample
from reference.samplers.sde import PREDICTORS, predictor_corrector
from reference.tutorial.experiments import Outcome, guided_gaussians, guided_mixtures
from reference.tutorial.experiments.guided_gaussians import CASES, Levels, guided_precision, sampler
from reference.tutorial.experiments.guided_mixtures import CLASS, LINE, classifier_gradient, guided, mixtures, moments
from reference.tutorial.experiments.linear_samplers import variance
from tests.mixture_examples import MIXTURES, points
from tests.oracle_tolerances import EXACT, LINEAR_SAMPLER, PRECISE, QUADRATURE, assert_close, central_difference, integrated, z_score

PLUS_MINUS, EXAMPLE = mixtures().values()

# Linear samplers


def test_impulses_give_the_variance_of_a_predictor_corrector_by_hand():
    """x <- c_x x + c_score score + deviation z, then two steps x <- (1 - eps k) x + sqrt(2 eps) z, score -k x."""
    levels, k = Levels(10), guided_precision(1.0, 0.25, 3)
    sde, times = levels.sde, levels.times
    expected = 5.0
    for t, t_prev in pairwise(times):
        c_x, c_score, deviation = PREDICTORS["ancestral"](sde, t, t_prev)
        expected = (c_x - c_score * k(t)) ** 2 * expected + deviation**2
        eps = 0.1 * t_prev
        for _ in range(2):
            expected = (1 - eps * k(t_prev)) ** 2 * expected + 2 * eps
    score = lambda x, t: -k(t) * x
    walk = lambda x, sample, ops: predictor_corrector(sde, score, times, x, 0, sample, "ancestral", 2, ops=ops)
    assert_close(variance(walk, 5.0, 30), expected, LINEAR_SAMPLER)


@pytest.mark.parametrize("name", ["Euler-Maruyama", "DDPM"])
def test_particles_have_the_variance_of_the_impulses(name):
    n = 20_000
    walk = sampler(name, guided_precision(2.0, 1.0, 3), Levels(12))
    x = 80 * ops.normal(1, np.arange(n), 0, Purpose.PRIOR, (1,), np.float64)
    drawn = final_sample(walk(x, np.arange(n), ops)).var()
    assert_close(drawn, variance(walk, 80.0**2, 12), z_score(2) * (2 / n) ** 0.5)


def test_unknown_samplers_are_refused():
    with pytest.raises(ValueError, match="sampler must be one of DDIM, Heun"):
        sampler("euler", guided_precision(2.0, 1.0, 3), Levels(2))


@pytest.mark.parametrize("part", ["closed_forms", "composition", "intervals", "correctors"])
def test_gaussian_parts_of_the_experiment_agree_with_theory(part):
    outcome = Outcome()
    getattr(guided_gaussians, part)(outcome)
    assert outcome.passed and len(outcome.tables) == 1


def test_samplers_converge_at_their_orders(monkeypatch):
    monkeypatch.setattr(guided_gaussians, "CASES", CASES[1:3])
    outcome = Outcome()
    found = guided_gaussians.convergence(outcome)
    assert outcome.passed and len(outcome.checks) == 5 and len(found) == 10


# Mixtures


@pytest.mark.parametrize("weight", [0.5, 3])
def test_the_tilted_distribution_is_the_product_of_powers(weight):
    p_class = norm.pdf(LINE, 1, 1)
    p = p_class**weight * ((p_class + norm.pdf(LINE, -1, 1)) / 2) ** (1 - weight)
    assert_close(guided_mixtures.tilted(PLUS_MINUS, weight)[1], p / p.sum(), QUADRATURE, 1.0)


def by_hand(x, sigma, weight):
    """The guided score of PLUS_MINUS at x = x_0 + sigma eps: s_c = -(x - 1) / v, s = (tanh(x / v) - x) / v."""
    v = 1 + sigma**2
    return guide((1 - x) / v, (np.tanh(x / v) - x) / v, weight)


def test_the_ode_carries_quantiles_as_an_adaptive_solver_does():
    """The fourth-order method in 200 steps errs by 1e-5 at most: a fifteenth of the change from 100 steps, 1.1e-4."""
    x, _ = guided_mixtures.ode(PLUS_MINUS, 3)
    z = np.linspace(-8, 8, 161)
    inner = np.abs(z) <= 3
    slope = lambda u, x: -np.exp(2 * u) * by_hand(x, np.exp(u), 3)
    span = np.log((1e5, 1e-3))
    exact = solve_ivp(slope, span, 1e5 * z[inner], method="DOP853", **PRECISE).y[:, -1]
    assert_close(x[inner], exact, 1e-5 + integrated(500, **PRECISE), 4.0)


def fokker_planck(weight, cells, steps):
    """Moments of the reverse SDE on PLUS_MINUS by the Fokker-Planck equation.

    In y = alpha x with alpha = e^{-t}, sigma^2 = 1 - e^{-2t}, the reverse SDE is dy = (y + 2 score) dr + sqrt(2) dw with r falling in t
    from 5; the variance of y is 1 at all times, so score = guide(e^{-t} - y, e^{-t} tanh(e^{-t} y) - y).  The drift is frozen at the
    middle of a step.
    """
    times = 5 * np.linspace(1, 0, steps + 1) ** 2
    p = None
    for t, t_next in pairwise(times):
        alpha = np.exp(-(t + t_next) / 2)
        score = lambda y, a=alpha: guide(a - y, a * np.tanh(a * y) - y, weight)
        equation = FokkerPlanck(-6, 7, cells, lambda y, s=score: y + 2 * s(y), lambda y: 1.0)
        if p is None:
            p = equation.density(norm.pdf)
        ((_, p),) = equation.solve(p, t - t_next, 1)
    return np.array(moments((equation.centres, p)))


def test_the_sde_has_the_moments_of_its_fokker_planck_equation():
    """Both grids are of second order: the finer one errs by a third of the difference, and twice that is allowed."""
    coarse, fine = fokker_planck(3, 160, 100), fokker_planck(3, 320, 200)
    limit, error = guided_mixtures.sde_limit(PLUS_MINUS, 3, (12, 24, 48), "beta")
    allowed = error + np.abs(fine - coarse) * 2 / 3 + np.exp(-5.0) ** 2 * 3
    assert (np.abs(limit - fine) < allowed).all() and (allowed < 0.005).all(), (limit, coarse, fine, allowed)


def test_extrapolation_removes_two_orders():
    N = np.array([5.0, 10.0, 20.0])
    limit, error = guided_mixtures.extrapolated(2 + 3 / N + 7 / N**2)
    assert_close(limit, 2.0, EXACT)
    assert_close(error, 7 / 200, EXACT, 1.0)  # 2 b / 20^2 - b / 10^2


def test_correctors_reach_the_tilted_distribution():
    found = moments(guided_mixtures.corrected(PLUS_MINUS, 3, 1024))
    target = moments(guided_mixtures.tilted(PLUS_MINUS, 3, *guided_mixtures.CORRECTED.marginal(guided_mixtures.CORRECTED.t_min)))
    assert_close(found, np.array(target), 0.005 / (2 * target[1]), 1.0)


@pytest.mark.parametrize("name", ["full-2", "isotropic-5", "example-2.1"])
def test_the_classifiers_gradient_is_a_central_difference(name):
    mixture, step = MIXTURES[name], 1e-3
    x = points(mixture)
    for axis, gradient in enumerate(classifier_gradient(mixture, 1, x).T):
        log_p = lambda h, axis=axis: np.log(mixture.responsibilities(x + h * np.eye(mixture.dimension)[axis])[:, 1])
        slope = (8 * (log_p(step) - log_p(-step)) - (log_p(2 * step) - log_p(-2 * step))) / (12 * step)
        assert_close(gradient, slope, central_difference(step, 100, 0.2), np.abs(slope).max())


def test_guidance_by_the_exact_classifier_equals_classifier_free_guidance():
    outcome = Outcome()
    guided_mixtures.classifier_guidance(outcome)
    assert outcome.passed
    x = np.linspace(-3, 3, 13)[:, None]
    assert_close(guided(EXAMPLE, 3)(x, 1.0, 0.0), EXAMPLE.score(x) + 3 * classifier_gradient(EXAMPLE, CLASS, x), 1e-12, 300.0)
