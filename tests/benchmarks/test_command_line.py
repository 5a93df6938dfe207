"""``python -m benchmarks``: bad options, what is left out, and the JSON file."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks.measure import REFERENCE, statistics
from benchmarks.peers import PEERS, Peer


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--only", "transformer"], "--only: no workload has 'transformer' in its name"),
        (["--implementations", "fortran"], "port fortran can't be imported"),
        (["--threads", "0"], "--threads must lie in 1 .."),
        (["--threads", "many"], "--threads: invalid int value"),
        (["--json", "HERE"], "exists and is not overwritten"),
        ("--quick --size tiny --only product --implementations scipy --json HERE/out.json".split(), "can't be written"),
        (["scaling", "--out", "HERE"], "can't be written"),
        (["--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_code_2(arguments, said, tmp_path, capsys):
    (tmp_path / "there.json").touch()
    arguments = [word.replace("HERE", str(tmp_path / "there.json")) for word in arguments]
    try:
        code = command.main(arguments)
    except SystemExit as end:
        code = end.code
    captured = capsys.readouterr()
    assert code == 2 and captured.out == "" and captured.err.count("\n") == 1 and said in captured.err


def test_a_peer_that_is_not_installed_is_left_out_and_one_that_compiles_is_not_run_quickly(monkeypatch):
    monkeypatch.setitem(PEERS, "absent", Peer("in_scipy", ("no_such_package",), ()))
    monkeypatch.setitem(PEERS, "compiling", Peer("in_scipy", ("scipy",), (), compiles=True))
    assert command.left_out("absent", quick=False) == "left out, there is no no_such_package: pip install -e '.[peers]'"
    assert command.left_out("compiling", quick=True) == "not run (quick)"
    monkeypatch.setitem(PEERS, "on cuda", Peer("in_scipy", ("scipy",), (), cuda=True))
    assert command.left_out("on cuda") in (None, "left out, there is no CUDA device")
    assert command.left_out("compiling", quick=False) is command.left_out(REFERENCE, quick=True) is None


def test_kernels_are_compiled_before_the_first_of_all_workloads_and_for_the_threads_of_the_workers(monkeypatch):
    asked = []
    monkeypatch.setattr("accelerated.cpu.compile_all", lambda threads: asked.append(threads))
    seconds = command.compile_ahead([REFERENCE, "accelerated.cpu", "scipy"], 3)
    assert asked == [3] and list(seconds) == ["accelerated.cpu"] and seconds["accelerated.cpu"] >= 0


@pytest.mark.parametrize("device", [{}, {"device": "some device", "copy_bandwidth": 1e12}])
def test_a_report_is_of_what_works_on_the_device_or_of_what_works_without(device, monkeypatch):
    monkeypatch.setattr(command, "left_out", lambda name, quick: None)
    measured = {"workload": {}, "operations": {}, "bytes": {}, "implementations": {}, "doubts": []}
    asked = []
    monkeypatch.setattr(command.measure, "measure", lambda name, size, those, *rest: asked.append(those) or measured)
    report = command.run([], [REFERENCE, "accelerated.gpu", "jax", "jax-cuda"], 1, "tiny", True, device)
    there, elsewhere = [REFERENCE, "jax"], ["accelerated.gpu", "jax-cuda"]
    there, elsewhere = (elsewhere, there) if device else (there, elsewhere)
    assert asked == [there] and list(report["left_out"]) == elsewhere
    assert report["copy_bandwidth"] == device.get("copy_bandwidth", report["copy_bandwidth"]) > 0


def test_the_json_file_holds_every_value_and_what_the_table_shows(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "QUICK", command.Effort(0.02, 2))
    out = tmp_path / "new" / "out.json"
    arguments = [
        "--quick",
        "--size",
        "tiny",
        "--only",
        "fine",
        "--implementations",
        REFERENCE,
        "scipy",
        "--threads",
        "1",
        "--json",
        str(out),
    ]
    assert command.main(arguments) == 0
    report, printed = json.loads(out.read_text()), capsys.readouterr().out
    assert command.table(report) in printed and str(out) in printed
    assert list(report["workloads"]) == ["product", "fokker-planck-fine"]
    assert report["machine"]["threads"] == 1 and report["machine"]["versions"]["numpy"] == np.__version__
    workload = report["workloads"]["fokker-planck-fine"]
    assert workload["workload"] == {"cells": 2000} and workload["operations"] == {"fokker_planck_step": 34 * 2000}
    for entry in workload["implementations"].values():
        assert entry["valid"] and entry["over_best_peer"] > 0 and entry["over_reference"] > 0
        assert entry["error_over_budget"] <= 1 and entry["first"] > 0 and entry["import"] > 0
        assert entry.items() >= statistics(entry["turns"]).items()
    assert workload["implementations"]["scipy"]["over_best_peer"] == 1


def test_a_disk_that_is_full_when_all_is_measured_costs_the_file_and_not_the_table(tmp_path, monkeypatch, capsys):
    def full(path, data):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(command, "QUICK", command.Effort(0.02, 2))
    monkeypatch.setattr(command, "write_atomically", full)
    words = ["--quick", "--size", "tiny", "--only", "product", "--implementations", REFERENCE, "--json", str(tmp_path / "out.json")]
    assert command.main(words) == 2
    out, err = capsys.readouterr()
    assert err == f"python -m benchmarks: {tmp_path / 'out.json'} can't be read or written: No space left on device\n"
    assert "x ref" in out.rpartition("matrix products")[2]


def test_every_row_of_the_table_can_be_asked_for_by_name_and_is_shown_as_soon_as_it_is_measured(monkeypatch, capsys):
    shown, measured = [], command.measure.measure

    def after_a_look(*arguments):
        shown.append(capsys.readouterr().out)
        return measured(*arguments)

    monkeypatch.setattr(command, "QUICK", command.Effort(0.02, 2))
    monkeypatch.setattr(command.measure, "measure", after_a_look)
    words = ["--quick", "--size", "tiny", "--only", "product", "fine", "--implementations", REFERENCE]
    assert command.main(words) == 0
    before_product, before_fine = shown
    rows = [line.split() for line in before_fine.splitlines() if line.startswith(f"  {REFERENCE}")]
    assert REFERENCE not in before_product and len(rows) == 1 and float(rows[0][1]) > 0
    for name in command.WORKLOADS["full"]:
        assert name in command.workloads_of(command.build_parser().parse_args(["--only", name]))


@pytest.mark.parametrize("words", [["--size", "tiny"], ["roofline", "--size", "tiny"]])
def test_an_interrupt_is_answered_in_a_line(words, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", interrupted)
    monkeypatch.setattr(command.roofline, "measured", interrupted)
    assert command.main(words) == 130
    assert capsys.readouterr().err == "python -m benchmarks: interrupted\n"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals are POSIX's")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_kill_leaves_no_worker_and_no_file_behind(name, tmp_path):
    start = f"import runpy, signal; signal.signal(signal.{name}, signal.SIG_DFL); runpy.run_module('benchmarks', run_name='__main__')"
    words = [sys.executable, "-c", start, "--size", "tiny", "--implementations", REFERENCE]  # under nohup a SIGHUP would be ignored
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert any("agrees" in line for line in process.stdout)  # reads on until then
        process.send_signal(getattr(signal, name))
        process.communicate()
    assert process.returncode == 130 and not any(tmp_path.iterdir())


def test_an_interrupt_keeps_the_workloads_that_were_measured(tmp_path, monkeypatch):
    measured, out = command.measure.measure, tmp_path / "out.json"

    def interrupted(name, *rest):
        if name == "fokker-planck-fine":
            raise KeyboardInterrupt
        return measured(name, *rest)

    monkeypatch.setattr(command, "QUICK", command.Effort(0.02, 2))
    monkeypatch.setattr(command.measure, "measure", interrupted)
    words = ["--quick", "--size", "tiny", "--only", "fokker", "--implementations", "scipy", REFERENCE, "--json", str(out)]
    assert command.main(words) == 130
    report = json.loads(out.read_text())
    assert list(report["workloads"]) == ["product", "fokker-planck"] and report["interrupted"]
    assert report["workloads"]["fokker-planck"]["implementations"]["scipy"]["over_best_peer"] == 1


@pytest.mark.parametrize(
    "backward, code, said",
    [
        ("", 0, "it lacks silu_backward"),
        ("def silu_backward(dy, x):\n    return dy\n", 1, "it disagrees with the reference: backward: dx["),
        ("def silu_backward(dy, x):\n    raise OSError('none today')\n", 1, "OSError: none today"),
    ],
    ids=["lacking", "wrong", "raising"],
)
def test_a_port_that_lacks_an_op_is_not_timed_and_one_that_is_wrong_or_fails_ends_with_code_1(backward, code, said, tmp_path, capsys):
    port = tmp_path / "port.py"
    port.write_text(f"from reference.ops import linear, silu\n{backward}")
    words = ["--quick", "--size", "tiny", "--only", "op-silu", "--implementations", REFERENCE, "--port", str(port), "--threads", "1"]
    assert command.main(words) == code
    captured = capsys.readouterr()
    of_port = [line.split(maxsplit=1)[1] for line in captured.out.splitlines() if line.startswith(f"  {port}")]
    assert len(of_port) == 4 and of_port[2:] == of_port[:2]  # the product and the op, as they are measured and in the table at the end
    assert of_port[0][0].isdigit() and of_port[1].startswith(said)  # of the product and of the op
    failed = [line for line in captured.err.splitlines() if line.startswith("python -m benchmarks: not timed")]
    assert [f"{port} in op-silu" in line for line in failed] == [True] * code
