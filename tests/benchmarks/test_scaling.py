"""Exponents and crossovers of synthetic points; the whole program at tiny sizes."""

import json

import pytest

from benchmarks.__main__ import main
from benchmarks.scaling import crossovers, exponent, series


def point(**medians):
    """Entries with quartiles 5 % below and above their medians."""
    refused = {"refused": {"not_timed": "it disagrees"}}
    return refused | {name: {"median": x, "quartiles": [0.95 * x, 1.05 * x], "memory": 5} for name, x in medians.items()}


POINTS = {value: point(slow_start=1.0 + 0.01 * value, steep=0.1 * value) for value in (1, 10, 100, 1000)}


def test_the_exponent_is_the_slope_of_the_upper_half():
    assert exponent([1, 2, 4, 8], [3.0, 6.0, 12.0, 24.0]) == pytest.approx(1)
    assert exponent([1, 10, 100, 1000], [1.0, 1.0, 1.0, 100.0]) == pytest.approx(2)
    assert exponent([1, 10, 100, 1000], [n**2.5 for n in (1, 10, 100, 1000)]) == pytest.approx(2.5)
    assert exponent([1], [2.0]) is None


def test_a_crossover_is_reported_with_its_value():
    assert crossovers(POINTS) == ["slow_start is faster than steep from 100 on"]
    assert "refused" not in series(POINTS)


def test_differences_within_the_spread_are_no_crossover():
    assert crossovers({1: point(a=1.0, b=1.04), 10: point(a=10.2, b=10.0)}) == []
    assert crossovers({1: point(a=1.0, b=2.0), 10: point(a=10.2, b=10.0)}) == []
    assert crossovers({1: point(a=1.0, b=2.0), 10: point(a=10.0, b=10.1), 100: point(a=200.0, b=100.0)}) == [
        "b is faster than a from 100 on"
    ]


def test_scaling_writes_a_table_a_plot_and_every_value(tmp_path):
    out = tmp_path / "out"
    words = ["scaling", "--size", "tiny", "--out", str(out), "--axes", "cells", "--impl", "reference.ops"]
    assert main(words) == 0
    entry = json.loads((out / "scaling.json").read_text())["axes"]["cells"]["40"]["reference.ops"]
    assert entry["valid"] and entry["median"] > 0 and entry["turns"]
    assert "| cells | 20 | 40 | exponent |" in (out / "scaling.md").read_text()
    assert (out / "scaling.png").read_bytes().startswith(b"\x89PNG")
    assert main(words) == 2  # nothing is overwritten
