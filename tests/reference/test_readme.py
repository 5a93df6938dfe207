"""The Markdown files are correct: examples print the stated numbers, commands are accepted, links and names exist."""

import argparse
import doctest
import pkgutil
import re
import shlex
from pathlib import Path

import pytest

from accelerated.__main__ import PROGRAM
from reference.commands.cli import Program, build_parser, main

ROOT = Path(__file__).parents[2]
README, GUIDE, COMMANDS = (ROOT / name for name in ("README.md", "reference/README.md", "docs/commands.md"))
PROGRAMS = {program.name: program for program in (Program(), PROGRAM)}
FOLDERS = ("reference", "accelerated", "benchmarks", "docs", "tests")
MARKDOWN = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])


def relative(path):
    return str(path.relative_to(ROOT))


def text_of(path):
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [README, GUIDE], ids=relative)
def test_the_readme_examples_print_the_stated_output(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the first one writes digits.png
    failed, attempted = doctest.testfile(str(path), module_relative=False)
    assert failed == 0 and attempted > 0


def test_the_readme_has_at_most_150_lines():
    assert len(text_of(README).splitlines()) <= 150


def test_the_pictures_of_the_readme_are_small():
    assert sum(path.stat().st_size for path in (ROOT / "docs" / "images").iterdir()) < 600_000


def test_the_readme_names_the_two_commands():
    assert "\npip install -e . && python -m accelerated demo\n" in text_of(README)
    assert "\npip install -e '.[test]' && pytest\n" in text_of(README)


def test_the_excerpt_of_the_code_is_in_the_code():
    (excerpt,) = re.findall(r"```text\n(.*?)```", text_of(README), re.DOTALL)
    code = text_of(ROOT / "reference" / "ops" / "norm.py").splitlines()
    assert all(line in code for line in excerpt.splitlines() if line)


FAULTY = """
from reference import ops

def group_norm_backward(dy, x, scale, shift, groups, mean, rstd):
    _, dscale, dshift = ops.group_norm_backward(dy, x, scale, shift, groups, mean, rstd)
    d = (dy * scale).reshape(len(x), -1, groups, x.shape[-1] // groups)
    dx = (d - d.mean(axis=(1, 3), keepdims=True)) * rstd[:, None, :, None]
    return dx.reshape(x.shape), dscale, dshift
"""


def test_a_port_without_term_3_fails_with_the_message_of_the_readme(tmp_path, capsys):
    (tmp_path / "faulty.py").write_text(FAULTY)
    assert main(["check", "--port", str(tmp_path / "faulty.py"), "--ops", "group_norm_backward"], PROGRAM) == 1
    shape_of = lambda line: re.sub(r"[-+]?[\d.]+(e[-+]\d+)?", "#", line)
    printed = [shape_of(line) for line in capsys.readouterr().out.splitlines()]
    (block,) = re.findall(r"```\n(op  .*?)```", text_of(README), re.DOTALL)
    for line in block.splitlines():
        assert any(other.startswith(shape_of(line)) for other in printed), line


def command_lines(text):
    """The command lines of both programs in code blocks and in code within a line, without mpiexec or srun and a last variable."""
    program = r"(?:(?:mpiexec|srun) -[^`\n]*? )?(python -m (?:reference|accelerated) "
    blocks = re.findall(rf"^{program}.*?)(?: \$\w+)?(?:  +.*)?$", text, re.MULTILINE)
    within = re.findall(rf"`{program}[^`]+)`", text)
    return [shlex.split(line) for line in (*blocks, *within)]


@pytest.mark.parametrize("path", [path for path in MARKDOWN if path.name != "CHANGELOG.md"], ids=relative)
def test_the_parser_accepts_every_command_line(path):
    for _, _, module, *arguments in command_lines(text_of(path)):
        build_parser(PROGRAMS[f"python -m {module}"]).parse_args(arguments)


def test_the_command_page_shows_every_command_and_every_option_of_train_and_restore():
    shown = {words[3] for words in command_lines(text_of(COMMANDS))}
    assert shown == {*PROGRAM.commands}
    for _, option in options_of(Program()):
        assert (
            option[0] not in ("train", "restore") or f"`{option[1]}`" in text_of(COMMANDS) or option[1] in ("--out", "--data", "--resume")
        ), option


def options_of(program):
    """(action, (command, option)) of every option of a program, but --help."""
    (commands,) = (action for action in build_parser(program)._actions if isinstance(action, argparse._SubParsersAction))
    for name, parser in commands.choices.items():
        for action in parser._actions:
            if action.option_strings and not isinstance(action, argparse._HelpAction):
                yield action, (name, action.option_strings[-1])


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_help_states_the_default_of_every_option(program):
    options = list(options_of(program))
    assert len(options) > 80
    assert [where for action, where in options if not re.search(r"\(.*default", action.help or "", re.DOTALL)] == []


def anchors_of(text):
    """The anchors of the headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", MARKDOWN, ids=relative)
def test_links_resolve(path):
    text = text_of(path)
    for target in re.findall(r"\]\((?!http)([^)]+)\)|src=\"([^\"]+)\"", text):
        name, _, anchor = "".join(target).partition("#")
        linked = path.parent / name if name else path
        assert linked.exists(), target
        assert not anchor or anchor in anchors_of(text_of(linked)), target


@pytest.mark.parametrize("path", [path for path in MARKDOWN if path.parent != ROOT / "reference"], ids=relative)
def test_named_files_exist(path):
    for name in re.findall(r"`((?:reference|accelerated|benchmarks|tests|docs)/[\w/.-]+)`", text_of(path)):
        assert (ROOT / name.removesuffix("/__pycache__")).exists(), name


def test_named_files_of_the_reference_exist():
    names = re.findall(r"`(\w+/(?:[\w/]*\.py)?)`", text_of(GUIDE))
    assert len(names) > 60
    for name in names:
        assert (ROOT / "reference" / name).exists(), name


# The numbered equations of version 3 that define or compute something; the others are lines of proofs.
EQUATIONS = (
    "1.1 1.2 1.3 1.4 1.6 1.9 1.10 1.11 1.12 1.13 1.14 1.15 1.16 1.17 1.18 1.19 1.20 1.22 1.23 1.24 1.25 1.26 1.28 1.29 1.30 1.31 1.33 1.35 "
    "2.1 2.2 2.3 2.4 2.5 2.6 2.7 2.8 2.13 2.14 2.16 2.20 2.21 2.24 2.25 2.26 2.28 2.31 2.32 2.34 2.37 2.38 2.41 2.42 2.44 2.46 2.48 2.49 "
    "2.52 2.57 2.59 2.60 3.1 3.2 3.3 3.4 3.5 3.6 3.7 3.8 3.9 3.10 3.11 3.12 3.13 4.1 4.2 4.3 4.5 4.8 4.9 4.10 4.11 4.13 4.14 4.15 4.16 "
    "4.17 4.18 4.19 4.20 4.21 4.23 4.24 5.1 5.3 5.5 5.6 5.7 5.8 5.10 5.19 5.20 5.22 5.23 5.25 5.33 5.34 5.35 5.36 5.37 5.40 5.41 5.42 "
    "5.44 5.45"
).split()


def equation_table():
    return text_of(GUIDE).partition("## From equation to function")[2].partition("## Conventions")[0]


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
