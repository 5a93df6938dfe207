"""Statistics on synthetic timings; processes that are wrong, raise or die are not timed, and the rest goes on.  No test asserts a time."""

import numpy as np
import pytest

from benchmarks import measure
from benchmarks.__main__ import compare
from benchmarks.measure import REFERENCE, doubts, statistics, turn_of
from benchmarks.progress import Progress
from benchmarks.table import table

PORT = "import os\nfrom reference.ops import *\nfrom reference import ops\n\ndef linear(x, w, b):\n    {}\n"
PORTS = {
    "wrong": "return ops.linear(x, w, b) * (1 + 1e-5)",
    "raising": "raise RuntimeError('no product today')",
    "dying": "os._exit(3)",
}


def test_median_and_quartiles_are_over_all_calls_of_all_turns():
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
    assert turn_of(call) == expected


def test_wide_spreads_and_busy_machines_are_said():
    entries = {"a": {"spread": 0.3, "others": [[0.5, 1.0]]}, "b": {"spread": 0.01, "others": [[0.0, 1.0]]}, "c": {}}
    assert doubts(entries) == [
        "a: the middle half of its times spans 30% of the median",
        "a: others took 50% of the processors meanwhile",
    ]


def synthetic():
    entry = lambda median, **more: {"median": median, "quartiles": [median, median], "memory": 1e6, "import": 0.5, "first": 3.0} | more
    product = {REFERENCE: entry(2.0), "pytorch": entry(1.0)}
    work = {REFERENCE: {"estimate": 100.0, "not_run": "slow"}, "accelerated.cpu": entry(2.0), "pytorch": entry(5.0), "jax": entry(4.0)}
    counted = lambda **operations: {"operations": operations, "bytes": {"all": 2e8}}
    workloads = {"product": {"implementations": product, "doubts": []} | counted(linear=1e9)}
    workloads["work"] = {"implementations": work, "doubts": ["jax: doubtful"]} | counted(conv2d=3e9, silu=1e9)
    return compare({"machine": {"processor": "one", "threads": 2}, "workloads": workloads, "copy_bandwidth": 1e9})


def test_ratios_are_to_the_best_peer_and_to_the_reference_and_rates_to_the_best_product():
    report = synthetic()
    ours = report["workloads"]["work"]["implementations"]["accelerated.cpu"]
    assert report["product_rate"] == 1e9
    assert {word: ours[word] for word in ours if word.startswith(("over", "rate", "share", "bandwidth"))} == {
        "over_best_peer": 2.0,
        "over_reference": 50.0,
        "rate": 2e9,
        "share_of_product_rate": 2.0,
        "bandwidth": 1e8,
        "share_of_copy_bandwidth": 0.1,
    }


def test_the_table_has_a_line_for_each_implementation():
    lines = table(synthetic()).splitlines()
    assert "matrix products 1 GFLOP/s, copies 1.0 GB/s" in lines[1]
    (ours,) = [line for line in lines if "accelerated.cpu" in line]
    assert ours.split() == ["accelerated.cpu", "2000", "[2000,", "2000]", "2.00", "50.0", "2.0", "200%", "0.1", "10%", "1", "0.50", "3.00"]
    assert any(line.split() == [REFERENCE, "slow"] for line in lines)
    assert lines[-1] == "  warning: jax: doubtful"


def test_what_is_wrong_raises_or_dies_is_not_timed_and_the_rest_is(tmp_path):
    paths = {name: tmp_path / f"{name}.py" for name in PORTS}
    for name, path in paths.items():
        path.write_text(PORT.format(PORTS[name]))
    those = [*map(str, paths.values()), REFERENCE]
    report = measure.measure("product", "tiny", those, 1, 0.5, 2, Progress(4))["implementations"]
    wrong, raising, dying = (report[str(paths[name])] for name in PORTS)
    assert (
        not wrong["valid"]
        and wrong["error_over_budget"] > 1
        and wrong["not_run"].startswith("it disagrees with the reference: product: y[")
    )
    assert raising["not_run"] == "RuntimeError: no product today"
    assert dying["not_run"].startswith("it ended with code 3")
    assert not any("turns" in entry or "median" in entry for entry in (wrong, raising, dying))
    assert report[REFERENCE]["valid"] and len(report[REFERENCE]["turns"]) >= 2 and report[REFERENCE]["median"] > 0


def test_an_implementation_that_fails_while_it_is_timed_keeps_no_numbers(tmp_path):
    path = tmp_path / "tiring.py"
    path.write_text(PORT.format("globals()['n'] = globals().get('n', 0) + 1\n    return ops.linear(x, w, b) if n < 30 else 1 / 0"))
    entry = measure.measure("product", "tiny", [str(path)], 1, 0.02, 2, Progress(1))["implementations"][str(path)]
    assert entry["not_run"] == "ZeroDivisionError: division by zero" and "median" not in entry


def test_a_reference_that_is_too_slow_is_estimated(monkeypatch):
    slow = measure.expected(measure.WORKLOADS["tiny"]["product"])._replace(seconds=7.0)
    monkeypatch.setattr(measure, "expected", lambda workload: slow)
    entry = measure.measure("product", "tiny", [REFERENCE], 1, 5.0, 2, Progress(1))["implementations"][REFERENCE]
    assert entry == {"estimate": 7.0, "not_run": "a call takes about 7 s"}


def test_an_answer_that_takes_too_long_is_not_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "sleeping.py"
    path.write_text(PORT.format("__import__('time').sleep(100)"))
    monkeypatch.setattr(measure, "LIMIT", 0.5)
    entry = measure.measure("product", "tiny", [str(path)], 1, 0.02, 2, Progress(1))["implementations"][str(path)]
    assert entry == {"not_run": "no answer within 0.5 s"}
