"""Targets that can't be examined, wholly or in part: one sentence each, the other checks go on, and the exit code says which."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reference.audit.audit import FAILED, audit
from reference.audit.target import TargetError, load_target
from tests.command_runs import run

TABLE = "import numpy as np\nalpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))\n"
ADD_NOISE = "def add_noise(x0, noise, t):\n    return np.sqrt(alpha_bar[t]) * x0 + np.sqrt(1 - alpha_bar[t]) * noise\n"
GOOD = TABLE + ADD_NOISE
ENDLESS = "while True:\n    try:\n        while True: sum(range(1000))\n    except {}: pass\n"


@pytest.fixture
def write(tmp_path):
    """Write a target, and return its path."""

    def write(text, name="target.py"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def inside(text, head):
    """The lines of ``text`` as the body of a function."""
    return f"{head}:\n" + "".join(f"    {line}\n" for line in text.splitlines())


def step(body):
    return GOOD + inside(body, "def step(prediction, t, x, noise, t_prev)")


def lines_of(report):
    return [(check.name, check.verdict, check.came) for check in report.checks]


def came_of(report, name):
    return next(check.came for check in report.checks if check.name == name)


NOT_IMPORTED = {
    "syntax error": ("def add_noise(:", "SyntaxError"),
    "missing import": ("import no_such_library", "No module named 'no_such_library'"),
    "sys.exit": ("import sys\nsys.exit(3)", r"ends the program: SystemExit\(3\)"),
    "exception": ("1 / 0", "ZeroDivisionError: division by zero"),
    "needs a device": ("raise RuntimeError('Found no NVIDIA driver: CUDA')", "does it need a device"),
    "empty": ("", "exposes none of alpha_bar, betas"),
    "other names": ("def q_sample(x): return x", "it has q_sample"),
    "claims no dictionary": (GOOD + "CLAIMS = ['v']", "CLAIMS must be a dictionary, got list"),
    "unknown claim": (GOOD + "CLAIMS = {'predictions': 'v'}", r"'predictions' \(did you mean prediction\?\)"),
    "unknown value": (GOOD + "CLAIMS = {'prediction': 'epsilon'}", "must be one of noise, x0, v, score"),
    "near value": (GOOD + "CLAIMS = {'time': '0 based'}", r"did you mean 0-based\?"),
    "claim of another type": (GOOD + "CLAIMS = {'T': '1000'}", r"CLAIMS\['T'\] must be a whole number, above 0, got '1000'"),
    "claim of a type": (GOOD + "CLAIMS = {'dtype': np.float32}", r"CLAIMS\['dtype'\] must be one of float16"),
    "claimed T of 0": (GOOD + "CLAIMS = {'T': 0}", r"CLAIMS\['T'\]"),
    "empty shape": (GOOD + "CLAIMS = {'shape': ()}", r"CLAIMS\['shape'\]"),
    "library that is not there": (GOOD + "CLAIMS = {'arrays': 'jax'}", "the target does not import jax"),
}


@pytest.mark.parametrize(("text", "sentence"), NOT_IMPORTED.values(), ids=NOT_IMPORTED)
def test_a_target_that_cant_be_loaded_is_refused_in_one_sentence(write, text, sentence, capsys):
    assert run("audit", write(text)) == 2
    out, err = capsys.readouterr()
    assert not out and len(err.splitlines()) == 1
    assert re.search(sentence, err), err


@pytest.mark.parametrize(("name", "sentence"), {"no.py": "is no file", "": "holds no run", "no_such_module": "No module named"}.items())
def test_a_target_that_is_no_file_is_refused(tmp_path, name, sentence, capsys):
    assert run("audit", "no_such_module" if name == "no_such_module" else tmp_path / name) == 2
    assert sentence in capsys.readouterr().err


BAD_STEPS = {
    "raises": ("raise ValueError('no\\nmore')", "step raises ValueError: no"),
    "another shape": ("return x[0]", r"step returns an array of shape \(4,\), not \(1, 4\)"),
    "a list of texts": ("return ['a']", "step returns no array: .* list"),
    "None": ("return None", "step returns no array: .* NoneType"),
    "a text": ("return 'x'", "step returns no array: .* str"),
    "complex numbers": ("return x + 0j", "step returns no array: .* complex128"),
    "a ragged list": ("return [[1, 2], [3]]", "step returns no array"),
    "NaN": ("return x + np.nan", "returns NaN or infinity"),
    "ends the program": ("raise SystemExit(1)", r"step ends the program: SystemExit\(1\)"),
    "recursion": ("return step(prediction, t, x, noise, t_prev)", "RecursionError"),
    "needs a device": ("raise AssertionError('Torch not compiled with CUDA enabled')", "does it need a device"),
    "too few parameters": ("return x[t_prev, t, 3]", "step raises IndexError"),
}


@pytest.mark.parametrize(("body", "sentence"), BAD_STEPS.values(), ids=BAD_STEPS)
def test_a_bad_step_is_one_line_and_the_other_checks_go_on(write, body, sentence):
    report = audit(load_target(write(step(body)), 5.0))
    assert re.search(sentence, came_of(report, "step at every pair of times"))
    assert [check.name for check in report.faults] == ["step at every pair of times"]
    assert ("add_noise coefficients", "right") in [entry[:2] for entry in lines_of(report)]
    assert report.exit_code == 1


BAD_TABLES = {
    "a text": "'linear'",
    "None": "None",
    "one number": "[0.5]",
    "two dimensions": "np.ones((3, 3))",
    "complex numbers": "np.ones(9) * 1j",
    "NaN": "np.full(9, np.nan)",
    "dates": "np.zeros(4, 'datetime64[s]')",
    "a function that raises": "lambda: 1 / 0",
    "a function of two": "lambda a, b: a",
}


@pytest.mark.parametrize("value", BAD_TABLES.values(), ids=BAD_TABLES)
def test_a_bad_table_is_one_line_and_the_other_checks_go_on(write, value):
    report = audit(load_target(write(f"{GOOD}betas = {value}\n".replace("alpha_bar", "table")), 5.0))
    assert len(report.faults) == 1 and report.faults[0].came, lines_of(report)
    assert not any(FAILED in check.came for check in report.checks), lines_of(report)


def test_a_piece_that_is_no_function_is_not_decidable(write):
    report = audit(load_target(write(GOOD + "step = 3\nloss = []\n"), 5.0))
    assert came_of(report, "loss") == "loss must be a function, got []"
    assert report.exit_code == 0


def test_a_name_that_is_nearly_one_of_ours_is_pointed_out(write):
    report = audit(load_target(write(GOOD + "def timestep(n): return [1]\n"), 5.0))
    assert "did you mean timesteps?" in came_of(report, "timestep")


HANGS = {
    "a plain loop": "while True: pass",
    "a sleep": "import time\ntime.sleep(60)",
    "Exception caught in a loop": ENDLESS.format("Exception"),
}


@pytest.mark.parametrize("body", HANGS.values(), ids=HANGS)
def test_a_step_that_hangs_ends_at_the_limit(write, body):
    report = audit(load_target(write(step(body) + "def timesteps(n): return [999, 500][:n]\n"), 0.05))
    assert "step did not return within 0.05 s" in came_of(report, "step at every pair of times")


def test_a_piece_that_hangs_is_waited_for_once(write):
    target = load_target(write(step("while True: pass")), 0.05)
    audit(target)
    assert target.calls["step"] == 1


@pytest.mark.parametrize("body", HANGS.values(), ids=HANGS)
def test_an_import_that_hangs_ends_at_the_limit(write, body):
    with pytest.raises(TargetError, match=r"the import of .*target\.py did not return within 0\.05 s"):
        load_target(write(body), 0.05)


def command(*words):
    return [sys.executable, "-m", "reference", "audit", *words]


def test_a_target_that_catches_everything_ends_the_program(write):
    done = subprocess.run(command(write(ENDLESS.format("BaseException")), "--limit", "0.1"), capture_output=True, text=True)
    assert done.returncode == 2
    assert "did not return within 0.1 s and can't be stopped" in done.stderr


def test_an_interrupt_by_the_user_ends_the_program(write, tmp_path):
    begun = tmp_path / "begun"
    target = write(step(f"open({str(begun)!r}, 'w').close()\nwhile True: pass"))
    process = subprocess.Popen(command(target), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while not begun.exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130 and err == "python -m reference: interrupted\n"


WRITERS = {
    "print": "print('t', t)",
    "stderr": "import sys\nsys.stderr.write('t')",
    "a progress bar": "import tqdm\nlist(tqdm.tqdm([1]))",
}


@pytest.mark.parametrize("body", WRITERS.values(), ids=WRITERS)
def test_a_step_that_prints_is_a_convention(write, body, capsys):
    report = audit(load_target(write(step(body + "\nreturn x")), 5.0))
    assert ("prints", "step") in [(row.name, row.target) for row in report.conventions]
    assert capsys.readouterr() == ("", "")


def test_an_import_that_prints_is_a_convention(write, capsys):
    report = audit(load_target(write("print('hello')\n" + GOOD), 5.0))
    assert ("prints", "the import") in [(row.name, row.target) for row in report.conventions]
    assert capsys.readouterr().out == ""


def test_a_warning_of_the_target_is_not_shown(write):
    report = audit(load_target(write("import warnings\nwarnings.warn('old')\n" + GOOD + "warnings.warn('old')\n"), 5.0))
    assert not report.faults


def test_a_changed_argument_is_a_fault_that_names_it(write):
    text = TABLE + inside("x0 *= np.sqrt(alpha_bar[t])\nx0 += np.sqrt(1 - alpha_bar[t]) * noise\nreturn x0", "def add_noise(x0, noise, t)")
    report = audit(load_target(write(text), 5.0))
    assert [(check.name, check.came) for check in report.faults] == [("changes its arguments", "add_noise: x0")]


def test_nothing_that_can_be_examined_exits_with_2(write, capsys):
    assert run("audit", write("def step(prediction, t, x): raise ValueError('no')")) == 2
    assert capsys.readouterr().out.endswith("nothing could be examined\n")


OPTIONS = {
    "no equals sign": (("--option", "spacing"), "--option must be KEY=VALUE, got spacing"),
    "an option of a file": (("--option", "a=1"), "--option belongs to "),
    "no steps": (("--steps", "0"), "--steps must be at least 1, got 0"),
    "no time": (("--limit", "0"), "--limit must be a positive number, got 0"),
    "NaN": (("--limit", "nan"), "--limit must be a positive number, got nan"),
    "another suffix": (("--json", "a.txt"), "--json must end in .json, got a.txt"),
}


@pytest.mark.parametrize(("words", "sentence"), OPTIONS.values(), ids=OPTIONS)
def test_a_bad_option_is_refused_in_one_sentence(write, words, sentence, capsys):
    assert run("audit", write(GOOD), *words) == 2
    out, err = capsys.readouterr()
    assert not out and sentence in err and len(err.splitlines()) == 1


def test_a_json_file_that_exists_is_kept(write, tmp_path, capsys):
    kept = Path(write("{}", "kept.json"))
    assert run("audit", write(GOOD), "--json", kept) == 2
    assert "exists already: name another --json" in capsys.readouterr().err
    assert kept.read_text() == "{}"


@pytest.mark.skipif(os.name != "posix", reason="a file in place of the folder is refused in other words")
def test_a_json_file_that_cant_be_written_is_refused_before_the_audit(write, capsys):
    path = write(GOOD)
    assert run("audit", path, "--json", f"{path}/report.json") == 2
    out, err = capsys.readouterr()
    assert not out and "can't be written" in err


def test_more_steps_than_levels_are_as_many_as_there_are(write):
    assert run("audit", write(step("return x * 0 + prediction * 0")), "--steps", 5000) == 1


def test_the_exit_code_is_0_without_and_1_with_faults(write):
    assert run("audit", write(GOOD)) == 0
    assert run("audit", write(GOOD.replace("np.sqrt(alpha_bar[t])", "alpha_bar[t]"))) == 1
