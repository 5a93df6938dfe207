"""Runs that are resumed or opened again: equal to uninterrupted runs, or refused in one line if files were changed."""

import json
import shutil

import numpy as np
import pytest

from reference.runs.run import open_run
from tests.command_runs import TINY, files, run


def test_a_run_with_other_data_can_not_be_resumed(tmp_path, far_points, capsys):
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["data_sha256"] = "of other data"
    shutil.rmtree(tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    assert run("train", "ddpm", "--out", tmp_path / "run", "--resume") == 2
    assert "have changed since" in capsys.readouterr().err


def test_a_run_resumed_with_more_steps_equals_an_uninterrupted_run(points_run, tmp_path, capsys):
    shutil.copytree(points_run, tmp_path / "grown")
    assert run("train", "ddpm", "--steps", 11, "--out", tmp_path / "grown", "--resume") == 0
    assert run("train", "ddpm", "--data", "mixture1d", "--steps", 11, *TINY, "--out", tmp_path / "whole") == 0
    assert files(tmp_path / "grown") == {
        tmp_path / "grown" / path.relative_to(tmp_path / "whole"): content for path, content in files(tmp_path / "whole").items()
    }
    before = files(tmp_path / "grown")
    assert run("train", "ddpm", "--out", tmp_path / "grown", "--resume") == 0
    assert "is finished" in capsys.readouterr().out and files(tmp_path / "grown") == before


def test_resuming_in_an_empty_folder_starts_at_step_0(tmp_path):
    assert run("train", "ddpm", "--data", "mixture1d", "--steps", 2, *TINY, "--out", tmp_path, "--resume") == 0
    assert open_run(tmp_path).state.step == 2


def test_resuming_in_another_environment_reports_the_change(points_run, tmp_path, capsys, monkeypatch):
    shutil.copytree(points_run, tmp_path / "run")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    assert run("train", "ddpm", "--steps", 7, "--out", tmp_path / "run", "--resume") == 0
    assert "threads was 1 and is 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("config.json", "{", "can't be read as the config"),
        ("config.json", "{}", "can't be read as the config"),
        ("config.json", "[1]", "can't be read as the config"),
        ("config.json", {"steps": "many"}, "steps must be a whole number from 1 on, got 'many'"),
        ("config.json", {"training": {"lr": -1}}, "lr must be a positive number"),
        ("config.json", {"data_variance": -5}, "data_variance must be a positive number"),
        ("config.json", {"data": 3}, "data and data_sha256 must be text"),
        ("config.json", {"units": {"offset": [0, 0], "factor": [1, 1]}}, "units must hold offset and factor, 1 numbers each"),
        ("config.json", {"units": {"offset": [0], "factor": ["a"]}}, "can't be read as the config"),
        ("config.json", {"units": {"offset": [0], "factor": [float("inf")]}}, "units must hold offset and factor"),
        ("config.json", {"units": {"offset": [0]}}, "can't be read as the config of a run: it has no 'factor'"),
        ("config.json", {"units": 3}, "can't be read as the config"),
        ("config.json", {"crop": [1, 1]}, "crop must be a height and a width"),
        ("config.json", {"crop": "large"}, "crop must be a height and a width"),
        ("config.json", {"method": "gan"}, "method must be one of"),
        ("checkpoint.safetensors", "short", "can't be read"),
    ],
)
def test_a_damaged_run_is_refused(points_run, tmp_path, capsys, name, content, message):
    shutil.copytree(points_run, tmp_path / "run")
    if isinstance(content, dict):
        content = json.dumps(json.loads((points_run / name).read_text()) | content)
    (tmp_path / "run" / name).write_text(content)
    assert run("sample", tmp_path / "run", "--out", tmp_path / "s.png") == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_a_config_that_differs_from_the_checkpoint_is_refused(points_run, tmp_path, capsys):
    shutil.copytree(points_run, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["prediction"] = "v"
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    assert run("sample", tmp_path / "run", "--out", tmp_path / "s.png") == 2
    assert "prediction in config.json is v, and noise in its checkpoint" in capsys.readouterr().err
    config["prediction"], config["schedule"]["T"] = "noise", 500
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    assert run("sample", tmp_path / "run", "--out", tmp_path / "s.png") == 2
    err = capsys.readouterr().err
    assert err.endswith("schedule.T in config.json is 500, and 1000 in its checkpoint: restore config.json\n")


def test_a_folder_in_which_another_process_trains_is_refused(points_run, tmp_path, capsys):
    from reference.runs.files import exclusive_lock

    shutil.copytree(points_run, tmp_path / "run")
    before = files(tmp_path / "run")[tmp_path / "run" / "checkpoint.safetensors"]
    with exclusive_lock(tmp_path / "run"):
        assert run("train", "ddpm", "--steps", 9, "--out", tmp_path / "run", "--resume") == 2
    assert "another process is training in" in capsys.readouterr().err
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == before
    assert run("train", "ddpm", "--steps", 9, "--out", tmp_path / "run", "--resume") == 0


def test_a_run_finds_its_data_file_from_another_working_directory(tmp_path, monkeypatch):
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).standard_normal((50, 2)))
    monkeypatch.chdir(tmp_path)
    assert run("train", "ddpm", "--data", "d.npz", "--steps", 2, *TINY, "--out", tmp_path / "run") == 0
    monkeypatch.chdir("/")
    assert run("train", "ddpm", "--data", tmp_path / "d.npz", "--steps", 3, "--out", tmp_path / "run", "--resume") == 0


def test_a_checkpoint_of_another_architecture_is_refused(points_run, tmp_path, capsys):
    shutil.copytree(points_run, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["net"]["width"] = 9
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    assert run("sample", tmp_path / "run", "--out", tmp_path / "s.png") == 2
    assert "another architecture" in capsys.readouterr().err


def test_data_that_changed_since_training_is_refused(tmp_path, capsys):
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).standard_normal((50, 2)))
    command = ("train", "ddpm", "--data", tmp_path / "d.npz", "--steps", 2, *TINY, "--out", tmp_path / "run")
    assert run(*command) == 0
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(1).standard_normal((50, 2)))
    assert run("evaluate", tmp_path / "run") == 2
    assert "have changed since" in capsys.readouterr().err


def test_a_run_without_checkpoint_can_be_resumed_but_not_sampled(points_run, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    shutil.copy(points_run / "config.json", tmp_path / "run")
    assert run("sample", tmp_path / "run", "--out", tmp_path / "s.png") == 2
    assert "has no checkpoint yet" in capsys.readouterr().err
    assert run("train", "ddpm", "--out", tmp_path / "run", "--resume", "--save-every", 2) == 0
    assert files(tmp_path / "run")[tmp_path / "run" / "checkpoint.safetensors"] == (points_run / "checkpoint.safetensors").read_bytes()
