"""Conversions between the predictions of a network, and between measures of the amount of noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.diffusion.conversions import (
    PREDICTIONS,
    betas_of_log_alpha_bar,
    conversion,
    convert,
    log_alpha_bar_of_betas,
    log_alpha_bar_of_sigma,
    log_snr,
    prediction_coefficients,
    sigma_of_log_alpha_bar,
)
from reference.diffusion.mixtures import Mixture
from reference.diffusion.schedules import SCHEDULES
from tests.oracle_tolerances import EXACT, EXACT32, MIXTURE, accumulated, assert_close

DEFINITIONS = {
    "noise": lambda x0, eps, alpha, sigma: eps,
    "x0": lambda x0, eps, alpha, sigma: x0,
    "v": lambda x0, eps, alpha, sigma: alpha * eps - sigma * x0,
    "score": lambda x0, eps, alpha, sigma: -eps / sigma,
    "velocity": lambda x0, eps, alpha, sigma: eps - x0,
    # Karras et al. 2022, Table 1, at x / alpha = x_0 + s eps
    "F": lambda x0, eps, alpha, sigma: edm_output(x0, eps, sigma / alpha),
}
VARIANCE = 0.4  # sigma_data^2


def preconditioning(s):
    """EDM's c_skip, 1 - c_skip and c_out."""
    power = s**2 + VARIANCE
    return VARIANCE / power, s**2 / power, s * VARIANCE**0.5 / power**0.5


def edm_output(x0, eps, s):
    """(x_0 - c_skip x) / c_out."""
    c_skip, rest, c_out = preconditioning(s)
    return (rest * x0 - c_skip * s * eps) / c_out


pairs = [pytest.param(a, b, id=f"{a}-{b}") for a in DEFINITIONS for b in DEFINITIONS]
positive = st.floats(1e-3, 1e3)


def size(name, x0, eps, alpha, sigma):
    """The definition with all signs positive: the scale of its rounding errors."""
    return np.abs(DEFINITIONS[name](np.abs(x0), -np.abs(eps), alpha, sigma))


def data(seed, shape=(4, 3, 2, 1)):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape), rng.normal(size=shape)


@pytest.mark.parametrize("source, target", pairs)
@given(alpha=positive, sigma=positive, seed=st.integers(0, 2**32))
def test_every_prediction_converts_to_every_other(source, target, alpha, sigma, seed):
    x0, eps = data(seed)
    given_, wanted = (DEFINITIONS[name](x0, eps, alpha, sigma) for name in (source, target))
    a, b = conversion(source, target, alpha, sigma, VARIANCE)
    scale = (
        abs(a) * (alpha * abs(x0) + sigma * abs(eps)) + abs(b) * size(source, x0, eps, alpha, sigma) + size(target, x0, eps, alpha, sigma)
    )
    assert_close(convert(given_, alpha * x0 + sigma * eps, source, target, alpha, sigma, VARIANCE), wanted, EXACT, scale)


@pytest.mark.parametrize("source, target", pairs)
@given(alpha=st.floats(0.1, 10), sigma=st.floats(0.1, 10), seed=st.integers(0, 2**32))
def test_converting_there_and_back_is_the_identity_for_any_x(source, target, alpha, sigma, seed):
    x, prediction = data(seed)
    back = convert(convert(prediction, x, source, target, alpha, sigma, VARIANCE), x, target, source, alpha, sigma, VARIANCE)
    (a, b), (c, d) = conversion(source, target, alpha, sigma, VARIANCE), conversion(target, source, alpha, sigma, VARIANCE)
    assert_close(back, prediction, EXACT, (abs(c) + abs(d * a)) * abs(x) + abs(d * b) * abs(prediction))


@pytest.mark.parametrize("source, target", pairs)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_coefficients_may_differ_from_sample_to_sample(source, target, dtype):
    x0, eps = (array.astype(dtype) for array in data(3))
    alpha, sigma = np.array([0.9, 0.5, 1.0, 0.1]), np.array([0.3, 0.8, 2.0, 0.99])
    columns = [c.astype(dtype).reshape(-1, 1, 1, 1) for c in (alpha, sigma)]
    x = columns[0] * x0 + columns[1] * eps
    actual = convert(DEFINITIONS[source](x0, eps, *columns), x, source, target, alpha, sigma, VARIANCE)
    assert actual.dtype == dtype
    # the largest coefficient is 1/alpha = 10 or 1/sigma = 3.3, of noise entries of size 4
    assert_close(actual, DEFINITIONS[target](x0, eps, *columns), EXACT if dtype == np.float64 else EXACT32, 40.0)


def test_prediction_coefficients_equal_the_definition():
    for name, definition in DEFINITIONS.items():
        of_x0_and_eps = definition(1.0, 0.0, 0.6, 0.8), definition(0.0, 1.0, 0.6, 0.8)
        assert_close(np.array(prediction_coefficients(name, 0.6, 0.8, VARIANCE)), np.array(of_x0_and_eps), EXACT)
    assert tuple(DEFINITIONS) == PREDICTIONS


@given(s=positive)
def test_F_is_the_output_of_a_network_with_the_preconditioning_of_edm(s):
    """D = c_skip x + c_out F, and F has unit variance for data of the variance."""
    c_skip, _, c_out = preconditioning(s)
    assert_close(np.array(conversion("F", "x0", 1.0, s, VARIANCE)), np.array([c_skip, c_out]), EXACT)
    r0, r1 = prediction_coefficients("F", 1.0, s, VARIANCE)
    assert_close(r0**2 * VARIANCE + r1**2, 1.0, EXACT)


def test_F_is_minus_v_where_the_variance_is_1():
    F, v = (np.array(prediction_coefficients(name, 0.6, 0.8, 1.0)) for name in ("F", "v"))
    assert_close(F, -v, EXACT)


def test_F_needs_the_variance_of_the_data():
    with pytest.raises(ValueError, match="prediction F needs data_variance"):
        conversion("x0", "F", 0.6, 0.8)


@pytest.mark.parametrize("prediction", ["x0", "v", "velocity", "F"])
def test_all_but_noise_and_score_can_be_converted_where_there_is_no_signal(prediction):
    """x = eps, and the exact predictions of a point mass."""
    eps, x0 = data(5)
    given_ = DEFINITIONS[prediction](x0, eps, 0.0, 1.0) if prediction != "F" else x0 / VARIANCE**0.5
    for target, wanted in (("x0", x0), ("noise", eps)):
        assert_close(convert(given_, eps, prediction, target, 0.0, 1.0, VARIANCE), wanted, EXACT, np.abs(x0) + 2 * np.abs(eps))


@pytest.mark.parametrize("alpha, sigma", [(0.9, 0.4), (0.3, 0.95), (1.0, 2.0), (0.5, 0.5)])
def test_tweedie_links_score_noise_posterior_mean_and_v(alpha, sigma):
    mixture = Mixture(
        np.array([0.2, 0.8]), np.array([[-1.0, 2.0], [0.5, 0.0]]), np.array([[[0.5, 0.2], [0.2, 0.3]], [[1.0, -0.4], [-0.4, 0.6]]])
    )
    x = 2 * data(1, (50, 2))[0]
    score, noise, x0 = (
        mixture.noised(alpha, sigma).score(x),
        mixture.expected_noise(x, alpha, sigma),
        mixture.posterior_mean(x, alpha, sigma),
    )
    assert_close(noise, -sigma * score, EXACT)
    size = (np.abs(x) + sigma * np.abs(noise)) / alpha
    assert_close(convert(noise, x, "noise", "x0", alpha, sigma), x0, MIXTURE, size)
    assert_close(convert(score, x, "score", "x0", alpha, sigma), x0, MIXTURE, size)
    assert_close(convert(x0, x, "x0", "score", alpha, sigma), score, MIXTURE, alpha / sigma**2 * size)
    assert_close(convert(score, x, "score", "v", alpha, sigma), alpha * noise - sigma * x0, MIXTURE, size)


def test_log_snr_is_the_log_of_signal_to_noise_power():
    assert_close(log_snr(np.log(np.array([0.5, 0.9, 0.2]))), np.log([1.0, 9.0, 0.25]), EXACT, 1.0)
    assert log_snr(0.0) == np.inf


@given(st.floats(1e-9, 1e6))
def test_sigma_to_alpha_bar_and_back_keeps_all_digits(sigma):
    assert_close(np.exp(log_alpha_bar_of_sigma(sigma)), 1 / (1 + sigma * sigma), EXACT)
    # exp of log_alpha_bar grows as 2 log sigma: so do its roundings
    assert_close(sigma_of_log_alpha_bar(log_alpha_bar_of_sigma(sigma)), sigma, EXACT * (1 + abs(np.log(sigma))))


@given(st.lists(st.floats(1e-12, 0.9), min_size=1, max_size=50))
def test_betas_to_alpha_bar_and_back_is_the_identity(betas):
    log_alpha_bar = log_alpha_bar_of_betas(np.array(betas))
    assert log_alpha_bar[0] == 0 and len(log_alpha_bar) == len(betas) + 1
    assert_close(np.exp(log_alpha_bar[-1]), np.prod(1 - np.array(betas)), accumulated(len(betas), 3.0 * len(betas)))
    assert_close(betas_of_log_alpha_bar(log_alpha_bar), np.array(betas), EXACT, np.abs(log_alpha_bar[1:]) + betas)


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_schedules_agree_with_the_conversions(name):
    schedule, t = SCHEDULES[name](50), np.arange(1, 51)
    assert_close(betas_of_log_alpha_bar(schedule.log_alpha_bar), schedule.beta(t, t - 1), EXACT, 1.0)
    assert_close(sigma_of_log_alpha_bar(schedule.log_alpha_bar[1:]), schedule.noise_scale(t) / schedule.signal(t), EXACT)
    assert_close(schedule.log_snr(t), log_snr(schedule.log_alpha_bar[1:]), EXACT, np.abs(schedule.log_alpha_bar[1:]) + 1)


@pytest.mark.parametrize("names", [("epsilon", "x0"), ("x0", "epsilon"), ("x0", ""), ("V", "v"), ("V", "V")])
def test_unknown_predictions_are_refused(names):
    x = np.zeros((2, 1))
    with pytest.raises(ValueError, match=r"noise, x0, v, score, velocity, F, got '(epsilon|V|)'"):
        convert(x, x, *names, 0.6, 0.8)
