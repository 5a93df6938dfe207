"""docs/audit.md names every check, every piece and every claim, and its example ends as stated."""

import ast
import re
from pathlib import Path

import pytest

from reference.audit.claims import CLAIMS
from reference.audit.report import VERDICTS
from reference.audit.target import PIECES, TABLES
from tests.command_runs import run

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")


def names_in_code():
    """The names of checks that are constants of the code; names of missing pieces are one word, or a piece's own."""
    folder = ROOT / "reference" / "audit"
    for path in sorted([*folder.glob("*.py"), *(folder / "checks").glob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add" and node.args:
                if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
                    yield node.args[0].value


def test_every_check_is_in_the_table():
    names = {name for name in names_in_code() if " " in name} - {"noise levels", "not examined", "the import"}
    assert len(names) > 30
    assert [name for name in sorted(names) if f"`{name}`" not in PAGE] == []


@pytest.mark.parametrize("words", [(*TABLES, *PIECES), CLAIMS, VERDICTS], ids=["pieces", "claims", "verdicts"])
def test_every_word_of_the_interface_is_explained(words):
    assert [word for word in words if not re.search(rf"[`|] ?{word}[` ]", PAGE)] == []


def test_the_example_has_the_stated_fault(tmp_path, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "target.py").write_text(example)
    assert run("audit", tmp_path / "target.py") == 1
    out = capsys.readouterr().out
    assert out.endswith("\n1 fault: schedule end at T = 200\n") and "36.4 %" in out
