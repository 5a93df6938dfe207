"""Runs on data sets that are found in a folder: --data-dir of every command that needs data."""

import json

import pytest

from reference.commands.cli import Program, build_parser
from reference.data import mnist
from reference.runs.run import open_run
from tests.command_runs import FOUR_STEPS, run
from tests.mnist_files import CONTENTS, OTHER, small_sets, write


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of a small Fashion-MNIST, which is nowhere else."""
    monkeypatch.delenv(mnist.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(mnist, "cache_folder", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr(mnist, "SYSTEM_FOLDER", tmp_path / "system")
    monkeypatch.setattr(mnist, "SOURCES", small_sets(["http://127.0.0.1:1/"]))
    return write(tmp_path / "files", CONTENTS)


@pytest.fixture
def begun(folder, tmp_path, monkeypatch):
    """A run that was begun with --data-dir, a path relative to the working directory."""
    monkeypatch.chdir(tmp_path)
    assert run("train", "vae", "--data", "fashion-mnist", "--data-dir", "files", *FOUR_STEPS, "--out", tmp_path / "run") == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "run"


def test_a_run_finds_the_folder_that_it_was_begun_with(begun, folder, capsys):
    assert json.loads((begun / "config.json").read_text())["data_dir"] == str(folder)
    capsys.readouterr()
    assert run("evaluate", begun, "--samples", 12) == 0
    assert "vae on fashion-mnist" in capsys.readouterr().out
    assert run("train", "vae", "--out", begun, "--resume", "--steps", 6) == 0 and open_run(begun).state.step == 6


READ_ONCE = {
    "a new run": "train indi --data fashion-mnist --channels 8 8 --groups 2 --batch 2 --steps 2 --sample-every 1 --out NEW",
    "resumed": "train vae --out RUN --resume --steps 6 --sample-every 1",
    "evaluate": "evaluate RUN --samples 12",
}


@pytest.mark.parametrize("words", READ_ONCE.values(), ids=READ_ONCE)
def test_a_command_reads_a_data_set_once(begun, folder, tmp_path, words, monkeypatch):
    read, calls = mnist.read, []
    monkeypatch.setattr(mnist, "read", lambda *arguments: calls.append(arguments) or read(*arguments))
    known = {"RUN": begun, "NEW": tmp_path / "new"}
    assert run(*(known.get(word, word) for word in words.split()), "--data-dir", folder) == 0
    assert len(calls) == 1


def test_a_folder_that_was_moved_is_named_again(begun, folder, tmp_path, capsys):
    folder.rename(tmp_path / "moved")
    assert run("evaluate", begun, "--samples", 12) == 2
    assert "fashion-mnist was found in no folder" in capsys.readouterr().err
    for words in (["evaluate", begun, "--samples", 12], ["train", "vae", "--out", begun, "--resume", "--steps", 6]):
        assert run(*words, "--data-dir", tmp_path / "moved") == 0
    assert json.loads((begun / "config.json").read_text())["data_dir"] == str(folder)


def test_a_folder_that_was_moved_is_found_by_the_environment(begun, folder, tmp_path, monkeypatch):
    folder.rename(tmp_path / "moved")
    monkeypatch.setenv(mnist.FOLDER_VARIABLE, str(tmp_path / "moved"))
    assert run("evaluate", begun, "--samples", 12) == 0


def test_a_config_names_no_folder_that_the_environment_names(folder, tmp_path, monkeypatch):
    monkeypatch.setenv(mnist.FOLDER_VARIABLE, str(folder))
    assert run("train", "vae", "--data", "fashion-mnist", *FOUR_STEPS, "--out", tmp_path / "run") == 0
    assert str(folder) not in (tmp_path / "run" / "config.json").read_text()


def test_sample_shows_data_that_are_here_and_downloads_none(begun, folder, tmp_path, capsys):
    draw = lambda name, *words: run("sample", begun, "--samples", 2, *words, "--out", tmp_path / name)
    assert draw("beside.png") == 0
    folder.rename(tmp_path / "moved")
    assert draw("alone.png") == 0 and "downloading" not in capsys.readouterr().err and not (tmp_path / "cache").exists()
    assert draw("named.png", "--data-dir", tmp_path / "moved") == 0
    assert (
        len((tmp_path / "alone.png").read_bytes())
        < len((tmp_path / "named.png").read_bytes())
        == len((tmp_path / "beside.png").read_bytes())
    )


@pytest.mark.parametrize("words", ["evaluate RUN --samples 12", "sample RUN --out OUT.png", "train vae --resume --steps 6 --out RUN"])
@pytest.mark.parametrize(
    "files, message",
    [
        (None, "data-dir must be a folder with the files of fashion-mnist, got"),
        (OTHER, "of fashion-mnist, got train-images-idx3-ubyte of mnist"),
    ],
    ids=["no folder", "of mnist"],
)
def test_every_command_refuses_a_wrong_folder_and_writes_nothing(begun, tmp_path, words, files, message, capsys):
    if files:
        write(tmp_path / "wrong", files)
    before = sorted(tmp_path.rglob("*"))
    known = {"RUN": begun, "OUT.png": tmp_path / "out.png"}
    assert run(*(known.get(word, word) for word in words.split()), "--data-dir", tmp_path / "wrong") == 2
    assert message in capsys.readouterr().err.splitlines()[-1] and sorted(tmp_path.rglob("*")) == before


def test_a_folder_for_a_run_on_other_data_is_refused(points_run, folder, tmp_path, capsys):
    for words in (["evaluate", points_run], ["sample", points_run, "--out", tmp_path / "out.png"], ["info", "--data", "digits"]):
        assert run(*words, "--data-dir", folder) == 2
        assert "data-dir goes with fashion-mnist or mnist, not with" in capsys.readouterr().err
    assert run("info", "--data-dir", folder) == 2
    assert "name it with --data" in capsys.readouterr().err
    assert run("info", "--data", "mnist", "--data-dir", "") == 2
    assert "data-dir must not be empty" in capsys.readouterr().err


def test_a_config_with_another_data_dir_than_text_is_refused(begun, capsys):
    config = json.loads((begun / "config.json").read_text())
    (begun / "config.json").write_text(json.dumps(config | {"data_dir": 3}))
    assert run("evaluate", begun) == 2
    assert "data_dir must be text, got 3" in capsys.readouterr().err


def test_info_names_the_classes_and_the_folder(folder, capsys):
    assert run("info", "--data", "fashion-mnist", "--data-dir", folder) == 0
    out = capsys.readouterr().out
    assert "24 to train on, 16 held out" in out and f"files in {folder}" in out and "T-shirt/top, trouser, pullover" in out


def test_every_command_with_data_takes_a_data_dir():
    commands = next(action.choices for action in build_parser(Program())._actions if action.dest == "command")
    takes = {name for name, parser in commands.items() if any(action.dest == "data_dir" for action in parser._actions)}
    assert takes == {"train", "distill", "sample", "evaluate", "info", "invert", "restore", "audit"}
