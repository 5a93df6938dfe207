"""The command ``sample``: reproducible files in the units of the data that are never overwritten by others."""

import json
import shutil

import numpy as np
import pytest

from reference import animation, ops, plotting
from reference.commands.sample_pictures import FRAMES, evenly_moved
from reference.data.datasets import load_dataset
from reference.runs.run import open_run
from reference.runs.sampling import draw
from tests.command_runs import TINY, run
from tests.oracle_tolerances import CSV_DIGITS, FIVE_STEPS32, LINEAR_ALGEBRA, assert_close
from tests.readable_figures import assert_readable


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
@pytest.mark.parametrize("suffix", [".npz", ".png", ".gif"])
def test_the_same_sample_command_twice_gives_the_same_bits(images_run, tmp_path, sampler, suffix):
    path = tmp_path / f"s{suffix}"
    command = ("sample", images_run, "--sampler", sampler, "--steps", 3, "--samples", 5, "--seed", 1, "--out", path)
    assert run(*command) == 0
    first = path.read_bytes()
    assert run(*command) == 0
    assert path.read_bytes() == first


def test_another_sample_does_not_overwrite_a_file(points_run, tmp_path, capsys):
    path = tmp_path / "s.npz"
    assert run("sample", points_run, "--steps", 5, "--out", path) == 0
    before = path.read_bytes()
    assert run("sample", points_run, "--steps", 5, "--seed", 2, "--out", path) == 2
    assert path.read_bytes() == before and "exists already" in capsys.readouterr().err


def test_a_sample_depends_only_on_its_index_and_the_seed(points_run, tmp_path):
    run("sample", points_run, "--steps", 5, "--samples", 9, "--out", tmp_path / "nine.npz")
    run("sample", points_run, "--steps", 5, "--samples", 4, "--out", tmp_path / "four.npz")
    with np.load(tmp_path / "nine.npz") as nine, np.load(tmp_path / "four.npz") as four:
        assert_close(nine["x"][:4], four["x"], FIVE_STEPS32, np.abs(four["x"]).max())


def test_samples_use_averaged_weights_and_images_are_clipped(images_run, tmp_path):
    from reference.samplers import final_sample
    from reference.samplers.ancestral import ancestral, prior

    run("sample", images_run, "--sampler", "ddpm", "--steps", 3, "--samples", 2, "--out", tmp_path / "s.npz")
    trained, sample = open_run(images_run), np.arange(2)
    schedule, x = trained.model.schedule, prior(0, np.arange(2), (8, 8, 1))
    expected = final_sample(
        ancestral(trained.model.noise_predictor(trained.state.ema), schedule, schedule.timesteps(3), x, 0, sample, clip=1.0)
    )
    with np.load(tmp_path / "s.npz") as archive:
        np.testing.assert_array_equal(archive["x"], expected)
        assert np.abs(archive["x"]).max() <= 1


def test_the_same_command_does_not_overwrite_samples_of_other_weights(points_run, tmp_path, capsys):
    shutil.copytree(points_run, tmp_path / "run")
    command = ("sample", tmp_path / "run", "--steps", 5, "--out", tmp_path / "s.npz")
    assert run(*command) == 0
    before = (tmp_path / "s.npz").read_bytes()
    shutil.rmtree(tmp_path / "run")
    assert run("train", "ddpm", "--data", "mixture1d", "--seed", 5, "--steps", 6, *TINY, "--out", tmp_path / "run") == 0
    assert run(*command) == 2
    assert (tmp_path / "s.npz").read_bytes() == before and "exists already" in capsys.readouterr().err


def test_non_square_images_can_be_trained_on_and_sampled(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).integers(0, 255, (20, 4, 6), dtype=np.uint8))
    folder = tmp_path / "run"
    assert run("train", "ddpm", "--data", tmp_path / "d.npz", "--channels", 8, 8, "--batch", 2, "--steps", 2, "--out", folder) == 0
    assert run("sample", folder, "--steps", 2, "--samples", 3, "--out", tmp_path / "s.npz") == 0
    with np.load(tmp_path / "s.npz") as archive:
        assert archive["x"].shape == (3, 4, 6, 1)


def test_samples_of_images_padded_for_the_unet_are_cropped(tmp_path, capsys):
    np.save(tmp_path / "d.npy", np.random.default_rng(0).integers(0, 2, (20, 7, 5), dtype=np.uint8))
    folder, command = tmp_path / "run", ("train", "indi", "--channels", 8, 8, "--batch", 2, "--out", tmp_path / "run")
    assert run(*command, "--data", tmp_path / "d.npy", "--steps", 2) == 0
    expected = "d.npy: values 0 to 1 are scaled to [-1, 1]; images of 7x5 are padded to 8x6, and samples are cropped"
    assert expected in capsys.readouterr().out and open_run(folder).data.shape == (8, 6, 1)
    assert run("sample", folder, "--steps", 2, "--samples", 3, "--out", tmp_path / "s.npz") == 0
    assert run("sample", folder, "--steps", 2, "--samples", 3, "--out", tmp_path / "s.npy") == 0
    with np.load(tmp_path / "s.npz") as archive:
        assert all(archive[name].shape == (3, 7, 5, 1) for name in ("x", "degraded", "clean"))
        np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), archive["x"])
        np.testing.assert_array_equal(archive["clean"], load_dataset(str(tmp_path / "d.npy")).held_out[:3])
    assert run("sample", folder, "--steps", 2, "--out", tmp_path / "s.csv") == 2
    assert "a .csv file holds points" in capsys.readouterr().err
    assert run("evaluate", folder, "--steps", 2, "--samples", 4) == 0 and run(*command, "--resume", "--steps", 3) == 0


@pytest.mark.filterwarnings("ignore::reference.samplers.SamplingWarning")
def test_samples_of_points_are_in_the_units_of_the_file(tmp_path, far_points):
    folder = tmp_path / "run"
    for name in ("s.npz", "s.npy", "s.csv", "s.png"):
        assert run("sample", folder, "--steps", 3, "--samples", 9, "--out", tmp_path / name) == 0
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


def test_sample_images_show_data_beside_samples_if_the_data_exist(tmp_path, monkeypatch):
    drawn, own = [], plotting.png_bytes
    monkeypatch.setattr(plotting, "png_bytes", lambda figure, description="": drawn.append(figure) or own(figure, description))
    np.savez(tmp_path / "mine.npz", x=np.random.default_rng(0).uniform(-1, 1, (50, 2)))
    assert run("train", "ddpm", "--data", tmp_path / "mine.npz", "--steps", 2, *TINY, "--out", tmp_path / "run") == 0
    command = ("sample", tmp_path / "run", "--steps", 2, "--samples", 4)
    assert run(*command, "--out", tmp_path / "a.png") == 0
    (tmp_path / "mine.npz").unlink()
    assert run(*command, "--out", tmp_path / "b.png") == 0
    for figure in drawn:
        assert_readable(figure)
    beside, alone = ([axes.get_title().partition(";")[0] for axes in figure.axes] for figure in drawn)
    assert beside == ["4 of the data", "4 samples"] and alone == ["4 samples"]


@pytest.mark.parametrize("sampler", ["ddim", "ode-heun", "langevin"])
@pytest.mark.parametrize("kind", ["images", "points"])
def test_a_gif_shows_the_steps_of_the_sampler(kind, sampler, request, tmp_path):
    from PIL import Image

    path = tmp_path / "s.gif"
    assert run("sample", request.getfixturevalue(f"{kind}_run"), "--sampler", sampler, "--steps", 4, "--samples", 5, "--out", path) == 0
    with Image.open(path) as animation:
        assert 2 <= animation.n_frames <= 5 and animation.info["loop"] == 0


def test_the_last_frame_of_a_gif_shows_the_samples(images_run, tmp_path, monkeypatch):
    stages = []
    animate = animation.reverse_process_animation
    monkeypatch.setattr(animation, "reverse_process_animation", lambda shown, title: stages.extend(shown) or animate(shown, title))
    options = ("--steps", 60, "--samples", 3, "--seed", 2, "--out")
    assert run("sample", images_run, *options, tmp_path / "s.gif") == 0
    assert run("sample", images_run, *options, tmp_path / "s.npy") == 0
    np.testing.assert_array_equal(stages[-1][1], np.load(tmp_path / "s.npy"))
    assert len(stages) <= FRAMES and stages[-1][0] == 0


def test_the_frames_of_a_gif_are_even_in_the_distance_that_the_samples_move():
    states = [np.array([[x]]) for x in (0.0, 0.0, 0.0, 0.5, 1.0, 1.0)]
    assert evenly_moved(states, 3) == [0, 3, 4, 5]
    assert evenly_moved(states[:1], 3) == [0]


def test_too_many_samples_for_a_gif_are_refused(points_run, tmp_path, capsys):
    assert run("sample", points_run, "--steps", 2, "--samples", 1025, "--out", tmp_path / "s.gif") == 2
    assert "at most 1024 samples" in capsys.readouterr().err
