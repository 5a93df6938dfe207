"""``trace`` and ``demo`` on a port: findings, output and exit codes."""

import pytest

from accelerated import BUILTIN_PORTS, trace
from accelerated.__main__ import PROGRAM
from accelerated.commands.demo import compare
from reference import ops
from reference.commands.cli import main
from reference.conformance.contract import OPS
from reference.runs.run import open_run

FAULTY = "from reference.ops import *\nfrom tests.meta.faulty_ops import FAULTS\nglobals().update([FAULTS[{fault!r}]])\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "ddpm", "--data", "digits", "--channels", "8", "16", "--batch", "4", "--steps", "2", "--out", str(folder)]) == 0
    return folder


def traced(folder, port):
    return main(["trace", str(folder), "--port", str(port)], PROGRAM)


def test_a_right_port_is_within_tolerance_at_every_call_and_the_run_is_left_as_it_is(folder, capsys):
    before = (folder / "checkpoint.safetensors").read_bytes()
    assert traced(folder, "reference.ops") == 0
    lines = capsys.readouterr().out.splitlines()
    called = {line.split()[0] for line in lines[1:] if line}
    assert {"conv2d", "conv2d_backward", "group_norm_silu", "attention_backward", "mse", "adam_step_", "ema_step_", "global_norm"} <= called
    assert "within their tolerances" in lines[-1] and (folder / "checkpoint.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    "fault, op", [("missing bias gradient", "conv2d_backward"), ("wrong eps", "group_norm"), ("race", "linear_backward")]
)
def test_the_first_op_over_its_tolerance_is_marked_and_the_exit_code_is_one(fault, op, folder, tmp_path, capsys):
    (tmp_path / "port.py").write_text(FAULTY.format(fault=fault))
    assert traced(folder, tmp_path / "port.py") == 1
    output = capsys.readouterr().out
    assert [line.split()[0] for line in output.splitlines() if line.endswith("<- the first beyond its tolerance")] == [op]
    assert output.splitlines()[-1].startswith(f"port and reference differ in {op}: ")


def test_a_port_that_lacks_ops_is_traced_on_its_own_ones_and_an_op_that_raises_differs(folder, tmp_path, capsys):
    port = tmp_path / "port.py"
    port.write_text("from reference.ops import silu, softmax\ndef mse(y, target):\n    raise OSError('no memory')\n")
    assert traced(folder, port) == 1
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines[1 : lines.index("")]} == {"silu", "mse"}
    (lacks,) = (line for line in lines if " lacks " in line)
    assert set(lacks.partition(": ")[2].split(", ")) == {*OPS} - {"silu", "softmax", "mse"}
    assert f"not tested in this step: softmax, other sizes; python -m accelerated check --port {port} tests them" in lines
    assert lines[-1].startswith("port and reference differ in mse: call: port OSError: no memory, reference a result")


def test_a_change_of_the_reference_is_a_difference_and_not_the_ports_mistake(folder, tmp_path, capsys, monkeypatch):
    (tmp_path / "port.py").write_text("import numpy as np\ndef silu(x):\n    return x / (1 + np.exp(-x))\n")
    monkeypatch.setattr(ops, "silu", lambda x: 2 * x)
    assert traced(folder, tmp_path / "port.py") == 1
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("port and reference differ in silu: y[") and "instead of" not in said


def test_in_place_ops_move_the_traced_computation_once(folder):
    run = open_run(folder)
    before = {name: p.copy() for name, p in run.state.params.items()}
    tracer = trace.trace(run, ops, run.data)
    assert all((run.state.params[name] == p).all() for name, p in before.items())
    assert sum(call.name == "adam_step_" for call in tracer.calls) == 1


def test_the_demo_reports_the_port_its_speed_and_its_worst_error(folder):
    run = open_run(folder)
    report = compare(run, run.data, ops)
    assert report["port"] == "reference.ops" and 0 < report["worst_error_over_tolerance"] < 1 and 0.2 < report["speedup_over_reference"] < 5
    assert report["worst_op"] in {call.name for call in trace.trace(run, ops, run.data).calls}


def test_a_command_takes_the_port_that_is_picked_if_none_is_named(capsys):
    assert main(["info"], PROGRAM) == 0
    said = capsys.readouterr().out
    default = next(line.split()[1] for line in said.splitlines() if line.endswith("works, and is the default"))
    assert f"port          {BUILTIN_PORTS[default]}\n" in said and "--port cpu    works" in said
    assert main(["info", "--data", "digits"], PROGRAM) == 0
    said = capsys.readouterr().out
    assert "10 classes" in said and "--port" not in said
    assert main(["trace", "anywhere", "--port", "no_such_file.py"], PROGRAM) == 2
    assert "port no_such_file.py can't be imported: there is no such file" in capsys.readouterr().err
