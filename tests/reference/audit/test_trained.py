"""What the audit finds out about a trained model, and the false-alarm rate of its statistics."""

import numpy as np
import pytest
from scipy.stats import binom

from reference.audit.audit import audit
from reference.audit.checks.model_losses import Losses
from reference.audit.checks.statistics import above, paired
from reference.audit.target import Target

rng = np.random.default_rng(0)
FACTOR = rng.standard_normal((5, 5)) / 5**0.5
VARIANCES, VECTORS = np.linalg.eigh(FACTOR.T @ FACTOR)
DATA, HELD_OUT = rng.standard_normal((600, 5)) @ FACTOR, rng.standard_normal((300, 5)) @ FACTOR
ALPHA_BAR = np.cumprod(1 - np.linspace(1e-3, 0.12, 100))


def exact_noise(x, alpha, sigma):
    return sigma * (x @ VECTORS / (alpha**2 * VARIANCES + sigma**2)) @ VECTORS.T


def model(prediction, alpha, sigma, x):
    noise = exact_noise(x, alpha, sigma)
    x0 = alpha * (x @ VECTORS * VARIANCES / (alpha**2 * VARIANCES + sigma**2)) @ VECTORS.T
    return {
        "noise": noise,
        "x0": x0,
        "v": alpha * noise - sigma * x0,
        "score": -noise / sigma,
        "velocity": noise - x0,
    }[prediction]


def report(denoise, claims=None, held_out=HELD_OUT, **pieces):
    return audit(Target("a model", {"denoise": denoise, "data": DATA, "held_out": held_out, **pieces}, claims or {}))


def convention(found, name):
    return next((row.target for row in found.conventions if row.name == name), None)


def check(found, name):
    return next((row for row in found.checks if row.name == name), None)


@pytest.mark.parametrize("prediction", ["noise", "x0", "v", "score"])
def test_the_data_decide_what_a_model_predicts(prediction):
    denoise = lambda x, t: model(prediction, ALPHA_BAR[t] ** 0.5, (1 - ALPHA_BAR[t]) ** 0.5, x)
    found = report(denoise, {"time": "0-based"}, alpha_bar=ALPHA_BAR)
    assert convention(found, "prediction") == prediction and not [row for row in found.faults if "schedule" not in row.name]


LEVELS = {
    "sigma": lambda t: (1.0, t),
    "real": lambda t: (1.0 - t, t),
    "1-based": lambda t: (ALPHA_BAR[int(t) - 1] ** 0.5, (1 - ALPHA_BAR[int(t) - 1]) ** 0.5),
}


@pytest.mark.parametrize("time, prediction", [("sigma", "x0"), ("sigma", "score"), ("real", "velocity")])
def test_the_data_decide_time_and_prediction_together(time, prediction):
    found = report(lambda x, t: model(prediction, *LEVELS[time](t), x))
    assert (convention(found, "prediction"), convention(found, "time of the model")) == (prediction, time)
    assert not found.faults


def test_two_time_bases_that_the_losses_do_not_tell_apart_are_not_decidable():
    found = report(lambda x, t: model("noise", *LEVELS["1-based"](max(t, 1)), x), alpha_bar=ALPHA_BAR)
    assert convention(found, "time of the model").startswith("not decidable")


def test_a_constant_model_is_not_decidable_without_a_claim():
    found = report(lambda x, t: np.zeros_like(x) + 3.0 * t, {"time": "sigma"})
    assert [(row.name, row.verdict) for row in found.checks if row.name == "model prediction"] == [("model prediction", "not decidable")]


def test_a_model_without_data_is_not_decidable():
    found = audit(Target("a model", {"denoise": lambda x, t: x / (1 + t**2)}, {"time": "sigma"}))
    assert check(found, "model").verdict == "not decidable" and not found.faults


def test_the_loss_of_an_exact_model_is_that_of_the_best_linear_denoiser():
    rows = check(report(lambda x, t: model("x0", 1.0, t, x), {"time": "sigma"}), "model loss by level").details
    assert all(row["model"] == pytest.approx(row["best linear"], rel=0.05) for row in rows)


def test_a_model_with_an_error_at_some_levels_is_a_fault_at_those_levels():
    denoise = lambda x, t: model("x0", 1.0, t, x) * (3.0 if 0.1 < t < 5 else 1.0)
    found = report(denoise, {"time": "sigma", "prediction": "x0"})
    assert [row.name for row in found.faults] == ["model loss by level"]
    worse = [row["t"] for row in found.faults[0].details if row["model"] > 1.5 * row["best linear"]]
    assert worse and all(0.1 < t < 5 for t in worse)


def test_half_of_the_data_judge_a_model_without_held_out_data():
    found = audit(Target("a model", {"denoise": lambda x, t: model("x0", 1.0, t, x), "data": DATA}, {"time": "sigma"}))
    assert "half of the training data" in check(found, "model loss by level").came and not found.faults


def test_the_linear_denoiser_is_not_fitted_to_the_half_that_it_is_judged_on():
    data = np.random.default_rng(0).standard_normal((160, 40))
    assert not audit(Target("a model", {"denoise": lambda x, t: x / (1 + t**2), "data": data}, {"time": "sigma"})).faults


def test_a_model_that_is_better_on_training_data_and_still_generalises_is_no_fault():
    def denoise(x, t):
        distances = ((x[:, None] - DATA) ** 2).sum(axis=2)
        near = (distances.min(axis=1) < 9 * t**2) & (t < 0.05)  # no other sample is as near as that
        exact = model("x0", 1.0, t, x)
        return np.where(near[:, None], (exact + DATA[distances.argmin(axis=1)]) / 2, exact)

    found = report(denoise, {"time": "sigma", "prediction": "x0"})
    assert check(found, "memorisation").verdict == "convention" and not found.faults


def test_images_of_8_bits_are_a_convention():
    data = (255 * (np.random.default_rng(0).random((500, 4)) > 0.5)).astype(np.uint8)
    denoise = lambda x, t: 127.5 + 127.5 * np.tanh(127.5 * (x - 127.5) / t**2)
    pieces = {"denoise": denoise, "data": data, "sigmas": np.geomspace(1, 5000, 50)}
    found = audit(Target("a model", pieces, {"time": "sigma"}))
    assert convention(found, "data range") == "0 .. 255" and not found.faults


def test_data_with_nan_are_a_fault():
    data = DATA.copy()
    data[3, 2] = np.nan
    found = audit(Target("a model", {"denoise": lambda x, t: x, "data": data}, {"time": "sigma"}))
    assert [row.name for row in found.faults] == ["data usable"]


def test_data_of_another_shape_are_one_sentence():
    found = audit(Target("a model", {"denoise": lambda x, t: x, "data": np.ones(20)}, {"time": "sigma"}))
    assert [row.came for row in found.faults] == ["data must have the shape [n,...] with at least 8 samples, got (20,)"]


# the statistics under the null


@pytest.mark.parametrize("split", ["held out", "halves"])
def test_exact_models_of_random_gaussian_data_have_no_fault(split):
    for seed in range(20):  # 40 models at a rate of 1e-3: an alarm has a probability of 4 %, and these seeds have none
        generator = np.random.default_rng(seed)
        size, count = generator.integers(2, 12), generator.integers(60, 600)
        factor = generator.standard_normal((size, size))
        variances, vectors = np.linalg.eigh(factor.T @ factor)
        train, other = (generator.standard_normal((n, size)) @ factor for n in (count, 200))
        denoise = lambda x, t, v=variances, u=vectors: (x @ u * v / (v + t * t)) @ u.T
        pieces = {"denoise": denoise, "data": train} | ({"held_out": other} if split == "held out" else {})
        found = audit(Target("a model", pieces, {"time": "sigma"}))
        assert not found.faults and convention(found, "prediction") == "x0"


TRIALS = 4000


def most(rate):
    """The number of alarms in ``TRIALS`` that the rate exceeds with a probability of 1e-6."""
    return binom.isf(1e-6, TRIALS, rate)


def test_the_paired_test_has_its_false_alarm_rate():
    generator = np.random.default_rng(1)
    differences = generator.standard_normal((TRIALS, 256))
    assert sum(paired(row, 1, rate=0.01) for row in differences) <= most(0.01)


def test_the_paired_test_of_few_samples_has_its_false_alarm_rate():
    differences = np.random.default_rng(5).standard_normal((TRIALS, 8))
    assert sum(paired(row, 1, rate=0.01) for row in differences) <= most(0.01)


def test_the_paired_test_of_losses_has_no_more_than_its_false_alarm_rate():
    # losses of a model that is the linear denoiser plus an error of its own of the opposite cost
    generator = np.random.default_rng(2)
    linear = generator.chisquare(4, (TRIALS, 256)) / 4
    model_loss = generator.chisquare(4, (TRIALS, 256)) / 4
    assert sum(paired(a - b, 1, rate=0.01) for a, b in zip(model_loss, linear)) <= most(0.01)


def test_the_comparison_of_two_samples_has_its_false_alarm_rate():
    generator = np.random.default_rng(3)
    alarms = 0
    for _ in range(TRIALS):
        first, second = generator.chisquare(8, 256), generator.chisquare(8, 256)
        alarms += above(first, second, 1, rate=0.01)
    assert alarms <= most(0.01)


def test_levels_share_one_false_alarm_rate():
    generator = np.random.default_rng(4)
    draws = generator.standard_normal((TRIALS // 8, 8, 64))
    alarms = sum(any(paired(level, 8, rate=0.01) for level in trial) for trial in draws)
    assert alarms <= binom.isf(1e-6, TRIALS // 8, 0.01)


def test_the_cost_of_an_excess_is_half_its_integral_over_log_snr():
    sigma = np.exp(-np.linspace(-3, 3, 7) / 2)  # log(SNR) = -3, -2, .. 3
    constant = Losses([], np.ones(7), sigma, np.full((7, 4), 0.5), np.full((7, 4), 0.2))
    assert constant.cost().sum() == pytest.approx(0.3 * 6 / 2)
