"""SDEs against their differential equations, by derivatives along the imaginary axis, and against the tutorial's formulas."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad, solve_ivp

from reference.diffusion.mixtures import example_2_1
from reference.diffusion.schedules import constant, from_betas, geometric, linear
from reference.runs.views import noise_range, sde_of
from reference.sde.flow import Flow
from reference.sde.sde import SDES, VE, VP, Brownian, OrnsteinUhlenbeck, SubVP
from tests.oracle_tolerances import EXACT, MIXTURE, PRECISE, SDE_FORMULA, assert_close, assert_slope, integrated
from tests.oracles import SDE_EXAMPLES as GIVEN
from tests.oracles import gaussian_score, sdes

every_sde = pytest.mark.parametrize("sde", GIVEN.values(), ids=GIVEN)
times_of_all = (0.001, 0.03, 0.2, 0.5, 0.9, 1.0)  # parts of the way
parts = st.floats(1e-4, 1.0)


def derivative(function, t):
    """d function / dt to rounding: the imaginary part of an analytic function just above the real axis, without cancellation."""
    return float(function(np.array([t + 1e-30j]))[0].imag) / 1e-30


# Definition of an SDE


@given(sdes(), parts)
def test_signal_and_noise_satisfy_the_odes_of_drift_and_diffusion(sde, part):
    t = part * sde.t_max
    alpha, sigma = sde.marginal(t)
    assert_close(derivative(sde.signal, t), sde.drift_coefficient(t) * alpha, SDE_FORMULA)
    terms = np.array([2 * sde.drift_coefficient(t) * sigma**2, sde.diffusion(t) ** 2])
    assert_close(2 * sigma * derivative(sde.noise_scale, t), terms.sum(), SDE_FORMULA, np.abs(terms).sum())


@given(sdes())
def test_at_time_0_signal_is_one_and_noise_zero(sde):
    assert sde.marginal(0.0) == (1.0, 0.0) and sde.log_snr(0.0) == np.inf


@every_sde
@pytest.mark.parametrize("part", times_of_all)
def test_noise_power_is_the_integral_of_damped_diffusion(sde, part):
    t = part * sde.t_max
    rate = lambda r: (
        quad(sde.drift_coefficient, r, t, epsabs=0, epsrel=1e-12)[0]
        if np.ndim(sde.drift_coefficient(r)) == 0 and sde.drift_coefficient(r)
        else 0.0
    )
    added, _ = quad(lambda r: np.exp(2 * rate(r)) * sde.diffusion(r) ** 2, 0, t, epsabs=0, epsrel=1e-11)
    quadrature = 1e-10  # quad's own 1e-11, and 1e-12 of an exponent of up to 20
    assert_close(sde.noise_power(t), added, quadrature)
    assert_close(sde.signal(t), np.exp(rate(0.0)), quadrature)


def table(kind, sde, t):
    """The rows of Sec. 4.3: rate, diffusion^2, signal, noise power, prior power."""
    if kind in ("vp", "subvp"):
        beta = sde.beta_min + t * (sde.beta_max - sde.beta_min)
        B = (sde.beta_min + beta) / 2 * t
        power, noise = (beta, 1 - np.exp(-B)) if kind == "vp" else (beta * (1 - np.exp(-2 * B)), (1 - np.exp(-B)) ** 2)
        return -beta / 2, power, np.exp(-B / 2), noise, 1.0
    if kind == "ve":
        ladder = lambda t: sde.sigma_min * (sde.sigma_max / sde.sigma_min) ** t
        end = ladder(sde.t_max) ** 2 - ladder(0) ** 2
        return 0.0, 2 * ladder(t) ** 2 * np.log(sde.sigma_max / sde.sigma_min), 1.0, ladder(t) ** 2 - ladder(0) ** 2, end
    if kind == "ou":
        long_run = sde.q / (2 * sde.gamma)
        return -sde.gamma, sde.q, np.exp(-sde.gamma * t), long_run * (1 - np.exp(-2 * sde.gamma * t)), long_run
    if kind == "flow":
        return -1 / (1 - t), 2 * t / (1 - t), 1 - t, t**2, sde.t_max**2
    return 0.0, sde.a**2, 1.0, sde.a**2 * t, sde.a**2 * sde.t_max


@pytest.mark.parametrize("kind", GIVEN)
@pytest.mark.parametrize("part", times_of_all)
def test_drift_diffusion_marginal_and_prior_equal_the_table(kind, part):
    sde = GIVEN[kind]
    t = part * sde.t_max
    actual = sde.drift_coefficient(t), sde.diffusion(t) ** 2, sde.signal(t), sde.noise_power(t), sde.prior_scale**2
    *expected, prior_power = table(kind, sde, t)
    for value, wanted in zip(actual, (*expected, prior_power)):
        assert_close(value, wanted, SDE_FORMULA, abs(wanted) + (sde.sigma_min**2 if kind == "ve" else 1 if wanted else 0))
    assert_close(sde.signal_power(t), expected[2] ** 2, SDE_FORMULA)


def test_sde_defaults_match_the_literature():
    assert (VP().beta_min, VP().beta_max, VP().t_max) == (SubVP().beta_min, SubVP().beta_max, SubVP().t_max) == (0.1, 20.0, 1.0)
    assert (VE().sigma_min, VE().sigma_max, VE().t_max) == (0.01, 50.0, 1.0)
    assert (OrnsteinUhlenbeck().gamma, OrnsteinUhlenbeck().q) == (1.0, 2.0) and Brownian().a == 1.0  # Thm 5.3 for the law N(0, 1)
    assert SDES == {"vp": VP, "ve": VE, "subvp": SubVP}


# Transitions


@given(sdes(), parts, parts, parts)
def test_two_transitions_compose_to_one(sde, one, two, three):
    s, r, t = (part * sde.t_max for part in sorted((one, two, three)))
    (a, first), (b, second), (c, whole) = sde.transition(r, s), sde.transition(t, r), sde.transition(t, s)
    assert_close(c, a * b, SDE_FORMULA)
    assert_close(whole**2, (b * first) ** 2 + second**2, SDE_FORMULA, sde.noise_power(t))
    assert_close(sde.transition(t, 0.0), sde.marginal(t), SDE_FORMULA)


@given(sdes(), parts)
def test_a_transition_of_zero_time_is_the_identity(sde, part):
    a, deviation = sde.transition(part * sde.t_max, part * sde.t_max)
    assert a == 1 and deviation == 0


# Log-SNR and time


@given(sdes(), parts, parts)
def test_the_log_snr_decreases(sde, one, other):
    s, t = sorted((one * sde.t_max, other * sde.t_max))
    if t - s > 1e-9 * t:
        assert sde.log_snr(t) < sde.log_snr(s)


@given(sdes(), parts)
def test_the_log_snr_is_twice_the_log_of_signal_over_noise(sde, part):
    alpha, sigma = sde.marginal(part * sde.t_max)
    assert_close(sde.log_snr(part * sde.t_max), 2 * np.log(alpha / sigma), SDE_FORMULA, 1.0)


@given(sdes(), parts)
def test_time_of_log_snr_inverts_log_snr(sde, part):
    log_snr = sde.log_snr(part * sde.t_max)
    t = sde.time_of_log_snr(log_snr)
    assert 0 < t <= sde.t_max
    assert_close(sde.log_snr(t), log_snr, SDE_FORMULA, 1.0 + abs(log_snr))  # its slope in log t is at most twice the exponents


@given(sdes(), st.floats(0.0, 1.0), st.floats(0.01, 100.0))
def test_the_time_of_scaled_x_depends_only_on_the_noise_ratio(sde, part, scale):
    t = sde.sample_times(part)
    alpha, sigma = sde.marginal(t)
    found = sde.time_of(scale * alpha, scale * sigma)
    assert_close(sde.log_snr(found), sde.log_snr(t), SDE_FORMULA, 1.0 + abs(sde.log_snr(t)))
    ((weight, condition, own_alpha, own_sigma),) = sde.interpolation_nodes(scale * alpha, scale * sigma)
    assert weight == 1 and condition == sde.network_time(found) and (own_alpha, own_sigma) == sde.marginal(found)


@every_sde
def test_times_of_arrays_are_those_of_their_numbers(sde):
    t = np.linspace(sde.t_min, sde.t_max, 6)
    alpha, sigma = 3 * sde.signal(t), 3 * sde.noise_scale(t)
    log_snr = sde.log_snr(t)
    assert sde.time_of_log_snr(log_snr).tolist() == [sde.time_of_log_snr(float(value)) for value in log_snr]
    assert sde.time_of(alpha, sigma).tolist() == [sde.time_of(*level) for level in zip(alpha.tolist(), sigma.tolist())]
    for found, numbers in zip(sde.to_schedule_scale(alpha, sigma), zip(*map(sde.to_schedule_scale, alpha.tolist(), sigma.tolist()))):
        assert found.shape == (6,)
        assert_close(found, np.array(numbers), EXACT, 1.0)
        assert all(isinstance(number, float) for number in numbers)
    alpha, sigma = np.roll(alpha, -1), np.roll(sigma, -1) / [1, 1, 1, 1, 1, 2]
    value = 2 * np.log(alpha[-1] / sigma[-1])
    with pytest.raises(ValueError, match=rf"a log-SNR of {value:.4g} is outside of the trained range"):
        sde.time_of(alpha, sigma)


@given(sdes())
def test_the_steps_of_an_sde_are_even_and_end_with_0(sde):
    for steps in (1, 2, 7, 1000):
        times = sde.timesteps(steps)
        assert len(times) == steps + 1 and times[0] == sde.t_max and times[-1] == 0
        if sde.t_max / steps >= sde.t_min:
            assert_close(np.array(times), sde.t_max * np.arange(steps, -1, -1) / steps, EXACT, sde.t_max)
        else:
            assert_close(np.array(times[:-1]), np.linspace(sde.t_max, sde.t_min, steps), EXACT)
    for steps in (0, 1.5):
        with pytest.raises(ValueError, match=f"steps must be a whole number from 1 on, got {steps}"):
            sde.timesteps(steps)


@given(sdes())
def test_training_ends_at_the_time_of_the_smallest_noise_ratio(sde):
    alpha, sigma = sde.marginal(sde.t_min)
    assert_close(sigma / alpha, sde.min_noise_ratio, SDE_FORMULA)
    assert_close(sde.sample_times(np.array([0.0, 0.5, 1.0])), [sde.t_min, (sde.t_min + sde.t_max) / 2, sde.t_max], EXACT)


@every_sde
def test_network_times_range_from_0_to_1000(sde):
    end = 1000.0 * (sde.t_max if isinstance(sde, Flow) else 1)
    assert_close([sde.network_time(part * sde.t_max) for part in (0.0, 0.25, 1.0)], [0.0, end / 4, end], EXACT)


@every_sde
def test_scalars_and_arrays_agree_and_scalars_stay_scalars(sde):
    t = np.array(times_of_all) * sde.t_max
    for name in (
        "drift_coefficient",
        "diffusion",
        "signal",
        "noise_scale",
        "signal_power",
        "noise_power",
        "log_snr",
        "network_time",
        "sample_times",
    ):
        function = getattr(sde, name)
        each = [function(float(time)) for time in t]
        assert all(isinstance(value, float) and not isinstance(value, np.generic) for value in each), name
        assert_close(np.broadcast_to(function(t), t.shape), each, EXACT)
    assert isinstance(sde.prior_scale, float) and isinstance(sde.t_min, float)


# DDPM's chain


def test_the_ddpm_chain_converges_to_vp_at_first_order():
    """E13c: prod (1 - beta(i/N) / N) is e^{-B} up to O(1/N), not exactly; the next order is smaller by a factor beta_max / N."""
    sde, counts = VP(), np.array([500, 1000, 2000, 4000, 8000, 16000])
    errors = []
    for N in counts:
        chain = from_betas(sde.beta(np.arange(1, N + 1) / N) / N)
        at = N * np.array([1, 2, 3, 4, 5]) // 5
        errors.append(np.abs(np.log(chain.signal_power(at)) - sde.log_alpha_bar(at / N)).max())
    assert_slope(counts, errors, 1, 20 / 500)
    assert errors[0] > 0.1  # not exactly


# The reverse family


MEAN, VARIANCE = 0.7, 0.4


def moment_rates(sde, reverse_noise, t, mean, variance):
    """d/dt of mean and variance of the reverse family, from its drift (a line in x) and its diffusion, backward in time."""
    drift, diffusion = sde.reverse(lambda x, t: gaussian_score(sde, t, MEAN, VARIANCE)[2](x), reverse_noise)
    offset, slope = drift(0.0, t), drift(1.0, t) - drift(0.0, t)
    return offset + slope * mean, 2 * slope * variance - diffusion(0.0, t) ** 2


@given(sdes(), parts, st.floats(0.0, 3.0))
def test_the_reverse_family_preserves_the_marginals_of_a_gaussian(sde, part, reverse_noise):
    t = part * sde.t_max
    (m, v, _), (alpha, sigma) = gaussian_score(sde, t, MEAN, VARIANCE), sde.marginal(t)
    mean_rate, variance_rate = moment_rates(sde, reverse_noise, t, m, v)
    d_alpha, d_sigma = derivative(sde.signal, t), derivative(sde.noise_scale, t)
    size = abs(sde.drift_coefficient(t)) + (1 + reverse_noise**2) * sde.diffusion(t) ** 2 / v
    assert_close(mean_rate, d_alpha * MEAN, SDE_FORMULA, size * (1 + m))
    assert_close(variance_rate, 2 * (alpha * d_alpha * VARIANCE + sigma * d_sigma), SDE_FORMULA, size * (2 * v + m + 1))


@every_sde
@pytest.mark.parametrize("reverse_noise", [0.0, 0.5, 1.0, 2.0])
def test_the_reverse_family_has_the_exact_marginals_at_all_times(sde, reverse_noise):
    stops = np.array(times_of_all[::-1]) * sde.t_max
    flow = lambda t, y: np.array(moment_rates(sde, reverse_noise, t, *y))
    solved = solve_ivp(flow, (stops[0], stops[-1]), gaussian_score(sde, stops[0], MEAN, VARIANCE)[:2], "DOP853", t_eval=stops, **PRECISE)
    exact = np.array([gaussian_score(sde, t, MEAN, VARIANCE)[:2] for t in stops]).T
    assert_close(solved.y, exact, integrated(200, **PRECISE), 1 + exact.max())


def test_reverse_vp_has_the_printed_moment_rates():
    """d var/dr = beta [var + lambda^2 - (1 + lambda^2) var / v_t],
    d mean/dr = beta [mean/2 - (1 + lambda^2) (mean - sqrt(A) m) / (2 v_t)]."""
    sde = GIVEN["vp"]
    for t, reverse_noise, mean, variance in ((0.1, 0.0, 2.0, 3.0), (0.6, 1.0, -1.0, 0.2), (1.3, 1.7, 0.3, 5.0)):
        m, v, _ = gaussian_score(sde, t, MEAN, VARIANCE)
        beta = sde.beta_min + t * (sde.beta_max - sde.beta_min)
        rates = moment_rates(sde, reverse_noise, t, mean, variance)
        assert_close(
            -rates[0], beta * (mean / 2 - (1 + reverse_noise**2) / 2 * (mean - m) / v), MIXTURE, beta * (1 + reverse_noise**2) * 5 / v
        )
        assert_close(
            -rates[1],
            beta * (variance + reverse_noise**2 - (1 + reverse_noise**2) * variance / v),
            MIXTURE,
            beta * (1 + reverse_noise**2) * 10 / v,
        )


def test_vp_divided_by_its_signal_equals_ve():
    """E20: y = x / signal has the score of VE, and at equal noise level the same probability flow, dy/dsigma = -sigma s(y, sigma)."""
    vp, ve, distribution = GIVEN["vp"], VE(sigma_min=0.001, sigma_max=1000.0, min_noise_ratio=0.002), example_2_1()
    x = np.linspace(-3, 3, 7)[:, None]
    score = lambda sde: lambda x, t: distribution.noised(*sde.marginal(t)).score(x)
    for t in (0.05, 0.3, 1.0):
        alpha, sigma = vp.marginal(t)
        level = sigma / alpha
        s = ve.time_of(alpha, sigma)
        y, y_score = x / alpha, score(ve)(x / alpha, s)
        assert_close(score(vp)(x, t) * alpha, y_score, MIXTURE, 1 + np.abs(y_score))
        (flow, _), (own, _) = vp.reverse(score(vp), 0.0), ve.reverse(score(ve), 0.0)
        dy = (flow(x, t) - vp.drift_coefficient(t) * x) / alpha / derivative(lambda t: vp.noise_scale(t) / vp.signal(t), t)
        assert_close(dy, -level * y_score, MIXTURE, level * (1 + np.abs(y_score)))
        assert_close(own(y, s) / derivative(ve.noise_scale, s), -level * y_score, MIXTURE, level * (1 + np.abs(y_score)))


# A trained run as an SDE


@pytest.mark.parametrize("schedule", [linear(100), constant(), geometric(5, 0.1, 30.0)], ids=["linear", "short", "ladder"])
def test_a_run_on_a_schedule_is_the_sde_over_its_trained_noise_range(schedule):
    run = SimpleNamespace(model=SimpleNamespace(schedule=schedule, data_variance=0.5))
    sde, (smallest, largest) = sde_of(run), noise_range(run)
    assert type(sde) is (VE if schedule.prior_scale != 1 else VP)
    assert_close([smallest, largest], [schedule.noise_scale(t) / schedule.signal(t) for t in (1, schedule.T)], SDE_FORMULA)
    assert_close(sde.noise_scale(sde.t_min) / sde.signal(sde.t_min), smallest, SDE_FORMULA)
    end = sde.noise_scale(sde.t_max) / sde.signal(sde.t_max)
    assert end <= largest * (1 + SDE_FORMULA)
    if schedule.name != "linear":  # all of it; linear has more noise than VP with beta from 0.1 to 20
        wanted = largest if type(sde) is VP else np.sqrt(largest**2 - smallest**2)
        assert_close(end, wanted, SDE_FORMULA)


@every_sde
def test_a_run_on_an_sde_uses_that_sde(sde):
    run = SimpleNamespace(model=SimpleNamespace(schedule=sde, data_variance=1.0))
    assert sde_of(run) is sde
    assert_close(noise_range(run), [sde.min_noise_ratio, sde.noise_scale(sde.t_max) / sde.signal(sde.t_max)], EXACT)


# Bad input


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: VP(t_max=0.0), "t_max must be a positive number, got 0.0"),
        (lambda: VE(t_max=float("inf")), "t_max must be a positive number, got inf"),
        (lambda: VP(t_max=float("nan")), "t_max must be a positive number, got nan"),
        (lambda: VP(min_noise_ratio=0.0), "min_noise_ratio must be positive and below the ratio at t_max, .* got 0.0"),
        (lambda: VE(min_noise_ratio=50.0), "min_noise_ratio must be positive and below the ratio at t_max, 50, got 50.0"),
        (lambda: SubVP(beta_min=0.0), "beta_min and beta_max must satisfy 0 < beta_min <= beta_max, got 0.0 and 20.0"),
        (lambda: VP(beta_max=0.01), "beta_min and beta_max must satisfy 0 < beta_min <= beta_max, got 0.1 and 0.01"),
        (lambda: VE(sigma_min=50.0), "sigma_min and sigma_max must satisfy 0 < sigma_min < sigma_max, got 50.0 and 50.0"),
        (lambda: VE(sigma_min=0.0), "sigma_min and sigma_max must satisfy"),
        (lambda: VE(sigma_max=float("inf")), "sigma_min and sigma_max must satisfy"),
        (lambda: OrnsteinUhlenbeck(gamma=0.0), "gamma and q must be positive, got 0.0 and 2.0"),
        (lambda: OrnsteinUhlenbeck(q=-1.0), "gamma and q must be positive, got 1.0 and -1.0"),
        (lambda: Brownian(a=0.0), "a must be positive, got 0.0"),
        (lambda: VP(beta_max=4000.0), "t_max must leave a positive signal and finite noise, got 1.0 with 0 and 1"),
        (lambda: OrnsteinUhlenbeck(t_max=1000.0), "t_max must leave a positive signal and finite noise, got 1000.0 with 0 and 1"),
        (lambda: Brownian(a=float("inf")), "t_max must leave a positive signal and finite noise, got 1.0 with 1 and inf"),
        (lambda: VP().marginal(float("nan")), r"t must lie in \[0, 1\], the time of the SDE, got nan"),
        (lambda: VP().marginal(-0.1), r"t must lie in \[0, 1\], the time of the SDE, got -0.1"),
        (lambda: Brownian(t_max=2.5).marginal(2.6), r"t must lie in \[0, 2.5\], the time of the SDE, got 2.6"),
        (lambda: VP().log_snr(np.array([0.5, 1.1])), r"t must lie in \[0, 1\]"),
        (lambda: VP().time_of_log_snr(-20.0), "the log-SNR falls to -10.05 at t = 1, and never to -20"),
        (lambda: VP().time_of_log_snr(float("inf")), "and never to inf"),
        (lambda: VP().time_of(1.0, 0.009), "a log-SNR of 9.421 is outside of the trained range, -10.05 to 9.21"),
        (lambda: VE().interpolation_nodes(1.0, 51.0), "a log-SNR of -7.864 is outside of the trained range, -7.824 to 9.21"),
        (lambda: VP().reverse(None, -0.1), "reverse_noise must not be negative, got -0.1"),
        (lambda: VP().reverse(None, float("nan")), "reverse_noise must not be negative, got nan"),
    ],
)
def test_invalid_input_is_named_with_its_value(make, message):
    with pytest.raises(ValueError, match=message):
        make()
