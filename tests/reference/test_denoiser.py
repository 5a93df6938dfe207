"""The simple loss, and the denoiser trained by it (tutorial, Sec. 2.5)."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from reference import ops
from reference.ddpm.ddpm import elbo_terms
from reference.diffusion.conversions import PREDICTIONS, convert
from reference.diffusion.denoiser import TRAINABLE, Denoiser, simple_loss
from reference.diffusion.mixtures import Mixture, example_2_1
from reference.diffusion.schedules import SCHEDULES, vp
from reference.networks.mlp import MLP
from tests.oracle_tolerances import EXACT, EXACT32, MIXTURE, assert_close, assert_mean, central_difference, line

every_schedule = pytest.mark.parametrize("name", sorted(SCHEDULES))


def test_simple_loss_is_the_mean_square_and_its_gradient():
    prediction, target, direction = np.random.default_rng(0).normal(size=(3, 4, 3, 2, 1))
    mean, per_sample, gradient = simple_loss(prediction, target)
    assert_close(per_sample, ((prediction - target) ** 2).reshape(4, -1).mean(axis=1), EXACT)
    assert_close(mean, per_sample.mean(), EXACT)
    slope = (
        simple_loss(prediction + direction, target)[0] - simple_loss(prediction - direction, target)[0]
    ) / 2  # exact because the loss is quadratic
    assert_close((gradient * direction).sum(), slope, EXACT, 10.0)


@pytest.mark.parametrize("prediction", TRAINABLE)
def test_denoiser_loss_returns_gradients_of_its_mean(prediction):
    network = MLP((2,), width=8, depth=2, embedding=4)
    denoiser = Denoiser(network, vp(50), prediction, data_variance=0.4)
    rng = np.random.default_rng(5)
    params = {name: 0.5 * rng.normal(size=p.shape) for name, p in network.init(0, np.float64).items()}
    x0, noise, t = rng.normal(size=(6, 2)), rng.normal(size=(6, 2)), np.array([1, 2, 10, 25, 40, 50])
    mean, per_sample, gradients = denoiser.loss(params, x0, t, noise)
    assert_close(mean, per_sample.mean(), EXACT)
    for _ in range(3):
        direction = {name: rng.normal(size=p.shape) / 8 for name, p in params.items()}
        along = lambda s, d=direction: denoiser.loss({name: p + s * d[name] for name, p in params.items()}, x0, t, noise)[0]
        h = 1e-3
        slope = (8 * (along(h) - along(-h)) - along(2 * h) + along(-2 * h)) / (12 * h)
        total = sum((gradients[name] * direction[name]).sum() for name in params)
        assert_close(total, slope, central_difference(h, mean, 1.0), 1.0)


@dataclass
class Oracle:
    """A network with the exact prediction for the data's distribution: it undoes the scaling of its input first."""

    distribution: Mixture
    schedule: object
    prediction: str
    seen: list = field(default_factory=list)

    def forward(self, params, x, c, ops=None, labels=None, keep=True):
        t = np.round(c * self.schedule.T / 1000).astype(int)
        assert (t == t[0]).all()
        t = int(t[0])
        alpha, sigma = self.schedule.signal(t), self.schedule.noise_scale(t)
        x = x * np.sqrt(alpha**2 * params["variance"] + sigma**2)
        noise = self.distribution.expected_noise(x, alpha, sigma)
        return convert(noise, x, "noise", self.prediction, alpha, sigma, params["variance"]), None

    def backward(self, params, dy, saved, ops=None):
        self.seen.append(dy)
        return dy, {}


@pytest.mark.parametrize("prediction", TRAINABLE)
def test_the_loss_of_the_exact_denoiser_is_the_minimum(prediction):
    distribution, schedule, n = example_2_1(), vp(20), 20_000
    x0, _ = distribution.sample(8, np.arange(n))
    noise = ops.normal(9, np.arange(n), 0, ops.Purpose.TRAINING_NOISE, (1,))
    params = {"variance": 1.7}
    network = Oracle(distribution, schedule, prediction)
    for t in (1, 6, 20):
        alpha, sigma = schedule.signal(t), schedule.noise_scale(t)
        noised = distribution.noised(alpha, sigma)
        x, h = line(-16, 16, 0.2)
        fisher = np.exp(noised.log_density(x[:, None])) @ noised.score(x[:, None])[:, 0] ** 2 * h
        mmse = (sigma / alpha) ** 2 * (1 - sigma**2 * fisher)
        # (dprediction/dx_0)^2 at fixed x
        slope = {
            "x0": 1,
            "noise": (alpha / sigma) ** 2,
            "v": sigma**-2,
            "velocity": (1 + alpha / sigma) ** 2,
            "F": 1 / 1.7 + (alpha / sigma) ** 2,
        }
        floor = slope[prediction] * mmse
        mean, per_sample, _ = Denoiser(network, schedule, prediction, 1.7).loss(params, x0, np.full(n, t), noise)
        assert_mean(per_sample, floor, 3 * len(TRAINABLE))
        assert_close(mean, per_sample.mean(), EXACT)
        assert_close((network.seen[-1][:, 0] * n / 2) ** 2, per_sample, EXACT)


@pytest.mark.parametrize("prediction", TRAINABLE)
def test_noise_prediction_for_samplers_is_converted_from_any_prediction(prediction):
    distribution, schedule = example_2_1(), vp(20)
    denoiser = Denoiser(Oracle(distribution, schedule, prediction), schedule, prediction, 1.7)
    x = np.linspace(-2, 2, 9)[:, None]
    for t in (1, 6, 20):
        alpha, sigma = schedule.signal(t), schedule.noise_scale(t)
        expected = distribution.expected_noise(x, alpha, sigma)
        actual = denoiser.noise_predictor({"variance": 1.7})(x, t)
        assert_close(actual, expected, MIXTURE, (1 + np.abs(x)) / sigma)


@pytest.mark.parametrize("prediction", [*set(PREDICTIONS) - set(TRAINABLE), "epsilon"])
def test_unknown_predictions_of_a_denoiser_are_refused(prediction):
    with pytest.raises(ValueError, match=f"noise, x0, v, velocity, F, got {prediction!r}"):
        Denoiser(MLP(), vp(20), prediction)


@pytest.mark.parametrize("steps", [0, -1, 21, 2.5])
def test_elbo_terms_refuse_an_invalid_number_of_steps(steps):
    with pytest.raises(ValueError, match=f"steps must be a whole number from 1 to T = 20, got {steps}"):
        elbo_terms(lambda x, t: 0 * x, vp(20), np.zeros((1, 1)), 0, steps)


class Recorder:
    """A stand-in for a network that records its arguments."""

    def forward(self, params, x, c, ops=None, labels=None, keep=True):
        self.given = x, c, labels
        return np.zeros_like(x), None


def test_the_network_input_is_unit_variance_x_time_out_of_1000_and_labels():
    network, schedule, labels = Recorder(), vp(40), np.array([3, 1])
    denoiser = Denoiser(network, schedule, "noise", data_variance=0.3)
    x = np.ones((2, 4, 4, 1), np.float32)
    denoiser.predict({}, x, np.array([1, 40]), labels)
    scaled, c, given = network.given
    assert c.dtype == scaled.dtype == np.float32 and given is labels
    assert_close(c, np.array([25.0, 1000.0], np.float32), EXACT32)
    power = np.array([schedule.signal_power(t) * 0.3 + schedule.noise_power(t) for t in (1, 40)])
    assert_close(scaled[:, 0, 0, 0], power**-0.5, EXACT32)
    denoiser.noise_predictor({}, labels)(x, 7)
    assert network.given[2] is labels and network.given[1].tolist() == [175.0, 175.0]
