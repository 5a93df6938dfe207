"""Interrupts, full disks, too little memory and untrained weights: each gives a one-line message and loses no data."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import reference
from reference.commands.cli import main
from reference.runs import checkpoint, files, train_checks

ROOT = Path(reference.__file__).parents[1]
TINY = "--data mixture2d --width 16 --depth 2 --batch 32".split()
METHOD_OPTIONS = {
    "vae": {"--latent"},
    "ddpm": {"--schedule", "--timesteps", "--beta", "--objective", "--prediction"},
    "smld": {"--levels", "--sigma-min", "--sigma-max", "--objective", "--bandwidth"},
    "sde": {"--sde", "--prediction", "--sigma-min", "--sigma-max"},
    "flow": {"--prediction", "--times"},
    "indi": {"--noise", "--blur", "--brownian-noise"},
}
posix = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")


def run(*words):
    """Exit code of a command, in this process."""
    try:
        return main([str(word) for word in words])
    except SystemExit as stop:
        return stop.code


# interrupts


@posix
@pytest.mark.parametrize("package", ["reference", "accelerated", "benchmarks"])
def test_an_interrupt_during_imports_exits_with_one_line(package, tmp_path):
    """A stand-in for NumPy takes a minute to import and suppresses exceptions meanwhile, like some compiled modules."""
    slow = "import contextlib, time\nprint('importing', flush=True)\nwith contextlib.suppress(BaseException):\n    time.sleep(60)\n"
    (tmp_path / "numpy.py").write_text(slow)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    words = [sys.executable, "-m", package, "--help"]
    with subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, message = process.communicate()
    assert (process.returncode, message) == (130, f"python -m {package}: interrupted\n")


STUCK = """
import ctypes
from reference.commands.interrupts import stop_on_signal

lock, library = ctypes.create_string_buffer(64), ctypes.CDLL(None)
with stop_on_signal():
    library.pthread_mutex_lock(lock)
    print("in a call that never comes back", flush=True)
    library.pthread_mutex_lock(lock)
"""


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_a_step_that_hangs(number):
    with subprocess.Popen([sys.executable, "-c", STUCK], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        limit = threading.Timer(30, process.kill)
        limit.start()
        process.stdout.readline()
        process.send_signal(number)
        first = process.stderr.readline()
        process.send_signal(number)
        process.wait()
        limit.cancel()
        assert first == b"stopping after this step; once more stops at once\n"
        assert process.returncode == 130 and process.stderr.read() == b"stopped at once: the last checkpoint is kept\n"


def test_signal_handlers_are_restored_after_training():
    from reference.commands.interrupts import stop_on_signal

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stop_on_signal() as stop:
        assert not stop.asked
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.set_wakeup_fd(-1) == -1


# folders


@pytest.mark.parametrize("there, message", [(None, "does not exist"), ("notes.txt", "but no run to resume")])
def test_resume_in_a_mistyped_folder_starts_no_run(there, message, tmp_path, capsys):
    if there:
        (tmp_path / "typo").mkdir()
        (tmp_path / "typo" / there).touch()
    before = sorted(tmp_path.rglob("*"))
    assert run("train", "ddpm", *TINY, "--steps", 2, "--out", tmp_path / "typo", "--resume") == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and sorted(tmp_path.rglob("*")) == before


def test_a_run_killed_while_writing_its_config_can_be_started_again(tmp_path):
    (tmp_path / "config.json.tmp").write_text("{")
    assert run("train", "ddpm", *TINY, "--steps", 2, "--out", tmp_path, "--resume") == 0


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_a_folder_without_config_is_refused_with_and_without_resume(resume, tmp_path, capsys):
    (tmp_path / "log.jsonl").touch()
    assert run("train", "ddpm", *TINY, "--out", tmp_path, *resume) == 2
    err = capsys.readouterr().err
    assert "holds a checkpoint or a log but no config.json" in err and "name another --out" in err


def full_from(number, monkeypatch):
    """A disk that is full from file ``number`` on."""
    written, write = [], files.write_atomically

    def until_full(path, data):
        written.append(path)
        if len(written) >= number:
            raise OSError(28, "No space left on device", str(path))
        write(path, data)

    monkeypatch.setattr(files, "write_atomically", until_full)


def test_a_group_of_files_is_written_completely_or_not_at_all(tmp_path, monkeypatch):
    (tmp_path / "old").write_bytes(b"old")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        full_from(4, patch)
        files.write_together(tmp_path, {"old": b"new", "a": b"1", "sub/b": b"2", "c": b"3"})
    assert [path.name for path in tmp_path.rglob("*")] == ["old"]
    files.write_together(tmp_path, {"a": b"1", "sub/b": b"2"})
    assert (tmp_path / "a").read_bytes() + (tmp_path / "sub" / "b").read_bytes() == b"12"


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_an_export_stopped_by_a_full_disk_can_be_repeated(number, tmp_path, monkeypatch, capsys):
    assert run("train", "ddpm", "--net", "unet", "--channels", 8, 8, "--batch", 2, "--steps", 1, "--out", tmp_path / "run") == 0
    words = ("export", tmp_path / "run", "--format", "diffusers", "--out", tmp_path / "model")
    with monkeypatch.context() as patch:
        full_from(number, patch)
        assert run(*words) == 2
    err = capsys.readouterr().err
    assert "No space left on device" in err and err.count("\n") == 1 and not any((tmp_path / "model").iterdir())
    assert run(*words) == 0
    names = {"README.md", "config.json", "diffusion_pytorch_model.safetensors", "scheduler", "scheduler_config.json"}
    assert {path.name for path in (tmp_path / "model").rglob("*")} == names


def test_a_read_only_disk_is_reported_even_if_cleanup_fails(tmp_path, monkeypatch):
    def read_only(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("builtins.open", read_only)
    monkeypatch.setattr(Path, "unlink", read_only)
    with pytest.raises(OSError, match="Read-only file system") as caught:
        files.write_atomically(tmp_path / "file", b"new")
    assert caught.value.filename == str(tmp_path / "file")


def test_an_unwritable_output_is_refused_before_the_work_begins(tmp_path):
    """The check uses the file name that is written first: the folder may accept other names."""
    (tmp_path / "out.png.tmp").mkdir()
    message = ""
    try:
        files.output_path(tmp_path / "out.png", (".png",))
    except ValueError as error:
        message = str(error)
    assert "can't be written" in message


# memory


def test_a_batch_too_large_for_memory_is_refused_before_writing(tmp_path, capsys):
    assert run("train", "ddpm", *TINY, "--batch", 10**11, "--out", tmp_path / "run") == 2
    err = capsys.readouterr().err
    assert "batch must be smaller: a step of 100000000000 samples takes at least" in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_memory_of_a_step_grows_linearly_with_the_batch(monkeypatch):
    """An invented step of 1000 bytes plus 50 per sample, with free memory for exactly that many samples."""
    batch = 1000

    class Run:
        settings = type("Settings", (), {"batch": batch})
        state = type("State", (), {"params": {}})

    from reference import ops

    monkeypatch.setattr(train_checks, "training_model", lambda *_: None)
    monkeypatch.setattr(train_checks, "step_loss", lambda *_: 0.0)
    monkeypatch.setattr(train_checks, "_peak", lambda run, data, few, ops: 1000 + 50 * few)
    results = []
    for free in (1000 + 50 * batch, 1000 + 50 * batch - 1):
        monkeypatch.setattr(train_checks, "free_memory", lambda free=free: free)
        try:
            results.append(train_checks.check_trainable(Run, None, ops))
        except ValueError as error:
            results.append(str(error)[:48])
    assert results == [None, "batch must be smaller: a step of 1000 samples ta"]


# weights


@pytest.mark.parametrize("lr, steps, warned", [(10, 120, True), (0.01, 120, False), (1e-6, 20, False)])
def test_untrained_weights_give_a_warning_in_one_line(lr, steps, warned, tmp_path, capsys):
    """Except after the few steps of the warm-up."""
    assert run("train", "ddpm", *TINY, "--lr", lr, "--steps", steps, "--out", tmp_path / "run") == 0
    err = capsys.readouterr().err
    assert ("warning: the averaged weights have learned nothing" in err, err.count("\n")) == (warned, int(warned)), err


@pytest.mark.parametrize("part", checkpoint.PARTS.values())
def test_non_finite_weights_are_not_saved(part, tmp_path):
    from reference.diffusion import training
    from reference.networks import MLP

    state = training.init_state(MLP(size=(2,), width=4, depth=1, embedding=2), 0)
    checkpoint.save(tmp_path, state, {"training": {"seed": 0}})
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    getattr(state, part)["layers.1.b"] = np.full(2, np.inf, np.float32)
    saved = False
    try:
        checkpoint.save(tmp_path, state, {"training": {"seed": 0}})
        saved = True
    except FloatingPointError as error:
        assert "layers.1.b is not finite at step 0" in str(error)
    assert not saved and (tmp_path / "checkpoint.safetensors").read_bytes() == before


# help


@pytest.mark.parametrize("method", METHOD_OPTIONS)
def test_help_of_a_method_lists_only_its_options(method, capsys):
    assert run("train", method, "--help") == 0
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line}
    networks = {"--latent"} if method == "vae" else {"--channels", "--groups", "--layers"}
    every = set().union(*METHOD_OPTIONS.values()) | {"--channels", "--groups", "--layers"}
    assert listed & every == METHOD_OPTIONS[method] | networks and {"--width", "--data", "--lr"} <= listed
    assert run("train", "--help") == 0
    assert every <= set(capsys.readouterr().out.split())
