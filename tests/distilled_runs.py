"""Teachers, their students, and students that are stopped on their way, for several test files."""

from reference.runs import students
from reference.runs.run import Run
from tests.command_runs import run

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


def distil(teachers, name, out, *more):
    teacher, words = STUDENTS[name]
    return run("distill", teachers / teacher, *words.split(), "--save-every", 1, "--out", out, *more)


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


def one_line(capsys):
    """The one line of an error that was printed."""
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "Traceback" not in err and "Error" not in err, err
    return err
