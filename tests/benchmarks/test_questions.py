"""Profiles and questions at tiny sizes: what they count and say, not how long anything took."""

import itertools

import numpy as np
import pytest

from benchmarks import counts, profile, questions
from benchmarks.__main__ import main
from benchmarks.profile import table
from benchmarks.roofline import Device
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.ops import Product
from reference import ops


def test_a_profile_has_a_line_for_each_op_and_its_calls_in_one_call_of_the_workload():
    lines = table(WORKLOADS["tiny"]["mlp-step"], ops, Device("a device", 1e9, 1e9, 1e9), 0.05)
    rows = {line.split()[0]: line.split() for line in lines[1:-3]}
    assert rows["linear"][1] == "3" and rows["adam_step_"][1] == "1"
    shares = [float(row[3].rstrip("%")) for row in rows.values()]
    assert shares == sorted(shares, reverse=True)


def test_a_profile_does_not_count_the_time_that_recording_takes(monkeypatch):
    """On a clock that goes on by half a second when it is read, a second with a call, and ten where an op is recorded."""
    now = [0.0]

    def spend(seconds, result=0):
        now[0] += seconds
        return result

    class Work(Product):
        def call(self, ops):
            multiply = super().call(ops)
            return lambda: spend(1, multiply)()

    monkeypatch.setattr(profile.time, "perf_counter", lambda: spend(0.5, now[0]))
    monkeypatch.setattr(counts, "moved", lambda *_: spend(10))
    *_, linear, between, call, _ = profile.table(Work(4), ops, Device("a device", 1e9, 1e9, 1e9), 10)
    assert [line.split()[position] for line, position in ((linear, 2), (between, 3), (call, 2))] == ["500.000", "1000.000", "1500.000"]


def test_a_profile_marks_the_ops_that_the_port_lacks_and_questions_refuse_such_a_port(tmp_path, capsys):
    port = tmp_path / "port.py"
    port.write_text("from reference.ops import linear\n")
    assert main(["profile", "mlp-forward", "--size", "tiny", "--port", str(port)]) == 0
    marked = {line.split()[0]: line.endswith("the reference's, the port lacks it") for line in capsys.readouterr().out.splitlines()}
    assert marked["silu"] and not marked["linear"]
    assert main(["questions", "--size", "tiny", "--port", str(port)]) == 2
    assert "lacks ops that are asked about: linear_backward, " in capsys.readouterr().err


def test_a_wrong_port_or_workload_is_refused_in_a_line(capsys):
    assert main(["profile", "mlp-step", "--port", "no_such_file.py"]) == 2
    assert main(["questions", "--port", "no_such_file.py"]) == 2
    with pytest.raises(SystemExit):
        main(["profile", "transformer"])
    assert capsys.readouterr().err.count("\n") == 3


def test_images_cost_evaluations_times_batches(monkeypatch):
    """On a clock that goes on by ten seconds when it is read, so that no hours are lost in rounding."""
    ticks = itertools.count(0, 10)
    monkeypatch.setattr(questions.time, "perf_counter", lambda: next(ticks))
    workload = WORKLOADS["tiny"]["unet32-ddim"]
    lines = dict(line.split(", ", 1) for line in questions.images(ops, "tiny", 1)[1:])
    hours = {name: float(rest.split()[-2]) for name, rest in lines.items()}
    evaluation = 10 / workload.steps
    assert hours["ddim"] == pytest.approx(evaluation * 50 * questions.IMAGES / workload.batch / 3600, abs=0.005) and workload.steps == 5
    assert hours["ddpm"] == pytest.approx(20 * hours["ddim"], rel=0.001)


def test_functions_are_called_in_turns_and_the_first_time_is_not_counted():
    order = []
    taken = questions.in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert "".join(order) == "abababab" and {name: len(seconds) for name, seconds in taken.items()} == {"a": 3, "b": 3}


def test_errors_of_both_convolutions_are_within_their_budget():
    lines = questions.winograd("tiny")[2:]
    assert np.array([line.split()[-2:] for line in lines], float).max() < 1
