"""The part on images of the experiment ``few_steps``, on digits with a network of a few steps, and its tables on invented numbers."""

import numpy as np
import pytest

from reference import ops
from reference.plotting import subplots
from reference.runs.image_quality import Estimate, Features
from reference.runs.run import open_run
from reference.tutorial.experiments import Outcome, few_steps_images
from reference.tutorial.experiments.few_steps_images import REAL, SHOWN
from tests.command_runs import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    words = "train ddpm --data digits --classes --prediction v --timesteps 16 --channels 8 8 --batch 4 --steps 2".split()
    assert run(*words, "--out", folder) == 0
    assert run("distill", folder, "--steps", 2, "--updates", 1, "--teacher-steps", 4, "--batch", 4, "--out", folder / "fast") == 0
    return folder


FEATURES = Features(
    "ten pixels",
    lambda x: x.reshape(len(x), -1)[:, 20:30].astype(np.float64),
    lambda x: np.tile(np.eye(10)[3], (len(x), 1)),  # always class 3
)


def test_every_row_is_measured_on_samples_of_its_own_run_and_steps(folder, monkeypatch):
    monkeypatch.setattr(few_steps_images, "PART", 20)
    teacher, student = open_run(folder), open_run(folder / "fast")
    rows = [(teacher, "ddim", 4), (teacher, "ddim", 8), (student, "digits-fast", 2)]
    found = few_steps_images.measure(teacher, rows, 50, FEATURES, ops)
    assert [*found] == [(REAL, None), ("ddim", 4), ("ddim", 8), ("digits-fast", 2)]
    assert [len(row["seconds"]) for row in found.values()] == [0, 3, 3, 3]  # 20, 20 and 10 images
    assert all(row["class_accuracy"].value == 0.1 for name, row in found.items() if name[0] != REAL)
    samples = [row["x"] for row in found.values()]
    assert not any(np.array_equal(x, y) for k, x in enumerate(samples[1:]) for y in samples[1:][:k])
    held_out = teacher.data.held_out
    for label, x in enumerate(found[REAL, None]["x"]):
        place = np.flatnonzero((held_out == x).all(axis=(1, 2, 3)))
        assert label in teacher.data.held_out_labels[place]
    outcome = Outcome()
    few_steps_images.report(outcome, found, 50)
    title = "Fashion-MNIST: 50 samples by class, against as many training images, 95 % intervals"
    header, table = outcome.tables[title]
    assert all(len(row) == len(header) for row in table)
    assert table[2][:2] == ("ddim", 8) and table[2][-1] == 1 / np.median(found["ddim", 8]["seconds"])
    _, (axes,) = subplots(1, 3, 15, 5, "")
    few_steps_images.draw_quality(axes[0], found)
    few_steps_images.draw_accuracy(axes[1], found)
    few_steps_images.draw_sheet(axes[2], found)
    assert [text.get_text() for text in axes[2].get_yticklabels()] == [REAL, "ddim 4", "ddim 8", "digits-fast 2"]


def test_students_are_the_models_with_the_teachers_weights(folder, monkeypatch):
    models = {"teacher": folder, "fast": folder / "fast"}
    monkeypatch.setattr(few_steps_images, "package_models", lambda: models)
    monkeypatch.setattr(few_steps_images, "open_run", lambda name: open_run(models[name]))
    assert [*few_steps_images.students(open_run(folder))] == ["fast"]
    assert [*few_steps_images.students(open_run(folder / "fast"))] == []
    models["given"] = folder / "fast"
    monkeypatch.setattr(few_steps_images, "package_models", lambda: ["teacher"])
    assert [*few_steps_images.students(open_run(folder), ["given"])] == ["given"]
    with pytest.raises(ValueError, match="teacher is not a student of"):
        few_steps_images.students(open_run(folder), ["teacher"])


def test_a_given_student_is_measured_in_its_own_steps(folder):
    student = open_run(folder / "fast")
    assert [*few_steps_images._steps(student, True)] == [2]
    assert [*few_steps_images._steps(student, False)] == [1, 2]
    student.config.pop("student_steps")
    assert [*few_steps_images._steps(student, True)] == [1, 2, 4, 8]


def test_students_are_an_option_of_few_steps_alone(folder, tmp_path, capsys):
    assert run("experiment", "guidance", "--quick", "--students", folder / "fast", "--out", tmp_path) == 2
    assert "--students is an option of the experiment few_steps" in capsys.readouterr().err


def test_a_missing_model_leaves_the_images_out_in_one_sentence(monkeypatch):
    monkeypatch.setattr("reference.tutorial.experiments.guided_images.package_models", dict)
    outcome = Outcome()
    assert few_steps_images.images(outcome, True) is None
    assert outcome.findings == ["The part on images is left out: the model fashion-mnist is not here."] and not outcome.tables


def row(frechet, seconds, accuracy=0.9):
    return {
        "seconds": [seconds],
        "frechet": Estimate(frechet, frechet - 1, frechet + 1),
        "class_accuracy": Estimate(accuracy, accuracy, accuracy),
    }


FOUND = {
    (REAL, None): row(1, 1) | {"seconds": []},
    ("ddim", 2): row(90, 0.2),
    ("ddim", 8): row(9, 0.8),
    ("ddim", 50): row(5, 5.0),
    ("edm", 5): row(11, 0.5),
    ("fast", 2): row(10, 0.2),
}


def test_a_student_is_compared_with_the_fastest_rows_that_are_not_worse():
    assert few_steps_images.equals(FOUND, ("fast", 2)) == {("ddim", 8): 4.0}
    outcome = Outcome()
    few_steps_images.report(outcome, FOUND, 100)
    _, rows = outcome.tables["Fashion-MNIST: the fastest samplers that are not worse than a student"]
    assert rows == [("fast", 2, "ddim", 8, 9, 4.0)]
    assert len(outcome.checks) == 1 and outcome.passed


@pytest.mark.parametrize("frechet", [88.5, 95])
def test_a_student_no_nearer_to_the_data_than_ddim_fails_the_check(frechet):
    outcome = Outcome()
    few_steps_images.report(outcome, FOUND | {("fast", 2): row(frechet, 0.2)}, 100)
    assert not outcome.passed


def test_a_figure_shows_every_sampler_and_names_its_row():
    names = ["ddim", "edm", *(f"student {k}" for k in range(6))]
    found = {(REAL, None): row(1, 1) | {"seconds": []}} | {(name, 2): row(9, 0.1) for name in names}
    for key, entry in found.items():
        entry["x"] = np.full((10, 8, 8, 1), -1.0 if key[0] == REAL else 1.0)
    _, (axes,) = subplots(1, 2, 9, 5, "")
    few_steps_images.draw_quality(axes[0], found)
    drawn = [line for line in axes[0].lines if line.get_label() in names]
    assert [line.get_label() for line in drawn] == names
    assert len({(line.get_color(), line.get_marker()) for line in drawn}) == len(names)
    few_steps_images.draw_sheet(axes[1], found)
    (image,) = axes[1].images
    assert image.get_clim() == (image.get_array().min(), image.get_array().max()) == (0, 1)
    for k, tick in enumerate(axes[1].get_yticks()):  # in the middle of its row
        assert np.all(image.get_array()[int(tick), :8] == (k > 0))
        assert int(tick) - 9 * k == 4


def test_the_shown_measures_exist():
    from reference.runs.image_quality import NAMES

    assert {*SHOWN} <= {*NAMES}
