"""The command ``distill`` and ``train consistency``: their files, resumed runs with the same bits, and bad input in one sentence."""

import json
import shutil

import numpy as np
import pytest

from reference import ops
from reference.commands import distill as command
from reference.commands.cli import Program, main
from reference.diffusion.training import init_state
from reference.ops.random import Purpose, normal
from reference.runs import exported, students
from reference.runs.published import RUN_FIELD
from reference.runs.run import Run, open_run, training_model
from reference.runs.sampler_options import sampler_options
from reference.runs.sampling import draw
from reference.samplers import SamplingWarning
from tests import device_port
from tests.command_runs import FOUR_STEPS, TINY, files, run, sampled

V = "ddpm --data mixture1d --prediction v --timesteps 1000 --seed 3"
TEACHERS = {
    "v": V,
    "noise": "ddpm --data mixture1d --timesteps 1000",
    "flow": "flow --data mixture1d --seed 3",
    "few times": "ddpm --data mixture1d --prediction v --timesteps 30",
    "x0": "ddpm --data mixture1d --prediction x0 --timesteps 30",
    "learned variances": "ddpm --data mixture1d --prediction v --timesteps 30 --objective hybrid",
    "untaught": "consistency --data mixture1d --sigma-max 10",
}
STUDENTS = {  # name -> (teacher, options)
    "progressive": ("v", "--steps 2 --teacher-steps 8 --updates 3"),
    "progressive flow": ("flow", "--steps 2 --teacher-steps 8 --updates 3 --ema .5"),
    "consistency": ("v", "--method consistency --updates 6"),
    "consistency flow": ("flow", "--method consistency --updates 6 --levels 5 --solver euler --objective squared"),
    "consistency training": ("v", "--method consistency-training --updates 6"),
    "consistency training again": ("untaught", "--method consistency-training --updates 6 --seed 2"),
    "reflow": ("flow", "--method reflow --updates 6 --pairs 20 --teacher-steps 3"),
}
COMMON = {"config.json", "checkpoint.safetensors", "log.jsonl", "teacher.safetensors"}


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teachers")
    for name, words in TEACHERS.items():
        assert run("train", *words.split(), *FOUR_STEPS, "--out", folder / name) == 0
    return folder


def distil(teachers, name, out, *more):
    teacher, words = STUDENTS[name]
    return run("distill", teachers / teacher, *words.split(), "--save-every", 1, "--out", out, *more)


@pytest.fixture(scope="module")
def taught(teachers, tmp_path_factory):
    """Folders of students by name."""
    folder = tmp_path_factory.mktemp("students")
    for name in STUDENTS:
        assert distil(teachers, name, folder / name) == 0
    return folder


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


# reflow


def test_the_pairs_are_draws_of_the_teacher_and_their_noise(teachers, taught):
    teacher, student = open_run(teachers / "flow"), open_run(taught / "reflow")
    with pytest.warns(SamplingWarning, match="would give Gaussian data"):
        x, _ = draw(teacher, ops, 20, **sampler_options(teacher, "ode-heun", 0, steps=3))
    noise = normal(0, np.arange(20), 0, Purpose.PRIOR, (1,), np.float32)
    drawn = lambda *_: pytest.fail("drawn again")
    data = students.pairs_of(student, student.data, drawn)
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


class Killed(BaseException):
    """The end of a process, as a test can see it."""


def stop_after(monkeypatch, step):
    """A process that dies after the checkpoint of this step, or for step 0 after its first files."""
    save, begin = Run.save, students.begin

    def save_and_die(run, *rest):
        save(run, *rest)
        if run.state.step == step:
            raise Killed

    def begin_and_die(*rest):
        begin(*rest)
        raise Killed

    if step:
        monkeypatch.setattr(Run, "save", save_and_die)
    else:
        monkeypatch.setattr(students, "begin", begin_and_die)


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


# bad input


def one_line(capsys):
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "Traceback" not in err and "Error" not in err, err
    return err


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


def test_an_unfinished_student_takes_the_steps_of_the_halving_that_it_is_in(teachers, tmp_path):
    words = "--teacher-steps 8 --steps 2 --updates 2".split()
    assert run("distill", teachers / "v", *words, "--out", tmp_path / "student") == 0
    student = open_run(tmp_path / "student")
    for step, steps in ((1, 4), (2, 4), (3, 2), (4, 2)):
        student.state.step = step
        assert sampler_options(student, "ddim")["steps"] == steps
    kept = open_run(tmp_path / "student" / "4-steps.safetensors")
    assert sampler_options(kept, "ddim")["steps"] == 4
