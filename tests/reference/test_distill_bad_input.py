"""distill and students refuse what can not work, in one line, and write nothing."""

import json
import shutil

import pytest

from reference.runs.published import RUN_FIELD
from tests.command_runs import files, run
from tests.distilled_runs import Killed, distil, one_line, stop_after

BAD = {
    "steps that do not halve": ("v --steps 3 --teacher-steps 8 --updates 1", "halving 8 steps does not lead to 3"),
    "as many steps": ("v --steps 8 --teacher-steps 8", "halving 8 steps does not lead to 8"),
    "no steps": ("v --steps 0", "does not lead to 0"),
    "other steps of a student": ("@progressive --steps 1 --teacher-steps 4", "teacher-steps must be 2, for which"),
    "too many steps": (
        "few-times --steps 16 --teacher-steps 32",
        "teacher-steps must be at most the number of times, and the schedule has 30, got 32",
    ),
    "too many steps of a flow": (
        "flow --steps 64 --teacher-steps 128",
        "teacher-steps must be at most the number of times, and the schedule has 100, got 128",
    ),
    "a VAE": ("#vae", "needs a run of ddpm, sde, flow, reflow, progressive, and"),
    "a deblurring InDI": ("#deblur", "was trained by indi"),
    "a score model": ("#smld --method consistency", "was trained by smld"),
    "a classifier": ("fashion-mnist-classifier", "was trained by classifier"),
    "noise": ("noise", "predicts noise, from which one step can't tell x_0"),
    "noise by consistency": ("noise --method consistency", "train with --prediction v"),
    "x0 by consistency": ("x0 --method consistency", "a consistency model can't begin with a run that predicts x0"),
    "learned variances": ("learned-variances", "a student has no learned variances: train with objective simple"),
    "few times": ("few-times --method consistency", "a consistency model needs all noise levels, and the schedule has 30"),
    "a path that is no flow": ("v --method reflow", "distill --method reflow needs a run of flow, reflow, and"),
    "a consistency model as a teacher": ("@consistency --method consistency", "was trained by consistency"),
    "a student of a student of other steps": ("@progressive --method consistency", "was trained by progressive"),
    "one level": ("v --method consistency --levels 1", "levels must be 0 or at least 2"),
    "no update": ("v --updates 0", "updates must be at least 1, got 0"),
    "no batch": ("v --batch 0", "batch must be a whole number from 1 on, got 0"),
    "no pair": ("flow --method reflow --pairs 0", "pairs must be at least 1, got 0"),
    "no step for a pair": ("flow --method reflow --teacher-steps 0", "teacher-steps must be at least 1, got 0"),
    "no steps of the teacher": ("v --teacher-steps 0", "teacher-steps must be at least 1, got 0"),
    "no rate": ("v --lr 0", "lr must be a positive number"),
    "levels of progressive": ("v --levels 10", "--levels is not an option of --method progressive"),
    "pairs of consistency": ("v --method consistency --pairs 9", "--pairs is not an option of --method consistency"),
    "solver of training": ("v --method consistency-training --solver euler", "--solver is not an option of --method consistency-training"),
    "steps of reflow": ("flow --method reflow --steps 4", "--steps is not an option of --method reflow"),
    "no checkpoint to save": ("v --save-every 0", "save-every must be at least 1, got 0"),
    "no run": ("nowhere", "does not exist"),
    "nothing to resume": ("v --resume", "there is no run to resume"),
}


@pytest.mark.parametrize("words, message", BAD.values(), ids=BAD.keys())
def test_bad_input_exits_2_with_one_line_and_writes_nothing(teachers, taught, runs, tmp_path, capsys, words, message):
    name, *options = words.split()
    places = {"@": taught, "#": next(iter(runs.values())).parent}
    folder = places[name[0]] / name[1:] if name[0] in places else teachers / name.replace("-", " ")
    folder = "fashion-mnist-classifier" if "classifier" in name else folder
    assert run("distill", folder, *options, "--out", tmp_path / "out") == 2
    assert message in one_line(capsys)
    assert not list(tmp_path.iterdir())


def test_a_model_without_its_data_is_refused(tmp_path, capsys):
    words = "ddpm --data digits --channels 8 8 --batch 2 --steps 1 --prediction v --out".split()
    assert run("train", *words, tmp_path / "run") == 0
    assert run("export", tmp_path / "run", "--format", "diffusers", "--out", tmp_path / "theirs") == 0
    (path,) = (path for path in (tmp_path / "theirs").rglob("config.json"))
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != RUN_FIELD}))
    capsys.readouterr()
    assert run("distill", tmp_path / "theirs", "--updates", 1, "--out", tmp_path / "out") == 2
    assert "distill needs the run's data" in one_line(capsys) and not (tmp_path / "out").exists()


def test_a_student_of_more_times_than_were_trained_is_refused_before_the_folder_is_made(teachers, tmp_path, capsys):
    assert run("distill", teachers / "few times", *"--steps 1 --teacher-steps 64 --out".split(), tmp_path / "out") == 2
    assert "and the schedule has 30, got 64" in one_line(capsys) and not (tmp_path / "out").exists()


RESUMED = {
    "another teacher": ("consistency", "few times", "", "whose weights are not those of"),
    "another method": (
        "consistency",
        "v",
        "--method progressive",
        "was begun by distill --method consistency, not by distill --method pro",
    ),
    "another solver": ("consistency", "v", "--solver euler", "was begun with solver heun, got euler: a student keeps its options"),
    "another objective": ("consistency", "v", "--objective squared", "was begun with objective pseudo-huber, got squared"),
    "more updates": ("consistency", "v", "--updates 8", "was begun with updates 6, got 8"),
    "another rate": ("progressive", "v", "--lr .1", "was begun with lr 0.0001, got 0.1"),
    "another batch": ("progressive", "v", "--batch 5", "was begun with batch 4, got 5"),
    "other steps": ("progressive", "v", "--steps 4", "was begun with steps 2, got 4"),
    "other pairs": ("reflow", "flow", "--pairs 21", "was begun with pairs 20, got 21"),
}


@pytest.mark.parametrize("name, teacher, words, message", RESUMED.values(), ids=RESUMED.keys())
def test_a_student_keeps_its_teacher_and_its_options(teachers, taught, capsys, name, teacher, words, message):
    before = files(taught / name)
    method = [] if "--method" in words else ["--method", name]
    assert run("distill", teachers / teacher, *method, *words.split(), "--out", taught / name, "--resume") == 2
    assert message in one_line(capsys) and files(taught / name) == before


def test_the_default_of_an_option_may_be_repeated(teachers, taught):
    words = "--method consistency --objective pseudo-huber --levels 0 --solver heun --seed 0"
    assert run("distill", teachers / "v", *words.split(), "--out", taught / "consistency", "--resume") == 0


def test_runs_of_train_and_of_distill_are_not_mixed_up(teachers, taught, capsys):
    assert run("distill", teachers / "v", "--method", "consistency", "--out", teachers / "untaught", "--resume") == 2
    assert "was begun by train consistency, not by distill --method consistency" in one_line(capsys)
    assert run("train", "consistency", "--out", taught / "consistency", "--resume") == 2
    assert "was begun by distill: continue it with distill --resume" in one_line(capsys)
    assert run("distill", teachers / "v", "--out", taught / "progressive") == 2
    assert "holds a run already" in one_line(capsys)


def test_a_student_without_a_checkpoint_names_the_command_that_continues_it(teachers, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        stop_after(patch, 0)
        distil(teachers, "progressive", tmp_path / "run")
    assert run("sample", tmp_path / "run", "--out", tmp_path / "s.png") == 2
    assert "continue it with distill --resume" in one_line(capsys)


def test_a_teacher_file_that_was_changed_is_refused(teachers, taught, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        stop_after(patch, 2)
        distil(teachers, "consistency", tmp_path / "run")
    shutil.copy(taught / "consistency training again" / "teacher.safetensors", tmp_path / "run")
    assert distil(teachers, "consistency", tmp_path / "run", "--resume") == 2
    assert "teacher.safetensors has changed: its weights are" in one_line(capsys)


def test_a_checkpoint_of_another_architecture_is_refused(teachers, taught, tmp_path, capsys):
    shutil.copytree(taught / "progressive", tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["net"]["width"] = 9
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    for words in (("sample", tmp_path / "run", "--out", tmp_path / "s.png"), ("distill", tmp_path / "run", "--out", tmp_path / "out")):
        assert run(*words) == 2
        assert "another architecture" in one_line(capsys)


SAMPLED = {
    "another sampler": ("progressive", "--sampler edm", "was trained by progressive, which needs --sampler ddim, got edm"),
    "the sampler of a denoiser": (
        "consistency",
        "--sampler ddim",
        "was trained by consistency, which needs --sampler consistency, got ddim",
    ),
    "more steps": ("progressive", "--steps 4", "steps must divide 2, the steps for which"),
    "no divisor": ("progressive", "--steps 0", "steps must divide 2"),
    "noise": ("progressive", "--eta 1", "eta must be 0"),
    "no steps": ("consistency", "--steps 0", "steps must be at least 1, got 0"),
    "a sampler for consistency models": ("reflow", "--sampler consistency", "--sampler consistency needs a run of consistency, but"),
}


@pytest.mark.parametrize("name, words, message", SAMPLED.values(), ids=SAMPLED.keys())
def test_a_student_has_one_sampler_and_its_steps(taught, tmp_path, capsys, name, words, message):
    assert run("sample", taught / name, *words.split(), "--out", tmp_path / "s.png") == 2
    assert message in one_line(capsys) and not list(tmp_path.iterdir())


def test_one_step_of_a_run_that_predicts_noise_is_refused(teachers, runs, tmp_path, capsys):
    for folder in (teachers / "noise", runs["sde"]):
        assert run("sample", folder, "--sampler", "ddim", "--steps", 1, "--out", tmp_path / "s.png") == 2
        assert "predicts noise, and one step from noise alone makes an error of" in one_line(capsys)
