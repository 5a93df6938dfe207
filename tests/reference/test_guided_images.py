"""The part on images of the experiment ``guidance``, on digits with a network of a few steps, and its checks on invented numbers."""

import numpy as np
import pytest

from reference import ops
from reference.runs.image_quality import Estimate, Features
from reference.runs.run import open_run
from reference.tutorial.experiments import Outcome, guided_images
from tests.command_runs import run

pytestmark = pytest.mark.filterwarnings("ignore::reference.samplers.SamplingWarning")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    words = "train ddpm --data digits --classes --timesteps 10 --channels 8 8 --batch 4 --steps 2 --save-every 2".split()
    assert run(*words, "--out", folder) == 0
    found, rng = open_run(folder), np.random.default_rng(0)
    for array in found.state.ema.values():  # so few steps leave the output near 0 for every label
        array += 0.1 * rng.standard_normal(array.shape, np.float32)
    return found


def test_curves_hold_real_images_and_every_weight(digits):
    """An invented classifier: ten pixels of an image are its features, and it always predicts class 3."""
    features = Features(
        "pixels",
        lambda x: x.reshape(len(x), -1)[:, 20:30].astype(np.float64),
        lambda x: np.tile(np.eye(10)[3], (len(x), 1)),
    )
    found = guided_images.curves(digits, features, 30, {"ddim": (3, (0, 1, 2))}, ops)
    assert [*found] == [("real", None), ("ddim", 0), ("ddim", 1), ("ddim", 2)]
    assert all({*estimates} == {*guided_images.SHOWN} for estimates in found.values())
    assert all(found["ddim", w]["class_accuracy"].value == 0.1 for w in (0, 1, 2))
    frechet = [found["ddim", w]["frechet"].value for w in (0, 1, 2)]
    assert len({*frechet}) == 3 and min(frechet) > 2 * found["real", None]["frechet"].value


def accuracies(values, n=2000):
    return {w: Estimate(value, value - 0.02, value + 0.02) for w, value in values.items()}


@pytest.mark.parametrize(
    "values, failed",
    [
        ({0: 0.1, 1: 0.9, 2: 0.95}, []),
        ({0: 0.14, 1: 0.9, 2: 0.95}, ["unconditional samples agree with labels at chance"]),
        ({1: 0.51, 2: 0.95}, ["conditional samples show their class"]),
        ({1: 0.9, 2: 0.85}, ["guidance w = 2 does not lower the class accuracy"]),
    ],
)
def test_class_accuracy_fails_the_check_that_it_contradicts(values, failed):
    outcome = Outcome()
    guided_images.check_accuracy(outcome, "ddim", accuracies(values), 2000)
    assert [claim.partition(": ")[2] for claim, _, holds in outcome.checks if not holds] == failed
    assert len(outcome.checks) == len(values)


def test_the_table_of_images_has_a_row_a_point_and_checks_each_sampler():
    part = lambda value: {name: Estimate(value, value - 0.1, value + 0.1) for name in guided_images.SHOWN}
    found = {("real", None): part(0.9), ("ddim", 1): part(0.8), ("ddim", 2): part(0.9)}
    outcome = Outcome()
    guided_images.report(outcome, found, 100)
    ((header, rows),) = outcome.tables.values()
    assert [row[:3] for row in rows] == [("real", "", 0.9), ("ddim", 1, 0.8), ("ddim", 2, 0.9)]
    assert len(header) == len(rows[0]) == 14 and len(outcome.checks) == 2 and outcome.passed


@pytest.mark.parametrize(
    "models, lacking", [({}, "the model fashion-mnist"), ({"fashion-mnist": ""}, "the model fashion-mnist-classifier")]
)
def test_a_missing_model_leaves_the_images_out_in_one_sentence(models, lacking, monkeypatch):
    monkeypatch.setattr(guided_images, "package_models", lambda: models)
    outcome = Outcome()
    assert guided_images.images(outcome, True) is None
    assert outcome.findings == [f"The part on images is left out: {lacking} is not here."] and not outcome.tables


def test_missing_data_leave_the_images_out(monkeypatch):
    monkeypatch.setattr(guided_images, "package_models", lambda: dict.fromkeys((guided_images.RUN, guided_images.CLASSIFIER)))
    opened = type("Run", (), {"needs_download": lambda self: True})
    monkeypatch.setattr(guided_images, "open_run", lambda name: opened())
    assert guided_images.missing() == "the data of fashion-mnist"
