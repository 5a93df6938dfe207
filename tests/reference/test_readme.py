"""The READMEs are correct: examples print the stated numbers, commands exist, and names exist in the code."""

import doctest
import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README, GUIDE = (ROOT / name for name in ("README.md", "reference/README.md"))


@pytest.mark.parametrize("path", [README, GUIDE], ids=["README.md", "reference/README.md"])
def test_the_readme_examples_print_the_stated_output(path):
    failed, attempted = doctest.testfile(str(path), module_relative=False)
    assert failed == 0 and attempted > 0


def test_the_readme_names_the_two_commands():
    text = README.read_text(encoding="utf-8")
    assert "\npip install -e . && python -m accelerated demo\n" in text
    assert "\npip install -e '.[test]' && pytest\n" in text


def test_every_command_line_in_the_readme_is_accepted_by_the_parser():
    from accelerated.__main__ import PROGRAM
    from reference.commands.cli import Program, build_parser

    for program, least in ((Program(), 7), (PROGRAM, 2)):
        lines = re.findall(rf"^{program.name} (.*?)(?:  +.*)?$", README.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(lines) >= least
        for line in lines:
            build_parser(program).parse_args(line.split())


# The numbered equations of version 3 that define or compute something; the others are lines of proofs.
EQUATIONS = (
    "1.1 1.2 1.3 1.4 1.6 1.9 1.10 1.11 1.12 1.13 1.14 1.15 1.16 1.17 1.18 1.19 1.20 1.22 1.23 1.24 1.25 1.26 1.28 1.29 1.30 1.31 1.33 1.35 "
    "2.1 2.2 2.3 2.4 2.5 2.6 2.7 2.8 2.13 2.14 2.16 2.20 2.21 2.24 2.25 2.26 2.28 2.31 2.32 2.34 2.37 2.38 2.41 2.42 2.44 2.46 2.48 2.49 "
    "2.52 2.57 2.59 2.60 3.1 3.2 3.3 3.4 3.5 3.6 3.7 3.8 3.9 3.10 3.11 3.12 3.13 4.1 4.2 4.3 4.5 4.8 4.9 4.10 4.11 4.13 4.14 4.15 4.16 "
    "4.17 4.18 4.19 4.20 4.21 4.23 4.24 5.1 5.3 5.5 5.6 5.7 5.8 5.10 5.19 5.20 5.22 5.23 5.25 5.33 5.34 5.35 5.36 5.37 5.40 5.41 5.42 "
    "5.44 5.45"
).split()


def equation_table():
    return GUIDE.read_text(encoding="utf-8").partition("## From equation to function")[2].partition("## Conventions")[0]


def test_every_equation_that_can_be_computed_has_a_row():
    covered = set()
    for chapter, first, last in re.findall(r"\((\d)\.(\d+)\)(?:-\(\d\.(\d+)\))?", equation_table()):
        covered |= {f"{chapter}.{number}" for number in range(int(first), int(last or first) + 1)}
    assert not {*EQUATIONS} - covered


def test_every_function_in_the_equation_table_exists():
    names = re.findall(r"`([\w.]+)`", equation_table())
    assert len(names) > 20
    for name in names:
        assert callable(pkgutil.resolve_name(f"reference.{name}"))


def test_every_file_that_the_readme_links_exists():
    for path in (README, GUIDE):
        for name in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / name).exists(), name
