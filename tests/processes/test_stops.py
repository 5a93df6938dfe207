"""Jobs that are killed, interrupted or fail: they end as a whole, with one message, and a resumed job has the bits of one that was not."""

import os
import signal

import numpy as np
import pytest

from reference.runs import sampling
from reference.runs.run import open_run
from tests.command_runs import files, run
from tests.processes.launches import finish, mpiexec, ranks, start, wait_until

pytestmark = pytest.mark.processes

TRAIN = "train ddpm --data mixture1d --width 8 --depth 1 --batch 8 --shards 4 --save-every 3 --steps 30"
SAMPLE = "sample run --steps 3 --samples 2000"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files of a run that one process has trained at once."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert run(*TRAIN.split(), "--out", folder) == 0
    return contents(folder)


def contents(folder):
    return {path.name: content for path, content in files(folder).items()}


def reached(folder):
    return open_run(folder, need_checkpoint=False).state.step if (folder / "config.json").exists() else 0


def training(folder, count, slowly="trains slowly"):
    return start(folder, count, [f"reference {TRAIN} --resume --out run"], "all", slowly)


def test_a_run_whose_processes_are_killed_equals_an_uninterrupted_run(tmp_path, whole):
    """It is resumed with another number of processes each time."""
    draws = np.random.default_rng(7)
    (tmp_path / "run").mkdir()
    for count in (2, 4, 2):
        job, step = training(tmp_path, count), reached(tmp_path / "run") + draws.integers(1, 8)
        wait_until(lambda step=step: reached(tmp_path / "run") >= step, job)
        os.kill(ranks(job)[draws.integers(count)], signal.SIGKILL)
        assert finish(job)[0] != 0 and 0 < reached(tmp_path / "run") < 30
    assert run(*TRAIN.split(), "--resume", "--out", tmp_path / "run") == 0
    assert contents(tmp_path / "run") == whole


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_job_keeps_its_checkpoint(tmp_path, whole, number):
    """Meanwhile another job is refused the folder."""
    (tmp_path / "run").mkdir()
    job = training(tmp_path, 2, "trains for minutes")
    wait_until(lambda: reached(tmp_path / "run") >= 3, job)
    if number == signal.SIGINT:
        code, _, errors = mpiexec(tmp_path, 2, f"reference {TRAIN} --resume --out run")
        assert code == 2 and errors.splitlines()[0] == "python -m reference: another process is training in run"
    job.send_signal(number)
    assert finish(job)[0] == 130 and 3 <= reached(tmp_path / "run") < 30
    assert run(*TRAIN.split(), "--resume", "--out", tmp_path / "run") == 0
    assert contents(tmp_path / "run") == whole


def test_a_killed_job_that_draws_is_completed_by_another_number_of_processes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*TRAIN.split(), "--out", "run") == 0
    job = start(tmp_path, 2, [f"reference {SAMPLE} --out s.npz"], "all", "draws slowly")
    parts = tmp_path / "s.npz.parts"
    wait_until(lambda: len(list(parts.glob("0*.npz"))) >= 2, job)
    os.kill(ranks(job)[1], signal.SIGKILL)
    assert finish(job)[0] != 0
    kept = len(list(parts.glob("0*.npz")))
    monkeypatch.setitem(sampling.BATCH, "points", 300)
    assert 2 <= kept < 7 and run(*SAMPLE.split(), "--out", "s.npz") == 0
    assert f"s.npz.parts holds {kept} of 7 batches of a command that was stopped, which are kept\n" in capsys.readouterr().out
    assert run(*SAMPLE.split(), "--out", "whole.npz") == 0
    assert (tmp_path / "s.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes() and not parts.exists()


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    "fault, code, last",
    [("refuses", 2, "python -m reference: a value that only this process finds"), ("fails", 1, "LookupError: an error of the program")],
)
def test_an_error_of_one_process_ends_the_job_with_its_message(tmp_path, rank, fault, code, last):
    found, _, errors = mpiexec(tmp_path, 2, f"reference {TRAIN} --out run", fault=(rank, fault))
    assert found == code and errors.count("rank") == errors.count(f"rank {rank}: ") == 1 and errors.count(last) == 1, errors


def test_an_error_of_all_processes_has_one_message(tmp_path):
    code, _, errors = mpiexec(tmp_path, 2, f"reference {TRAIN} --out run", fault=("all", "fails"))
    assert code == 1 and errors.count("rank") == errors.count("LookupError: an error of the program") == 1, errors


def test_a_process_that_drifts_ends_the_training(tmp_path):
    words = TRAIN.replace("--steps 30", "--steps 120").replace("--save-every 3", "--save-every 1000")
    code, _, errors = mpiexec(tmp_path, 2, f"reference {words} --out run", fault=(1, "drifts"))
    assert code == 2 and "the hash of the parameters at step 100 must be the same in all processes: " in errors, errors
    assert reached(tmp_path / "run") == 0
