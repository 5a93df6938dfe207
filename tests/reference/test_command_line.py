"""The command line: what it makes, and one sentence and exit code 2 for whatever is wrong."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from reference import ops, plotting
from reference.__main__ import main
from reference.commands.sampler_options import draw
from reference.data.datasets import load
from reference.diffusion.schedules import linear
from reference.runs.run import open_run
from tests.oracle_tolerances import CSV_DIGITS, FIVE_STEPS32, LINEAR_ALGEBRA, assert_close
from tests.pictures import assert_presentable

TINY = "--width 8 --depth 1 --batch 4 --save-every 2".split()


def run(*words):
    """Exit code of a command, in this process."""
    try:
        return main([str(word) for word in words])
    except SystemExit as stop:
        return stop.code


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "points"
    assert run("train", "ddpm", "--data", "mixture1d", "--steps", 6, *TINY, "--out", folder) == 0
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "images"
    assert run("train", "ddpm", "--net", "unet", "--channels", 8, 8, "--batch", 2, "--steps", 2, "--out", folder) == 0
    return folder


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_train_leaves_a_run_that_sample_evaluate_and_export_take(points, tmp_path, capsys):
    assert sorted(path.name for path in points.iterdir()) == ["checkpoint.safetensors", "config.json", "log.jsonl"]
    assert run("sample", points, "--steps", 5, "--n", 7, "--out", tmp_path / "new" / "s.npz") == 0
    with np.load(tmp_path / "new" / "s.npz") as archive:
        assert archive["x"].shape == (7, 1) and archive["x"].dtype == np.float32 and np.isfinite(archive["x"]).all()
    assert run("evaluate", points, "--steps", 5, "--n", 20) == 0
    assert "loss of the exact prediction" in capsys.readouterr().out
    assert run("export", points, "--out", tmp_path / "w.safetensors") == 0
    from safetensors.numpy import load_file

    weights = load_file(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(weights["layers.0.w"], open_run(points).state.ema["layers.0.w"])


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
@pytest.mark.parametrize("suffix", [".npz", ".png"])
def test_the_same_sample_command_twice_gives_the_same_bits(images, tmp_path, sampler, suffix):
    path = tmp_path / f"s{suffix}"
    command = ("sample", images, "--sampler", sampler, "--steps", 3, "--n", 5, "--seed", 1, "--out", path)
    assert run(*command) == 0
    first = path.read_bytes()
    assert run(*command) == 0
    assert path.read_bytes() == first


def test_another_sample_does_not_overwrite_a_file(points, tmp_path, capsys):
    path = tmp_path / "s.npz"
    assert run("sample", points, "--steps", 5, "--out", path) == 0
    before = path.read_bytes()
    assert run("sample", points, "--steps", 5, "--seed", 2, "--out", path) == 2
    assert path.read_bytes() == before and "exists already" in capsys.readouterr().err


def test_a_sample_depends_on_its_index_and_the_seed_alone(points, tmp_path):
    run("sample", points, "--steps", 5, "--n", 9, "--out", tmp_path / "nine.npz")
    run("sample", points, "--steps", 5, "--n", 4, "--out", tmp_path / "four.npz")
    with np.load(tmp_path / "nine.npz") as nine, np.load(tmp_path / "four.npz") as four:
        assert_close(nine["x"][:4], four["x"], FIVE_STEPS32, np.abs(four["x"]).max())


def test_samples_come_from_the_averaged_weights_and_images_are_clipped(images, tmp_path):
    from reference.samplers import final_sample
    from reference.samplers.ancestral import ancestral, prior

    run("sample", images, "--sampler", "ddpm", "--steps", 3, "--n", 2, "--out", tmp_path / "s.npz")
    trained, sample = open_run(images), np.arange(2)
    schedule, x = trained.model.schedule, prior(0, np.arange(2), (8, 8, 1))
    expected = final_sample(
        ancestral(trained.model.noise_predictor(trained.state.ema), schedule, schedule.timesteps(3), x, 0, sample, clip=1.0)
    )
    with np.load(tmp_path / "s.npz") as archive:
        np.testing.assert_array_equal(archive["x"], expected)
        assert np.abs(archive["x"]).max() <= 1


def test_a_sample_of_other_weights_is_not_overwritten_though_the_command_is_the_same(points, tmp_path, capsys):
    shutil.copytree(points, tmp_path / "run")
    command = ("sample", tmp_path / "run", "--steps", 5, "--out", tmp_path / "s.npz")
    assert run(*command) == 0
    before = (tmp_path / "s.npz").read_bytes()
    shutil.rmtree(tmp_path / "run")
    assert run("train", "ddpm", "--data", "mixture1d", "--seed", 5, "--steps", 6, *TINY, "--out", tmp_path / "run") == 0
    assert run(*command) == 2
    assert (tmp_path / "s.npz").read_bytes() == before and "exists already" in capsys.readouterr().err


def test_images_that_are_not_square_are_trained_on_and_sampled(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).integers(0, 255, (20, 4, 6), dtype=np.uint8))
    folder = tmp_path / "run"
    assert run("train", "ddpm", "--data", tmp_path / "d.npz", "--channels", 8, 8, "--batch", 2, "--steps", 2, "--out", folder) == 0
    assert run("sample", folder, "--steps", 2, "--n", 3, "--out", tmp_path / "s.npz") == 0
    with np.load(tmp_path / "s.npz") as archive:
        assert archive["x"].shape == (3, 4, 6, 1)


def test_samples_of_images_that_the_unet_can_not_halve_are_cropped(tmp_path, capsys):
    np.save(tmp_path / "d.npy", np.random.default_rng(0).integers(0, 2, (20, 7, 5), dtype=np.uint8))
    folder, command = tmp_path / "run", ("train", "indi", "--channels", 8, 8, "--batch", 2, "--out", tmp_path / "run")
    assert run(*command, "--data", tmp_path / "d.npy", "--steps", 2) == 0
    expected = "d.npy: values 0 to 1 are scaled to [-1, 1]; images of 7x5 are padded to 8x6, and samples are cropped"
    assert expected in capsys.readouterr().out and open_run(folder).data.shape == (8, 6, 1)
    assert run("sample", folder, "--steps", 2, "--n", 3, "--out", tmp_path / "s.npz") == 0
    assert run("sample", folder, "--steps", 2, "--n", 3, "--out", tmp_path / "s.npy") == 0
    with np.load(tmp_path / "s.npz") as archive:
        assert all(archive[name].shape == (3, 7, 5, 1) for name in ("x", "degraded", "clean"))
        np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), archive["x"])
        np.testing.assert_array_equal(archive["clean"], load(str(tmp_path / "d.npy")).held_out[:3])
    assert run("sample", folder, "--steps", 2, "--out", tmp_path / "s.csv") == 2
    assert "a .csv file holds points" in capsys.readouterr().err
    assert run("evaluate", folder, "--steps", 2, "--n", 4) == 0 and run(*command, "--resume", "--steps", 3) == 0


@pytest.fixture
def far_points(tmp_path):
    """A run on points of unlike units, and its folder's data."""
    x = np.random.default_rng(0).standard_normal((50, 2)) * [1e-3, 1e3] + [0, 1e6]
    np.savetxt(tmp_path / "d.csv", x, delimiter=",", header="a,b", comments="")
    assert run("train", "ddpm", "--data", tmp_path / "d.csv", "--steps", 2, *TINY, "--out", tmp_path / "run") == 0
    return x


@pytest.mark.filterwarnings("ignore::reference.samplers.SamplingWarning")
def test_samples_of_points_are_in_the_units_of_the_file(tmp_path, far_points):
    folder = tmp_path / "run"
    for name in ("s.npz", "s.npy", "s.csv", "s.png"):
        assert run("sample", folder, "--steps", 3, "--n", 9, "--out", tmp_path / name) == 0
    config = json.loads((folder / "config.json").read_text())
    assert_close(config["units"]["offset"], far_points.mean(axis=0), LINEAR_ALGEBRA, np.abs(far_points).max(axis=0))
    assert_close(config["units"]["factor"], far_points.std(axis=0), LINEAR_ALGEBRA, np.abs(far_points).max(axis=0))
    drawn, _ = draw(open_run(folder), ops, 9, sampler="ddim", steps=3, eta=0.0, seed=0)
    with np.load(tmp_path / "s.npz") as archive:
        x = archive["x"]
    np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), x)
    table = (tmp_path / "s.csv").read_text().splitlines()
    assert_close(np.loadtxt(table, delimiter=",", skiprows=1), x, CSV_DIGITS)
    expected = drawn * far_points.std(axis=0) + far_points.mean(axis=0)
    assert_close(x, expected, LINEAR_ALGEBRA, np.abs(far_points).max(axis=0))
    assert table[0] == "x1,x2"


def test_an_older_run_on_points_that_were_scaled_otherwise_is_sampled_but_not_gone_on_with(tmp_path, far_points, capsys):
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    del config["units"], config["crop"]
    config["data_sha256"] = "of the data as it was scaled then"
    shutil.rmtree(tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    assert run("train", "ddpm", "--out", tmp_path / "run", "--resume") == 2
    assert "or this version scales it differently" in capsys.readouterr().err


def test_info_says_how_data_is_read_and_draws_it(tmp_path, far_points, capsys):
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


def test_resuming_grows_a_run_and_gives_the_bits_of_one_that_never_stopped(points, tmp_path, capsys):
    shutil.copytree(points, tmp_path / "grown")
    assert run("train", "ddpm", "--steps", 11, "--out", tmp_path / "grown", "--resume") == 0
    assert run("train", "ddpm", "--data", "mixture1d", "--steps", 11, *TINY, "--out", tmp_path / "whole") == 0
    assert files(tmp_path / "grown") == {
        tmp_path / "grown" / path.relative_to(tmp_path / "whole"): content for path, content in files(tmp_path / "whole").items()
    }
    before = files(tmp_path / "grown")
    assert run("train", "ddpm", "--out", tmp_path / "grown", "--resume") == 0
    assert "is finished" in capsys.readouterr().out and files(tmp_path / "grown") == before


def test_resuming_an_empty_folder_begins_at_step_0(tmp_path):
    assert run("train", "ddpm", "--data", "mixture1d", "--steps", 2, *TINY, "--out", tmp_path, "--resume") == 0
    assert open_run(tmp_path).state.step == 2


def test_resuming_under_other_versions_says_so(points, tmp_path, capsys, monkeypatch):
    shutil.copytree(points, tmp_path / "run")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    assert run("train", "ddpm", "--steps", 7, "--out", tmp_path / "run", "--resume") == 0
    assert "threads was 1 and is 3" in capsys.readouterr().out


WRONG = {
    "unknown data set": ("train ddpm --data nowhere --out OUT", "unknown data set 'nowhere'"),
    "unknown system": ("train gan --out OUT", "system must be one of vae, ddpm"),
    "unknown network": ("train ddpm --net transformer --out OUT", "net must be one of"),
    "unknown schedule": ("train ddpm --schedule sine --out OUT", "schedule must be one of"),
    "unknown prediction": ("train ddpm --prediction y --out OUT", "prediction must be one of"),
    "unknown command": ("fly", "invalid choice: 'fly'"),
    "unknown option": ("train ddpm --speed 3 --out OUT", "unrecognized arguments: --speed"),
    "no command": ("", "required: COMMAND"),
    "no out": ("train ddpm", "required: --out"),
    "levels do not divide": ("train ddpm --channels 8 8 8 8 8 --out OUT", "an image size that 16 divides, got 8x8"),
    "groups do not divide": ("train ddpm --groups 7 --out OUT", "groups must divide the channels"),
    "unet on points": ("train ddpm --data mixture1d --net unet --out OUT", "take --net mlp"),
    "mlp's option for a unet": ("train ddpm --width 3 --out OUT", "--width is not an option of --net unet"),
    "T": ("train ddpm --T 0 --out OUT", "T must be a whole number from 1 on, got 0"),
    "beta": ("train ddpm --schedule constant --beta 1 --out OUT", "beta must lie between 0 and 1, got 1.0"),
    "beta of another schedule": ("train ddpm --beta 0.1 --out OUT", "beta belongs to the schedule constant"),
    "steps": ("train ddpm --steps 0 --out OUT", "steps must be at least 1, got 0"),
    "batch": ("train ddpm --batch 0 --out OUT", "batch must be a whole number from 1 on, got 0"),
    "lr not a number": ("train ddpm --lr nan --out OUT", "lr must be a positive number, got nan"),
    "lr no number at all": ("train ddpm --lr fast --out OUT", "invalid float value: 'fast'"),
    "seed": ("train ddpm --seed -1 --out OUT", "seed must lie in"),
    "save-every": ("train ddpm --data mixture1d --save-every 0 --out OUT", "save-every must be at least 1"),
    "a folder with a run": ("train ddpm --data mixture1d --steps 6 --out RUN", "holds a run already"),
    "another option on resume": ("train ddpm --lr 2 --out RUN --resume", "was begun with lr 0.002, got 2.0"),
    "fewer steps on resume": ("train ddpm --steps 5 --out RUN --resume", "steps can only grow"),
    "no steps on resume": ("train ddpm --steps 0 --out RUN --resume", "steps can only grow"),
    "no such run": ("sample NOTHING --out OUT.png", "does not exist"),
    "no run there": ("evaluate EMPTY", "it has no config.json"),
    "unknown sampler": ("sample RUN --sampler fast --out OUT.png", "sampler must be one of ddpm, ddim"),
    "unknown variance": ("sample RUN --sampler ddpm --variance x --out OUT.png", "variance must be posterior or beta"),
    "more steps than T": ("sample RUN --steps 1001 --out OUT.png", "steps must be a whole number from 1 to T = 1000, got 1001"),
    "no steps": ("sample RUN --steps 0 --out OUT.png", "steps must be a whole number from 1"),
    "negative n": ("sample RUN --n -1 --out OUT.png", "n must be at least 1 and at most 2^32, got -1"),
    "an option of another sampler": ("sample RUN --tau 0.5 --out OUT.png", "--tau is not an option of --sampler ddim"),
    "seed of a sample": ("sample RUN --seed -1 --out OUT/s.png", "seed must lie in"),
    "more memory than there is": ("train ddpm --data mixture1d --T 100000000000000 --out OUT", "needs more memory"),
    "eta": ("sample RUN --sampler ddim --steps 2 --eta 2 --out OUT.png", "eta must lie between 0 and 1"),
    "another ending": ("sample RUN --out OUT.jpg", "must end in .png or .npz"),
    "a place that can't be written": ("sample RUN --out RUN/config.json/s.png", "can't be written"),
    "out is a file": ("train ddpm --data mixture1d --out RUN/config.json", "can't be written"),
    "info's picture of nothing": ("info --out OUT.png", "--labels and --out belong to info --data"),
    "info of unknown data": ("info --data nowhere", "unknown data set 'nowhere'"),
    "export's ending": ("export RUN --out OUT.npz", "must end in .safetensors"),
}


@pytest.mark.parametrize("words, message", WRONG.values(), ids=WRONG.keys())
def test_whatever_is_wrong_is_said_in_one_line_with_exit_code_2_and_nothing_changes(points, tmp_path, capsys, words, message):
    (tmp_path / "empty").mkdir()
    places = {"OUT": tmp_path / "out", "RUN": points, "NOTHING": tmp_path / "nothing", "EMPTY": tmp_path / "empty"}
    before = files(points) | files(tmp_path)
    for name, place in places.items():
        words = words.replace(name, str(place))
    assert run(*words.split()) == 2
    out, err = capsys.readouterr()
    assert message in err and err.count("\n") == 1 and "Traceback" not in err and "usage" not in err, err
    assert out == "" and files(points) | files(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("config.json", "{", "can't be read as the config"),
        ("config.json", "{}", "can't be read as the config"),
        ("config.json", "[1]", "can't be read as the config"),
        ("config.json", {"steps": "many"}, "steps must be a whole number from 1 on, got 'many'"),
        ("config.json", {"training": {"lr": -1}}, "lr must be a positive number"),
        ("config.json", {"data_variance": -5}, "data_variance must be a positive number"),
        ("config.json", {"data": 3}, "data and labels must be names"),
        ("config.json", {"units": {"offset": [0, 0], "factor": [1, 1]}}, "units must hold offset and factor, 1 numbers each"),
        ("config.json", {"units": {"offset": [0], "factor": ["a"]}}, "can't be read as the config"),
        ("config.json", {"units": {"offset": [0], "factor": [float("inf")]}}, "units must hold offset and factor"),
        ("config.json", {"units": {"offset": [0]}}, "can't be read as the config of a run: it has no 'factor'"),
        ("config.json", {"units": 3}, "can't be read as the config"),
        ("config.json", {"crop": [1, 1]}, "crop must be a height and a width"),
        ("config.json", {"crop": "large"}, "crop must be a height and a width"),
        ("config.json", {"system": "gan"}, "system must be one of"),
        ("checkpoint.safetensors", "short", "can't be read"),
    ],
)
def test_a_damaged_run_is_refused(points, tmp_path, capsys, name, content, message):
    shutil.copytree(points, tmp_path / "run")
    if isinstance(content, dict):
        content = json.dumps(json.loads((points / name).read_text()) | content)
    (tmp_path / "run" / name).write_text(content)
    assert run("sample", tmp_path / "run", "--out", tmp_path / "s.png") == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_a_config_that_is_not_that_of_the_checkpoint_is_refused(points, tmp_path, capsys):
    shutil.copytree(points, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["prediction"] = "v"
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    assert run("sample", tmp_path / "run", "--out", tmp_path / "s.png") == 2
    assert "prediction was noise and is v" in capsys.readouterr().err
    config["prediction"], config["schedule"]["T"] = "noise", 500
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    assert run("sample", tmp_path / "run", "--out", tmp_path / "s.png") == 2
    err = capsys.readouterr().err
    assert err.endswith("config.json is not that of the checkpoint, schedule.T was 1000 and is 500\n")


def test_a_folder_in_which_another_process_trains_is_refused(points, tmp_path, capsys):
    from reference.runs.files import exclusive

    shutil.copytree(points, tmp_path / "run")
    before = files(tmp_path / "run")[tmp_path / "run" / "checkpoint.safetensors"]
    with exclusive(tmp_path / "run"):
        assert run("train", "ddpm", "--steps", 9, "--out", tmp_path / "run", "--resume") == 2
    assert "another process is training in" in capsys.readouterr().err
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == before
    assert run("train", "ddpm", "--steps", 9, "--out", tmp_path / "run", "--resume") == 0


def test_a_demo_overwrites_no_picture_and_goes_on_with_no_other_run(points, tmp_path, capsys):
    (tmp_path / "samples.png").write_bytes(b"mine")
    assert run("demo", "--quick", "--out", tmp_path) == 2
    assert "holds samples.png already" in capsys.readouterr().err
    shutil.copytree(points, tmp_path / "run")
    assert run("demo", "--quick", "--resume", "--out", tmp_path / "run") == 2
    assert "was begun with data mixture1d, got digits" in capsys.readouterr().err


def test_a_run_on_a_file_is_found_from_another_folder(tmp_path, monkeypatch):
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).standard_normal((50, 2)))
    monkeypatch.chdir(tmp_path)
    assert run("train", "ddpm", "--data", "d.npz", "--steps", 2, *TINY, "--out", tmp_path / "run") == 0
    monkeypatch.chdir("/")
    assert run("train", "ddpm", "--data", tmp_path / "d.npz", "--steps", 3, "--out", tmp_path / "run", "--resume") == 0


def test_a_checkpoint_of_another_architecture_is_refused(points, tmp_path, capsys):
    shutil.copytree(points, tmp_path / "run")
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
    assert "is not the data that" in capsys.readouterr().err


def test_a_run_that_was_stopped_before_its_first_checkpoint_can_be_resumed_but_not_sampled(points, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    shutil.copy(points / "config.json", tmp_path / "run")
    assert run("sample", tmp_path / "run", "--out", tmp_path / "s.png") == 2
    assert "has no checkpoint yet" in capsys.readouterr().err
    assert run("train", "ddpm", "--out", tmp_path / "run", "--resume", "--save-every", 2) == 0
    assert files(tmp_path / "run")[tmp_path / "run" / "checkpoint.safetensors"] == (points / "checkpoint.safetensors").read_bytes()


def test_a_learning_rate_that_diverges_ends_in_one_sentence_and_exit_code_1(tmp_path, capsys):
    assert run("train", "ddpm", "--data", "mixture1d", "--lr", 1e30, "--steps", 99, *TINY, "--out", tmp_path / "run") == 1
    err = capsys.readouterr().err
    assert "the loss is not finite at step" in err and err.count("\n") == 1


def test_the_disk_being_full_ends_in_one_sentence_and_keeps_the_last_checkpoint(points, tmp_path, capsys, monkeypatch):
    shutil.copytree(points, tmp_path / "run")
    before = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()

    def full(path, data):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("reference.runs.checkpoint.write_atomically", full)
    assert run("train", "ddpm", "--steps", 20, "--out", tmp_path / "run", "--resume") == 2
    err = capsys.readouterr().err
    assert "No space left on device" in err and err.count("\n") == 1
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == before


def test_ops_prints_every_row_of_the_contract_and_info_the_versions(capsys):
    from reference.conformance.contract import CONTRACT

    assert run("contract") == 0 and run("info") == 0
    out = capsys.readouterr().out
    assert all(f" {op.name} " in out for op in CONTRACT) and np.__version__ in out


@pytest.mark.parametrize("command", ["", "demo", "train", "sample", "evaluate", "export", "contract", "test-vectors", "info"])
def test_help_is_there_for_every_command(command, capsys):
    assert run(*command.split(), "--help") == 0
    assert "usage: python -m reference" in capsys.readouterr().out


def test_demo_writes_its_figures_and_report(tmp_path, monkeypatch):
    from reference.commands import demo

    monkeypatch.setattr(demo, "QUICK", {"steps": 2, "ddpm": 3, "n": 8})
    assert run("demo", "--quick", "--out", tmp_path / "demo") == 0
    report = json.loads((tmp_path / "demo" / "report.json").read_text())
    assert {"steps", "loss", "loss_of_zero", "frechet", "frechet_of_real", "accepted", "seconds"} <= report.keys()
    assert report["steps"] == 2 and all(np.isfinite(value) for value in report.values())
    for name in ("samples.png", "loss.png", "strip.png"):
        assert (tmp_path / "demo" / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("steps", [50, 250, 1000])
def test_the_demos_strip_shows_the_times_at_which_something_is_seen(steps):
    """One column of 11, the start, is noise alone, and two at most are finished: in all others noise and digit are within exp(4)."""
    from reference.commands.demo import shown_of

    schedule = linear()
    times = np.array(schedule.timesteps(steps))[sorted(shown_of(schedule, steps, 11))]
    log_snr = schedule.log_snr(times)
    assert len(times) == 11 and times[0] == 1000 and times[-1] == 0
    assert (log_snr < -4).sum() == 1 and (log_snr > 4).sum() <= 2


def test_a_picture_of_samples_shows_data_beside_them_as_long_as_the_data_are_there(tmp_path, monkeypatch):
    drawn, own = [], plotting.png_bytes
    monkeypatch.setattr(plotting, "png_bytes", lambda figure, description="": drawn.append(figure) or own(figure, description))
    np.savez(tmp_path / "mine.npz", x=np.random.default_rng(0).uniform(-1, 1, (50, 2)))
    assert run("train", "ddpm", "--data", tmp_path / "mine.npz", "--steps", 2, *TINY, "--out", tmp_path / "run") == 0
    command = ("sample", tmp_path / "run", "--steps", 2, "--n", 4)
    assert run(*command, "--out", tmp_path / "a.png") == 0
    (tmp_path / "mine.npz").unlink()
    assert run(*command, "--out", tmp_path / "b.png") == 0
    for figure in drawn:
        assert_presentable(figure)
    beside, alone = ([axes.get_title().partition(";")[0] for axes in figure.axes] for figure in drawn)
    assert beside == ["4 of the data", "4 samples"] and alone == ["4 samples"]


def test_the_module_runs_as_a_program_and_imports_little_until_it_must(points):
    words = [sys.executable, "-X", "importtime", "-m", "reference", "info"]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ, check=True)
    assert "numpy" in done.stdout
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert not loaded & {"matplotlib", "sklearn", "numba", "pandas"}
