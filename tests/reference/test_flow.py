"""Rectified flow: its ODE, training times, samplers and floor of the loss."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from reference import ops
from reference.diffusion.conversions import PREDICTIONS, convert
from reference.diffusion.denoiser import Denoiser, exact_prediction
from reference.diffusion.forward_process import forward
from reference.networks.mlp import MLP
from reference.runs.trajectory import trajectory
from reference.sde.flow import TIMES, Flow
from reference.sde.sde import SDES
from tests.oracle_tolerances import EXACT, MIXTURE, SDE_FORMULA, assert_close, assert_mean
from tests.oracles import gaussian_score, normal_data

inside = st.floats(0.01, 0.99)
QUAD = 1e-9  # two integrals, each within 1e-10
DENSITIES = {
    "uniform": lambda t: 1.0,
    "logit-normal": lambda t: stats.norm.pdf(np.log(t / (1 - t))) / (t * (1 - t)),
    "u-shaped": lambda t: np.cosh(4 * (t - 0.5)),
}


def test_flow_defaults():
    sde = Flow()
    assert (sde.t_max, sde.times) == (0.999, "uniform") and sde.network_time(sde.t_max) == 999
    assert_close(
        sde.noise_scale(sde.t_max) / sde.signal(sde.t_max), 999.0, 1000 * EXACT
    )  # 1 - t_max = 0.001 has a rounding error u, relatively 1000 u


@given(inside, st.floats(-3, 3), st.floats(0.1, 4), st.floats(-3, 3))
def test_the_probability_flow_is_the_expected_velocity(t, mean, variance, x):
    """f x - g^2/2 times the score, for Gaussian data, against E[eps] - E[x_0] of the joint Gaussian of x_0, eps and x."""
    sde, x = Flow(), np.array([x])
    _, power, score = gaussian_score(sde, t, mean, variance)
    drift, _ = sde.reverse(lambda x, t: score(x), 0.0)
    deviation = x - (1 - t) * mean
    velocity = t / power * deviation - (mean + (1 - t) * variance / power * deviation)
    size = (np.abs(x) + np.abs(deviation) / power + abs(mean)) / (1 - t)
    assert_close(drift(x, t), velocity, SDE_FORMULA, size)


@pytest.mark.parametrize("name", TIMES)
@given(u=st.floats(1e-6, 1 - 1e-6))
def test_training_times_have_their_density_between_t_min_and_t_max(name, u):
    sde = Flow(times=name, t_max=0.9, min_noise_ratio=0.05)
    (t,) = sde.sample_times(np.array([u]))
    below, whole = (quad(DENSITIES[name], sde.t_min, end, epsabs=0, epsrel=1e-11)[0] for end in (t, sde.t_max))
    assert_close(below / whole, u, QUAD, 1.0)


@pytest.mark.parametrize("name", TIMES)
def test_training_times_reach_from_t_min_to_t_max(name):
    sde = Flow(times=name)
    ends = sde.sample_times(np.array([0.0, 1.0]))
    # F and its inverse round u, by 1 at most: dt = du / density, which is small at the ends of the logit-normal
    wanted = np.array([sde.t_min, sde.t_max])
    assert_close(ends, wanted, EXACT, wanted + 1 / DENSITIES[name](wanted))


def test_the_loss_floor_of_gaussian_data_is_their_variance_over_that_of_x():
    mean, variance, n = 0.6, 0.3, 20_000
    data, model = normal_data(mean, variance), Denoiser(MLP((1,)), Flow(), "velocity")
    x0, _ = data.sample(1, np.arange(n))
    noise = ops.normal(2, np.arange(n), 0, ops.Purpose.TRAINING_NOISE, (1,), np.float64)
    for time in (0.05, 0.5, 0.95):
        t = np.full(n, time)
        best = exact_prediction(data, model.schedule, forward(model.schedule, x0, t, noise), t, "velocity")
        squares = (best - model.target(x0, t, noise)) ** 2
        assert_mean(squares[:, 0], variance / ((1 - time) ** 2 * variance + time**2), 3)


# DDIM is Euler's method


def run_of(model, params):
    """A run of which the samplers need no more."""
    method = SimpleNamespace(restores=False, name="flow")
    return SimpleNamespace(model=model, state=SimpleNamespace(ema=params), config={}, method=method)


@pytest.mark.parametrize("prediction", ["velocity", "F"])
@pytest.mark.parametrize("steps", [1, 7, 50])
def test_ddim_takes_steps_of_eulers_method_to_time_0(prediction, steps):
    sde, network = Flow(), MLP((2,), width=8, depth=2, embedding=4)
    rng, model = np.random.default_rng(3), Denoiser(network, sde, prediction, data_variance=0.4)
    params = {name: 0.5 * rng.normal(size=p.shape) for name, p in network.init(0, np.float64).items()}
    z = rng.normal(size=(5, 2))
    states = list(trajectory(run_of(model, params), ops, np.arange(5), sampler="ddim", seed=0, steps=steps, eta=0.0, clip="none", start=z))
    times = [sde.t_max * (steps - k) / steps for k in range(steps + 1)]
    size = lambda t: np.hypot(1 - t, t)  # the chain has the variance-preserving form
    x, predict = z * size(sde.t_max), model.predictor(params)
    assert len(states) == steps
    for (t, s), (_, state, _) in zip(pairwise(times), states):
        output = predict(x, t)
        velocity = output if prediction == "velocity" else (x - output) / t  # x_0 for F
        x = x + (s - t) * velocity
        # a log-SNR of up to 14, rounded, becomes a relative error of the noise ratio; network and steps carry it on
        assert_close(state * size(s), x, 100 * SDE_FORMULA, np.abs(x).max())


# Conversions


@pytest.mark.parametrize("sde", [Flow(), SDES["vp"](), SDES["ve"]()], ids=["flow", "vp", "ve"])
@given(part=st.floats(0.02, 1.0), seed=st.integers(0, 2**32))
def test_converting_through_all_predictions_and_back_is_the_identity(sde, part, seed):
    x0, eps = np.random.default_rng(seed).normal(size=(2, 6))
    alpha, sigma = sde.marginal(part * sde.t_max)
    x = alpha * x0 + sigma * eps
    path = ["x0", *(name for name in PREDICTIONS if name != "x0"), "x0"]
    prediction = x0
    for source, target in pairwise(path):
        prediction = convert(prediction, x, source, target, alpha, sigma, 0.4)
    # x_0 from the noise: the rounding of x and of sigma eps, over alpha
    assert_close(prediction, x0, 8 * EXACT, np.abs(x0) + (np.abs(x) + sigma * np.abs(eps)) * (1 + 1 / alpha + 1 / sigma))


# Bad input


def test_a_flow_to_noise_alone_is_refused():
    with pytest.raises(ValueError, match=r"t_max must leave a positive signal and finite noise, got 1\.0 with 0 and 1"):
        Flow(t_max=1.0)


def test_unknown_times_are_refused():
    with pytest.raises(ValueError, match="times must be one of uniform, logit-normal, u-shaped, got 'bell'"):
        Flow(times="bell")


@pytest.mark.parametrize("time", [-0.1, 0.9991, np.nan])
def test_times_beyond_the_flow_are_refused(time):
    with pytest.raises(ValueError, match=r"t must lie in \[0, 0.999\]"):
        Flow().marginal(time)


def test_a_log_snr_beyond_the_flow_is_refused():
    sde = Flow(t_max=0.5)
    assert_close(sde.time_of_log_snr(-1e-12), 0.5, MIXTURE)
    with pytest.raises(ValueError, match=r"the log-SNR falls to 0 at t = 0.5, and never to -0.1"):
        sde.time_of_log_snr(-0.1)
