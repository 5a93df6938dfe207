"""The command line: the parser, and the errors that become one line and an exit code.

A command is a module with ``add_options(parser)`` and ``execute(arguments, ops) -> exit code``.
"""

import argparse
import difflib
import importlib
import os
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import reference
from reference import ops as reference_ops
from reference.commands.interrupts import raise_on_interrupt
from reference.runs.exported import NameWarning
from reference.runs.processes import processes, versions
from reference.samplers import SamplingWarning

COMMANDS = {
    "demo": "train on digits, draw samples and measure them, in minutes on two cores",
    "train": "train a model",
    "distill": "train a student of a run that samples in few steps",
    "sample": "draw samples from a trained run",
    "invert": "turn data into the noise from which ddim returns to them",
    "restore": "fill in, sharpen or enlarge a picture, with a trained run as the prior",
    "evaluate": "loss, likelihood bound and sample quality of a trained run",
    "experiment": "run an experiment and compare its answer with theory",
    "export": "write the weights of a run, in our format or for diffusers",
    "figures": "draw the tutorial's computed figures",
    "errata": "list misprints of the tutorial, each with the number that shows it",
    "audit": "check the schedule, sampler, loss or model of other code",
    "contract": "list the ops of the contract between reference and ports",
    "test-vectors": "write inputs, results and tolerances of every op, for ports without Python",
    "info": "print versions and threads; with --data, how data is read",
}


# commands that several processes can execute together
OF_PROCESSES = ("train", "distill", "sample", "evaluate")


@dataclass(frozen=True)
class Program:
    """``port(arguments)`` returns the ops; ``add_options`` adds options to every command;
    ``commands``: name -> help.
    """

    name: str = "python -m reference"
    description: str = "Diffusion models in NumPy, every backward pass derived by hand."
    port: Callable = lambda arguments: reference_ops
    add_options: Callable = lambda parser: None
    commands: dict = field(default_factory=lambda: COMMANDS)
    modules: dict = field(default_factory=dict)  # of commands that are not in reference.commands

    def module(self, command):
        default = f"reference.commands.{command.replace('-', '_')}"
        return importlib.import_module(self.modules.get(command, default))


class Parser(argparse.ArgumentParser):
    """An argument parser that refuses in one line, with the nearest known name."""

    def error(self, message):
        help_hint = "; see --help" if message.startswith("the following arguments") else ""
        line = f"{self.prog}: {message}{self._nearest(message)}{help_hint}"
        raise SystemExit(processes().complain(line, 2))

    def _nearest(self, message):
        """``; did you mean --steps?`` for an unknown option or choice; empty if none is near."""
        known = [name for action in self._actions for name in action.option_strings]
        unknown = re.match(r"unrecognized arguments: (--[\w-]+)", message)
        if choice := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message):
            unknown, known = choice, [name.strip("' ") for name in choice[2].split(",")]
        bare = {name.lstrip("-"): name for name in known}
        wanted = unknown[1].lstrip("-") if unknown else ""
        near = difflib.get_close_matches(wanted, bare, n=1, cutoff=0.7)
        return f"; did you mean {bare[near[0]]}?" if near else ""

    def parse_args(self, args=None, namespace=None):
        """As argparse's, but a subcommand refuses its own unknown options."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            chosen = self
            for action in self._actions:
                if isinstance(action, argparse._SubParsersAction):
                    chosen = action.choices[parsed.command]
            chosen.error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed


def build_parser(program):
    parser = Parser(prog=program.name, allow_abbrev=False, description=program.description)
    parser.add_argument("--version", action="version", version=reference.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in program.commands.items():
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        program.module(name).add_options(command)
        program.add_options(command)
    return parser


def main(arguments=None, program=Program()):
    """Run one command.

    The exit code: 0, 1 if training diverged or a check failed, 2 for bad input, 130 for a stop.
    """
    for stream in (sys.stdout, sys.stderr):  # "?" for a letter that the terminal can't show
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        team = processes()
    except ValueError as error:  # there is no team to agree with
        print(f"{program.name}: {error}", file=sys.stderr)
        return 2
    parsed = build_parser(program).parse_args(arguments)
    parsed.program = program.name
    given = sys.argv[1:] if arguments is None else arguments
    with warnings.catch_warnings():
        for category in (SamplingWarning, NameWarning):
            warnings.filterwarnings("always", category=category)
        warnings.showwarning = lambda message, *where: print(
            f"{program.name}: warning: {message}", file=sys.stderr
        )
        return _execute(parsed, program, team, given)


def _execute(parsed, program, team, given):
    try:
        _check_team(team, parsed.command, given)
        for name in ("out", "run", "data", "data_dir", "labels"):
            if getattr(parsed, name, None) == "":
                raise ValueError(f"{name.replace('_', '-')} must not be empty")
        ops = program.port(parsed)
        raise_on_interrupt()
        return program.module(parsed.command).execute(parsed, ops)
    except (ValueError, TypeError) as error:
        return _refuse(program, error, 2)
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        file = error.filename or "a file"
        return _refuse(program, f"{file} can't be read or written: {error.strerror or error}", 2)
    except (MemoryError, OverflowError) as error:
        return _refuse(program, f"out of memory, or a size is too large: {error}", 2)
    except FloatingPointError as error:
        return _refuse(program, f"{error}; the last checkpoint is kept", 1)
    except KeyboardInterrupt:
        return _refuse(program, "interrupted", 130)


def _check_team(team, command, given):
    """ValueError for processes that can't execute a command together."""
    if team.count == 1:
        return
    team.check_equal("the versions", versions())
    team.check_equal("the command", " ".join(given))
    if command not in OF_PROCESSES:
        able = ", ".join(OF_PROCESSES)
        raise ValueError(
            f"{command} needs one process, and mpiexec started {team.count}; {able} can use several"
        )


def _refuse(program, message, code):
    return processes().complain(f"{program.name}: {' '.join(str(message).split())}", code)
