"""Samplers of restoration: DPS, DDRM and DiffPIR step by step, and the exact law of every linear sampler on a Gaussian."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import ops
from reference.ops.random import Purpose
from reference.restoration.ddrm import ddrm, ddrm_weights
from reference.restoration.diffpir import diffpir
from reference.restoration.dps import dps
from reference.restoration.guided_denoisers import dmps_denoiser, likelihood_denoiser, pigdm_denoiser
from reference.restoration.operators import Matrix
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral
from tests.oracle_tolerances import EXACT, SVD, assert_close, assert_printed
from tests.oracles import ImpulsePort
from tests.restoration_examples import EXAMPLES, FORMS, curved, dense, every_image_operator, gaussian, karras, without_pullback
from tests.tolerances import assert_equal_to_rounding, assert_gradient

NOISE = 0.1
plain = without_pullback(curved)


def by_ancestral(denoiser, both):
    """A sampler like ddrm and diffpir, for a guided denoiser of a model with or without its pullback."""

    def sampler(model, operator, y, noise, schedule, grid, x, seed, sample, ops=ops):
        guided = denoiser(model if both else without_pullback(model), operator, y, noise)
        predict = lambda x, t: guided(x, schedule.signal(t), schedule.noise_scale(t))
        return ancestral(predict, schedule, grid, x, seed, sample, prediction="x0", ops=ops)

    return sampler


def of_plain(sampler, **options):
    return lambda model, *arguments, **how: sampler(without_pullback(model), *arguments, **options, **how)


def of_dps(**options):
    return lambda model, operator, y, noise, *arguments, **how: dps(model, operator, y, *arguments, **options, **how)


SAMPLERS = {
    "pigdm": by_ancestral(pigdm_denoiser, True),
    "likelihood": by_ancestral(likelihood_denoiser, True),
    "dmps": by_ancestral(dmps_denoiser, False),
    "dps": of_dps(zeta=0.3),
    "dps, norm": of_dps(rule="norm", zeta=0.3),
    "dps, squared": of_dps(rule="squared", zeta=0.3),
    "ddrm": of_plain(ddrm),
    "ddrm, eta 0, eta_b .5": of_plain(ddrm, eta=0.0, eta_b=0.5),
    "diffpir": of_plain(diffpir),
    "diffpir, zeta .3": of_plain(diffpir, weight=7.0, zeta=0.3),
}
every_sampler = pytest.mark.parametrize("name", SAMPLERS)


def states(name, operator, x, y, schedule, sample=None, seed=3, port=ops):
    """The steps of a sampler on the whole schedule, with the curved denoiser."""
    sample = np.arange(len(x)) if sample is None else sample
    return SAMPLERS[name](curved, operator, y, NOISE, schedule, schedule.timesteps(schedule.T), x, seed, sample, ops=port)


def example(operator, b=3):
    """x[b,...] and y[b,...]."""
    rng = np.random.default_rng(4)
    return rng.normal(size=(b, *operator.shape)), rng.normal(size=(b, *operator.measured_shape))


# the law on a Gaussian


def law(sampler, s, steps, start=80.0):
    """(gain, variance): for data N(0, 1) and y = s x_0 + s_y n, the sample is N(gain y, variance).  From impulses, without a random draw.

    The last row of x starts at 0, has no noise and the measurement 1; all other rows have the measurement 0.
    """
    port, schedule = ImpulsePort(steps + 1), karras(steps)
    y = np.zeros((steps + 3, 1))
    y[-1] = 1.0
    grid = schedule.timesteps(steps)
    x = final_sample(sampler(gaussian(0.0, 1.0), Matrix([[s]]), y, NOISE, schedule, grid, port.x, 0, np.arange(len(y)), ops=port))
    _, of_start, of_noise = port.weights(x)
    return of_noise[-1], (of_start * start) ** 2 + of_noise[:-1] @ of_noise[:-1]


@pytest.mark.parametrize(
    "sampler, gain, variance",
    [
        (SAMPLERS["pigdm"], "1.000", "0.507"),
        (of_dps(rule="squared", zeta=1.0), "0.973", "5.97"),
        (SAMPLERS["dmps"], "0.959", "0.442"),
        (of_plain(ddrm), "0.989", "0.714"),
        (of_plain(diffpir, weight=7.0, zeta=0.3), "0.961", "3.85"),
        (of_plain(diffpir, weight=1.0, zeta=1.0), "1.000", "0.349"),
    ],
    ids=["pigdm", "dps", "dmps", "ddrm", "diffpir, weight 7", "diffpir"],
)
def test_law_on_a_gaussian_of_twenty_steps_has_the_noise_of_the_formula_not_that_over_root_two(sampler, gain, variance):
    """Relative to the exact posterior; a sampler that divides its noise by sqrt 2 has half the variance, one that doubles s_y another
    gain."""
    found = law(sampler, 1.0, 20)
    exact = 1 / (1 + NOISE**2), NOISE**2 / (1 + NOISE**2)
    assert_printed(found[0] / exact[0], gain)
    assert_printed(found[1] / exact[1], variance)


@pytest.mark.parametrize("s", [1.0, 0.3])
def test_law_of_pigdm_is_the_recursion_of_the_exact_sampler(s):
    """x <- x_0 weights of the posterior's own denoiser, N(m y, c): two numbers from level to level."""
    c = NOISE**2 / (s**2 + NOISE**2)
    m = s / (s**2 + NOISE**2)
    gain, variance, levels = 0.0, 80.0**2, [karras(20).noise_scale(t) for t in range(20, -1, -1)]
    for t, u in pairwise(levels):
        of_x = (u / t) ** 2 + (1 - (u / t) ** 2) * c / (c + t**2)
        gain = of_x * gain + (1 - (u / t) ** 2) * m * t**2 / (c + t**2)
        variance = of_x**2 * variance + u**2 * (1 - (u / t) ** 2)
    found = law(SAMPLERS["pigdm"], s, 20)
    assert_close(found, (gain, variance), SVD)


# DPS


def residual_norms(operator, x, y, alpha, sigma, power):
    r = y.reshape(len(y), -1) - curved(x, alpha, sigma)[0].reshape(len(x), -1) @ dense(operator).T
    return np.linalg.norm(r, axis=1) ** power


@every_image_operator
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rule, power", [("squared", 2), ("norm", 1), ("normalised", 2)])
def test_dps_steps_down_the_gradient_of_each_samples_own_residual(rule, power, operator, form):
    """The step beside the ancestral one is -zeta times the gradient of ‖y - A D(x)‖^power, for the paper's rule over the norm."""
    schedule = karras(5, 2.0, FORMS[form])
    x, y = example(operator)
    level, grid = (schedule.signal(4), schedule.noise_scale(4)), [4, 3]
    first = lambda zeta: next(dps(curved, operator, y, schedule, grid, x, 3, np.arange(3), zeta, rule))[1]
    step = (first(0.7) - first(0.0)) / -0.7
    unguided = ancestral(lambda x, t: plain(x, *level), schedule, grid, x, 3, np.arange(3), prediction="x0")
    assert_equal_to_rounding(first(0.0), next(unguided)[1])
    direction = np.random.default_rng(2).normal(size=x.shape) / 4
    scales = residual_norms(operator, x, y, *level, 1 if rule == "normalised" else 0)
    for i in range(3):
        f = lambda s, i=i: residual_norms(operator, x + s * direction, y, *level, power)[i] / scales[i]
        terms = np.abs(step[i] * direction[i])
        assert_gradient((step[i] * direction[i]).sum(), f, f(0.0), terms.sum() + np.abs(x).max())


def test_dps_by_the_norm_takes_half_the_step_of_the_paper():
    """So the code's zeta is twice the paper's."""
    operator, schedule = EXAMPLES["blur"], karras(6, 2.0)
    x, y = example(operator)
    ends = [
        final_sample(dps(curved, operator, y, schedule, schedule.timesteps(6), x, 3, np.arange(3), zeta, rule))
        for rule, zeta in (("normalised", 0.4), ("norm", 0.8), ("norm", 0.4))
    ]
    assert np.array_equal(ends[0], ends[1]) and not np.allclose(ends[0], ends[2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", ["normalised", "norm"])
@pytest.mark.parametrize("residual", [0.0, 1e-30])
def test_dps_without_a_residual_takes_no_step(residual, rule, dtype):
    """And a step of at most 2 zeta ‖JᵀAᵀ‖ for a residual whose square is below the smallest number."""
    operator, schedule = EXAMPLES["all known"], karras(3, 2.0)
    point = lambda x, alpha, sigma: (np.zeros_like(x), lambda v: v)
    y = np.full((2, 12), residual, dtype)
    x = np.ones((2, *operator.shape), dtype)
    step = next(dps(point, operator, y, schedule, [1, 0], x, 0, np.arange(2), 0.3, rule))[1]
    assert step.dtype == dtype and np.abs(step).max() <= 0.6 * (residual > 0)


def test_dps_refuses_another_rule():
    with pytest.raises(ValueError, match="rule must be one of squared, normalised, norm, got 'mean'"):
        next(dps(curved, None, None, None, [1, 0], None, 0, None, rule="mean"))


# DDRM

SHARE = st.floats(0, 1)
LEVEL = st.floats(1e-3, 1e3)


def rows(s, noise, u, eta, eta_b):
    """(factor of D, of ybar, of e, of the fresh noise) of one direction, as in the paper but for u s = s_y."""
    if s == 0:
        return 1.0, 0.0, (1 - eta**2) ** 0.5 * u, eta * u
    if u * s < noise:
        pull = (1 - eta**2) ** 0.5 * u * s / noise
        return 1 - pull, pull, 0.0, eta * u
    return 1 - eta_b, eta_b, 0.0, (u**2 - (eta_b * noise / s) ** 2) ** 0.5


@pytest.mark.parametrize("eta, eta_b", [(0.85, 1.0), (0.0, 0.5), (1.0, 0.0), (0.6, 0.3)])
@pytest.mark.parametrize("u", [0.25, 0.5, 1.0, 4.0])
def test_ddrm_keeps_the_directions_whose_noise_is_that_of_the_level(u, eta, eta_b):
    """With s_y = 1/2, the direction s = 1/2 has u s = s_y at u = 1, s = 1 at 1/2 and s = 2 at 1/4: it belongs to the last row."""
    s = np.array([2.0, 1.0, 0.5, 0.0])
    expected = np.array([rows(one, 0.5, u, eta, eta_b) for one in s]).T
    assert_close(np.array(ddrm_weights(s, 0.5, u, eta, eta_b)), expected, EXACT, u + 1)


@given(st.one_of(st.just(0.0), LEVEL), st.one_of(st.just(0.0), LEVEL), st.one_of(st.just(0.0), LEVEL), SHARE, SHARE)
def test_ddrm_leaves_the_noise_of_the_level_around_x0_in_every_direction(s, noise, u, eta, eta_b):
    """If D = x_0, the errors of ybar, s_y / s, and of e, 1, and the fresh noise have the variance u^2 together."""
    of_x0, of_y, of_e, left = (float(weight[0]) for weight in ddrm_weights(np.array([s]), noise, u, eta, eta_b))
    of_error = of_y * noise / s if s else 0.0
    assert_close(of_x0 + of_y, 1.0, EXACT)
    assert_close(of_error**2 + of_e**2 + left**2, u**2, EXACT)
    assert of_y == 0 or s


@pytest.mark.parametrize("s", [1.0, 0.3, 0.0])
@pytest.mark.parametrize("eta, eta_b", [(0.85, 1.0), (0.0, 0.5), (1.0, 0.0)])
def test_ddrm_with_the_true_x0_has_the_variance_of_the_level_at_every_step(s, eta, eta_b):
    """By impulses: from a start of the first level's variance, and y = s_y n around x_0 = 0."""
    port, schedule = ImpulsePort(13), karras(12)
    y = np.zeros((15, 1))
    y[-1] = 1.0
    known = lambda x, alpha, sigma: 0 * x
    grid = schedule.timesteps(12)
    for t, x, _ in ddrm(known, Matrix([[s]]), y, NOISE, schedule, grid, port.x, 0, np.arange(15), eta, eta_b, ops=port):
        _, start, noise = port.weights(x)
        variance = (80.0 * start) ** 2 + noise[:-1] @ noise[:-1] + (NOISE * noise[-1]) ** 2
        assert_close(variance, schedule.noise_power(t), SVD)


def test_ddrm_step_equals_its_rows_in_every_direction():
    """For singular values 2, 1/2, .1 and 0 in rotated coordinates, at a level with a signal other than 1."""
    left, right = (np.linalg.qr(np.random.default_rng(i).normal(size=(n, n)))[0] for i, n in enumerate((3, 4)))
    s = np.array([2.0, 0.5, 0.1, 0.0])
    operator = Matrix(left * s[:3] @ right[:, :3].T)
    x, y = example(operator)
    schedule = SimpleNamespace(signal=[1.0, 0.9, 0.5].__getitem__, noise_scale=[0.0, 0.36, 0.8].__getitem__)
    found = next(ddrm(plain, operator, y, NOISE, schedule, [2, 1], x, 3, np.arange(3), 0.85, 0.7))[1]
    D, u = plain(x, 0.5, 0.8), 0.4
    z = ops.normal(3, np.arange(3), 0, Purpose.STEP_NOISE, (4,), np.float64)
    e, along = (x - 0.5 * D) / 0.8, operator.Vt(np.eye(4))  # up to its signs, V is ``right``
    assert_close(np.abs(along.T @ right), np.eye(4), SVD, 1.0)
    ybar = np.pad(y @ left, ((0, 0), (0, 1))) / [2.0, 0.5, 0.1, np.inf] * np.diag(along.T @ right)
    weights = np.array([rows(one, NOISE, u, 0.85, 0.7) for one in s]).T
    expected = sum(weight * part for weight, part in zip(weights, (D @ along, ybar, e @ along, z)))
    assert_close(found @ along, 0.9 * expected, SVD, 10.0)


def test_ddrm_without_noise_ends_at_the_measurement():
    operator = EXAMPLES["block mean"]
    x, _ = example(operator)
    y = operator.forward(x)
    schedule = karras(5, 2.0)
    end = final_sample(ddrm(plain, operator, y, 0.0, schedule, schedule.timesteps(5), x, 0, np.arange(3)))
    assert_close(operator.forward(end), y, SVD, 10.0)


@pytest.mark.parametrize("name", ["eta", "eta_b"])
@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_ddrm_refuses_shares_outside_of_0_to_1(name, value):
    with pytest.raises(ValueError, match=rf"{name} must lie in \[0, 1\], got {value}"):
        next(ddrm(plain, None, None, 0.1, None, [1, 0], None, 0, None, **{name: value}))


# DiffPIR


@every_image_operator
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("zeta", [0.0, 0.3, 1.0])
def test_diffpir_step_is_its_formula(zeta, operator, form):
    """By dense matrices: x̂_0 = argmin ‖y - A x‖^2 + rho ‖x - D‖^2 and its noise, partly drawn again."""
    schedule = karras(5, 2.0, FORMS[form])
    x, y = example(operator)
    alpha, sigma = schedule.signal(4), schedule.noise_scale(4)
    found = next(diffpir(plain, operator, y, NOISE, schedule, [4, 2], x, 3, np.arange(3), 7.0, zeta))[1]
    A, D, rho = dense(operator), plain(x, alpha, sigma).reshape(3, -1), 7 * (NOISE * alpha / sigma) ** 2
    estimate = np.linalg.solve(A.T @ A + rho * np.eye(A.shape[1]), (y.reshape(3, -1) @ A + rho * D).T).T.reshape(x.shape)
    z = ops.normal(3, np.arange(3), 0, Purpose.STEP_NOISE, operator.shape, np.float64)
    noise = (1 - zeta) ** 0.5 * (x - alpha * estimate) / sigma + zeta**0.5 * z
    assert_close(found, schedule.signal(2) * estimate + schedule.noise_scale(2) * noise, SVD, 10 + 1 / rho)


@pytest.mark.parametrize("zeta", [-0.1, 1.1, np.nan])
def test_diffpir_refuses_a_share_outside_of_0_to_1(zeta):
    with pytest.raises(ValueError, match=rf"zeta must lie in \[0, 1\], got {zeta}"):
        diffpir(plain, None, None, 0.1, None, [1, 0], None, 0, None, zeta=zeta)


# all samplers


@every_sampler
@every_image_operator
def test_a_sample_does_not_depend_on_its_batch(name, operator):
    """Bit for bit; the public code of DPS takes its norm over the batch."""
    schedule = karras(4, 2.0)
    x, y = example(operator)
    together = final_sample(states(name, operator, x, y, schedule))
    alone = final_sample(states(name, operator, x[1:2], y[1:2], schedule, np.array([1])))
    assert np.isfinite(together).all() and np.array_equal(together[1:2], alone)


@every_sampler
@pytest.mark.parametrize("operator", [EXAMPLES["blur"], EXAMPLES["cropped"], EXAMPLES["m < n"]], ids=["blur", "cropped", "m < n"])
def test_both_forms_of_the_schedule_have_the_same_samples_but_for_dps(name, operator):
    """x / alpha of the variance-preserving form is x of the exploding form, with the same random numbers.  DPS steps down a gradient with
    respect to x: in the preserving form it is longer by 1 / (alpha alpha_prev) in the units of the data."""
    x, y = example(operator)
    exploding, preserving = (karras(6, 2.0, form) for form in FORMS.values())
    one = states(name, operator, 2 * x, y, exploding)
    other = states(name, operator, preserving.signal(6) * 2 * x, y, preserving)
    distances = []
    for (t, a, a0), (_, b, b0) in zip(one, other):
        distances.append(np.abs(a - b / preserving.signal(t)).max())
        if not name.startswith("dps"):
            assert_close(b / preserving.signal(t), a, SVD, np.abs(a).max() / NOISE**2)
            assert_close(b0, a0, SVD, np.abs(a0).max() / NOISE**2)
    assert name.startswith("dps") == (distances[0] > 0.01)


@every_sampler
def test_samplers_refuse_a_grid_that_does_not_fall(name):
    operator = EXAMPLES["blur"]
    x, y = example(operator)
    schedule = karras(4, 2.0)
    with pytest.raises(ValueError, match="grid must hold two or more times that fall strictly"):
        next(SAMPLERS[name](curved, operator, y, NOISE, schedule, [1, 2, 0], x, 0, np.arange(3)))
