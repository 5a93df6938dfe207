"""The loss by noise level: equal for equal denoisers, whatever their networks predict, and beside exact losses."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from reference import ops
from reference.data.datasets import Dataset
from reference.diffusion.conversions import convert
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.schedules import geometric, linear
from reference.diffusion.yardsticks import LinearDenoiser, linear_denoiser_loss
from reference.ops.random import Purpose, normal
from reference.runs import noise_levels
from reference.runs.noise_levels import EXACT, LEVELS, LINEAR, MEMORISING, NETWORK, TRAINING, levels_of, losses_by_noise_level
from reference.runs.run import open_run
from reference.sde.sde import VP
from tests.oracle_tolerances import EXACT32, assert_close, z_score

RNG = np.random.default_rng(0)
ROOT = np.array([[1.0, 0.0], [0.7, 0.4]])


def data_of(train, held_out, train_labels=None, held_out_labels=None):
    zeros = [np.zeros(len(x), np.int64) for x in (train, held_out)]
    labels = zeros if train_labels is None else (train_labels, held_out_labels)
    return Dataset("points", train.astype(np.float32), held_out.astype(np.float32), *labels)


def run_of(network, schedule, prediction, data):
    model = Denoiser(network, schedule, prediction, data.variance)
    return SimpleNamespace(model=model, data=data, state=SimpleNamespace(ema={}), method=SimpleNamespace(restores=False), folder="run")


@dataclass
class LinearNetwork:
    """A network with the predictions of ``denoiser`` under VP, where its time is 1000 t."""

    denoiser: LinearDenoiser
    schedule: Any
    prediction: str
    variance: float
    classes: int = 0
    outputs: int = 1

    def forward(self, params, z, c, ops=ops, labels=None, keep=True):
        t = float(c[0]) / 1000
        alpha, sigma = self.schedule.signal(t), self.schedule.noise_scale(t)
        x = z.astype(np.float64) * (alpha**2 * self.variance + sigma**2) ** 0.5
        x0 = self.denoiser.posterior_mean(x / alpha, sigma / alpha)
        return convert(x0, x, "x0", self.prediction, alpha, sigma).astype(z.dtype), None


@pytest.mark.parametrize("prediction", ["noise", "x0", "v"])
def test_equal_denoisers_have_equal_losses_whatever_they_predict(prediction):
    """Predictions are rounded to float32; to convert the noise to x_0 divides by alpha, and the loss divides by the level."""
    data = data_of(RNG.standard_normal((300, 2)) @ ROOT.T, RNG.standard_normal((200, 2)) @ ROOT.T)
    network = LinearNetwork(LinearDenoiser.fit(data.train), VP(), prediction, data.variance)
    levels, losses = losses_by_noise_level(run_of(network, VP(), prediction, data), ops, 200)
    assert tuple(levels) == LEVELS and list(losses) == [NETWORK, TRAINING, LINEAR, MEMORISING]
    for measure in range(2):
        assert_close(losses[NETWORK][measure], losses[LINEAR][measure], EXACT32, 1 + 10 / levels)


def test_losses_on_gaussian_data_have_their_expectations_and_standard_errors():
    data = data_of(RNG.standard_normal((4000, 2)) @ ROOT.T, RNG.standard_normal((4000, 2)) @ ROOT.T)
    denoiser = LinearDenoiser.fit(data.train)
    network = LinearNetwork(denoiser, VP(), "v", data.variance)
    levels, losses = losses_by_noise_level(run_of(network, VP(), "v", data), ops, 4000)
    expected = linear_denoiser_loss(denoiser.eigenvalues, levels)
    for name in (TRAINING, LINEAR):
        mean, error = losses[name]
        # held-out samples have another covariance: that is an error of a mean of squares, too
        assert (abs(mean - expected) < z_score(12) * 2**0.5 * error).all(), name
    x0 = data.held_out
    noise = normal(4, np.arange(4000), 3, Purpose.EVALUATION, (2,), np.float32)
    each = ((denoiser.posterior_mean(x0 + noise, 1.0) - x0) ** 2).mean(axis=1)
    assert_close(losses[LINEAR][0][3], each.mean(), EXACT32)
    assert_close(losses[LINEAR][1][3], each.std() / 4000**0.5, EXACT32)


def test_the_memorising_loss_is_that_of_the_training_samples():
    """With two training samples at (±1, 0) and held-out ones at (0, ±5): x̂_0 lies between the first, at least 5 away from the second."""
    data = data_of(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([[0.0, 5.0], [0.0, -5.0]]))
    levels, losses = losses_by_noise_level(run_of(LabelNetwork(classes=0), linear(1000), "x0", data), ops)
    assert (losses[MEMORISING][0] >= (1 - EXACT32) * 5**2 / (2 * levels**2)).all()


@dataclass
class LabelNetwork:
    """A network that predicts x_0 = label in every coordinate, 0 without labels."""

    classes: int = 3
    outputs: int = 1

    def forward(self, params, z, c, ops=ops, labels=None, keep=True):
        labels = np.zeros(len(z)) if labels is None else labels
        return np.repeat(labels.astype(z.dtype)[:, None], 2, axis=1), None


def test_a_network_with_classes_gets_the_label_of_each_sample(monkeypatch):
    monkeypatch.setattr(noise_levels, "BATCH", 7)
    labels = RNG.integers(0, 3, (2, 60))
    data = data_of(*(np.repeat(own[:, None], 2, axis=1) for own in labels), *labels)
    _, losses = losses_by_noise_level(run_of(LabelNetwork(), linear(1000), "x0", data), ops, 25)
    assert (losses[NETWORK][0] < EXACT32**2).all() and (losses[TRAINING][0] < EXACT32**2).all()  # squares of rounding errors


def test_a_run_with_few_noise_levels_is_evaluated_at_them():
    data, schedule = data_of(np.zeros((5, 2)) + 1, np.zeros((5, 2)) + 1), geometric(5, 0.01, 4.0)
    levels = levels_of(run_of(LabelNetwork(), schedule, "noise", data))
    trained = schedule.noise_scale(np.arange(1, 6))
    nearest = {trained[abs(np.log(trained / level)).argmin()] for level in LEVELS[:5]}
    assert_close(np.array(levels), np.array(sorted(nearest)), EXACT32)


def test_the_loss_of_the_exact_denoiser_is_the_mixtures_and_the_least(runs):
    trained = open_run(runs["sde"])
    levels, losses = losses_by_noise_level(trained, ops, 500)
    chosen = np.arange(500) * len(trained.data.held_out) // 500
    x0, noise = trained.data.held_out[chosen], normal(4, chosen, 2, Purpose.EVALUATION, (1,), np.float32)
    expected = (trained.data.mixture.expected_noise((x0 + np.float32(levels[2]) * noise).astype(np.float64), 1.0, levels[2]) - noise) ** 2
    assert_close(losses[EXACT][0][2], expected.mean(), 1e-5, 1.0)
    for name in (NETWORK, LINEAR):
        assert (losses[EXACT][0] < losses[name][0]).all(), name
