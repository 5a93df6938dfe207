"""Statistics of synthetic times; processes that are wrong, raise or die are not timed, the others are.  No test asserts a time."""

import numpy as np
import pytest

from benchmarks import measure
from benchmarks.__main__ import add_ratios
from benchmarks.measure import REFERENCE, statistics, timing_warnings, turn_size
from benchmarks.progress import Progress
from benchmarks.table import table

PORT = "import os\nfrom reference.ops import *\nfrom reference import ops\n\ndef linear(x, w, b):\n    {}\n"
PORTS = {
    "wrong": "return ops.linear(x, w, b) * (1 + 1e-5)",
    "raising": "raise RuntimeError('no product today')",
    "dying": "os._exit(3)",
}


def test_median_and_quartiles_are_over_all_records_of_all_turns():
    found = statistics([[1.0, 2.0, 3.0], [4.0, 5.0]])
    assert found == {"median": 3.0, "quartiles": [2.0, 4.0], "minimum": 1.0, "spread": pytest.approx(2 / 3)}


def test_one_slow_turn_moves_the_spread_and_not_the_median():
    seconds = np.random.default_rng(0).normal(1, 0.01, (9, 20))
    quiet, disturbed = statistics(seconds.tolist()), statistics([*seconds.tolist(), [10.0] * 20])
    assert disturbed["median"] == pytest.approx(quiet["median"], rel=0.01)
    assert statistics([*seconds.tolist(), *[[10.0] * 20] * 4])["spread"] > 1


@pytest.mark.parametrize(
    "call, expected",
    [
        (1e-6, {"calls": 10_000, "repeats": 20, "warm": 10_000}),
        (5e-3, {"calls": 2, "repeats": 20, "warm": 2}),
        (0.09, {"calls": 1, "repeats": 2, "warm": 0}),
        (3.0, {"calls": 1, "repeats": 1, "warm": 0}),
    ],
)
def test_a_turn_has_as_many_calls_as_fit(call, expected):
    assert turn_size(call) == expected


def test_wide_spreads_and_busy_machines_are_warned_of():
    entries = {"a": {"spread": 0.3, "other_processes": [[0.5, 1.0]]}, "b": {"spread": 0.01, "other_processes": [[0.0, 1.0]]}, "c": {}}
    assert timing_warnings(entries) == [
        "a: its quartiles are 30% of the median apart",
        "a: other processes took 50% of the processors during its turns",
    ]


def synthetic():
    entry = lambda median, **more: {"median": median, "quartiles": [median, median], "memory": 1e6, "import": 0.5, "first": 3.0} | more
    product = {REFERENCE: entry(2.0), "pytorch": entry(1.0)}
    work = {REFERENCE: {"estimate": 100.0, "not_timed": "slow"}, "accelerated.cpu": entry(2.0), "pytorch": entry(5.0), "jax": entry(4.0)}
    counted = lambda **operations: {"operations": operations, "bytes": {"all": 2e8}}
    workloads = {"matmul": {"implementations": product, "warnings": []} | counted(linear=1e9)}
    workloads["work"] = {"implementations": work, "warnings": ["jax: wide"]} | counted(conv2d=3e9, silu=1e9)
    return add_ratios({"machine": {"processor": "one", "threads": 2}, "workloads": workloads, "copy_bandwidth": 1e9})


def test_ratios_are_to_best_peer_and_reference_and_rates_to_best_matmul():
    report = synthetic()
    ours = report["workloads"]["work"]["implementations"]["accelerated.cpu"]
    assert report["matmul_rate"] == 1e9
    assert {word: ours[word] for word in ours if word.startswith(("over", "rate", "share", "bandwidth"))} == {
        "over_best_peer": 2.0,
        "over_reference": 50.0,
        "rate": 2e9,
        "share_of_matmul_rate": 2.0,
        "bandwidth": 1e8,
        "share_of_copy_bandwidth": 0.1,
    }


def test_the_table_has_a_line_for_each_implementation():
    lines = table(synthetic()).splitlines()
    assert "matrix products 1 GFLOP/s, copies 1.0 GB/s" in lines[1]
    (ours,) = [line for line in lines if "accelerated.cpu" in line]
    assert ours.split() == ["accelerated.cpu", "2000", "[2000,", "2000]", "2.00", "50.0", "2.0", "200%", "0.1", "10%", "1", "0.50", "3.00"]
    assert any(line.split() == [REFERENCE, "slow"] for line in lines)
    assert lines[-1] == "  warning: jax: wide"


def test_wrong_raising_and_dying_ports_are_not_timed_but_the_others_are(tmp_path):
    paths = {name: tmp_path / f"{name}.py" for name in PORTS}
    for name, path in paths.items():
        path.write_text(PORT.format(PORTS[name]))
    ports = [*map(str, paths.values()), REFERENCE]
    report = measure.measure_workload("matmul", "tiny", ports, 1, 0.5, 2, Progress(4))["implementations"]
    wrong, raising, dying = (report[str(paths[name])] for name in PORTS)
    assert (
        not wrong["valid"]
        and wrong["error_over_tolerance"] > 1
        and wrong["not_timed"].startswith("it disagrees with the reference: matmul: y[")
    )
    assert raising["not_timed"] == "RuntimeError: no product today"
    assert dying["not_timed"].startswith("it ended with code 3")
    assert not any("turns" in entry or "median" in entry for entry in (wrong, raising, dying))
    assert report[REFERENCE]["valid"] and len(report[REFERENCE]["turns"]) >= 2 and report[REFERENCE]["median"] > 0


def test_an_implementation_that_fails_while_timed_has_no_times(tmp_path):
    path = tmp_path / "tiring.py"
    path.write_text(PORT.format("globals()['n'] = globals().get('n', 0) + 1\n    return ops.linear(x, w, b) if n < 30 else 1 / 0"))
    entry = measure.measure_workload("matmul", "tiny", [str(path)], 1, 0.02, 2, Progress(1))["implementations"][str(path)]
    assert entry["not_timed"] == "ZeroDivisionError: division by zero" and "median" not in entry


def test_a_slow_reference_is_estimated(monkeypatch):
    slow = measure.expected_results(measure.WORKLOADS["tiny"]["matmul"])._replace(seconds=7.0)
    monkeypatch.setattr(measure, "expected_results", lambda workload: slow)
    entry = measure.measure_workload("matmul", "tiny", [REFERENCE], 1, 5.0, 2, Progress(1))["implementations"][REFERENCE]
    assert entry == {"estimate": 7.0, "not_timed": "a call takes about 7 s"}


def test_an_answer_after_the_timeout_is_a_failure(tmp_path, monkeypatch):
    path = tmp_path / "sleeping.py"
    path.write_text(PORT.format("__import__('time').sleep(100)"))
    monkeypatch.setattr(measure, "TIMEOUT", 0.5)
    entry = measure.measure_workload("matmul", "tiny", [str(path)], 1, 0.02, 2, Progress(1))["implementations"][str(path)]
    assert entry == {"not_timed": "no answer within 0.5 s"}
