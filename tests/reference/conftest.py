"""Runs of small networks that several test files share."""

import numpy as np
import pytest

from reference.data import datasets
from tests.command_runs import CAPTIONS, FOUR_STEPS, IMAGES, POINTS, TINY, run
from tests.distilled_runs import STUDENTS, TEACHERS, distil


@pytest.fixture(scope="module")
def points_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "points"
    assert run("train", "ddpm", "--data", "mixture1d", "--steps", 6, *TINY, "--out", folder) == 0
    return folder


@pytest.fixture(scope="module")
def images_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "images"
    assert run("train", "ddpm", "--net", "unet", "--channels", 8, 8, "--batch", 2, "--steps", 2, "--out", folder) == 0
    return folder


@pytest.fixture(scope="module")
def few_captions():
    """The data of captions with 400 images for training and 100 held out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "SYNTHETIC_SAMPLES", 500)
        yield


@pytest.fixture(scope="module")
def captioned_run(few_captions, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "captioned"
    words = [*CAPTIONS, "--prediction", "v", "--timesteps", 20]
    assert run("train", "ddpm", *words, "--steps", 5, "--out", folder) == 0
    return folder


@pytest.fixture
def far_points(tmp_path):
    """Points of unlike units, and a run on them in ``tmp_path``."""
    x = np.random.default_rng(0).standard_normal((50, 2)) * [1e-3, 1e3] + [0, 1e6]
    np.savetxt(tmp_path / "d.csv", x, delimiter=",", header="a,b", comments="")
    assert run("train", "ddpm", "--data", tmp_path / "d.csv", "--steps", 2, *TINY, "--out", tmp_path / "run") == 0
    return x


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Name -> folder of a tiny network trained for a few steps."""
    folder = tmp_path_factory.mktemp("methods")
    for name, words in POINTS.items():
        assert run("train", *words.split(), *FOUR_STEPS, "--out", folder / name) == 0
    for name, words in IMAGES.items():
        assert run("train", *words.split(), "--batch", 2, "--steps", 2, "--out", folder / name) == 0
    return {name: folder / name for name in (*POINTS, *IMAGES)}


@pytest.fixture(scope="session")
def teachers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teachers")
    for name, words in TEACHERS.items():
        assert run("train", *words.split(), *FOUR_STEPS, "--out", folder / name) == 0
    return folder


@pytest.fixture(scope="session")
def taught(teachers, tmp_path_factory):
    """Folders of students by name."""
    folder = tmp_path_factory.mktemp("students")
    for name in STUDENTS:
        assert distil(teachers, name, folder / name) == 0
    return folder
