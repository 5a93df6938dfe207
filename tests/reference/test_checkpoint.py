"""Checkpoints and logs: exact, complete, and validated when read."""

import contextlib
import errno
import json

import numpy as np
import pytest

from reference.diffusion import training
from reference.networks import MLP
from reference.runs import checkpoint
from reference.runs.files import exclusive_lock, write_atomically

NETWORK = MLP(size=(2,), width=4, depth=1, embedding=2)
CONFIG = {"training": {"seed": 7}, "note": "ä"}


def _put(tensors, name, array):
    """Store the array itself; ``Joined`` would only copy its values."""
    dict.__setitem__(tensors, name, array)


def state():
    fresh = training.init_state(NETWORK, 3)
    _put(fresh.params, "layers.0.w", np.asfortranarray(fresh.params["layers.0.w"] + 1))  # safetensors would save this layout wrong
    fresh.step, fresh.loss, fresh.gradient_norm = 12, 0.1, float("nan")
    return fresh


def test_a_checkpoint_is_loaded_bit_for_bit(tmp_path):
    saved = state()
    checkpoint.save(tmp_path, saved, CONFIG)
    loaded, environment, config = checkpoint.load(tmp_path, NETWORK.shapes())
    for part in ("params", "ema", "m", "v"):
        for name, array in getattr(saved, part).items():
            np.testing.assert_array_equal(getattr(loaded, part)[name], array)
    assert (loaded.step, loaded.loss) == (12, 0.1) and np.isnan(loaded.gradient_norm)
    assert environment == checkpoint.environment() and config == CONFIG
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_a_checkpoint_file_names_its_contents(tmp_path):
    from safetensors.numpy import load_file

    saved = state()
    for number, part in enumerate((saved.params, saved.ema, saved.m, saved.v)):
        part["layers.1.b"] = np.full(2, number, np.float32)
    checkpoint.save(tmp_path, saved, CONFIG)
    arrays = load_file(tmp_path / "checkpoint.safetensors")
    names = [f"{part}/layers.1.b" for part in ("weights", "ema", "adam/m", "adam/v")]
    assert [arrays[name][0] for name in names] == [0, 1, 2, 3]


def _with_metadata(facts):
    from safetensors.numpy import save

    return save({"x": np.zeros(1, np.float32)}, {"run": facts})


@pytest.mark.parametrize(
    "facts", ["{", "[1]", "{}", '{"format": 1}', '{"format": 1, "step": -3, "loss": 0.1, "gradient_norm": 0.1, "environment": {}}']
)
def test_a_checkpoint_with_wrong_metadata_is_refused(tmp_path, facts):
    (tmp_path / "checkpoint.safetensors").write_bytes(_with_metadata(facts))
    with pytest.raises(ValueError, match="can't be read"):
        checkpoint.load(tmp_path, NETWORK.shapes())


@pytest.mark.parametrize("value", [np.full(2, np.nan, np.float32), np.zeros(2), np.zeros(2, np.int32)])
def test_arrays_that_are_not_finite_float32_are_refused_by_name(tmp_path, value):
    from safetensors.numpy import save_file

    checkpoint.save(tmp_path, state(), CONFIG)
    metadata, arrays = checkpoint.read_safetensors(tmp_path / "checkpoint.safetensors")
    save_file(arrays | {"ema/layers.1.b": value}, tmp_path / "checkpoint.safetensors", metadata)
    with pytest.raises(ValueError, match=r"ema/layers.1.b must hold finite float32"):
        checkpoint.load(tmp_path, NETWORK.shapes())


@pytest.mark.parametrize("line", ["3", '{"a": 1}', "x"])
def test_invalid_log_lines_are_skipped(tmp_path, line):
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 0.5}\n' + line + '\n{"step": 3, "loss": 0.5}\n')
    assert [entry["step"] for entry in checkpoint.read_log(tmp_path)] == [1, 3]


def test_wrong_architecture_in_a_checkpoint_is_refused_naming_the_array(tmp_path):
    checkpoint.save(tmp_path, state(), CONFIG)
    with pytest.raises(ValueError, match=r"another architecture: weights/layers.0.w must have shape \(4, 5\)"):
        checkpoint.load(tmp_path, MLP(size=(2,), width=5, depth=1, embedding=2).shapes())
    with pytest.raises(ValueError, match="another architecture: it also holds"):
        checkpoint.load(tmp_path, {name: shape for name, shape in NETWORK.shapes().items() if name != "layers.1.b"})


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_truncated_checkpoint_is_refused(tmp_path, keep):
    checkpoint.save(tmp_path, state(), CONFIG)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="can't be read"):
        checkpoint.load(tmp_path, NETWORK.shapes())


def test_dtypes_registered_by_other_libraries_are_refused_by_name(tmp_path, monkeypatch):
    """ml_dtypes, a dependency of JAX, makes NumPy accept bfloat16; the result must not depend on whether it was imported."""

    class File(contextlib.nullcontext):
        metadata, keys = lambda self: {}, lambda self: ["weights/layers.1.b"]
        get_tensor = lambda self, name: np.zeros(2, [("of a dtype that NumPy by itself has not", np.uint16)])
        __enter__ = lambda self: self

    monkeypatch.setattr("safetensors.safe_open", lambda path, framework: File())
    refused = ""
    try:
        checkpoint.read_safetensors(tmp_path / "checkpoint.safetensors")
    except ValueError as error:
        refused = str(error)
    assert "checkpoint.safetensors can't be read: weights/layers.1.b holds" in refused


def test_a_file_of_another_format_is_refused(tmp_path):
    from safetensors.numpy import save

    (tmp_path / "checkpoint.safetensors").write_bytes(save({"x": np.zeros(1)}))
    with pytest.raises(ValueError, match="format"):
        checkpoint.load(tmp_path, NETWORK.shapes())


def test_a_failed_write_keeps_the_old_file_and_no_temporary_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_the_folder_lock_passes_on_errors_of_its_block(tmp_path):
    with pytest.raises(BlockingIOError), exclusive_lock(tmp_path):
        raise BlockingIOError
    with exclusive_lock(tmp_path):  # the lock is released at the end of the block
        pass


@pytest.mark.parametrize("number, entered", [(errno.ENOLCK, True), (errno.ENOTSUP, True), (errno.EIO, False)])
def test_a_file_system_without_locks_keeps_no_process_out(tmp_path, monkeypatch, number, entered):
    def flock(descriptor, kind):
        raise OSError(number, "no lock")

    monkeypatch.setattr("fcntl.flock", flock)
    found = []
    with contextlib.suppress(OSError), exclusive_lock(tmp_path):
        found.append("entered")
    assert bool(found) == entered


def test_a_log_is_cut_at_the_checkpoint_step_and_torn_lines_are_dropped(tmp_path):
    lines = [json.dumps({"step": step, "loss": 0.5}) for step in range(1, 6)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + '\n{"step": 6, "lo', encoding="utf-8")
    log = checkpoint.Log(tmp_path, 3)
    log.append(step=4, loss=0.25)
    log.flush()
    log.close()
    assert [(e["step"], e["loss"]) for e in checkpoint.read_log(tmp_path)] == [(1, 0.5), (2, 0.5), (3, 0.5), (4, 0.25)]
