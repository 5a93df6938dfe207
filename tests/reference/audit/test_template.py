"""The files that a newcomer copies: one that passes, and one with a fault."""

from pathlib import Path

import pytest

import reference.audit
from tests.command_runs import run

FOLDER = Path(reference.audit.__file__).parent


@pytest.mark.parametrize("target", ["reference.audit.template", FOLDER / "template.py"], ids=["module", "file"])
def test_the_template_passes_with_every_piece_that_it_has(target, capsys):
    assert run("audit", target) == 0
    out = capsys.readouterr().out
    assert out.endswith("\n0 faults\n")
    assert all(line in out for line in ("add_noise coefficients", "step variance", "timesteps of 1 to T steps", "sample"))


@pytest.mark.parametrize("target", ["reference.audit.template_with_fault", FOLDER / "template_with_fault.py"], ids=["module", "file"])
def test_the_template_with_a_fault_shows_its_line(target, capsys):
    assert run("audit", target) == 1
    last_screen = capsys.readouterr().out.splitlines()[-24:]
    assert "FAULT: step variance" in last_screen
    assert any(line.startswith("  in samples") for line in last_screen)


def test_the_template_is_short():
    assert len((FOLDER / "template.py").read_text().splitlines()) <= 40
