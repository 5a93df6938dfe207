"""The distribution of the samples of every sampler, for a network that is exact at the trained times.

Data are Gaussian with variances k v in different coordinates; v is the data variance of the run.  Every sampler is then linear in x,
and the variance of its samples is the sum of the squares of its responses to the start and to each noise draw.  No draw is random here.
"""

import warnings
from argparse import Namespace
from itertools import pairwise

import numpy as np
import pytest

from reference import ops
from reference.commands.sampler_options import parse_sampler_options
from reference.diffusion.conversions import convert
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.interpolation import interpolation_error
from reference.diffusion.schedules import SCHEDULES, constant, geometric, linear, zero_terminal_snr
from reference.ops.random import Key, Purpose
from reference.runs import solvers
from reference.runs.methods import METHODS
from reference.runs.run import Run
from reference.runs.sampler_options import SAMPLERS
from reference.runs.trajectory import trajectory
from reference.runs.views import largest_level_ratio, sde_of
from reference.samplers import SamplingWarning, final_sample
from reference.samplers.annealed_langevin import step_sizes
from reference.samplers.edm import edm, sigmas
from tests.oracle_tolerances import LINEAR_SAMPLER, RESTATED, RK45_SAMPLES, START32, assert_close

V = 0.5
K = np.array([0.02, 0.5, 1.0, 4.0])
LENGTHS = (4, 20, 100, 1000)
EVERY = {
    **SCHEDULES,
    "constant": lambda T: constant(T, 1 - 0.01 ** (1 / T)),  # the noise of T = 150, for any T
    "geometric": geometric,
    "zero-terminal-snr": lambda T: zero_terminal_snr(linear(T)),
}
RANDOM = (*solvers.STOCHASTIC, "predictor-corrector", "sde-dpm-solver++")
DETERMINISTIC = [name for name in solvers.STEPS if name not in RANDOM]


class Exact:
    """The exact prediction for Gaussian data of variances k v at the trained level of the time input; undefined between levels."""

    classes, sample_shape = 0, K.shape

    def __init__(self, schedule, prediction):
        self.schedule, self.prediction = schedule, prediction
        self.times = np.arange(1, schedule.T + 1)

    def forward(self, params, z, condition, ops=None, labels=None, keep=True):
        t = np.interp(condition[0], self.schedule.network_time(self.times), self.times)
        half = np.interp(t, self.times, self.schedule.log_snr(self.times)) / 2 if t < self.schedule.last_with_signal else None
        alpha, sigma = self.schedule.to_schedule_scale(float(np.exp(half)), 1.0) if half is not None else self.at(round(t))
        x = z * (alpha**2 * V + sigma**2) ** 0.5
        x0 = alpha * K * V * x / (alpha**2 * K * V + sigma**2)
        if self.prediction == "noise":
            return sigma * x / (alpha**2 * K * V + sigma**2), None
        return convert(x0, x, "x0", self.prediction, alpha, sigma), None

    def at(self, t):
        return self.schedule.signal(t), self.schedule.noise_scale(t)


class Responses:
    """Ops with an n-th draw of 1 in the n-th sample and 0 in all others."""

    def __init__(self):
        self.draws = 0

    def __getattr__(self, name):
        return getattr(ops, name)

    def normal(self, seed, sample, step, purpose, shape, dtype=np.float64):
        z = np.zeros((len(sample), *shape))
        z[self.draws] = 1
        self.draws += 1
        return z

    def reverse_step(self, x, prediction, a, b, c, noise):
        z = self.normal(*noise, x.shape[1:]) if isinstance(noise, Key) else noise
        return a * x + b * prediction + (0 if z is None else c * z)


def run_of(schedule, prediction="v"):
    model = Denoiser(Exact(schedule, prediction), schedule, prediction, V)
    config = {"method": "smld" if schedule.name == "geometric" else "ddpm", "data": "exact"}
    return Run("a run", config, model, Namespace(ema={}), None)


def variance(run, sampler, **how):
    """[k] of the samples."""
    fields = {name for names in SAMPLERS.values() for name in names}
    own = parse_sampler_options(run, Namespace(**(dict.fromkeys(fields) | {"sampler": sampler, "seed": 0, "clip": "none"} | how)))
    port, most = Responses(), 2 + 3 * (own.get("steps") or 0) * own.get("levels", 1)
    x = final_sample(trajectory(run, port, np.arange(most), **own))
    assert 1 <= port.draws <= most
    return (x**2).sum(axis=0)


def with_warnings(function, *args, **how):
    """(result, the messages of its warnings about samples)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = function(*args, **how)
    return result, [str(w.message) for w in caught if issubclass(w.category, SamplingWarning)]


def levels_apart(run):
    """The largest log ratio of neighbouring levels, and ``interpolation_error`` without its factor |k - 1|."""
    h = float(np.log(largest_level_ratio(run)))
    return h, interpolation_error(h, 0.0)


@pytest.mark.parametrize("prediction", ["noise", "x0", "v"])
@pytest.mark.parametrize("T", [*LENGTHS, 10, 50, 300])
@pytest.mark.parametrize("name", EVERY)
def test_interpolated_score_is_within_its_bound_and_exact_at_run_variance(name, T, prediction):
    schedule = EVERY[name](T)
    if name == "zero-terminal-snr" and prediction == "noise":
        pytest.skip("a prediction of the noise is refused there")
    model, log_snrs = Denoiser(Exact(schedule, prediction), schedule, prediction, V), schedule.log_snr(np.arange(1, schedule.T + 1))
    log_ratios = -log_snrs[: schedule.last_with_signal] / 2
    x = np.ones((1, len(K)))
    for low, high in list(pairwise(log_ratios))[:: max(1, T // 20)]:
        h = high - low
        for share in (0.0, 0.3, 0.5, 0.9):
            ratio = float(np.exp(low + share * h))
            tangent = ratio / V**0.5
            score, x0 = model.score_function({})(x, 1.0, ratio)[0], model.posterior_mean_function({})(x, 1.0, ratio)[0]
            bound = interpolation_error(h, K, tangent) + RESTATED * (1 + tangent**-2)  # eps from x_0 or v loses this many digits
            assert (np.abs(score * -(K * V + ratio**2) - 1) <= bound).all()
            # E[x_0 | x] errs by tan(phi)^2 / k times as much (u for eps in the derivation), with the digits that the noise has left
            bound = interpolation_error(h, K, tangent) * tangent**2 / K + RESTATED * (1 + tangent**2 / K)
            assert (np.abs(x0 * (K * V + ratio**2) / (K * V) - 1) <= bound).all()


@pytest.mark.parametrize("T", LENGTHS)
@pytest.mark.parametrize("name", EVERY)
def test_sample_variance_of_every_solver_is_within_the_interpolation_bound(name, T):
    """The error of ln(variance) is at most the integral of 2 (1 + reverse_noise^2) / 2 times the error of eps along the way,

        |ln k| / (|k - 1|) 1/2 times the bound for |k - 1|, from  int s v / ((k v + s^2) (v + s^2)) ds = ln(1/k) / (2 (1 - k)),

    twice for reverse_noise = 1, and once more because steps are a sum in place of the integral.  For k = 1 it is 0: rounding alone.
    """
    run = run_of(EVERY[name](T))
    h, error = levels_apart(run)
    exact = lambda x, alpha, sigma: -x / (alpha**2 * K * V + sigma**2)
    for sampler in solvers.STEPS:
        if sampler == "ode-rk45":
            continue  # its steps depend on the network; below
        how = solvers.fill_defaults(sampler, **dict.fromkeys(solvers.OPTIONS[sampler]))
        port = Responses()
        x = final_sample(solvers.solve(run, port, np.arange(2 + 3 * how["steps"]), sampler, 0, score=exact, **how))
        refused, warned = "", []
        try:
            found, warned = with_warnings(variance, run, sampler)
        except ValueError as error:
            refused = str(error)
        assert ("needs predictions between noise levels" in refused) == (h**2 / 8 > 1)
        if refused:
            continue
        assert any("predictions between them are off" in message for message in warned) == (h**2 / 8 > 0.1)
        assert (np.abs(np.log(found / (x**2).sum(axis=0))) <= 4 * error * np.abs(np.log(K)) + LINEAR_SAMPLER).all(), sampler


@pytest.mark.parametrize("name", EVERY)
def test_churn_of_a_run_is_edms_and_stays_within_its_noise(name):
    """The bound is that of all solvers: no churn at the smallest noise, so that the last evaluation is at a trained level."""
    run, port, sample = run_of(EVERY[name](1000)), Responses(), np.arange(20)
    sde = sde_of(run)
    smallest, largest = sde.min_noise_ratio, sde.noise_scale(sde.t_max) / sde.signal(sde.t_max)
    options = {"churn": 1e6, "churn_noise": 1.2, "churn_interval": [2 * smallest, 1e9]}
    seen: list = []
    score = lambda x, alpha, sigma: seen.append(sigma) or 0 * x
    final_sample(solvers.solve(run, Responses(), sample, "edm", 0, 18, score, **options))
    assert_close(max(seen), largest, RESTATED)
    start = (V + largest**2) ** 0.5 * port.normal(0, sample, 0, Purpose.PRIOR, K.shape)
    denoise, levels = lambda x, sigma: K * V / (K * V + sigma**2) * x, sigmas(18, smallest, largest)
    expected = (final_sample(edm(denoise, levels, start, 0, sample, **options, largest=largest, ops=port)) ** 2).sum(axis=0)
    bound = 4 * levels_apart(run)[1] * np.abs(np.log(K)) + LINEAR_SAMPLER + START32
    assert (np.abs(np.log(variance(run, "edm", steps=18, **options) / expected)) <= bound).all()


def test_sde_dpm_solver_of_a_run_has_its_reverse_noise():
    run = run_of(linear(1000))
    default, one, none = (variance(run, "sde-dpm-solver++", steps=20, reverse_noise=noise) for noise in (None, 1.0, 0.0))
    assert np.array_equal(default, one) and np.array_equal(none, variance(run, "dpm-solver++", steps=20)) and (one != none).all()


@pytest.mark.parametrize("sampler", DETERMINISTIC)
@pytest.mark.parametrize("name", EVERY)
def test_deterministic_solvers_converge_to_the_closed_form(name, sampler):
    """A flow preserves x / deviation.  It starts with the variance for data of variance v at noise ratio S, and ends with E[x_0 | x]

    at the smallest noise s: k v (k v / (k v + s^2)) (v + S^2) / (k v + S^2).
    """
    run = run_of(EVERY[name](1000))
    sde, c = sde_of(run), K * V
    smallest, largest = sde.min_noise_ratio, sde.noise_scale(sde.t_max) / sde.signal(sde.t_max)
    expected = c * c / (c + smallest**2) * (V + largest**2) / (c + largest**2)
    if sampler == "ode-rk45":
        error = np.abs(np.log(variance(run, sampler, tolerance=1e-8) / expected)).max()
        assert error <= RK45_SAMPLES
        return
    few, many = (np.abs(np.log(variance(run, sampler, steps=steps) / expected)).max() for steps in (100, 400))
    assert many <= max(few / 3, START32) and many <= 0.1  # order 1 divides by 4, higher ones by more


@pytest.mark.parametrize("T", LENGTHS)
@pytest.mark.parametrize("name", EVERY)
def test_chain_samplers_have_the_variance_of_their_recursion(name, T):
    """DDIM and DDPM step on trained times: x <- (c_x + c_x0 gain) x + deviation z,  gain = alpha k v / variance of x."""
    run = run_of(EVERY[name](T))
    schedule, c = run.model.schedule, K * V
    for sampler, steps in (("ddpm", T), ("ddim", T), ("ddim", min(T, 7))):
        grid = schedule.timesteps(steps)
        power = np.full(len(K), schedule.prior_scale**2)
        for t, t_prev in pairwise(grid):
            alpha, sigma, alpha_prev, sigma_prev = *run.model.network.at(t), *run.model.network.at(t_prev)
            if sampler == "ddim":
                c_x, fresh = sigma_prev / sigma, 0.0
            else:
                ratio = 0.0 if alpha == 0 else alpha / alpha_prev
                fresh = max(sigma**2 - ratio**2 * sigma_prev**2, 0.0) * sigma_prev**2 / sigma**2
                c_x = ratio * sigma_prev**2 / sigma**2
            c_x0 = alpha_prev - c_x * alpha
            power = (c_x + c_x0 * alpha * c / (alpha**2 * c + sigma**2)) ** 2 * power + fresh
        assert_close(variance(run, sampler, steps=steps), power, START32)


@pytest.mark.parametrize("T", [4, 20, 100])
def test_annealed_langevin_on_trained_levels_has_the_recursion_variance(T):
    run, steps = run_of(geometric(T), "noise"), 5
    sigmas = run.model.schedule.noise_scale(np.arange(T, 0, -1))
    power = np.full(len(K), sigmas[0] ** 2)
    for sigma, a in zip(sigmas, step_sizes(sigmas, 0.2 * sigmas[-1] ** 2)):
        for _ in range(steps):
            power = (1 - a / (2 * (K * V + sigma**2))) ** 2 * power + a
    expected = power * (K * V / (K * V + sigmas[-1] ** 2)) ** 2
    assert_close(variance(run, METHODS["smld"].sampler, steps=steps), expected, START32)


def test_annealed_langevin_on_untrained_levels_gives_a_warning():
    _, own = with_warnings(variance, run_of(geometric(4), "noise"), "annealed-langevin", steps=2, levels=4)
    _, others = with_warnings(variance, run_of(linear(4), "noise"), "annealed-langevin", steps=2, levels=4)
    assert not any("between them are off" in text for text in own) and any("between them are off" in text for text in others)


def test_samplers_between_levels_refuse_a_run_of_one_level():
    run = run_of(linear(1))
    for sampler in solvers.STEPS:
        try:
            refused = variance(run, sampler)
        except ValueError as error:
            refused = str(error)
        assert "steps between noise levels, and a run was trained at one" in refused
    assert variance(run, "ddim", steps=1).shape == variance(run, "ddpm", steps=1).shape == K.shape
