"""Steps divided among processes: the table of synthetic times, parts by a synthetic clock, the whole program at its tiny size."""

import json
from types import SimpleNamespace

import pytest

from benchmarks import processes
from benchmarks.__main__ import main
from benchmarks.measure import Failure, Worker, available_processors, disagreement, expected_results
from benchmarks.peers import PEERS
from benchmarks.processes import PARTS, Case, cases, check_bits, failed, markdown, plot
from benchmarks.workloads import WORKLOADS

WORDS = ["scaling", "--processes", "--size", "tiny"]
PORT = """\
from reference import ops
from reference.ops import *
from reference.runs.launch import launched
rank, count = launched() or (0, 1)

def linear(x, w, b):
    return {}
"""
PORTS = {"other_bits": "ops.linear(x, w, b) * (1 + 1.2e-7 * (count - 1))", "failing_in_rank_1": "1 / 0 if rank else ops.linear(x, w, b)"}


def entry(case, median, *parts):
    given = {"parts": [], "medians_of_parts": dict(zip(PARTS, parts))} if parts else {}
    return case._asdict() | {"median": median, "quartiles": [0.9 * median, 1.1 * median]} | given


def synthetic():
    times = {
        Case("port", 1, 1): (0.2, 0.19, 0.0, 0.0, 0.01),
        Case("port", 8, 1): (0.3, 0.29, 0.0, 0.0, 0.01),
        Case("port", 8, 4): (0.1, 0.08, 0.002, 0.016, 0.002),
        Case("pytorch", 1, 1): (0.4,),
        Case("pytorch", 1, 2): (0.25,),
    }
    found = {str(case): entry(case, *of_case) for case, of_case in times.items()}
    found["other"] = Case("other", 1, 1)._asdict() | {"not_timed": "it disagrees"}
    work = {"batch": 32, "size": [32, 32], "parameters": 999_999}
    return {"machine": {"processor": "one", "time": "2026-11-30T00"}, "work": work, "cases": found, "warnings": ["port: wide"]}


def test_the_table_has_the_speed_over_one_process_without_shards_and_the_efficiency_over_one_with_as_many():
    lines = markdown(synthetic())
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| p")]
    assert cells[2] == ["port", "8", "4", "100 [90, 110]", "320.0", "2.00", "75%", "80", "2", "16", "2"]
    assert cells[4] == ["pytorch", "1", "2", "250 [225, 275]", "128.0", "1.60", "80%", "", "", "", ""]
    assert lines[-3] == "- other is not timed: it disagrees" and lines[-1] == "- warning: port: wide"
    assert failed(synthetic()) == ["other"] and plot(synthetic()).startswith(b"\x89PNG")


def test_the_exchange_is_compared_with_the_gradient_by_rounds_and_images():
    """4 processes: two rounds of 8 ms for a million float32 numbers, and 8 images each in 80 ms, so 10 ms an image."""
    (line,) = processes.exchange_lines(synthetic())
    assert "a round of the exchange takes 8 ms (500 MB/s), the gradient of an image 10 ms." in line
    assert "fewer than 0.8 log2(W) images. At 400 MB/s" in line


@pytest.mark.parametrize("processors, counts", [(1, [1]), (2, [1, 2]), (3, [1, 2]), (7, [1, 2, 4]), (8, [1, 2, 4, 8]), (64, [1, 2, 4, 8])])
def test_counts_are_powers_of_two_up_to_the_processors_and_the_shards(processors, counts):
    of_torch = [Case("pytorch", 1, count) for count in counts]
    assert list(cases(["port", "pytorch"], processors)) == [Case("port", 1, 1), *[Case("port", 8, count) for count in counts], *of_torch]


def test_other_bits_in_more_processes_are_a_failure():
    digests: dict = {}
    for case, digest in ((Case("port", 1, 1), "a"), (Case("port", 8, 1), "b"), (Case("port", 8, 2), "b"), (Case("other", 8, 2), "c")):
        check_bits(case._asdict() | {"digest": digest}, digests)
    with pytest.raises(Failure, match="other bits"):
        check_bits(Case("port", 8, 4)._asdict() | {"digest": "a"}, digests)


def test_the_barrier_divides_waiting_from_the_exchange(monkeypatch):
    """A clock that only the barrier and the sum advance, by 3 and 5 seconds."""
    now = [0]
    monkeypatch.setattr(processes.time, "perf_counter", lambda: now[0])
    advance = lambda seconds: now.__setitem__(0, now[0] + seconds)
    barrier = SimpleNamespace(Barrier=lambda: advance(3))
    team = SimpleNamespace(rank=0, count=1, comm=barrier, sum=lambda array: (advance(5), array)[1])
    _, call, _, parts = processes.prepare(team, "reference.ops", WORKLOADS["processes-tiny"]["shards-1"])
    call(), call()
    assert parts == [[0, 3, 5, 0]] * 2


@pytest.mark.parametrize(
    "missing, implementation, message",
    [
        ("find_spec", "reference.ops", "--processes needs the package mpi4py: pip install"),
        ("which", "reference.ops", "--processes needs the program mpiexec: pip install"),
        (None, "scipy", "--processes measures ports and pytorch, got scipy"),
    ],
)
def test_what_is_missing_is_said_in_one_line(missing, implementation, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(processes, "find_spec", lambda name: None if missing == "find_spec" else name)
    monkeypatch.setattr(processes.shutil, "which", lambda name: None if missing == "which" else name)
    assert main([*WORDS, "--impl", implementation, "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"python -m benchmarks scaling: {message}") and captured.err.count("\n") == 1 and captured.out == ""


def test_axes_and_processes_exclude_each_other(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([*WORDS, "--axes", "cells", "--out", str(tmp_path / "out")])
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.processes
def test_cases_with_equal_bits_are_timed_and_others_not(tmp_path, monkeypatch):
    if len(available_processors()) < 2:
        pytest.skip("needs two processors")
    paths = {name: tmp_path / f"{name}.py" for name in PORTS}
    for name, path in paths.items():
        path.write_text(PORT.format(PORTS[name]))
    other, failing = map(str, paths.values())
    chosen = [Case("reference.ops", 8, 1), Case("reference.ops", 8, 2), Case(other, 8, 1), Case(other, 8, 2), Case(failing, 8, 2)]
    monkeypatch.setattr(processes, "cases", lambda *_: chosen)
    out = tmp_path / "out"
    assert main([*WORDS, "--impl", "reference.ops", "--out", str(out)]) == 1
    cases = json.loads((out / "scaling.json").read_text())["cases"]
    one, two, _, other_bits, failed = (cases[str(case)] for case in chosen)
    assert one["valid"] and two["valid"] and one["digest"] == two["digest"] and one["median"] > 0
    assert [len(turn) for turn in two["parts"]] == [2] * len(two["turns"])  # of two processes
    assert other_bits["not_timed"] == "its parameters have other bits than those of one process" and "median" not in other_bits
    assert failed["not_timed"] == "it ended with code 1: ZeroDivisionError: division by zero" and "median" not in failed
    assert "| reference.ops | 8 | 2 | " in (out / "scaling.md").read_text()
    assert (out / "scaling.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("count", [1, 2])
def test_processes_of_pytorch_agree_with_the_reference(count, tmp_path):
    if missing := PEERS["pytorch"].missing_requirements():
        pytest.skip(f"{' and '.join(missing)} not installed: pip install -e '.[peers]'")
    case = Case("pytorch", 1, count)
    single, exact, *_ = expected_results(WORKLOADS["processes-tiny"]["shards-1"])
    with Worker("pytorch", "shards-1", "processes-tiny", 1, tmp_path, case.program) as worker:
        worker.answer()
        assert len(worker.pids) == count
        error = disagreement(worker.results(), single, exact)
        assert error.ratio <= 1, str(error)
        assert len(worker.ask(calls=2, repeats=3)["seconds"]) == 3
