"""Exponents and crossings on points that are made up; the whole program at tiny sizes."""

import json

import pytest

from benchmarks.__main__ import main
from benchmarks.scaling import exponent, overtakes, series


def point(**medians):
    """Entries whose quartiles are 5 % off."""
    refused = {"refused": {"not_run": "it disagrees"}}
    return refused | {name: {"median": x, "quartiles": [0.95 * x, 1.05 * x], "memory": 5} for name, x in medians.items()}


MADE_UP = {value: point(slow_start=1.0 + 0.01 * value, steep=0.1 * value) for value in (1, 10, 100, 1000)}


def test_an_exponent_is_the_slope_where_work_outweighs_what_is_constant():
    assert exponent([1, 2, 4, 8], [3.0, 6.0, 12.0, 24.0]) == pytest.approx(1)
    assert exponent([1, 10, 100, 1000], [1.0, 1.0, 1.0, 100.0]) == pytest.approx(2)
    assert exponent([1, 10, 100, 1000], [n**2.5 for n in (1, 10, 100, 1000)]) == pytest.approx(2.5)
    assert exponent([1], [2.0]) is None


def test_who_overtakes_whom_is_said_with_the_value_from_which_on():
    assert overtakes(MADE_UP) == ["slow_start overtakes steep at 100"]
    assert "refused" not in series(MADE_UP)


def test_what_lies_within_the_spread_overtakes_nobody():
    assert overtakes({1: point(a=1.0, b=1.04), 10: point(a=10.2, b=10.0)}) == []
    assert overtakes({1: point(a=1.0, b=2.0), 10: point(a=10.2, b=10.0)}) == []
    assert overtakes({1: point(a=1.0, b=2.0), 10: point(a=10.0, b=10.1), 100: point(a=200.0, b=100.0)}) == ["b overtakes a at 100"]


def test_the_program_writes_a_table_a_plot_and_every_value(tmp_path):
    out = tmp_path / "out"
    words = ["scaling", "--size", "tiny", "--out", str(out), "--axes", "cells", "--implementations", "reference.ops"]
    assert main(words) == 0
    entry = json.loads((out / "scaling.json").read_text())["axes"]["cells"]["40"]["reference.ops"]
    assert entry["valid"] and entry["median"] > 0 and entry["turns"]
    assert "| cells | 20 | 40 | exponent |" in (out / "scaling.md").read_text()
    assert (out / "scaling.png").read_bytes().startswith(b"\x89PNG")
    assert main(words) == 2  # nothing is overwritten
