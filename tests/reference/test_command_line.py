"""The command line: results of each command, and one line with exit code 2 for invalid options."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from reference.diffusion.schedules import linear
from reference.runs.files import output_folder
from reference.runs.run import open_run
from tests.command_runs import TINY, files, run


def test_sample_evaluate_and_export_accept_a_trained_run(points_run, tmp_path, capsys):
    assert sorted(path.name for path in points_run.iterdir()) == ["checkpoint.safetensors", "config.json", "log.jsonl"]
    assert run("sample", points_run, "--steps", 5, "--samples", 7, "--out", tmp_path / "new" / "s.npz") == 0
    with np.load(tmp_path / "new" / "s.npz") as archive:
        assert archive["x"].shape == (7, 1) and archive["x"].dtype == np.float32 and np.isfinite(archive["x"]).all()
    assert run("evaluate", points_run, "--steps", 5, "--samples", 20) == 0
    assert "loss of the exact prediction" in capsys.readouterr().out
    assert run("export", points_run, "--out", tmp_path / "w.safetensors") == 0
    from safetensors.numpy import load_file

    weights = load_file(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(weights["layers.0.w"], open_run(points_run).state.ema["layers.0.w"])


def test_info_reports_how_data_is_read_and_plots_it(tmp_path, far_points, capsys):
    capsys.readouterr()
    assert run("info", "--data", tmp_path / "d.csv", "--out", tmp_path / "points.png") == 0
    out = capsys.readouterr().out
    for part in ("points, coordinates: 2", "40 to train on, 10 held out", "labels        none", "scaled to mean 0 and deviation 1"):
        assert part in out
    low, high = far_points[:, 1].min(), far_points[:, 1].max()
    assert f"coordinate 2  {low:.6g} to {high:.6g}, to the network" in out and (tmp_path / "points.png").stat().st_size > 5000
    images = np.random.default_rng(0).integers(0, 17, (20, 4, 9, 8), dtype=np.uint8)
    images.flat[:2] = 0, 16
    np.savez(tmp_path / "d.npz", images=images, labels=np.arange(20)[:, None] % 3)
    assert run("info", "--data", tmp_path / "d.npz", "--out", tmp_path / "images.png") == 0
    out = capsys.readouterr().out
    for part in (
        "images of 9x8 pixels, channels: 4",
        "3 classes, from 0 to 2, of 6 to 7 samples",
        "4 channels, first",
        "0.125 between values",
    ):
        assert part in out
    assert "values 0 to 16 are scaled to [-1, 1]" in out and "values        0 to 16, to the network -1 to 1" in out
    assert (tmp_path / "images.png").stat().st_size > 1000 and np.__version__ not in out
    np.save(tmp_path / "d.npy", np.arange(20.0)[:, None] ** 2)
    assert run("info", "--data", tmp_path / "d.npy") == 0
    assert "coordinate 1  0 to 361, to the network" in capsys.readouterr().out
    assert run("info", "--data", tmp_path / "d.npz", "--out", tmp_path / "images.png") == 2
    assert "exists already" in capsys.readouterr().err


WRONG = {
    "unknown data set": ("train ddpm --data nowhere --out OUT", "unknown data set 'nowhere'"),
    "unknown method": ("train gan --out OUT", "invalid choice: 'gan' (choose from"),
    "a misspelt method": ("train dppm --out OUT", "did you mean ddpm?"),
    "unknown network": ("train ddpm --net transformer --out OUT", "argument --net: invalid choice: 'transformer'"),
    "unknown schedule": ("train ddpm --schedule sine --out OUT", "argument --schedule: invalid choice: 'sine'"),
    "unknown prediction": ("train ddpm --prediction y --out OUT", "argument --prediction: invalid choice: 'y'"),
    "unknown command": ("fly", "invalid choice: 'fly'"),
    "unknown option": ("train ddpm --speed 3 --out OUT", "unrecognized arguments: --speed 3"),
    "a misspelt option": ("train ddpm --step 3 --out OUT", "unrecognized arguments: --step 3; did you mean --steps?"),
    "an option of old": ("sample RUN --tau 3 --out OUT.png", "unrecognized arguments: --tau 3"),
    "no command": ("", "required: COMMAND; see --help"),
    "a misspelt command": ("trian ddpm", "did you mean train?"),
    "no out": ("train ddpm", "required: --out"),
    "levels do not divide": ("train ddpm --channels 8 8 8 8 8 --out OUT", "an image size that 16 divides, got 8x8"),
    "groups do not divide": ("train ddpm --groups 7 --out OUT", "groups must divide the channels"),
    "unet on points": ("train ddpm --data mixture1d --net unet --out OUT", "take --net mlp"),
    "mlp's option for a unet": ("train ddpm --width 3 --out OUT", "--width is not an option of --net unet"),
    "T": ("train ddpm --timesteps 0 --out OUT", "T must be a whole number from 1 on, got 0"),
    "beta": ("train ddpm --schedule constant --beta 1 --out OUT", "beta must lie between 0 and 1, got 1.0"),
    "beta of another schedule": ("train ddpm --beta 0.1 --out OUT", "--beta belongs to --schedule constant"),
    "steps": ("train ddpm --steps 0 --out OUT", "steps must be at least 1, got 0"),
    "batch": ("train ddpm --batch 0 --out OUT", "batch must be a whole number from 1 on, got 0"),
    "lr not a number": ("train ddpm --lr nan --out OUT", "lr must be a positive number, got nan"),
    "lr no number at all": ("train ddpm --lr fast --out OUT", "invalid float value: 'fast'"),
    "seed": ("train ddpm --seed -1 --out OUT", "seed must lie in"),
    "save-every": ("train ddpm --data mixture1d --save-every 0 --out OUT", "save-every must be at least 1"),
    "a folder with a run": ("train ddpm --data mixture1d --steps 6 --out RUN", "holds a run already"),
    "another option on resume": ("train ddpm --lr 2 --out RUN --resume", "was begun with lr 0.002, got 2.0"),
    "fewer steps on resume": ("train ddpm --steps 5 --out RUN --resume", "steps must be at least the 6 of "),
    "no steps on resume": ("train ddpm --steps 0 --out RUN --resume", "steps must be at least the 6 of "),
    "no such run": ("sample NOTHING --out OUT.png", "does not exist"),
    "no run there": ("evaluate EMPTY", "it has no config.json"),
    "unknown sampler": ("sample RUN --sampler fast --out OUT.png", "argument --sampler: invalid choice: 'fast'"),
    "unknown variance": ("sample RUN --sampler ddpm --variance x --out OUT.png", "argument --variance: invalid choice: 'x'"),
    "more steps than T": ("sample RUN --steps 1001 --out OUT.png", "steps must be a whole number from 1 to T = 1000, got 1001"),
    "no steps": ("sample RUN --steps 0 --out OUT.png", "steps must be a whole number from 1"),
    "negative n": ("sample RUN --samples -1 --out OUT.png", "samples must be at least 1 and at most 2^32, got -1"),
    "an option of another sampler": ("sample RUN --step-size 0.5 --out OUT.png", "--step-size is not an option of --sampler ddim"),
    "seed of a sample": ("sample RUN --seed -1 --out OUT/s.png", "seed must lie in"),
    "more memory than there is": (
        "train ddpm --data mixture1d --timesteps 100000000000000 --out OUT",
        "out of memory, or a size is too large",
    ),
    "eta": ("sample RUN --sampler ddim --steps 2 --eta 2 --out OUT.png", "eta must lie between 0 and 1"),
    "another ending": ("sample RUN --out OUT.jpg", "must end in .png, .gif, .npz, .npy or .csv, got"),
    "a place that can't be written": ("sample RUN --out RUN/config.json/s.png", "can't be written"),
    "out is a file": ("train ddpm --data mixture1d --out RUN/config.json", "can't be written"),
    "info's picture of nothing": ("info --out OUT.png", "--labels, --data-dir and --out describe data: name it with --data"),
    "info of unknown data": ("info --data nowhere", "unknown data set 'nowhere'"),
    "export's ending": ("export RUN --out OUT.npz", "must end in .safetensors"),
}


@pytest.mark.parametrize("words, message", WRONG.values(), ids=WRONG.keys())
def test_bad_options_exit_2_with_one_line_and_no_side_effects(points_run, tmp_path, capsys, words, message):
    (tmp_path / "empty").mkdir()
    places = {"OUT": tmp_path / "out", "RUN": points_run, "NOTHING": tmp_path / "nothing", "EMPTY": tmp_path / "empty"}
    before = files(points_run) | files(tmp_path)
    for name, place in places.items():
        words = words.replace(name, str(place))
    assert run(*words.split()) == 2
    out, err = capsys.readouterr()
    assert message in err and err.count("\n") == 1 and "Traceback" not in err and "usage" not in err, err
    assert out == "" and files(points_run) | files(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]


def test_the_demo_overwrites_no_image_and_resumes_no_other_run(points_run, tmp_path, capsys):
    (tmp_path / "samples.png").write_bytes(b"mine")
    assert run("demo", "--quick", "--out", tmp_path) == 2
    assert "holds samples.png already" in capsys.readouterr().err
    shutil.copytree(points_run, tmp_path / "run")
    assert run("demo", "--quick", "--resume", "--out", tmp_path / "run") == 2
    assert "was begun with data mixture1d, got digits" in capsys.readouterr().err
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "fashion-mnist.png").write_bytes(b"mine")
    for words in ("", "--resume"):
        assert run("demo", "--quick", *words.split(), "--out", tmp_path / "new") == 2
        assert "holds fashion-mnist.png already" in capsys.readouterr().err
    assert (tmp_path / "new" / "fashion-mnist.png").read_bytes() == b"mine" and not (tmp_path / "run" / "fashion-mnist.png").exists()


def test_diverging_training_exits_1_with_one_line(tmp_path, capsys):
    assert run("train", "ddpm", "--data", "mixture1d", "--lr", 1e30, "--steps", 99, *TINY, "--out", tmp_path / "run") == 1
    err = capsys.readouterr().err
    assert "the loss is not finite at step" in err and err.count("\n") == 1


def test_a_full_disk_exits_2_with_one_line_and_keeps_the_last_checkpoint(points_run, tmp_path, capsys, monkeypatch):
    shutil.copytree(points_run, tmp_path / "run")
    before = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()

    def full(path, data):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("reference.runs.checkpoint.write_atomically", full)
    assert run("train", "ddpm", "--steps", 20, "--out", tmp_path / "run", "--resume") == 2
    err = capsys.readouterr().err
    assert "No space left on device" in err and err.count("\n") == 1
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == before


def test_ops_lists_the_contract_and_info_the_versions(capsys):
    from reference.conformance.contract import CONTRACT

    assert run("contract") == 0 and run("info") == 0
    out = capsys.readouterr().out
    assert all(f" {op.name} " in out for op in CONTRACT) and np.__version__ in out


@pytest.mark.parametrize("command", ["", "demo", "train", "sample", "evaluate", "export", "contract", "test-vectors", "info"])
def test_every_command_has_help(command, capsys):
    assert run(*command.split(), "--help") == 0
    assert "usage: python -m reference" in capsys.readouterr().out


def test_demo_writes_its_figures_and_report(tmp_path, monkeypatch):
    from reference.commands import demo

    monkeypatch.setattr(demo, "QUICK", {"steps": 2, "ddpm": 3, "n": 8})
    monkeypatch.setattr(demo, "EACH_CLASS", 1)
    demo.draw_package_model(output_folder(tmp_path / "demo") / "fashion-mnist.png", 0)
    before = files(tmp_path)
    # as after a stop before the training began
    assert run("demo", "--quick", "--resume", "--out", tmp_path / "demo") == 0
    assert before.items() <= files(tmp_path).items()
    report = json.loads((tmp_path / "demo" / "report.json").read_text())
    assert {"steps", "loss", "loss_of_zero", "frechet", "frechet_of_real", "precision", "seconds"} <= report.keys()
    assert report["steps"] == 2 and all(np.isfinite(value) for value in report.values())
    for name in ("samples.png", "loss.png", "strip.png"):
        assert (tmp_path / "demo" / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("steps", [50, 250, 1000])
def test_the_demo_filmstrip_shows_times_where_noise_and_digit_are_visible(steps):
    """Of 11 columns only the start is pure noise, and at most two are finished; in all others the SNR is within exp(-4) to exp(4)."""
    from reference.commands.demo import shown_steps

    schedule = linear()
    times = np.array(schedule.timesteps(steps))[sorted(shown_steps(schedule, steps, 11))]
    log_snr = schedule.log_snr(times)
    assert len(times) == 11 and times[0] == 1000 and times[-1] == 0
    assert (log_snr < -4).sum() == 1 and (log_snr > 4).sum() <= 2


def test_the_module_runs_as_a_program_and_imports_lazily(points_run):
    words = [sys.executable, "-X", "importtime", "-m", "reference", "info"]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ, check=True)
    assert "numpy" in done.stdout
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert not loaded & {"matplotlib", "sklearn", "numba", "pandas"}
