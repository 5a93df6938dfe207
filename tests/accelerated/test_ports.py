"""Ports that lack ops, ports that can't be imported, and the optional functions of a port."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import accelerated
from accelerated import load_port, with_reference_ops
from accelerated.__main__ import PROGRAM
from reference import ops
from reference.commands.cli import main
from reference.conformance.contract import OPS
from reference.runs.checkpoint import environment
from reference.runs.devices import DEFAULTS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "ddpm", "--data", "mixture2d", "--width", "8", "--batch", "4", "--steps", "2", "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("command", [["train", "ddpm", "--data", "mixture2d", "--steps", "2"], ["sample", "RUN"], ["evaluate", "RUN"]])
def test_ops_that_a_port_lacks_are_the_references_and_named_in_one_line(command, folder, tmp_path, capsys):
    port, out = tmp_path / "port.py", [] if command[0] == "evaluate" else ["--out", str(tmp_path / "out.npz")]
    port.write_text("from reference.ops import silu\n")
    assert main([str(folder) if word == "RUN" else word for word in command] + ["--port", str(port), *out], PROGRAM) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if " lacks " in line]
    lacking = ", ".join(op for op in OPS if op != "silu")
    assert said == [f"python -m accelerated: {port} lacks ops that are taken from the reference: {lacking}"]


def test_a_port_of_a_device_that_lacks_ops_is_refused_in_one_sentence(folder, tmp_path, capsys):
    (tmp_path / "port.py").write_text("from reference.ops import silu\ndef to_device(array):\n    return array\n")
    assert main(["sample", str(folder), "--port", str(tmp_path / "port.py"), "--out", str(tmp_path / "out.npz")], PROGRAM) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "computes on a device, so the reference's ops can't replace its missing ones: linear, " in said


def test_what_a_completed_port_has_is_its_own_and_a_checkpoint_names_both(tmp_path):
    (tmp_path / "port.py").write_text("from reference.ops import concat\ndef silu(x):\n    return x\ndef environment():\n    return {}\n")
    port = load_port(str(tmp_path / "port.py"))
    whole = with_reference_ops(port)
    assert whole.silu is port.silu and whole.environment is port.environment and whole.normal is ops.normal
    assert environment(whole)["port"] == "port_port with ops of the reference" and with_reference_ops(ops) is ops


@pytest.mark.parametrize("code, said", [("1 +", "SyntaxError: invalid syntax"), ("1 / 0", "ZeroDivisionError: division by zero")])
def test_a_port_that_fails_when_it_is_imported_is_refused_in_one_line(code, said, tmp_path, capsys):
    (tmp_path / "port.py").write_text(code + "\n")
    assert main(["info", "--port", str(tmp_path / "port.py")], PROGRAM) == 2
    assert f"can't be imported: {said}" in capsys.readouterr().err


def test_the_hint_for_a_gpu_names_this_checkout_and_no_package_of_an_index():
    code = "import sys; sys.modules['cupy'] = None; import accelerated.gpu as gpu; print(gpu.missing())"
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment).stdout
    assert said == "the package CuPy is missing: pip install -e '.[gpu]' (CUDA 13), or [gpu12] (CUDA 12)\n"


def test_every_hook_is_looked_up_in_one_way_and_listed_in_one_place():
    root, hooks, others = Path(accelerated.__file__).parents[1], set(), set()
    for path in (path for room in ("reference", "accelerated", "benchmarks") for path in (root / room).rglob("*.py")):
        if "audit" in path.parts:  # its modules are other people's code, not ports
            continue
        text = path.read_text(encoding="utf-8")
        others |= {*re.findall(r'(?:get|has)attr\((?:ops|port|module|accelerated\.load_port\(\w+\)), "(\w+)"', text)}
        hooks |= {*re.findall(r'hook\(\w+, "(\w+)"\)', text)}
    assert hooks == {*DEFAULTS} and others <= {"__name__", "missing_ops"}
