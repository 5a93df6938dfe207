"""Jobs that can't work: one sentence from rank 0, exit code 2, and no new file."""

import sys

import pytest

from tests.command_runs import files, run
from tests.processes.launches import mpiexec

pytestmark = pytest.mark.processes

TRAIN = "train ddpm --data mixture1d --width 8 --depth 1 --steps 2"
REFUSED = {
    f"{TRAIN} --batch 12 --out new": "shards must divide the batch into equal parts, got 8 shards for batch 12",
    f"{TRAIN} --batch 8 --shards 3 --out new": "shards must be 1, 2, 4, 8 .., got 3",
    f"{TRAIN} --batch 8 --shards 1 --out new": "--shards 1 of new can't be divided among 2 processes: take 1, 2, 4 ..",
    "train ddpm --resume --steps 9 --out one": "--shards 1 of one can't be divided among 2 processes",
    "train ddpm --out one": "one holds a run already",
    "distill one --method consistency-training --updates 2 --shards 1 --out new": "--shards 1 of new can't be divided among 2 processes",
    "train ddpm --stepz 9 --out new": "unrecognized arguments: --stepz 9; did you mean --steps?",
    "sample one --live --out s.png": "--live needs one process",
    "sample nothing --out s.png": "the run nothing does not exist",
    "demo --quick --out new": "demo needs one process, and mpiexec started 2; train, distill, sample, evaluate can use several",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """With a run ``one`` of one shard."""
    monkeypatch.chdir(tmp_path)
    assert run(*f"{TRAIN} --prediction v --batch 8 --out one".split()) == 0
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "commands.json").touch()
    return tmp_path


def entries(folder):
    return {path for path in folder.rglob("*")}, {path: content for path, content in files(folder).items() if path.suffix != ".json"}


def assert_refused(folder, count, commands, messages, **options):
    before = entries(folder)
    code, printed, errors = mpiexec(folder, count, *commands, **options)
    lines = [line for line in errors.splitlines() if "python -m" in line]
    assert code == 2 and len(lines) == len(messages), (printed, errors)
    assert not [line for line, message in zip(lines, messages) if message not in line]
    assert "Traceback" not in errors and entries(folder) == before
    return printed


def test_commands_that_processes_can_not_execute_are_refused(folder):
    printed = assert_refused(folder, 2, [f"reference {words}" for words in REFUSED], REFUSED.values())
    assert printed == "exit code 2\n" * len(REFUSED)


def test_three_processes_can_not_train(folder):
    commands = [f"reference {TRAIN} --batch 8 --out new", "reference train ddpm --resume --steps 9 --out one"]
    messages = ["--shards 8 of new can't be divided among 3 processes", "--shards 1 of one can't be divided among 3 processes"]
    assert_refused(folder, 3, commands, messages)


def test_processes_with_different_options_are_refused(folder):
    words = [sys.executable, "-m", "reference", *TRAIN.split(), "--batch", "8", "--out", "new"]
    message = (
        f"the command must be the same in all processes: {' '.join(words[3:])} --seed 1 in rank 0, {' '.join(words[3:])} --seed 2 in rank 1"
    )
    assert_refused(folder, 1, [], [message], program=[*words, "--seed", "1", ":", "-n", "1", *words, "--seed", "2"])


@pytest.mark.parametrize(
    "fault, command, message",
    [
        ("has another version", f"{TRAIN} --batch 8 --out new", "the versions must be the same in all processes: "),
        ("has another folder", f"{TRAIN} --batch 8 --out new/run", "new/run is not shared: "),
        ("has another folder", "sample {folder}/one --samples 1000 --out s.npz", "s.npz.parts is not shared: "),
        ("has another folder", "sample one --samples 1000 --out s.npz", "rank 1: python -m reference: the run one does not exist"),
    ],
)
def test_processes_that_differ_are_refused(folder, fault, command, message):
    assert_refused(folder, 2, [f"reference {command.format(folder=folder)}"], [message], fault=(1, fault))
