"""``python -m benchmarks``: bad options, skipped implementations, interrupts and the JSON file."""

import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks.measure import REFERENCE, statistics
from benchmarks.peers import PEERS, Peer


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--filter", "transformer"], "--filter: no workload has 'transformer' in its name"),
        (["--impl", "fortran"], "port fortran can't be imported"),
        (["--threads", "0"], "--threads must lie in 1 .."),
        (["--threads", "many"], "--threads: invalid int value"),
        (["--json", "HERE"], "exists and is not overwritten"),
        ("--quick --size tiny --filter matmul --impl scipy --json HERE/out.json".split(), "can't be written"),
        (["scaling", "--out", "HERE"], "can't be written"),
        (["--fast"], "unrecognized arguments: --fast"),
        (["scal"], "unknown subcommand scal, choose from compare, "),
        (["scal"], "did you mean scaling?"),
    ],
)
def test_bad_options_exit_2_with_one_line(arguments, message, tmp_path, capsys):
    (tmp_path / "there.json").touch()
    arguments = [word.replace("HERE", str(tmp_path / "there.json")) for word in arguments]
    try:
        code = command.main(arguments)
    except SystemExit as end:
        code = end.code
    captured = capsys.readouterr()
    assert code == 2 and captured.out == "" and captured.err.count("\n") == 1 and message in captured.err


@pytest.mark.parametrize("program", ["", *command.SUBCOMMANDS])
def test_help_names_the_default_of_every_option(program, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit, match="0"):
        command.main([*filter(None, [program]), "--help"])
    text = capsys.readouterr().out
    options = re.split(r"\n  (?=-)", text.partition("options:")[2].partition("\n\n")[0])[2:]  # without -h
    assert all("(default: " in option or "(required)" in option for option in options), text
    assert program or all(f"\n  {name} " in text for name in command.SUBCOMMANDS)


def test_missing_peers_are_skipped_and_with_quick_compiling_ones_too(monkeypatch):
    monkeypatch.setitem(PEERS, "absent", Peer("in_scipy", ("no_such_package",), ()))
    monkeypatch.setitem(PEERS, "compiling", Peer("in_scipy", ("scipy",), (), compiles=True))
    assert command.skip_reason("absent", quick=False) == "skipped, missing: no_such_package; pip install -e '.[peers]'"
    assert command.skip_reason("compiling", quick=True) == "skipped by --quick, it compiles"
    monkeypatch.setitem(PEERS, "on cuda", Peer("in_scipy", ("scipy",), (), cuda=True))
    assert command.skip_reason("on cuda") in (None, "skipped, missing: CUDA device")
    assert command.skip_reason("compiling", quick=False) is command.skip_reason(REFERENCE, quick=True) is None


def test_kernels_are_compiled_ahead_for_the_threads_of_the_workers(monkeypatch):
    asked = []
    monkeypatch.setattr("accelerated.cpu.compile_all", lambda threads: asked.append(threads))
    seconds = command.compile_ahead([REFERENCE, "accelerated.cpu", "scipy"], 3)
    assert asked == [3] and list(seconds) == ["accelerated.cpu"] and seconds["accelerated.cpu"] >= 0


@pytest.mark.parametrize("device", [{}, {"device": "some device", "copy_bandwidth": 1e12}])
def test_a_report_has_only_implementations_on_the_same_hardware(device, monkeypatch):
    monkeypatch.setattr(command, "skip_reason", lambda name, quick: None)
    measured = {"workload": {}, "operations": {}, "bytes": {}, "implementations": {}, "warnings": []}
    asked = []
    monkeypatch.setattr(command.measure, "measure_workload", lambda name, size, names, *rest: asked.append(names) or measured)
    report = command.run([], [REFERENCE, "accelerated.gpu", "jax", "jax-cuda"], 1, "tiny", True, device)
    cpu, gpu = [REFERENCE, "jax"], ["accelerated.gpu", "jax-cuda"]
    timed, skipped = (gpu, cpu) if device else (cpu, gpu)
    assert asked == [timed] and list(report["skipped"]) == skipped
    assert report["copy_bandwidth"] == device.get("copy_bandwidth", report["copy_bandwidth"]) > 0


def test_the_json_file_holds_every_value_of_the_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "QUICK", command.Effort(0.02, 2))
    out = tmp_path / "new" / "out.json"
    arguments = [
        "--quick",
        "--size",
        "tiny",
        "--filter",
        "fine",
        "--impl",
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
    assert list(report["workloads"]) == ["matmul", "fokker-planck-fine"]
    assert report["machine"]["threads"] == 1 and report["machine"]["versions"]["numpy"] == np.__version__
    workload = report["workloads"]["fokker-planck-fine"]
    assert workload["workload"] == {"cells": 2000} and workload["operations"] == {"fokker_planck_step": 34 * 2000}
    for entry in workload["implementations"].values():
        assert entry["valid"] and entry["over_best_peer"] > 0 and entry["over_reference"] > 0
        assert entry["error_over_tolerance"] <= 1 and entry["first"] > 0 and entry["import"] > 0
        assert entry.items() >= statistics(entry["turns"]).items()
    assert workload["implementations"]["scipy"]["over_best_peer"] == 1


def test_a_full_disk_loses_the_file_but_not_the_table(tmp_path, monkeypatch, capsys):
    def full(path, data):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(command, "QUICK", command.Effort(0.02, 2))
    monkeypatch.setattr(command, "write_atomically", full)
    words = ["--quick", "--size", "tiny", "--filter", "matmul", "--impl", REFERENCE, "--json", str(tmp_path / "out.json")]
    assert command.main(words) == 2
    out, err = capsys.readouterr()
    assert err == f"python -m benchmarks: {tmp_path / 'out.json'} can't be read or written: No space left on device\n"
    assert "x ref" in out.rpartition("matrix products")[2]


def test_filter_selects_any_workload_and_its_row_is_printed_at_once(monkeypatch, capsys):
    printed, measure_workload = [], command.measure.measure_workload

    def keep_output(*arguments):
        printed.append(capsys.readouterr().out)
        return measure_workload(*arguments)

    monkeypatch.setattr(command, "QUICK", command.Effort(0.02, 2))
    monkeypatch.setattr(command.measure, "measure_workload", keep_output)
    words = ["--quick", "--size", "tiny", "--filter", "matmul", "fine", "--impl", REFERENCE]
    assert command.main(words) == 0
    before_matmul, before_fine = printed
    rows = [line.split() for line in before_fine.splitlines() if line.startswith(f"  {REFERENCE}")]
    assert REFERENCE not in before_matmul and len(rows) == 1 and float(rows[0][1]) > 0
    for name in command.WORKLOADS["full"]:
        assert name in command.select_workloads(command.build_parser().parse_args(["--filter", name]))


@pytest.mark.parametrize("words", [["--size", "tiny"], ["roofline", "--size", "tiny"]])
def test_an_interrupt_ends_in_one_line(words, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", interrupted)
    monkeypatch.setattr(command.roofline, "measure_machine", interrupted)
    assert command.main(words) == 130
    assert capsys.readouterr().err == "python -m benchmarks: interrupted\n"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals are POSIX's")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_kill_leaves_no_worker_and_no_file(name, tmp_path):
    start = f"import runpy, signal; signal.signal(signal.{name}, signal.SIG_DFL); runpy.run_module('benchmarks', run_name='__main__')"
    words = [sys.executable, "-c", start, "--size", "tiny", "--impl", REFERENCE]  # under nohup a SIGHUP would be ignored
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert any("agrees" in line for line in process.stdout)  # reads on until then
        process.send_signal(getattr(signal, name))
        process.communicate()
    assert process.returncode == 130 and not any(tmp_path.iterdir())


def test_an_interrupt_keeps_the_workloads_that_were_measured(tmp_path, monkeypatch):
    measured, out = command.measure.measure_workload, tmp_path / "out.json"

    def interrupted(name, *rest):
        if name == "fokker-planck-fine":
            raise KeyboardInterrupt
        return measured(name, *rest)

    monkeypatch.setattr(command, "QUICK", command.Effort(0.02, 2))
    monkeypatch.setattr(command.measure, "measure_workload", interrupted)
    words = ["--quick", "--size", "tiny", "--filter", "fokker", "--impl", "scipy", REFERENCE, "--json", str(out)]
    assert command.main(words) == 130
    report = json.loads(out.read_text())
    assert list(report["workloads"]) == ["matmul", "fokker-planck"] and report["interrupted"]
    assert report["workloads"]["fokker-planck"]["implementations"]["scipy"]["over_best_peer"] == 1


@pytest.mark.parametrize(
    "backward, code, message",
    [
        ("", 0, "it lacks silu_backward"),
        ("def silu_backward(dy, x):\n    return dy\n", 1, "it disagrees with the reference: backward: dx["),
        ("def silu_backward(dy, x):\n    raise OSError('none today')\n", 1, "OSError: none today"),
    ],
    ids=["lacking", "wrong", "raising"],
)
def test_a_lacking_port_is_not_timed_and_a_wrong_or_failing_one_exits_1(backward, code, message, tmp_path, capsys):
    port = tmp_path / "port.py"
    port.write_text(f"from reference.ops import linear, silu\n{backward}")
    words = ["--quick", "--size", "tiny", "--filter", "op-silu", "--impl", REFERENCE, "--port", str(port), "--threads", "1"]
    assert command.main(words) == code
    captured = capsys.readouterr()
    of_port = [line.split(maxsplit=1)[1] for line in captured.out.splitlines() if line.startswith(f"  {port}")]
    assert len(of_port) == 4 and of_port[2:] == of_port[:2]  # the product and the op, as they are measured and in the table at the end
    assert of_port[0][0].isdigit() and of_port[1].startswith(message)  # of the product and of the op
    failed = [line for line in captured.err.splitlines() if line.startswith("python -m benchmarks: not timed")]
    assert [f"{port} in op-silu" in line for line in failed] == [True] * code
