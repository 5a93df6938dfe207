"""``sample RUN --live``: picture after picture, each the samples of the next seed."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from reference.commands import live
from reference.plotting import read_description
from tests.command_runs import run

OPTIONS = "--sampler ddim --steps 2 --live".split()


@pytest.fixture(scope="module")
def classes_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "classes"
    assert run("train", "ddpm", "--classes", "--channels", 8, 8, "--batch", 2, "--steps", 2, "--out", folder) == 0
    return folder


def images_of(path, n, columns, size=8):
    """The first n images [n,h,w] of a picture's grid, one grey line between them, in 0 .. 255."""
    grid = np.asarray(Image.open(path))
    assert grid.shape == (-(-n // columns) * (size + 1) - 1, columns * (size + 1) - 1)
    corners = [((size + 1) * (i // columns), (size + 1) * (i % columns)) for i in range(n)]
    return np.stack([grid[row : row + size, column : column + size] for row, column in corners])


def drawn(folder, path, *options):
    """The samples [n,h,w] that ``sample`` draws, as grey levels."""
    assert run("sample", folder, "--sampler", "ddim", "--steps", 2, *options, "--out", path) == 0
    return np.rint(255 * (np.load(path)[..., 0].clip(-1, 1) + 1) / 2)


def test_the_last_picture_shows_the_samples_of_its_own_seed(images_run, tmp_path):
    path = tmp_path / "live.png"
    assert run("sample", images_run, *OPTIONS, "--samples", 5, "--seed", 4, "--frames", 3, "--out", path) == 0
    expected = drawn(images_run, tmp_path / "s.npy", "--samples", 5, "--seed", 6)
    np.testing.assert_array_equal(images_of(path, 5, columns=3), expected)
    assert json.loads(read_description(path))["seed"] == 6


def test_each_picture_is_written_and_has_the_next_seed(images_run, tmp_path, monkeypatch):
    written, write = [], live.write_atomically
    monkeypatch.setattr(live, "write_atomically", lambda path, data: write(path, data) or written.append(read_description(path)))
    assert run("sample", images_run, *OPTIONS, "--samples", 2, "--seed", 2**64 - 2, "--frames", 4, "--out", tmp_path / "s.png") == 0
    assert [json.loads(text)["seed"] for text in written] == [2**64 - 2, 2**64 - 1, 0, 1]


def test_a_row_of_the_picture_is_a_class(classes_run, tmp_path):
    path = tmp_path / "live.png"
    command = ("sample", classes_run, *OPTIONS, "--guidance", 2, "--frames", 1, "--out", path)
    assert run(*command, "--samples", 13) == 0
    samples = drawn(classes_run, tmp_path / "s.npy", "--guidance", 2, "--samples", 13)
    rows = images_of(path, 20, columns=2).reshape(10, 2, 8, 8)
    for label in range(10):
        own = samples[label::10]
        np.testing.assert_array_equal(rows[label, : len(own)], own)
        assert not rows[label, len(own) :].any()
    assert run(*command[:-1], tmp_path / "one.png", "--label", 3, "--samples", 4) == 0
    samples = drawn(classes_run, tmp_path / "one.npy", "--guidance", 2, "--label", 3, "--samples", 4)
    np.testing.assert_array_equal(images_of(tmp_path / "one.png", 4, columns=2), samples)


def test_the_rate_is_the_mean_over_all_pictures_but_the_first(images_run, tmp_path, monkeypatch, capsys):
    """With a fake clock: the first picture takes 100 seconds, the others 2."""
    times = iter([0, 100, 100, 102, 102, 104])
    monkeypatch.setattr(live.time, "perf_counter", lambda: next(times))
    assert run("sample", images_run, *OPTIONS, "--samples", 3, "--frames", 3, "--out", tmp_path / "s.png") == 0
    *_, line = capsys.readouterr().out.splitlines()
    assert "the last of 3 frames of 3 samples" in line and "ddim, 2 steps, seed 2" in line
    assert line.endswith("; 0.5 frames a second, 1.5 images a second")
    assert live.rate([4.0], 3) == "0.25 frames a second, 0.75 images a second"


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_an_interrupt_finishes_the_picture_and_exits_0(images_run, tmp_path):
    path = tmp_path / "live.png"
    words = [sys.executable, "-m", "reference", "sample", str(images_run), *OPTIONS, "--samples", "2", "--out", str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        give_up = threading.Timer(60, process.kill)
        give_up.start()
        while not path.exists() and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        give_up.cancel()
    assert process.returncode == 0 and "stopping after this picture; once more stops at once\n" in err
    frames = int(re.search(r"the last of (\d+) frames of 2 samples .* images a second\n$", out)[1])
    assert json.loads(read_description(path))["seed"] == frames - 1 and [*tmp_path.iterdir()] == [path]


def test_a_live_picture_is_overwritten_by_the_same_command_only(images_run, tmp_path, capsys):
    path = tmp_path / "s.png"
    command = ("sample", images_run, "--sampler", "ddim", "--steps", 2, "--samples", 2, "--out", path)
    assert run(*command, "--live", "--frames", 2) == 0 and run(*command, "--live", "--frames", 1) == 0
    first = path.read_bytes()
    assert run(*command) == 2 and run(*command, "--live", "--frames", 1, "--samples", 3) == 2
    assert capsys.readouterr().err.count("exists already") == 2 and path.read_bytes() == first


@pytest.mark.parametrize(
    "options, message",
    [
        ("--frames 2 --out s.png", "--frames is the number of pictures of --live"),
        ("--live --frames 1 --out s.npz", "--live draws into a .png"),
        ("--live --frames 0 --out s.png", "frames must be at least 1, got 0"),
        ("--live --frames 1 --samples 1025 --out s.png", "at most 1024 samples, got 1025"),
        ("--live --frames 1 --from {latents} --out s.png", "--from gives the noise"),
    ],
)
def test_bad_options_exit_2_in_one_line_and_draw_nothing(options, message, images_run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    latents = tmp_path / "latents.npz"
    assert run("invert", images_run, "--steps", 2, "--samples", 2, "--out", latents) == 0
    capsys.readouterr()
    assert run("sample", images_run, "--steps", 2, *options.format(latents=latents).split()) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and [*tmp_path.iterdir()] == [latents]


def test_points_are_refused(points_run, tmp_path, capsys):
    assert run("sample", points_run, *OPTIONS, "--out", tmp_path / "s.png") == 2
    assert "--live draws images" in capsys.readouterr().err
