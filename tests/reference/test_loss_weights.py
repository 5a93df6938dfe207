"""Weights of the loss by noise level: published cases, one loss for all predictions, the optimum, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.data import datasets
from reference.ddpm.learned import LearnedVariance
from reference.diffusion.conversions import convert, prediction_coefficients
from reference.diffusion.denoiser import TRAINABLE, Denoiser
from reference.diffusion.loss_weights import LOSS_WEIGHTS, X0_WEIGHTS, loss_weight
from reference.diffusion.schedules import geometric, linear, vp, zero_terminal_snr
from reference.networks.mlp import MLP
from reference.runs.config import build_config
from reference.runs.evaluation import losses_at
from reference.runs.run import new_run
from reference.sde.flow import Flow
from reference.smld.smld import ScoreModel
from tests.oracle_tolerances import EXACT, EXACT32, MIXTURE, assert_close, central_difference
from tests.oracles import normal_data

VARIANCE = 0.4  # of the data
levels = pytest.mark.parametrize(
    "alpha, sigma", [(0.8, 0.6), (0.999, 0.04), (1.0, 3.0), (0.3, 0.7)], ids=["vp", "little noise", "ve", "flow"]
)


def weight(name, prediction, alpha, sigma, variance=VARIANCE):
    found = loss_weight(name, prediction, np.array([alpha]), np.array([sigma]), variance)
    return 1.0 if found is None else float(found[0])


# Published special cases


@given(st.floats(0.01, 0.9999))
def test_weights_of_a_schedule_that_preserves_the_variance_are_the_published_ones(alpha):
    sigma = (1 - alpha**2) ** 0.5
    snr = alpha**2 / sigma**2
    published = {
        ("min-snr", "x0"): min(snr, 5),  # Hang et al. 2023
        ("min-snr", "noise"): min(1, 5 / snr),
        ("min-snr", "v"): min(snr, 5) / (snr + 1),
        ("p2", "noise"): 1 / (1 + snr),  # Choi et al. 2022
        ("edm", "v"): 1,  # for sigma_data = 1; simple on v is SNR + 1 on x_0 (Salimans and Ho 2022)
        ("edm", "x0"): snr + 1,
        ("simple", "noise"): 1,
    }
    for (name, prediction), wanted in published.items():
        # 1 - alpha^2 loses digits, of alpha = 0.9999 four
        assert_close(weight(name, prediction, alpha, sigma, 1.0), wanted, EXACT / sigma**2)


@given(st.floats(1e-3, 1e3), st.floats(0.1, 10))
def test_the_weight_of_edm_is_the_published_one(sigma, deviation):
    published = (sigma**2 + deviation**2) / (sigma * deviation) ** 2  # Karras et al. 2022, Table 1
    assert_close(weight("edm", "x0", 1.0, sigma, deviation**2), published, EXACT)
    assert_close(weight("edm", "F", 1.0, sigma, deviation**2), 1.0, EXACT)


def test_weights_are_finite_where_there_is_no_signal():
    found = {name: weight(name, "v", 0.0, 1.0) for name in X0_WEIGHTS}
    assert found == {"min-snr": 0.0, "p2": 0.0, "edm": 1 / VARIANCE}


# The same loss for every prediction


class Stated:
    """A network whose x_0 is a fixed array, stated as its prediction."""

    def __init__(self, x0, x, *conversion):
        self.output = convert(x0, x, "x0", *conversion)

    def forward(self, params, x, c, ops=None, labels=None, keep=True):
        return self.output, None

    def backward(self, params, dy, saved, ops=None):
        self.dy = dy
        return dy, {}


@levels
@pytest.mark.parametrize("name", X0_WEIGHTS)
def test_the_same_x0_has_the_same_loss_whatever_is_predicted(name, alpha, sigma):
    x0, guess, noise = np.random.default_rng(2).normal(size=(3, 5, 2))
    x = alpha * x0 + sigma * noise
    wanted = weight(name, "x0", alpha, sigma) * ((guess - x0) ** 2).mean(axis=1)
    for prediction in TRAINABLE:
        schedule = Level(alpha, sigma)
        network = Stated(guess, x, prediction, alpha, sigma, VARIANCE)
        model = Denoiser(network, schedule, prediction, VARIANCE, loss_weight=name)
        mean, per_sample, _ = model.loss({}, x0, np.ones(5, np.int64), noise)
        # a prediction is known to some roundings of x / sigma, and its errors are those of x_0 over the slope
        size = (np.abs(x) + np.abs(guess) + np.abs(x0)).max() ** 2 * (1 + 1 / sigma) ** 2 * (1 + alpha) ** 2
        assert_close(per_sample, wanted, EXACT, (weight(name, "x0", alpha, sigma) + weight(name, prediction, alpha, sigma)) * size)
        assert_close(mean, per_sample.mean(), EXACT)


class Level:
    """A schedule of one level."""

    T = 1

    def __init__(self, alpha, sigma):
        self.level = alpha, sigma

    def signal(self, t):
        return np.full(np.shape(t), self.level[0])

    def noise_scale(self, t):
        return np.full(np.shape(t), self.level[1])

    def signal_power(self, t):
        return self.signal(t) ** 2

    def noise_power(self, t):
        return self.noise_scale(t) ** 2

    def network_time(self, t):
        return 1000.0 * t


# The optimum and the floor


class Gain:
    """A network with one parameter: z -> gain z."""

    def forward(self, params, x, c, ops=None, labels=None, keep=True):
        return params["gain"] * x, x

    def backward(self, params, dy, saved, ops=None):
        return params["gain"] * dy, {"gain": np.array((dy * saved).sum())}


@levels
@pytest.mark.parametrize("prediction", TRAINABLE)
def test_the_best_gain_does_not_depend_on_the_weight_and_the_floor_does(prediction, alpha, sigma):
    """x_0 = +-sqrt(c), eps = +-1: all moments of second order are those of a Gaussian.  The loss is quadratic in the gain, so two
    gradients give its minimum.
    """
    x0, noise = (np.array(signs)[:, None] for signs in ([1, 1, -1, -1], [1.0, -1.0, 1.0, -1.0]))
    x0, t = x0 * 0.9, np.ones(4, np.int64)  # their variance is not the data_variance of the model
    r0, r1 = prediction_coefficients(prediction, alpha, sigma, VARIANCE)
    power = alpha**2 * 0.81 + sigma**2
    covariance = r0 * alpha * 0.81 + r1 * sigma
    input_scale = (alpha**2 * VARIANCE + sigma**2) ** -0.5
    floor = r0**2 * 0.81 + r1**2 - covariance**2 / power
    for name in LOSS_WEIGHTS:
        model = Denoiser(Gain(), Level(alpha, sigma), prediction, VARIANCE, loss_weight=name)
        loss = lambda gain, model=model: model.loss({"gain": np.array(gain)}, x0, t, noise)
        at_0, at_1 = (float(loss(gain)[2]["gain"]) for gain in (0.0, 1.0))
        best = at_0 / (at_0 - at_1)
        terms = (abs(r0) * alpha + abs(r1) * sigma) / power / input_scale
        assert_close(best, covariance / power / input_scale, EXACT, terms)
        w = weight(name, prediction, alpha, sigma)
        assert_close(float(loss(best)[0]), w * floor, EXACT, w * (r0**2 + r1**2))


def test_weights_give_different_floors():
    found = {name: weight(name, "x0", 0.8, 0.6) for name in LOSS_WEIGHTS}
    assert len(set(found.values())) == len(LOSS_WEIGHTS)


# The gradient


@pytest.mark.parametrize("name", LOSS_WEIGHTS)
@pytest.mark.parametrize("prediction", TRAINABLE)
def test_the_weighted_loss_returns_gradients_of_its_mean(name, prediction):
    network = MLP((2,), width=8, depth=2, embedding=4)
    model = Denoiser(network, vp(50), prediction, VARIANCE, loss_weight=name)
    rng = np.random.default_rng(5)
    params = {key: 0.5 * rng.normal(size=p.shape) for key, p in network.init(0, np.float64).items()}
    x0, noise, t = rng.normal(size=(6, 2)), rng.normal(size=(6, 2)), np.array([3, 5, 10, 25, 30, 40])
    mean, per_sample, gradients = model.loss(params, x0, t, noise)
    assert_close(mean, per_sample.mean(), EXACT)
    simple = replace(model, loss_weight="simple").loss(params, x0, t, noise)[1]
    weights = model.loss_weights(t)
    assert_close(per_sample, simple if weights is None else weights * simple, EXACT)
    direction = {key: rng.normal(size=p.shape) / 8 for key, p in params.items()}
    along = lambda s: model.loss({key: p + s * direction[key] for key, p in params.items()}, x0, t, noise)[0]
    h = 1e-3
    slope = (8 * (along(h) - along(-h)) - along(2 * h) + along(-2 * h)) / (12 * h)
    total = sum((gradients[key] * direction[key]).sum() for key in params)
    assert_close(total, slope, central_difference(h, mean, 1.0), 1.0 + mean)


def test_evaluation_has_the_loss_of_training():
    model = Denoiser(MLP((2,), width=8, depth=1, embedding=4), Flow(), "velocity", VARIANCE, loss_weight="min-snr")
    params, rng = model.network.init(0), np.random.default_rng(1)
    x0, noise = rng.normal(size=(2, 7, 2)).astype(np.float32)
    t = np.linspace(0.02, 0.99, 7)
    rows = losses_at(model, params, x0, t, noise)
    assert_close(rows["loss"], float(model.loss(params, x0, t, noise)[0]), EXACT32)
    assert rows["loss of predicting zero"] == rows["loss"]  # of an untrained network


def test_the_exact_F_of_gaussian_data_of_the_variance_is_0():
    model = Denoiser(MLP((1,), width=8, depth=1, embedding=4), Flow(), "F", VARIANCE)
    x0, noise = np.random.default_rng(1).normal(size=(2, 7, 1))
    rows = losses_at(model, model.network.init(0, np.float64), x0, np.linspace(0.02, 0.99, 7), noise, normal_data(0.0, VARIANCE))
    assert_close(rows["loss of the exact prediction"], rows["loss of predicting zero"], MIXTURE)


# Refused


def test_an_unknown_weight_is_refused():
    with pytest.raises(ValueError, match="loss-weight must be one of simple, min-snr, p2, edm, got 'snr'"):
        Denoiser(MLP(), vp(20), loss_weight="snr")


@pytest.mark.parametrize("name", ["min-snr", "p2"])
def test_weights_that_leave_out_the_last_level_are_refused(name):
    with pytest.raises(ValueError, match=f"loss-weight {name} is 0 at the end of the schedule, where x_T = 0 x_0"):
        Denoiser(MLP(), zero_terminal_snr(linear(20)), "v", loss_weight=name)


@pytest.mark.parametrize("name", ["simple", "edm"])
@pytest.mark.parametrize("prediction", ["x0", "v", "velocity", "F"])
def test_other_weights_train_the_level_without_signal(name, prediction):
    model = Denoiser(MLP((2,)), zero_terminal_snr(linear(20)), prediction, VARIANCE, loss_weight=name)
    x0, noise = np.random.default_rng(0).normal(size=(2, 3, 2))
    mean, _, gradients = model.loss(model.network.init(0, np.float64), x0, np.full(3, 20), noise)
    assert np.isfinite(mean) and mean > 0 and all(np.isfinite(g).all() for g in gradients.values())


def test_learned_variances_and_score_matching_have_their_own_weights():
    with pytest.raises(ValueError, match="loss-weight p2 needs objective simple"):
        LearnedVariance(MLP(outputs=2), vp(20), loss_weight="p2")
    with pytest.raises(ValueError, match="prediction noise with loss-weight simple"):
        ScoreModel(MLP(), geometric(), loss_weight="p2")


@pytest.mark.parametrize("method", ["ddpm", "sde", "flow"])
def test_the_option_reaches_the_model(method, tmp_path):
    config = build_config(method, datasets.load_dataset("mixture1d"), {"data": "mixture1d", "loss_weight": "min-snr", "prediction": "F"})
    model = new_run(tmp_path, config).model
    assert (model.loss_weight, model.prediction) == ("min-snr", "F")
    del config["loss_weight"]  # as in the config of an earlier version
    assert new_run(tmp_path, config).model.loss_weight == "simple"
