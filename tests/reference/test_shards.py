"""A batch in shards: the mean gradient, by a tree of sums whose bits do not depend on the number of processes."""

import json

import numpy as np
import pytest

from reference.commands import distill, train
from reference.diffusion import training
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.guidance import drop_labels
from reference.diffusion.mixtures import ring
from reference.diffusion.schedules import linear
from reference.networks import MLP
from reference.runs import devices
from reference.runs.launch import SHARDS
from tests import device_port
from tests.command_runs import TINY, files, run
from tests.fake_mpi import together
from tests.oracle_tolerances import accumulated, assert_close
from tests.reference.test_training import bits

NETWORK = MLP(size=(2,), width=16, depth=2, embedding=8, classes=4)
X = ring().sample(5, np.arange(200))[0]
MODEL = Denoiser(NETWORK, linear(50), "noise", float((X**2).mean()))
LABELS = np.arange(200) % 3
BATCH = 16

# Gradients add products over 16 samples and, in three layers and twice, over 16 units, in an order that BLAS chooses by the shape.
REORDERED = accumulated(16 + 2 * 3 * 16)


def settings_of(shards, **more):
    return training.Settings(**{"batch": BATCH, "shards": shards, "label_dropout": 0.5, "seed": 3} | more)


def gradient_of(shards, dtype=np.float64):
    """(loss, gradient) of the third step by one process."""
    state = training.init_state(NETWORK, 0, dtype)
    state.step = 2
    return training.batch_loss_and_gradient(MODEL, X.astype(dtype), LABELS, settings_of(shards), state)


def trained(shards, team=training.ALONE, port=devices.reference_ops, steps=5):
    """The bits of the state after some steps, with its loss."""
    state = training.init_state(NETWORK, 0)
    x = X.astype(np.float32)
    *_, state = devices.train(MODEL, x, LABELS, settings_of(shards), state, steps, port, team)
    return bits(state) | {"loss": float(state.loss), "norm": float(state.gradient_norm)}


@pytest.mark.parametrize("shards", [2, 4, 16])
def test_shards_have_the_loss_and_the_gradient_of_the_whole_batch(shards):
    loss, gradient = gradient_of(1)
    parts_loss, parts = gradient_of(shards)
    assert_close(parts_loss, loss, REORDERED)
    assert_close(parts, gradient, REORDERED, np.abs(gradient).max())


@pytest.mark.parametrize("shards", [1, 2, 8])
def test_the_gradients_of_shards_are_added_in_pairs_of_neighbours(shards):
    """Also: a shard has the draws and the labels of its places in the whole batch."""
    state = training.init_state(NETWORK, 0)
    x, whole = X.astype(np.float32), settings_of(1)
    indices, *draws = training.draw_batch(MODEL, x, whole, 3)
    labels = drop_labels(LABELS[indices], NETWORK, whole, 3)
    assert len(set(labels)) == 4
    parts = np.split(np.arange(BATCH), shards)
    found = [training.loss_and_gradient(MODEL, state.params, x[indices[p]], [d[p] for d in draws], labels[p]) for p in parts]
    terms = [np.append(gradient, loss) for loss, gradient in found]
    while len(terms) > 1:
        terms = [one + other for one, other in zip(terms[::2], terms[1::2])]
    loss, gradient = gradient_of(shards, np.float32)
    assert np.append(gradient, loss).tobytes() == (terms[0] / shards).tobytes()


def test_another_number_of_shards_has_other_bits():
    assert trained(1) != trained(2) != trained(4)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_training_has_the_same_bits_on_any_number_of_processes(count):
    assert together(count, lambda team: trained(8, team)) == [trained(8)] * count


def test_shards_of_a_device_are_added_on_the_host_with_the_same_bits():
    assert together(2, lambda team: trained(4, team, device_port)) == [trained(4)] * 2


@pytest.mark.parametrize("shards", [0, -2, 1.5, "many"])
def test_the_number_of_shards_must_be_a_whole_number(shards):
    with pytest.raises(ValueError, match=f"shards must be a whole number from 1 on, got {shards}"):
        training.Settings(shards=shards)


@pytest.mark.parametrize("shards", [3, 6, 12])
def test_the_number_of_shards_must_be_a_power_of_two(shards):
    with pytest.raises(ValueError, match=f"shards must be 1, 2, 4, 8 .., got {shards}"):
        training.Settings(batch=12, shards=shards)


def test_shards_must_divide_the_batch():
    with pytest.raises(ValueError, match="shards must divide the batch into equal parts, got 4 shards for batch 6"):
        training.Settings(batch=6, shards=4)


# the option --shards

COMMAND = ("train", "ddpm", "--data", "mixture1d", *TINY)


def shards_of(folder):
    return json.loads((folder / "config.json").read_text())["training"]["shards"]


def test_a_run_keeps_its_shards(tmp_path, capsys):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    assert run(*COMMAND, "--steps", 5, "--shards", 4, "--out", whole) == 0
    assert run(*COMMAND, "--steps", 2, "--shards", 4, "--out", resumed) == 0
    before = files(resumed)
    assert run(*COMMAND, "--steps", 5, "--shards", 2, "--resume", "--out", resumed) == 2
    assert capsys.readouterr().err.endswith("was begun with shards 4, got 2: a run keeps its options\n")
    assert files(resumed) == before
    assert run(*COMMAND, "--steps", 5, "--resume", "--out", resumed) == 0
    assert shards_of(resumed) == 4
    assert list(files(resumed).values()) == list(files(whole).values())


def test_a_run_has_one_shard_unless_mpiexec_started_it(tmp_path, monkeypatch):
    assert run(*COMMAND, "--steps", 1, "--out", tmp_path / "alone") == 0
    monkeypatch.setattr(train, "launched", lambda: (0, 1))
    assert run(*COMMAND, "--batch", 8, "--steps", 1, "--out", tmp_path / "launched") == 0
    assert run(*COMMAND, "--steps", 1, "--shards", 2, "--out", tmp_path / "given") == 0
    assert [shards_of(tmp_path / name) for name in ("alone", "launched", "given")] == [1, SHARDS, 2]


@pytest.mark.parametrize("given", [[], ["--shards", 1]])
def test_a_run_of_an_earlier_version_has_one_shard(tmp_path, given):
    assert run(*COMMAND, "--steps", 2, "--out", tmp_path) == 0
    config = json.loads((tmp_path / "config.json").read_text())
    del config["training"]["shards"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "checkpoint.safetensors").unlink()
    assert run(*COMMAND, "--steps", 3, *given, "--resume", "--out", tmp_path) == 0


@pytest.mark.parametrize("shards, message", [(8, "got 8 shards for batch 12"), (3, "shards must be 1, 2, 4, 8 .., got 3")])
def test_shards_that_do_not_fit_leave_no_folder(tmp_path, capsys, shards, message):
    assert run(*COMMAND, "--batch", 12, "--steps", 1, "--shards", shards, "--out", tmp_path / "run") == 2
    assert capsys.readouterr().err.endswith(f"{message}\n")
    assert not (tmp_path / "run").exists()


def test_a_student_has_shards_of_its_own(tmp_path, capsys, monkeypatch):
    teacher, student = tmp_path / "teacher", tmp_path / "student"
    assert run(*COMMAND, "--prediction", "v", "--steps", 2, "--shards", 2, "--out", teacher) == 0
    command = ("distill", teacher, *"--method consistency-training --updates 2".split())
    assert run(*command, "--out", student) == 0 and shards_of(student) == 1
    assert run(*command, "--shards", 4, "--resume", "--out", student) == 2
    assert "shards" in capsys.readouterr().err
    assert run(*command, "--shards", 4, "--out", tmp_path / "four") == 0 and shards_of(tmp_path / "four") == 4
    monkeypatch.setattr(distill, "launched", lambda: (0, 1))
    assert run(*command, "--batch", 8, "--out", tmp_path / "launched") == 0 and shards_of(tmp_path / "launched") == SHARDS
