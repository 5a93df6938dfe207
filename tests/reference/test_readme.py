"""What the READMEs say is run: the examples give the printed numbers, the commands exist, and the names are those of the code."""

import doctest
import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README, GUIDE = (ROOT / name for name in ("README.md", "reference/README.md"))


@pytest.mark.parametrize("path", [README, GUIDE], ids=["README.md", "reference/README.md"])
def test_the_examples_print_what_the_text_says(path):
    failed, attempted = doctest.testfile(str(path), module_relative=False)
    assert failed == 0 and attempted > 0


def test_the_readme_names_the_two_commands():
    text = README.read_text(encoding="utf-8")
    assert "\npip install -e . && python -m reference demo\n" in text
    assert "\npip install -e '.[test]' && pytest\n" in text


def test_every_command_line_in_the_readme_is_accepted_by_the_parser():
    from reference.__main__ import build_parser

    lines = re.findall(r"^python -m reference (.*?)(?:  +.*)?$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) >= 7
    for line in lines:
        build_parser("python -m reference").parse_args(line.split())


def test_every_function_in_the_equation_table_exists():
    table = GUIDE.read_text(encoding="utf-8").partition("## From equation to function")[2].partition("## Conventions")[0]
    names = re.findall(r"`([\w.]+)`", table)
    assert len(names) > 20
    for name in names:
        assert callable(pkgutil.resolve_name(f"reference.{name}"))


def test_every_file_that_the_readme_points_to_exists():
    for path in (README, GUIDE):
        for name in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / name).exists(), name
