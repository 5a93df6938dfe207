"""The READMEs of benchmarks and ports: commands are accepted, and the example is right."""

import doctest
import re
import shlex
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.workloads import WORKLOADS
from reference.commands.cli import Parser

ROOT = Path(__file__).parents[2]
README, PORTS = (ROOT / name / "README.md" for name in ("benchmarks", "accelerated"))


class Accepted(Exception):
    """The parser has accepted a command line."""


def test_every_benchmark_command_is_accepted_by_its_parser(monkeypatch):
    parse = Parser.parse_args

    def parse_only(*arguments):
        parse(*arguments)
        raise Accepted

    monkeypatch.setattr(Parser, "parse_args", parse_only)
    texts = [path.read_text(encoding="utf-8") for path in (README, PORTS)]
    lines = [line for text in texts for line in re.findall(r"(?:^|`)python -m benchmarks ([^`\n]*?)(?:  .*)?[`\n]", text, re.MULTILINE)]
    assert len(lines) >= 15
    for line in lines:
        if "SUBCOMMAND" not in line and line != "--help":
            with pytest.raises(Accepted):
                command.main(shlex.split(line))


def test_every_workload_and_every_subcommand_is_in_the_readme():
    text = README.read_text(encoding="utf-8")
    for name in WORKLOADS["full"]:
        assert name.startswith("op-") or f"| {name} |" in text, name
    for name in command.SUBCOMMANDS:
        assert f"python -m benchmarks {name} " in text, name


def test_the_example_of_a_port_is_right():
    failed, attempted = doctest.testfile(str(PORTS), module_relative=False)
    assert failed == 0 and attempted > 0
