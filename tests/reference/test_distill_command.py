"""The command ``distill`` and ``train consistency``: their files, resumed runs with the same bits, and bad input in one sentence."""

import shutil

import numpy as np
import pytest

from reference import ops
from reference.commands import distill as command
from reference.commands.cli import Program, main
from reference.diffusion.training import init_state
from reference.ops.random import Purpose, normal
from reference.runs import exported, students
from reference.runs.processes import PROCESS
from reference.runs.run import open_run, training_model
from reference.runs.sampler_options import sampler_options
from reference.runs.sampling import draw
from reference.samplers import SamplingWarning
from tests import device_port
from tests.command_runs import FOUR_STEPS, TINY, files, run, sampled
from tests.distilled_runs import STUDENTS, Killed, distil, one_line, stop_after

COMMON = {"config.json", "checkpoint.safetensors", "log.jsonl", "teacher.safetensors"}
every_student = pytest.mark.parametrize("name", STUDENTS)


# files


@every_student
def test_a_student_has_its_files_and_can_be_sampled_and_evaluated(taught, tmp_path, name):
    own = {"progressive": {"4-steps.safetensors"}, "reflow": {"pairs.npz"}}.get(name.split()[0], set())
    assert {path.name for path in (taught / name).iterdir()} == COMMON | own
    assert run("sample", taught / name, "--samples", 3, "--out", tmp_path / "s.npz") == 0
    assert sampled(tmp_path / "s.npz")["x"].shape == (3, 1)
    assert run("evaluate", taught / name, "--n", 20) == 0
    assert run("export", taught / name, "--format", "native", "--out", tmp_path / "s.safetensors") == 0
    assert run("sample", tmp_path / "s.safetensors", "--samples", 3, "--out", tmp_path / "e.npz") == 0
    np.testing.assert_array_equal(sampled(tmp_path / "e.npz")["x"], sampled(tmp_path / "s.npz")["x"])


@every_student
def test_a_student_begins_with_the_averaged_weights_of_its_teacher_and_learns(teachers, taught, name):
    teacher = open_run(teachers / STUDENTS[name][0])
    begun, student = open_run(taught / name / "teacher.safetensors"), open_run(taught / name)
    assert exported.digest(begun.state.ema) == exported.digest(teacher.state.ema) == student.config["teacher"]["weights"]
    assert student.state.step == 6 and exported.digest(student.state.ema) != exported.digest(teacher.state.ema)


def test_a_run_begins_with_the_weights_of_its_teacher(teachers, tmp_path, monkeypatch):
    states = []
    monkeypatch.setattr(command, "continue_training", lambda run, *rest: states.append(run.state) or 0)
    assert distil(teachers, "progressive", tmp_path / "student") == 0
    teacher = open_run(teachers / "v").state.ema
    for part in (states[0].params, states[0].ema):
        np.testing.assert_array_equal(part.flat, teacher.flat)
    assert states[0].step == 0 and not states[0].m.flat.any() and not states[0].v.flat.any()


def test_the_default_steps_of_the_teacher_are_the_first_from_64_on(teachers):
    given = lambda steps: students.student_config(open_run(teachers / "v"), "progressive", {"steps": steps})["teacher"]["options"]
    assert [given(steps)["teacher_steps"] for steps in (1, 3, 4, 33, 64)] == [64, 96, 64, 66, 128]


def test_a_student_on_the_way_to_fewer_steps_is_the_teacher_of_the_next(teachers, taught, tmp_path, monkeypatch):
    halfway = tmp_path / "halfway"
    stop_after(monkeypatch, 3)
    with pytest.raises(Killed):
        distil(teachers, "progressive flow", halfway)
    first = open_run(halfway).state.ema
    kept = open_run(taught / "progressive flow" / "4-steps.safetensors")
    assert kept.config["student_steps"] == kept.model.steps == 4 and kept.state.step == 3
    np.testing.assert_array_equal(kept.state.ema.flat, first.flat)
    for steps in (4, 2, 1):
        path = tmp_path / f"{steps}.npz"
        assert run("sample", taught / "progressive flow" / "4-steps.safetensors", "--steps", steps, "--out", path) == 0
    halfway = open_run(halfway)
    assert (halfway.state.params.flat != halfway.state.ema.flat).any()  # --ema .5
    students.keep_stage(halfway)
    np.testing.assert_array_equal(halfway.state.params.flat, first.flat)
    model, last = students.training_stage(halfway)
    np.testing.assert_array_equal(model.teacher["layers.0.w"], first["layers.0.w"])
    assert (model.steps, last) == (2, 6) and not np.shares_memory(model.teacher["layers.0.w"], halfway.state.ema.flat)


def test_two_halvings_in_two_commands_equal_two_in_one(teachers, taught, tmp_path):
    """Adam, the average and the learning rate begin anew.  The noise does not: it is that of the later training steps."""
    assert run("distill", teachers / "v", *"--steps 4 --teacher-steps 8 --updates 3".split(), "--out", tmp_path / "4") == 0
    one = exported.read(taught / "progressive" / "4-steps.safetensors")[2]
    for name, array in open_run(tmp_path / "4").state.ema.items():
        np.testing.assert_array_equal(one[name], array)


def test_a_student_of_a_student_takes_its_steps(taught, tmp_path):
    assert run("distill", taught / "progressive", *"--steps 1 --updates 2 --out".split(), tmp_path / "one") == 0
    one = open_run(tmp_path / "one")
    assert one.model.steps == 1 and one.config["teacher"]["options"]["teacher_steps"] == 2
    assert one.config["denoiser"] == "ddpm" and one.config["data_seed"] == 3


def test_consistency_training_has_no_teacher_and_distillation_has(taught, teachers):
    of = lambda folder: training_model(opened := open_run(folder), opened.data).teacher
    assert of(taught / "consistency training") is None and of(teachers / "untaught") is None
    for name, array in open_run(teachers / "v").state.ema.items():
        np.testing.assert_array_equal(of(taught / "consistency")[name], array)


def test_train_consistency_begins_untrained(tmp_path, monkeypatch):
    states = []
    monkeypatch.setattr("reference.commands.train.continue_training", lambda run, *rest: states.append(run.state) or 0)
    assert run("train", "consistency", "--data", "mixture1d", *TINY, "--out", tmp_path / "run", "--seed", 4) == 0
    opened = open_run(tmp_path / "run", need_checkpoint=False)
    assert "teacher" not in opened.config and opened.config["prediction"] == "F"
    np.testing.assert_array_equal(states[0].params.flat, init_state(opened.model.network, 4).params.flat)


def test_options_reach_the_model(taught, teachers):
    model = open_run(taught / "consistency flow").model
    assert (model.levels, model.solver, model.objective, model.stage_steps) == (5, "euler", "squared", 1)
    model = open_run(taught / "consistency").model
    assert (model.levels, model.solver, model.objective) == (0, "heun", "pseudo-huber")
    model = open_run(teachers / "untaught").model
    assert (model.schedule.sigma_min, model.schedule.sigma_max, model.schedule.min_noise_ratio) == (0.002, 10.0, 0.002)
    assert model.stage_steps == 1


def test_a_progressive_run_has_a_learning_rate_that_falls_in_each_halving_and_no_average(taught):
    settings = open_run(taught / "progressive").settings
    assert (settings.stage, settings.ema, settings.seed, settings.batch) == (3, 0.0, 0, 4)
    assert open_run(taught / "reflow").config["schedule"]["times"] == "u-shaped"


@pytest.mark.parametrize("teacher, method", [("ddpm", "progressive"), ("ddpm", "consistency"), ("flow", "reflow")])
def test_students_of_a_run_with_classes_draw_by_class(tmp_path, teacher, method):
    words = f"{teacher} --data mixture2d --prediction v --classes --out".split()
    assert run("train", *words, tmp_path / "run", *FOUR_STEPS) == 0
    own = {"progressive": "--steps 2 --teacher-steps 4", "reflow": "--pairs 20 --teacher-steps 3"}.get(method, "").split()
    assert run("distill", tmp_path / "run", "--method", method, *own, "--updates", 3, "--out", tmp_path / "student") == 0
    found = []
    for label, guidance in ((0, 1), (1, 1), (1, 3)):
        path = tmp_path / f"{label} {guidance}.npz"
        how = ("--label", label, "--guidance", guidance, "--samples", 4, "--steps", 2)
        assert run("sample", tmp_path / "student", *how, "--out", path) == 0
        found.append(sampled(path)["x"])
    assert (found[0] != found[1]).any() and (found[1] != found[2]).any()
    if method == "reflow":
        with np.load(tmp_path / "student" / "pairs.npz") as pairs:
            count = len(open_run(tmp_path / "run").config["classes"])
            np.testing.assert_array_equal(pairs["labels"], np.arange(20) % count)


def test_an_unfinished_student_takes_the_steps_of_the_halving_that_it_is_in(teachers, tmp_path):
    words = "--teacher-steps 8 --steps 2 --updates 2".split()
    assert run("distill", teachers / "v", *words, "--out", tmp_path / "student") == 0
    student = open_run(tmp_path / "student")
    for step, steps in ((1, 4), (2, 4), (3, 2), (4, 2)):
        student.state.step = step
        assert sampler_options(student, "ddim")["steps"] == steps
    kept = open_run(tmp_path / "student" / "4-steps.safetensors")
    assert sampler_options(kept, "ddim")["steps"] == 4


# reflow


def test_the_pairs_are_draws_of_the_teacher_and_their_noise(teachers, taught):
    teacher, student = open_run(teachers / "flow"), open_run(taught / "reflow")
    with pytest.warns(SamplingWarning, match="would give Gaussian data"):
        x, _ = draw(teacher, ops, 20, **sampler_options(teacher, "ode-heun", 0, steps=3))
    noise = normal(0, np.arange(20), 0, Purpose.PRIOR, (1,), np.float32)
    drawn = lambda *_: pytest.fail("drawn again")
    data = students.pairs_of(student, student.data, drawn, PROCESS)
    np.testing.assert_array_equal(data.train, np.concatenate((x, noise), axis=1))
    assert len(data.train_labels) == 20


def test_pairs_that_were_removed_are_drawn_from_the_teacher_again(teachers, taught, tmp_path, capsys):
    shutil.copytree(taught / "reflow", tmp_path / "run")
    path = tmp_path / "run" / "pairs.npz"
    path.write_bytes(b"short")
    assert distil(teachers, "reflow", tmp_path / "run", "--resume") == 2
    assert "remove it to draw the pairs again" in one_line(capsys)
    path.unlink()
    assert distil(teachers, "reflow", tmp_path / "run", "--resume") == 0
    with np.load(path) as new, np.load(taught / "reflow" / "pairs.npz") as old:
        for name in old.files:
            np.testing.assert_array_equal(new[name], old[name])


# resumed


STOPS = [(name, step) for name in STUDENTS for step in ((0, 2, 3, 4, 5) if "progressive" in name else (0, 2, 5))]


@pytest.mark.parametrize("name, step", STOPS)
def test_a_stopped_student_goes_on_with_the_same_bits(teachers, taught, tmp_path, monkeypatch, name, step):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        stop_after(patch, step)
        distil(teachers, name, tmp_path / "run")
    assert open_run(tmp_path / "run", need_checkpoint=False).state.step == step
    assert distil(teachers, name, tmp_path / "run", "--resume") == 0
    assert relative(tmp_path / "run") == relative(taught / name)


@every_student
def test_a_student_trained_on_a_device_has_the_same_bits(teachers, taught, tmp_path, name):
    teacher, words = STUDENTS[name]
    out, program = tmp_path / "run", Program(port=lambda arguments: device_port)
    assert main([str(word) for word in ("distill", teachers / teacher, *words.split(), "--save-every", 1, "--out", out)], program) == 0
    for part in ("params", "ema", "m", "v"):
        here, there = (getattr(open_run(folder).state, part) for folder in (taught / name, out))
        np.testing.assert_array_equal(there.flat, here.flat)
    for path in (taught / name).glob("*-steps.safetensors"):
        assert (out / path.name).read_bytes() == path.read_bytes()


def relative(folder):
    return {path.relative_to(folder): content for path, content in files(folder).items()}


def test_a_student_killed_between_its_first_two_files_begins_again(teachers, taught, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "teacher.safetensors").write_bytes(b"short")
    assert distil(teachers, "consistency", tmp_path / "run", "--resume") == 0
    assert relative(tmp_path / "run") == relative(taught / "consistency")


def test_a_student_goes_on_with_its_own_copy_of_a_teacher_that_is_gone(teachers, taught, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        stop_after(patch, 2)
        distil(teachers, "consistency", tmp_path / "run")
    words = (*STUDENTS["consistency"][1].split(), "--save-every", 1, "--out", tmp_path / "run", "--resume")
    capsys.readouterr()
    assert run("distill", tmp_path / "gone", *words) == 2
    assert "the run" in (line := one_line(capsys)) and "does not exist" in line
    assert run("distill", tmp_path / "run" / "teacher.safetensors", *words) == 0
    assert relative(tmp_path / "run") == relative(taught / "consistency")


@pytest.mark.parametrize("step", [2, 5])
def test_train_consistency_goes_on_with_the_same_bits(tmp_path, monkeypatch, step):
    command = ("train", "consistency", "--data", "mixture1d", "--steps", 6, *TINY, "--save-every", 1, "--out")
    assert run(*command, tmp_path / "whole") == 0
    with monkeypatch.context() as patch, pytest.raises(Killed):
        stop_after(patch, step)
        run(*command, tmp_path / "run")
    assert run(*command, tmp_path / "run", "--resume") == 0
    assert relative(tmp_path / "run") == relative(tmp_path / "whole")


def test_a_finished_student_is_left_alone(teachers, taught, capsys):
    before = files(taught / "progressive")
    assert distil(teachers, "progressive", taught / "progressive", "--resume") == 0
    out = capsys.readouterr().out
    assert "is finished, all of its 6 steps are taken\n" in out and files(taught / "progressive") == before
