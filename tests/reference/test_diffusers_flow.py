"""Exports of flow matching for diffusers, tested without diffusers (tests/peers runs the program of their README)."""

import json

import numpy as np
import pytest

from reference import ops
from reference.data import datasets
from reference.runs import diffusers_format
from reference.runs.config import build_config
from reference.runs.run import new_run, open_run
from reference.runs.trajectory import trajectory
from reference.samplers import final_sample
from tests.command_runs import run
from tests.oracle_tolerances import PEER_NETWORK, assert_close
from tests.reference.test_diffusers_weights import random_parameters

# (sample, row, column) -> the pixel that diffusers 0.42.1 drew in 5 steps, by the README's program, from an export of the run below
DRAWN = {
    (0, 0, 0): 2.191784,
    (0, 3, 4): 2.065961,
    (1, 7, 7): 0.182657,
    (2, 5, 1): -0.604583,
    (3, 2, 6): -1.909966,
    (15, 4, 4): 0.188242,
}


def exported(tmp_path, *words):
    """The folders of a run and of its export."""
    folder, out = tmp_path / "run", tmp_path / "out"
    assert run("train", *words, "--channels", 8, 8, "--batch", 2, "--steps", 1, "--out", folder) == 0
    assert run("export", folder, "--format", "diffusers", "--out", out) == 0
    return folder, out


def test_ddim_draws_what_diffusers_draws_from_an_export(tmp_path):
    begun = new_run(tmp_path, build_config("flow", datasets.load_dataset("digits"), {"channels": (16, 16)}))
    begun.state.ema = random_parameters(begun.model.network)
    drawn = final_sample(trajectory(begun, ops, np.arange(16), sampler="ddim", seed=0, steps=5, eta=0.0, clip="none"))
    pixels = np.array([drawn[index][0] for index in DRAWN])
    # as in tests/peers: twice the error of one evaluation
    assert_close(pixels, np.array([*DRAWN.values()]), 2 * PEER_NETWORK[np.dtype(np.float32)], np.abs(drawn).max())


def test_a_flow_is_exported_with_its_scheduler_and_read_back(tmp_path):
    folder, out = exported(tmp_path, "flow", "--times", "logit-normal")
    config = json.loads((out / "scheduler" / "scheduler_config.json").read_text())
    assert config == {
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        "num_train_timesteps": 1000,
        "shift": 1.0,
        "use_dynamic_shifting": False,
    }
    text, ours, back = (out / "README.md").read_text(), open_run(folder), open_run(out)
    assert "It returns noise - x_0." in text and f'steps, t_max, variance = ".", 50, 0.999, {ours.model.data_variance}' in text
    assert back.model == ours.model and back.model.schedule.times == "logit-normal"
    x = np.ones((2, 8, 8, 1), np.float32)
    np.testing.assert_array_equal(back.predictor(ops)(x, 0.3), ours.predictor(ops)(x, 0.3))


@pytest.mark.parametrize(
    "words, output",
    [
        (("flow", "--prediction", "F"), "(sigma * x_0 - {v} * alpha * noise) / sqrt({v} * ({v} * alpha**2 + sigma**2))"),
        (("flow", "--prediction", "x0"), "It returns x_0."),
        (("ddpm", "--prediction", "velocity"), "It returns noise - x_0."),
    ],
)
def test_predictions_without_a_scheduler_are_exported_with_their_formula_alone(tmp_path, words, output):
    folder, out = exported(tmp_path, *words)
    model = open_run(folder).model
    assert output.format(v=model.data_variance) in (out / "README.md").read_text()
    assert not (out / "scheduler").exists() and diffusers_format.scheduler_config(model) is None
