"""Denoisers that know a measurement, against the exact posterior of a Gaussian and against gradients of their likelihoods."""

import numpy as np
import pytest

from reference.diffusion.mixtures import Mixture
from reference.diffusion.schedules import SCHEDULES, geometric
from reference.restoration.guided_denoisers import dmps_denoiser, likelihood_denoiser, pigdm_denoiser, proximal_denoiser
from reference.restoration.posterior import posterior
from reference.samplers.ancestral import ancestral
from tests.oracle_tolerances import SVD, assert_close
from tests.restoration_examples import EXAMPLES, curved, dense, every_operator, gaussian, without_pullback
from tests.tolerances import assert_gradient

C, NOISE = 0.3, 0.2
SCHEDULED = {"cosine": SCHEDULES["cosine"](12), "geometric": geometric(12, 0.05, 10.0)}
every_schedule = pytest.mark.parametrize("schedule", SCHEDULED.values(), ids=SCHEDULED)
LEVELS = [(1.0, 0.5), (0.6, 0.8)]


def example(operator, b=2):
    """(mean of the data, y for one measurement, x[b,...])."""
    rng = np.random.default_rng(1)
    return rng.normal(size=operator.shape), rng.normal(size=operator.measured_shape), rng.normal(size=(b, *operator.shape))


def exact(operator, mean, variance, y, noise=NOISE):
    """E[x_0 | x, y] of the exact posterior, as a denoiser."""
    mixture = posterior(Mixture(np.ones(1), mean.reshape(1, -1), np.array([variance])), operator, y, noise)
    return lambda x, alpha, sigma: mixture.posterior_mean(x.reshape(len(x), -1), alpha, sigma).reshape(x.shape)


def repeated(y, x):
    return np.broadcast_to(y, (len(x), *y.shape))


# PiGDM


@every_schedule
@every_operator
def test_pigdm_with_the_variance_of_the_data_is_the_exact_denoiser_and_sampler(operator, schedule):
    mean, y, x = example(operator)
    guided, right = pigdm_denoiser(gaussian(mean, C), operator, repeated(y, x), NOISE, C), exact(operator, mean, C, y)
    for t in range(1, schedule.T + 1):
        level = schedule.signal(t), schedule.noise_scale(t)
        x_t = level[0] * mean + (level[0] ** 2 * C + level[1] ** 2) ** 0.5 * x
        assert_close(guided(x_t, *level), right(x_t, *level), SVD, np.abs(y).max(initial=1.0))

    def samples(denoise):
        predict = lambda x, t: denoise(x, schedule.signal(t), schedule.noise_scale(t))
        start = schedule.prior_scale * x
        return ancestral(predict, schedule, schedule.timesteps(12), start, 3, np.arange(2), prediction="x0")

    for (_, one, _), (_, other, _) in zip(samples(guided), samples(right)):
        assert_close(one, other, SVD, np.abs(one).max())


def test_pigdm_that_presumes_variance_one_is_wrong_for_data_of_another_variance():
    """For y = x_0 + s_y n and D = 0 it is sigma^2 J y / (r^2 + s_y^2): sigma^2 J has the variance of the data, r^2 the presumed one."""
    operator = EXAMPLES["all known"]
    y, zero, t2 = np.ones((1, 12)), np.zeros((1, *operator.shape)), 4.0
    of_data = C * t2 / (C + t2)
    for presumed in (C, 1.0):
        r2 = presumed * t2 / (presumed + t2)
        found = pigdm_denoiser(gaussian(0.0, C), operator, y, NOISE, presumed)(zero, 1.0, t2**0.5)
        assert_close(found, np.full(zero.shape, of_data / (r2 + NOISE**2)), SVD)


@every_operator
def test_pigdm_without_noise_agrees_with_the_measurement(operator):
    mean, _, x = example(operator)
    y = operator.forward(3 * x)
    found = pigdm_denoiser(gaussian(mean, C), operator, y, 0.0, C)(x, 0.6, 0.8)
    values = operator.singular_values
    condition = values.max() / values[values > 0].min()
    assert_close(operator.forward(found), y, SVD, 10 * condition)


# the gradients of log p(y | x)


def log_likelihood(name, operator, x, y, alpha, sigma):
    """log p(y | x) of one sample by dense matrices, without its constant."""
    A, t2 = dense(operator), (sigma / alpha) ** 2
    of_x0 = curved(x[None], alpha, sigma)[0] if name != "dmps" else x[None] / alpha
    variance = {"likelihood": 0.0, "pigdm": C * t2 / (C + t2), "dmps": t2}[name]
    r = y.ravel() - A @ of_x0.ravel()
    return -r @ np.linalg.solve(variance * A @ A.T + NOISE**2 * np.eye(len(A)), r) / 2


@every_operator
@pytest.mark.parametrize("name", ["likelihood", "pigdm", "dmps"])
@pytest.mark.parametrize("alpha, sigma", LEVELS)
def test_guidance_is_the_gradient_of_the_log_likelihood(name, operator, alpha, sigma):
    """E[x_0 | x, y] = D + (sigma^2 / alpha) times the gradient, also for a denoiser that is not linear."""
    _, y, x = example(operator)
    measurement = operator, repeated(y, x), NOISE
    guided = {
        "likelihood": likelihood_denoiser(curved, *measurement),
        "pigdm": pigdm_denoiser(curved, *measurement, C),
        "dmps": dmps_denoiser(without_pullback(curved), *measurement),
    }[name]
    gradient = (guided(x, alpha, sigma) - curved(x, alpha, sigma)[0]) * alpha / sigma**2
    direction = np.random.default_rng(2).normal(size=operator.shape) / 4
    for one, of_one in zip(x, gradient):
        f = lambda s, one=one: log_likelihood(name, operator, one + s * direction, y, alpha, sigma)
        terms = np.abs(of_one * direction)
        assert_gradient((of_one * direction).sum(), f, abs(f(0.0)) + 1 / NOISE**2, terms.sum())


@pytest.mark.parametrize("noise", [0, -1.0, np.nan])
def test_the_denoiser_by_the_likelihood_needs_noise(noise):
    with pytest.raises(ValueError, match="the denoiser by the likelihood needs a positive noise of the measurement"):
        likelihood_denoiser(curved, EXAMPLES["blur"], None, noise)


# DiffPIR


@every_operator
@pytest.mark.parametrize("alpha, sigma", LEVELS)
def test_proximal_estimate_is_stationary(operator, alpha, sigma):
    """At it, A'(A x_0 - y) + rho (x_0 - D) is 0, with rho = lambda s_y^2 alpha^2 / sigma^2."""
    _, y, x = example(operator)
    D, y = curved(x, alpha, sigma)[0], repeated(y, x)
    found = proximal_denoiser(without_pullback(curved), operator, y, NOISE, 7.0)(x, alpha, sigma)
    slope = operator.adjoint(operator.forward(found) - y) + 7.0 * NOISE**2 * (alpha / sigma) ** 2 * (found - D)
    assert_close(slope, np.zeros_like(slope), SVD, 10.0)
    assert np.abs(found - D).max() > 1e-3 or not operator.measured_shape[0]
