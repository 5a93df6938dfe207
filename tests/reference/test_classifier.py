"""The classifier of clean or noisy images: loss, gradients, noise levels, batches, training, and its commands."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import norm

from reference import ops
from reference.conformance.op_inputs import random_parameters
from reference.data.datasets import Dataset, load_dataset
from reference.diffusion import classifier
from reference.diffusion.classifier import Classifier
from reference.diffusion.training import Settings, init_state, train
from reference.networks import ConvNet
from reference.runs.config import build_config
from reference.runs.evaluation import CLASSIFIER_SIGMAS, classification
from reference.runs.methods import CLASSIFIER
from reference.runs.run import open_run
from tests.command_runs import files, run
from tests.oracle_tolerances import EXACT, assert_close
from tests.tolerances import NETWORK_STEPS, assert_equal_to_rounding, assert_gradient

CLEAN = Classifier(ConvNet(classes=3, size=(4, 4), channels=(8,), groups=2, width=6), data_variance=0.4)
NOISY = Classifier(ConvNet(classes=3, size=(4, 4), channels=(8,), groups=2, width=6, noise_conditional=True), 0.4, (0.05, 12.0))
PARAMS = {model: random_parameters(model.network) for model in (CLEAN, NOISY)}
LABELS = np.array([2, 0, 1, 2, 0])
X, NOISE = np.random.default_rng(1).normal(size=(2, 5, 4, 4, 1))
U = np.array([0.0, 0.2, 0.5, 0.8, 1.0])
both = pytest.mark.parametrize("model", [CLEAN, NOISY], ids=["clean", "noisy"])


def draws(model):
    return () if model is CLEAN else (U, NOISE)


@both
def test_loss_is_minus_the_log_softmax_at_inputs_of_unit_variance(model):
    """x = x0 + sigma eps over sqrt(data_variance + sigma^2), at the network time 1000 u."""
    sigma = np.zeros(5) if model is CLEAN else 0.05 * 240.0**U
    column = sigma[:, None, None, None]
    z, c = (X + column * NOISE) / np.sqrt(0.4 + column**2), None if model is CLEAN else 1000 * U
    logits, _ = model.network.forward(PARAMS[model], z, c)
    expected = -log_softmax(logits, axis=1)[np.arange(5), LABELS]
    mean, per_sample, _ = model.loss(PARAMS[model], X, *draws(model), labels=LABELS)
    assert_close(per_sample, expected, 64 * EXACT, np.abs(logits).max())
    assert_close(mean, expected.mean(), 64 * EXACT, np.abs(logits).max())


@both
def test_gradients_of_the_classifiers_loss_along_random_directions(model):
    rng, params = np.random.default_rng(2), PARAMS[model]
    mean, _, gradients = model.loss(params, X, *draws(model), labels=LABELS)
    assert gradients.keys() == params.keys()
    for _ in range(3):
        direction = {name: rng.normal(size=p.shape) for name, p in params.items()}
        terms = np.concatenate([(gradients[name] * direction[name]).ravel() for name in params])
        moved = lambda t, d=direction: {name: p + t * d[name] for name, p in params.items()}
        f = lambda t, moved=moved: float(model.loss(moved(t), X, *draws(model), labels=LABELS)[0])
        assert_gradient(terms.sum(), f, mean, np.abs(terms).sum(), NETWORK_STEPS)


@pytest.mark.parametrize("model, alpha, sigma", [(CLEAN, 1.0, 0.0), (NOISY, 1.0, 0.3), (NOISY, 0.6, 0.8), (NOISY, 0.1, 5.0)])
def test_gradient_of_the_log_probability_is_its_derivative_in_x(model, alpha, sigma):
    params, direction = PARAMS[model], np.random.default_rng(3).normal(size=X.shape)
    gradient = model.log_probability_gradient(params, LABELS)(X, alpha, sigma)
    at = lambda x: model.log_probabilities(params, x, alpha, sigma)[np.arange(5), LABELS]
    for n in range(5):  # each sample has its own label
        terms = gradient[n] * direction[n]
        f = lambda t, n=n: float(at(X + t * direction)[n])
        assert_gradient(terms.sum(), f, np.abs(at(X)).max(), np.abs(terms).sum(), NETWORK_STEPS)


def test_gradients_of_log_probabilities_weighted_by_them_sum_to_0():
    """sum_k p(k | x) ∇log p(k | x) = ∇ sum_k p(k | x) = 0."""
    p = np.exp(NOISY.log_probabilities(PARAMS[NOISY], X, 0.8, 0.6))
    parts = [NOISY.log_probability_gradient(PARAMS[NOISY], np.full(5, k))(X, 0.8, 0.6) * p[:, k, None, None, None] for k in range(3)]
    assert_close(sum(parts), np.zeros(X.shape), 64 * EXACT, max(np.abs(part).max() for part in parts))


def test_probabilities_sum_to_1_and_depend_on_the_ratio_of_noise_to_signal_alone():
    log_p = NOISY.log_probabilities(PARAMS[NOISY], X, 0.8, 0.6)
    assert_equal_to_rounding(np.exp(log_p).sum(axis=1), np.ones(5))
    assert_close(NOISY.log_probabilities(PARAMS[NOISY], X / 0.8, 1.0, 0.75), log_p, 64 * EXACT, np.abs(log_p).max())
    assert np.abs(NOISY.log_probabilities(PARAMS[NOISY], X, 0.8, 0.3) - log_p).max() > 0.01


@pytest.mark.parametrize(
    "alpha, sigma, c", [(1.0, 0.0, 0), (1.0, 0.05, 0), (0.5, 0.5 * (0.05 * 12) ** 0.5, 500), (1.0, 90.0, 1000), (0.0, 1.0, 1000)]
)
def test_noise_beyond_the_range_has_the_network_time_of_its_end(alpha, sigma, c):
    z, found = NOISY.inputs(X, alpha, sigma)
    assert_close(found, np.full(5, c), EXACT, 1000.0)
    assert_equal_to_rounding(z, X / np.sqrt(0.4 * alpha**2 + sigma**2))


@both
def test_batches_do_not_change_probabilities_and_features(model, monkeypatch):
    level = (1.0, 0.0) if model is CLEAN else (1.0, 0.5)
    functions = model.log_probabilities, model.features
    whole = [function(PARAMS[model], X, *level) for function in functions]
    monkeypatch.setattr(classifier, "BATCH", 2)
    for function, expected in zip(functions, whole, strict=True):
        assert_close(function(PARAMS[model], X, *level), expected, EXACT, 16.0)
        assert function(PARAMS[model], X[:0], *level).shape == (0, *expected.shape[1:])


@both
def test_logits_are_a_linear_function_of_the_features(model):
    params = PARAMS[model]
    features, log_p = model.features(params, X), model.log_probabilities(params, X)
    logits = features @ params["head.1.w"] + params["head.1.b"]
    assert features.shape == (5, 6)
    assert_close(log_p, log_softmax(logits, axis=1), 64 * EXACT, np.abs(logits).max())


def test_accuracy_is_the_share_of_labels_with_the_largest_probability():
    found = CLEAN.log_probabilities(PARAMS[CLEAN], X).argmax(axis=1)
    wrong = np.where(np.arange(5) < 2, (found + 1) % 3, found)
    assert CLEAN.accuracy(PARAMS[CLEAN], X, found) == 1 and CLEAN.accuracy(PARAMS[CLEAN], X, wrong) == 0.6


def test_training_noise_is_a_function_of_seed_sample_and_step():
    assert CLEAN.sample_training_noise(0, np.arange(3), 1, (4, 4, 1), np.float32) == ()
    u, noise = NOISY.sample_training_noise(0, np.arange(5000), 1, (1,), np.float64)
    assert abs(u.mean() - 0.5) < 5 / np.sqrt(12 * 5000) and abs(noise.var() - 1) < 5 * np.sqrt(2 / 5000)
    again, other = (NOISY.sample_training_noise(0, np.arange(2, 4), step, (1,), np.float64) for step in (1, 2))
    assert (again[0] == u[2:4]).all() and (again[1] == noise[2:4]).all()
    assert (other[0] != u[2:4]).all() and (other[1] != noise[2:4]).all()


def test_a_classifier_of_clean_images_refuses_noise():
    for call in (CLEAN.log_probabilities, CLEAN.features):
        with pytest.raises(ValueError, match=r"sigma must be 0: the classifier was trained on clean images, got 0.5"):
            call(PARAMS[CLEAN], X, 1.0, 0.5)
    with pytest.raises(ValueError, match="sigma must be 0"):
        CLEAN.log_probability_gradient(PARAMS[CLEAN], LABELS)(X, 1.0, 0.5)


@pytest.mark.parametrize("noise_range", [(0.0, 1.0), (2.0, 1.0), (1.0, 1.0), (1.0, float("inf"))])
def test_a_noise_range_must_rise_from_a_positive_number(noise_range):
    with pytest.raises(ValueError, match="0 < sigma_min < sigma_max"):
        Classifier(NOISY.network, 1.0, noise_range)


def test_the_network_and_the_noise_range_must_agree():
    for network, noise_range in ((CLEAN.network, (0.1, 1.0)), (NOISY.network, None)):
        with pytest.raises(ValueError, match="noise_range goes with a network that is conditional on the noise level"):
            Classifier(network, 1.0, noise_range)
    with pytest.raises(ValueError, match="c must not be given: the network is not conditional"):
        CLEAN.network.forward(PARAMS[CLEAN], X, np.zeros(5))
    with pytest.raises(ValueError, match="c must be given: the network is conditional"):
        NOISY.network.forward(PARAMS[NOISY], X)


@pytest.mark.parametrize(
    "config, message",
    [
        ({"size": (12, 8)}, "2 blocks need an image size that 8 divides, got 12x8"),
        ({"channels": (8, 12)}, "groups must divide the channels"),
        ({"channels": ()}, "channels must be at least 2"),
        ({"channels": (7,), "groups": 7}, "even in the first"),
        ({"classes": 1}, "classes must be at least 2"),
        ({"width": 0}, "in_channels and width at least 1"),
    ],
)
def test_invalid_convnet_settings_are_a_value_error_that_names_the_reason(config, message):
    with pytest.raises(ValueError, match=message):
        ConvNet(**config)


@pytest.mark.parametrize("shape, size", [((8, 8, 1), (8, 8)), ((28, 28, 1), (32, 32)), ((32, 32, 3), (32, 32))])
def test_default_networks_have_less_than_150_000_parameters(shape, size):
    for noise_levels in (None, True):
        x, labels = np.ones((10, *shape), np.float32), np.arange(10)
        data = Dataset("numbers", x, x[:1], labels, labels[:1])
        network = build_config("classifier", data, {"noise_levels": noise_levels})["net"]
        made = ConvNet(**{name: tuple(value) if isinstance(value, list) else value for name, value in network.items() if name != "kind"})
        assert made.size == size and made.noise_conditional == bool(noise_levels)
        assert sum(np.prod(shape) for shape in made.shapes().values()) < 150_000


def test_a_short_training_on_digits_classifies_better_than_the_nearest_class_mean():
    data = load_dataset("digits")
    means = np.stack([data.train[data.train_labels == k].mean(axis=0) for k in range(10)])
    distances = ((data.held_out[:, None] - means) ** 2).sum(axis=(2, 3, 4))
    nearest = (distances.argmin(axis=1) == data.held_out_labels).mean()
    model = Classifier(ConvNet(channels=(16, 32)), data.variance)
    state = init_state(model.network, 0)
    *_, state = train(model, data.train, data.train_labels, Settings(batch=32, lr=2e-3), state, 150)
    assert model.accuracy(state.ema, data.held_out, data.held_out_labels) > nearest > 0.85


# commands

SMALL = "classifier --channels 8 8 --width 8 --batch 4".split()
KINDS = {"clean": (), "noisy": ("--noise-levels",)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Kind -> folder of a tiny classifier trained for a few steps."""
    folder = tmp_path_factory.mktemp("classifiers")
    for kind, words in KINDS.items():
        assert run("train", *SMALL, *words, "--steps", 4, "--out", folder / kind) == 0
    return {kind: folder / kind for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_classifier_extended_by_resume_equals_an_uninterrupted_run(trained, tmp_path, kind):
    shutil.copytree(trained[kind], tmp_path / "grown")
    assert run("train", "classifier", "--steps", 7, "--out", tmp_path / "grown", "--resume") == 0
    assert run("train", *SMALL, *KINDS[kind], "--steps", 7, "--out", tmp_path / "whole") == 0
    grown, whole = (files(tmp_path / folder) for folder in ("grown", "whole"))
    assert {path.name: content for path, content in grown.items()} == {path.name: content for path, content in whole.items()}


def test_evaluate_prints_loss_and_accuracy_of_a_classifier(trained, capsys):
    opened = open_run(trained["noisy"])
    assert run("evaluate", trained["noisy"], "--samples", 50) == 0
    rows = dict(line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines()[1:])
    x, labels = opened.data.held_out[:50], opened.data.held_out_labels[:50]
    log_p = opened.model.log_probabilities(opened.state.ema, x)
    assert rows["  images"] == "50"
    assert rows["  loss (nats)"] == f"{-log_p[np.arange(50), labels].mean():.5g}"
    assert rows["  accuracy"] == f"{(log_p.argmax(axis=1) == labels).mean():.5g}"
    most = np.bincount(opened.data.train_labels).argmax()
    assert rows["  accuracy of the most frequent class"] == f"{(labels == most).mean():.5g}"
    assert [name for name in rows if "sigma" in name] == [f"  accuracy, sigma {sigma}" for sigma in ("0.05", "0.1", "0.3", "1", "3", "10")]


def test_accuracy_by_sigma_is_that_of_noisy_images():
    """A stub that finds the label in the first pixel: its accuracy falls with the noise as a Gaussian's, within five deviations."""
    labels = np.arange(4000) % 2
    x = np.zeros((4000, 8, 8, 1), np.float32) + np.where(labels, 1, -1)[:, None, None, None].astype(np.float32)
    data = Dataset("numbers", x, x, labels, labels)

    class Sign(Classifier):
        def log_probabilities(self, params, x, alpha=1.0, sigma=0.0, ops=ops):
            return np.stack((-x[:, 0, 0, 0], x[:, 0, 0, 0]), axis=1)

    model = Sign(ConvNet(classes=2, size=(8, 8), noise_conditional=True), 1.0, (0.05, 12.0))
    rows = classification(SimpleNamespace(model=model, data=data, state=SimpleNamespace(ema={})), ops, 4000)
    for sigma in CLASSIFIER_SIGMAS:
        expected = norm.cdf(1 / sigma)
        assert abs(rows[f"accuracy, sigma {sigma:g}"] - expected) <= 5 * np.sqrt(expected * (1 - expected) / 4000)
    assert rows["accuracy"] == 1 and rows["accuracy of the most frequent class"] == 0.5


def test_evaluate_takes_all_held_out_images_by_default(trained, capsys):
    assert run("evaluate", trained["clean"]) == 0
    out = capsys.readouterr().out
    assert "359 held-out images" in out and "sigma" not in out


def test_a_classifier_is_exported_with_its_config(trained, tmp_path):
    from safetensors import safe_open

    assert run("export", trained["noisy"], "--out", tmp_path / "w.safetensors") == 0
    with safe_open(tmp_path / "w.safetensors", "numpy") as archive:
        config = json.loads(archive.metadata()["run"])["config"]
        assert {*archive.keys()} == {*open_run(trained["noisy"]).state.ema}
    assert config["classes"] == list("0123456789") and config["schedule"] == {"sigma_min": 0.02, "sigma_max": 20.0}


WRONG = {
    "sample": ("sample @clean --out OUT.png", "was trained by classifier, which draws no samples"),
    "sampler": ("evaluate @clean --sampler ddim", "--sampler is not an option of evaluate for a run of classifier"),
    "another classifier": ("evaluate @clean --classifier @noisy", "--classifier is not an option of evaluate for a run of classifier"),
    "figures": ("evaluate @clean --out OUT", "--out is not an option of evaluate for a run of classifier"),
    "steps": ("evaluate @clean --steps 3", "--steps is not an option of evaluate for a run of classifier"),
    "images": ("evaluate @clean --samples 360", "samples must lie in 1 .. 359, the held-out images, got 360"),
    "diffusers": ("export @clean --format diffusers --out OUT", "--format diffusers needs a unet, but"),
    "points": ("train classifier --data mixture2d --out OUT", "a convnet needs images, and mixture2d holds points of 2 coordinates"),
    "one class": ("train classifier --data swiss-roll --out OUT", "train classifier needs labels, and swiss-roll has none"),
    "samples on the way": ("train classifier --sample-every 2 --out OUT", "--sample-every is not an option of train classifier"),
    "levels": ("train classifier --sigma-min 0.1 --out OUT", "--sigma-min of train classifier needs --noise-levels"),
    "range": ("train classifier --noise-levels --sigma-min 30 --out OUT", "0 < sigma_min < sigma_max, got 30.0 and 20.0"),
    "noise of ddpm": ("train ddpm --noise-levels --out OUT", "--noise-levels is not an option of train ddpm"),
    "classes": ("train classifier --classes --out OUT", "--classes is not an option of train classifier"),
    "a unet": ("train classifier --net unet --out OUT", "classifier trains a convnet, got --net unet"),
    "a convnet of ddpm": ("train ddpm --net convnet --out OUT", "ddpm trains a unet or an mlp, got --net convnet"),
    "resume": ("train classifier --noise-levels --out @clean --resume", "was begun with noise-levels False, got True"),
}


@pytest.mark.parametrize("words, message", WRONG.values(), ids=WRONG.keys())
def test_what_a_classifier_can_not_do_exits_2_with_one_line(trained, tmp_path, capsys, words, message):
    before = files(trained["clean"].parent)
    arguments = [str(trained[word[1:]]) if word.startswith("@") else word for word in words.split()]
    assert run(*(argument.replace("OUT", str(tmp_path / "out")) for argument in arguments)) == 2
    out, err = capsys.readouterr()
    assert message in err and err.count("\n") == 1 and "Traceback" not in err, err
    assert out == "" and files(trained["clean"].parent) == before and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "labels, message",
    [
        (None, "train classifier needs labels, and {} has none"),
        ([0, 1, 3], "no training sample of {} has the label 2"),
        ([5], "needs at least two classes"),
    ],
)
def test_data_without_labels_or_with_gaps_in_them_are_refused(tmp_path, capsys, labels, message):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8)).astype(np.uint8)
    arrays = {"x": images} if labels is None else {"x": images, "y": np.resize(labels, 40)}
    np.savez(tmp_path / "data.npz", **arrays)
    assert run("train", *SMALL, "--data", tmp_path / "data.npz", "--out", tmp_path / "run") == 2
    err = capsys.readouterr().err
    assert message.format(tmp_path / "data.npz") in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_defaults_of_train_classifier_are_its_own():
    config = build_config("classifier", load_dataset("digits"), {})
    assert config["steps"] == CLASSIFIER.training["steps"]
    assert {name: config["training"][name] for name in ("lr", "ema")} == {name: CLASSIFIER.training[name] for name in ("lr", "ema")}
    assert build_config("classifier", load_dataset("digits"), {"steps": 7, "lr": 0.5})["training"]["lr"] == 0.5
