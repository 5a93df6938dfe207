"""Planted faults and correct targets: each fault is caught by its own line, and nothing else is called a fault.

``faults/*.py``: a target with one mistake.  The docstring names the mistake and its public source; ``CAUGHT_BY`` is the name of the check.
``correct/*.py``: a right target in a convention of other code.  ``NEEDS`` names a library without which it is skipped; ``RECOGNISED`` holds
conventions, name -> value, that the audit must find.
"""

import ast
import importlib.util
from functools import cache
from pathlib import Path

import pytest

from reference.audit.audit import FAILED, audit
from reference.audit.target import load_target

FOLDER = Path(__file__).parent
FAULTS = sorted((FOLDER / "faults").glob("*.py"))
CORRECT = sorted((FOLDER / "correct").glob("*.py"))
SECONDS = 30.0  # far more than any of the calls takes


def constant(path, name, default=None):
    """The value of a constant of a file, which is not imported: its library may be missing."""
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Assign) and [ast.unparse(target) for target in statement.targets] == [name]:
            return ast.literal_eval(statement.value)
    return default


@cache
def report_on(path):
    return audit(load_target(str(path), SECONDS))


def lines(report):
    return "\n".join(f"{check.verdict} {check.name}: expected {check.expected}, came {check.came}" for check in report.checks)


def conventions(report):
    return {row.name: row.target for row in report.conventions}


def skip_without_library(path):
    library = constant(path, "NEEDS")
    if library and importlib.util.find_spec(library) is None:
        pytest.skip(f"needs {library}")


@pytest.mark.parametrize("path", FAULTS, ids=lambda path: path.stem)
def test_a_planted_fault_is_caught_by_its_line_alone(path):
    report = report_on(path)
    assert {check.name for check in report.faults} == {constant(path, "CAUGHT_BY")}, lines(report)
    assert all(check.came and check.effect for check in report.faults)  # what is wrong, and what it does to samples
    assert not any(FAILED in check.came for check in report.checks), lines(report)


@pytest.mark.parametrize("path", FAULTS, ids=lambda path: path.stem)
def test_a_planted_fault_names_its_mistake(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", CORRECT, ids=lambda path: path.stem)
def test_a_correct_target_has_no_fault_and_its_conventions_are_recognised(path):
    skip_without_library(path)
    report = report_on(path)
    assert not report.faults, lines(report)
    assert not any(FAILED in check.came for check in report.checks), lines(report)
    wanted, found = constant(path, "RECOGNISED", {}), conventions(report)
    assert {name: found.get(name) for name in wanted} == wanted


def test_correct_targets_show_different_conventions():
    seen = {}
    for path in CORRECT:
        library = constant(path, "NEEDS")
        if library is None or importlib.util.find_spec(library):
            rows = tuple(sorted(conventions(report_on(path)).items()))
            assert rows not in seen, f"{path.stem} shows the conventions of {seen[rows]}"
            seen[rows] = path.stem


def test_there_are_at_least_40_planted_faults_and_15_correct_targets():
    assert len(FAULTS) >= 40 and len(CORRECT) >= 15
