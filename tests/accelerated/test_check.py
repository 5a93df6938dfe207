"""``python -m accelerated check``: its verdicts, report, exit codes and known exceptions."""

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import accelerated
from accelerated import computations
from accelerated.__main__ import PROGRAM
from accelerated.commands.check import list_cases
from reference import ops
from reference.commands.cli import main
from reference.conformance import calling_rules, checks, large_sizes, random_numbers, special_values, suite
from reference.conformance.contract import OPS
from reference.conformance.port import CheckedPort
from reference.runs.checkpoint import environment
from tests.meta.faulty_ops import FAULTS

ROOT = Path(__file__).parents[2]
SCIPY = str(ROOT / "tests" / "conformance" / "scipy_port.py")
FAULTY = "from reference.ops import *\nfrom tests.meta.faulty_ops import FAULTS\nglobals().update([FAULTS[{fault!r}]])\n"


@pytest.fixture
def check(tmp_path, capsys):
    """Run the command on a port, a file name or the code of a port: (exit code, output, JSON report or None)."""

    def run(port, *options):
        if "\n" in port:
            (tmp_path / "port.py").write_text(port)
            port = str(tmp_path / "port.py")
        report = tmp_path / "report.json"
        code = main(["check", "--port", port, "--json", str(report), *options], PROGRAM)
        printed = capsys.readouterr()
        return code, printed.out + printed.err, json.loads(report.read_text()) if report.exists() else None

    return run


def failed(report):
    return [row for row in report["results"] if row["verdict"] == "failed"]


def last_lines(output):
    """The summary, by its first words."""
    return dict(re.findall(r"^(numbers|calling rules|missing): (.*)$", output, re.MULTILINE))


def test_a_partial_port_passes_and_its_missing_ops_are_no_failures(check):
    code, output, report = check(SCIPY, "--quick")
    assert code == 0, output
    own = {"linear", "upsample_nearest", "silu", "softmax", "global_norm"}
    by_verdict = {verdict: {row["op"] for row in report["results"] if row["verdict"] == verdict} for verdict in ("passed", "missing")}
    assert by_verdict == {"passed": own, "missing": {*OPS} - own}
    lines = last_lines(output)
    assert lines["numbers"] == "5 of 5 ops that were tried agree with the reference"
    assert re.fullmatch(r"(\d+) of \1 that were tried are kept", lines["calling rules"])
    assert lines["missing"].startswith(f"{len(OPS) - 5} of {len(OPS)} ops: linear_backward, ")
    words = [line.split()[:2] for line in output.splitlines()]
    assert ["silu", "passed"] in words and ["conv2d", "missing"] in words


def test_the_report_has_settings_versions_and_a_row_per_op_check_and_dtype(check):
    _, _, report = check("reference.ops", "--quick", "--ops", "softmax", "mse")
    assert report["settings"] == {
        "port": "reference.ops",
        "ops": ["softmax", "mse"],
        "quick": True,
        "large": False,
        "known": None,
        "draws": {"numbers": 10, "calling rules": 2},
    }
    assert report["versions"].items() >= {"numpy": np.__version__, "port": environment(ops)["port"]}.items()
    rows = report["results"]
    assert all({*row} == {"op", "check", "dtype", "error_over_tolerance", "verdict", "message"} for row in rows)
    keys = [(row["op"], row["check"], row["dtype"]) for row in rows]
    assert len({*keys}) == len(keys) and {op for op, *_ in keys} == {"softmax", "mse"}
    ratios = {key: row["error_over_tolerance"] for key, row in zip(keys, rows)}
    assert 0 < ratios["softmax", "results are within tolerance", "float32"] < 1
    assert ratios["softmax", "arguments are not modified", "float64"] is None


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_ends_with_exit_code_1_and_the_name_of_its_op(fault, check):
    op, _ = FAULTS[fault]
    code, output, report = check(FAULTY.format(fault=fault), "--quick", "--ops", op)
    assert code == 1 and {row["op"] for row in failed(report)} == {op}, output
    assert all(row["message"].startswith(f"{op}: ") for row in failed(report))
    lines = last_lines(output)
    blamed = lines["numbers"].partition("; wrong: ")[2] or lines["calling rules"].partition("; broken: ")[2]
    assert {*re.findall(r"\w+", blamed)} & {*OPS} == {op}
    assert [op, "FAILED"] in [line.split()[:2] for line in output.splitlines()]


RULE_FAULTS = {
    "out is filled and returned": "def silu(x, out=None):\n    return ops.silu(x)\n",
    "out with another dtype or shape is refused": "def silu(x, out=None):\n    y = ops.silu(x)\n    if out is None:\n        return y\n"
    "    np.copyto(out, y, 'unsafe') if hasattr(out, 'shape') else None\n    return out\n",
    "dtype in is dtype out": "@takes_out\ndef silu(x):\n    return ops.silu(x).astype(np.float64)\n",
    "memory layout of any argument does not matter": "@takes_out\ndef silu(x):\n"
    "    return ops.silu(np.frombuffer(x.tobytes('A'), x.dtype).reshape(x.shape))\n",
    "arguments are not modified": "@takes_out\ndef silu(x):\n    y = ops.silu(x)\n"
    "    if x.flags.writeable:\n        x[...] = 0\n    return y\n",
    "two calls return separate memory": "@takes_out\ndef concat_backward(dy, x, y):\n"
    "    ops.concat_backward(dy, x, y)\n    return dy[..., :x.shape[-1]], dy[..., x.shape[-1]:]\n",
    "list for an array is a type error that names the argument": "@takes_out\ndef silu(x):\n    return ops.silu(np.asarray(x))\n",
    "read only target is a value error": "def ema_step_(average, p, decay):\n    if average.flags.writeable:\n"
    "        ops.ema_step_(average, p, decay)\n",
    "mismatched sizes are a value error": "@takes_out\ndef concat(x, y):\n"
    "    return ops.concat(x[:min(len(x), len(y))], y[:min(len(x), len(y))]) if x.shape[1:-1] == y.shape[1:-1] else ops.concat(x, y)\n",
    "losses refuse an empty batch": "@takes_out\ndef gaussian_kl(mean, log_var):\n"
    "    return ops.gaussian_kl(mean, log_var) if len(mean) else np.zeros(0)\n",
    "non finite input makes only its own sample non finite": "@takes_out\ndef softmax(x):\n"
    "    y = ops.softmax(np.nan_to_num(x, nan=0.0))\n    return y\n",
    "axes written as dots must agree between arguments": "@takes_out\ndef silu_backward(dy, x):\n"
    "    return ops.silu_backward(dy[:, :x.shape[1]] if dy.ndim > 1 and dy.ndim == x.ndim else dy, x)\n",
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("rule", RULE_FAULTS)
def test_a_broken_calling_rule_ends_with_exit_code_1_and_its_name(rule, check):
    code = "import numpy as np\nfrom reference import ops\nfrom reference.ops import *\nfrom reference.ops.checks import takes_out\n"
    (op,) = re.findall(r"^def (\w+)", RULE_FAULTS[rule], re.MULTILINE)
    status, output, report = check(code + RULE_FAULTS[rule], "--quick", "--ops", op)
    assert status == 1 and rule in {row["check"] for row in failed(report)}, output
    assert {row["op"] for row in failed(report)} == {op}
    assert f"{rule} ({op})" in last_lines(output)["calling rules"]


def test_a_failure_names_shapes_seed_and_the_worst_element_with_both_values(check):
    port = "from reference import ops\ndef linear_backward(dy, x, w, out=None):\n    dx, dw, db = ops.linear_backward(dy, x, w)\n"
    _, output, report = check(port + "    return dx, dw, 2 * db\n", "--ops", "linear_backward")
    drawn = [row for row in failed(report) if row["check"] == "results are within tolerance" and row["dtype"] == "float32"]
    assert len(drawn) == 1
    number, shape = r"-?[\d.e+-]+", r"float32\[\d+,\d+\]"
    message = rf"linear_backward: db\[\d+\] is {number} instead of {number}: {number} times its tolerance \(largest entry\); "
    assert re.fullmatch(message + rf"dy {shape}, x {shape}, w {shape}; seed \d+", drawn[0]["message"])
    assert drawn[0]["error_over_tolerance"] > 1 and drawn[0]["message"] in output


@pytest.mark.parametrize("builtin", [True, False])
def test_error_messages_are_required_of_builtin_ports_only(builtin):
    def silu(x, out=None):
        try:
            return ops.silu(x, out=out)
        except (TypeError, ValueError) as error:
            raise type(error)("wrong") from None

    module = SimpleNamespace(silu=silu)
    port = CheckedPort("port", module, builtin, [name for name in OPS if name != "silu"], None)
    results = suite.run(port, suite.rule_cases(port, draws=2))
    rule = "list for an array is a type error that names the argument"
    (result,) = (result for result in results if result.check == rule)
    assert result.verdict == ("failed" if builtin else "passed")
    assert not builtin or result.message.startswith("silu: the message 'wrong' does not match '^x must be ")


def test_an_op_that_raises_fails_with_its_error_and_the_shapes_of_the_call(check):
    code, _, report = check("def silu(x, out=None):\n    raise OSError('no memory')\n", "--quick", "--ops", "silu")
    messages = {row["check"]: row["message"] for row in failed(report)}
    assert code == 1
    assert re.fullmatch(r"silu: raises OSError: no memory; x float\d\d\[[\d,]+\]", messages["results are within tolerance"])


def test_an_assertion_of_the_port_itself_fails_with_the_shapes_of_the_call(check):
    _, _, report = check("def silu(x, out=None):\n    assert x.ndim == 9\n", "--quick", "--ops", "silu")
    assert {row["op"] for row in failed(report)} == {"silu"}
    assert re.match(r"silu: raises AssertionError: .*; x float\d\d\[[\d,]+\]$", failed(report)[0]["message"])


def test_a_right_op_beside_a_wrong_one_passes(check):
    port = "from reference.ops import linear_backward\nfrom reference import ops\ndef linear(x, w, b=None, out=None):\n"
    code, output, report = check(port + "    return 2 * ops.linear(x, w, b)\n", "--quick")
    assert code == 1 and {row["op"] for row in failed(report)} == {"linear"}
    assert last_lines(output)["numbers"].startswith("1 of 2 ops ") and last_lines(output)["numbers"].endswith("; wrong: linear")


def test_a_network_on_a_faulty_op_fails_with_the_name_of_the_op():
    name, function = FAULTS["wrong eps"]
    module = SimpleNamespace(**{op: getattr(ops, op) for op in OPS} | {name: function, "__name__": "faulty"})
    port = CheckedPort("faulty", module, False, [], module)
    cases = [case for case in list_cases(port) if case.subject in ("network plain", "network points")]
    results = {(result.op, result.dtype): result for result in suite.run(port, cases)}
    assert len(results) == 4 and results["network points", "float32"].verdict == "passed"
    wrong = results["network plain", "float32"]
    assert wrong.verdict == "failed" and wrong.blamed == "group_norm" and wrong.message.startswith("group_norm: ")
    assert wrong.error_over_tolerance > 1
    numbers, *_ = suite.summary(results.values(), [])
    assert numbers == "numbers: 0 of 1 ops and 1 of 2 whole computations that were tried agree with the reference; wrong: group_norm"


def public_checks(module):
    """The functions of a module that take a port first."""
    functions = [f for name, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__ and name[0] != "_"]
    found = {f for f in functions if next(iter(inspect.signature(f).parameters), "") == "port"}
    return found - {calling_rules.assert_refused, computations.within_tolerance}


def test_the_command_and_pytest_make_every_check():
    port = accelerated.checked_port("reference.ops")
    every = {
        f for module in (checks, special_values, random_numbers, calling_rules, large_sizes, computations) for f in public_checks(module)
    }
    assert {case.check for case in list_cases(port, large=True)} == {suite.check_name(f) for f in every}
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "conformance").glob("test_*.py"))
    assert [f.__name__ for f in every if f".{f.__name__}(" not in tests] == []


@pytest.mark.parametrize("quick", [False, True])
def test_every_op_has_cases_of_numbers_and_rules_in_both_dtypes(quick):
    cases = list_cases(accelerated.checked_port("reference.ops"), quick, whole=False)
    for name in OPS:
        drawn = {case.dtype for case in cases if case.subject == name and case.check == "results are within tolerance"}
        assert drawn == {"float32", "float64"} and any(case.kind == suite.RULES for case in cases if case.subject == name)
    assert {case.subject for case in cases} == {*OPS}


def test_a_device_port_that_lacks_ops_is_checked_without_whole_computations(check):
    code, output, _ = check("from reference.ops import silu\ndef to_device(array):\n    return array\n")
    assert code == 0 and last_lines(output)["numbers"].startswith("1 of 1 ops that were tried agree")


def test_a_device_port_passes(check):
    code, output, _ = check(str(ROOT / "tests" / "device_port.py"), "--quick", "--ops", "softmax", "attention", "add_noise", "adam_step_")
    assert code == 0, output


SOFTMAX = "from reference import ops\ndef softmax(x, out=None):\n    return ops.softmax(x)\n"
BROKEN = {"op": "softmax", "check": "out is filled and returned", "reason": "no out=", "until": "2999-12-31"}
REFUSED = BROKEN | {"check": "out with another dtype or shape is refused"}


def known_file(tmp_path, rows, suffix):
    path = tmp_path / f"known{suffix}"
    if suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        line = lambda field, value: f"{field} = {value}\n" if field == "until" else f"{field} = {json.dumps(value)}\n"
        path.write_text("".join("[[exception]]\n" + "".join(line(*item) for item in row.items()) for row in rows))
    return str(path)


@pytest.mark.parametrize("suffix", [".json", ".toml"])
def test_known_exceptions_are_no_failures_until_their_date(suffix, tmp_path, check):
    code, output, report = check(SOFTMAX, "--quick", "--ops", "softmax", "--known", known_file(tmp_path, [BROKEN, REFUSED], suffix))
    assert code == 0, output
    known = [row for row in report["results"] if row["verdict"] == "known"]
    assert {row["check"] for row in known} == {BROKEN["check"], REFUSED["check"]}
    assert all(row["message"].startswith("no out= (until 2999-12-31); softmax: ") for row in known)


def test_an_expired_exception_fails_with_a_sentence(tmp_path, check):
    known = known_file(tmp_path, [BROKEN | {"until": "2020-02-29"}, REFUSED], ".json")
    code, output, report = check(SOFTMAX, "--quick", "--ops", "softmax", "--known", known)
    assert code == 1 and [row["check"] for row in failed(report)] == [BROKEN["check"]]
    assert "the known exception expired on 2020-02-29: no out=" in output


def test_exceptions_that_do_not_fail_any_more_are_named(tmp_path, check):
    known = known_file(tmp_path, [BROKEN, REFUSED], ".json")
    code, output, report = check("reference.ops", "--quick", "--ops", "softmax", "--known", known)
    assert code == 0
    assert f"known exception no longer needed, the check does not fail: softmax: {BROKEN['check']}" in output
    assert len(report["unneeded_exceptions"]) == 2


@pytest.mark.parametrize(
    "rows, message",
    [
        ([{field: BROKEN[field] for field in ("op", "check", "until")}], "row 1 must have op, check, reason, until and nothing else"),
        ([BROKEN | {"reason": " "}], "row 1: reason must be a text, got ' '"),
        ([BROKEN, REFUSED | {"until": "soon"}], "row 2: until must be a date YYYY-MM-DD, got 'soon'"),
        ([BROKEN | {"op": "tanh"}], "row 1: there is no op 'tanh'"),
        ([BROKEN | {"check": "it works"}], "row 1: there is no check 'it works'"),
        ([BROKEN, BROKEN], "two rows name op softmax and check 'out is filled and returned'"),
        ({"op": "softmax"}, "it must hold a list of rows"),
    ],
)
def test_a_wrong_row_of_known_exceptions_is_refused_in_one_sentence(rows, message, tmp_path, check):
    code, output, report = check(SOFTMAX, "--quick", "--ops", "softmax", "--known", known_file(tmp_path, rows, ".json"))
    assert code == 2 and report is None and output.count("\n") == 1
    assert f"known.json: {message}" in output


@pytest.mark.parametrize(
    "options, message",
    [
        (["--json", "report.txt"], "--json must name a file that ends in .json, got report.txt"),
        (["--json", "no/such/folder/report.json"], "--json must name a file in a folder that exists"),
        (["--ops", "silu", "tanh"], "--ops: there is no op 'tanh'"),
        (["--known", "no_such_file.json"], "no_such_file.json can't be read or written"),
        (["--known", "known.yaml"], "known.yaml: its name must end in .json or .toml"),
        (["--port", "no_such_port.py"], "port no_such_port.py can't be imported: there is no such file"),
    ],
)
def test_bad_options_exit_2_with_one_sentence(options, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("known.yaml").write_text("")
    assert main(["check", "--port", "reference.ops", *options], PROGRAM) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and message in printed.err


def test_the_command_needs_neither_pytest_nor_hypothesis_nor_tests():
    blocked = "import sys; sys.modules.update(dict.fromkeys(['pytest', 'hypothesis', 'tests'])); "
    run = "from accelerated.__main__ import PROGRAM, main; sys.exit(main(['check', '--port', 'reference.ops', '--ops', 'mse'], PROGRAM))"
    done = subprocess.run([sys.executable, "-c", blocked + run], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "numbers: 1 of 1 ops" in done.stdout, done.stderr
