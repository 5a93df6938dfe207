"""Profiles and studies at tiny sizes: their counts and texts; no test asserts a measured time."""

import re

import numpy as np
import pytest

from benchmarks import counts, profile, studies
from benchmarks.__main__ import main
from benchmarks.profile import table
from benchmarks.roofline import Device
from benchmarks.worker import time_in_turns
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.ops import MatMul
from reference import ops
from reference.conformance.tolerances import mismatches, worst
from tests.example_networks import numbers


def test_a_profile_has_a_row_with_the_calls_of_each_op():
    lines = table(WORKLOADS["tiny"]["mlp-step"], ops, Device("a device", 1e9, 1e9, 1e9), 0.05)
    rows = {line.split()[0]: line.split() for line in lines[1:-3]}
    assert rows["linear"][1] == "3" and rows["adam_step_"][1] == "1"
    shares = [float(row[3].rstrip("%")) for row in rows.values()]
    assert shares == sorted(shares, reverse=True)


def test_a_profile_excludes_the_time_of_recording(monkeypatch):
    """With a fake clock: reading it takes half a second, a call one second, recording an op ten."""
    now = [0.0]

    def spend(seconds, result=0):
        now[0] += seconds
        return result

    class Work(MatMul):
        def call(self, ops):
            multiply = super().call(ops)
            return lambda: spend(1, multiply)()

    monkeypatch.setattr(profile.time, "perf_counter", lambda: spend(0.5, now[0]))
    monkeypatch.setattr(counts, "bytes_moved", lambda *_: spend(10))
    *_, linear, between, call, _ = profile.table(Work(4), ops, Device("a device", 1e9, 1e9, 1e9), 10)
    assert [line.split()[position] for line, position in ((linear, 2), (between, 3), (call, 2))] == ["500.000", "1000.000", "1500.000"]


def test_profile_marks_missing_ops_and_studies_refuse_such_a_port(tmp_path, capsys):
    port = tmp_path / "port.py"
    port.write_text("from reference.ops import linear\n")
    assert main(["profile", "mlp-forward", "--size", "tiny", "--port", str(port)]) == 0
    marked = {
        line.split()[0]: line.endswith("taken from the reference, the port lacks it") for line in capsys.readouterr().out.splitlines()
    }
    assert marked["silu"] and not marked["linear"]
    assert main(["studies", "--size", "tiny", "--port", str(port)]) == 2
    assert "lacks ops that the studies need: linear_backward, " in capsys.readouterr().err


def test_unknown_ports_workloads_and_studies_are_refused_in_one_line(capsys):
    assert main(["profile", "mlp-step", "--port", "no_such_file.py"]) == 2
    assert main(["studies", "--port", "no_such_file.py"]) == 2
    for words in (["profile", "transformer"], ["studies", "transformer"]):
        with pytest.raises(SystemExit, match="2"):
            main(words)
    assert capsys.readouterr().err.count("\n") == 4


def test_functions_are_called_in_turns_and_the_first_turn_is_dropped():
    order = []
    taken = time_in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert "".join(order) == "abababab" and {name: len(seconds) for name, seconds in taken.items()} == {"a": 3, "b": 3}


def test_errors_of_both_convolutions_are_within_tolerance():
    lines = studies.winograd_error("tiny")[2:]
    assert np.array([line.split()[-2:] for line in lines], float).max() < 1


def test_the_direct_port_differs_in_its_convolution_only():
    x, w, b = (numbers(0, *shape).astype(np.float32) for shape in ((2, 5, 5, 16), (3, 3, 16, 16), (16,)))
    arguments = x, w, b, 1, None
    error = {name: worst(mismatches("conv2d", (port.conv2d(*arguments),), arguments)).ratio for name, port in studies.CONVOLUTIONS.items()}
    assert 0 < error["direct"] < error["winograd"] < 1
    assert studies.DIRECT.linear is studies.CONVOLUTIONS["winograd"].linear


def test_winograd_training_prints_the_losses_and_applies_its_criterion(capsys):
    assert main(["studies", "winograd-training", "--seeds", "2", "--steps", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    losses = {
        line.split()[0]: [float(number) for number in re.findall(r"\d\.\d{5}", line)[:2]]
        for line in lines
        if line and line.split()[0] in studies.CONVOLUTIONS
    }
    difference, spread = (np.abs(np.subtract(*pair)) for pair in (losses.values(), zip(*losses.values())))
    assert 0 < spread.min() and difference.max() < spread.min()
    assert lines[-1].startswith("largest difference for one seed: ")


@pytest.mark.parametrize("shift, code", [(0.5, 0), (2.0, 1)])
def test_winograd_training_exits_1_if_losses_differ_beyond_the_seeds(shift, code, monkeypatch):
    monkeypatch.setattr(studies, "final_loss", lambda ops, seed, steps: seed + shift * (ops is studies.DIRECT))
    assert main(["studies", "winograd-training", "--seeds", "2", "--steps", "2"]) == code


def test_winograd_training_refuses_a_single_seed(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["studies", "winograd-training", "--seeds", "1"])
    assert "--seeds must be at least 2" in capsys.readouterr().err
