"""The command line: ``python -m reference``.  ``Program`` is what another package changes to offer
the same words on its own ops.

A command is a module with ``add_options(parser)`` and ``execute(arguments, ops) -> exit code``.
"""

from reference.commands.progress import end_on_interrupt, raise_on_interrupt

if __name__ == "__main__":  # before the imports that take time
    end_on_interrupt("python -m reference")

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import reference
from reference import ops as reference_ops
from reference.samplers import SamplingWarning

COMMANDS = {
    "demo": "the main job, end to end, in minutes on two cores: train on digits, sample, look",
    "train": "train a model",
    "sample": "draw samples from a trained run",
    "evaluate": "loss, likelihood bound and sample quality of a trained run",
    "experiment": "a question about diffusion models, and whether its answer is what theory says",
    "export": "the weights of a run alone, as safetensors, ours or for diffusers",
    "figures": "the tutorial's computed figures, drawn anew",
    "errata": "misprints of the tutorial: as printed, as corrected, and the number that tells them apart",
    "contract": "the contract between reference and ports, as a table",
    "test-vectors": "inputs, outputs, gradients and tolerances of every op and of a training step, as files for ports without Python",
    "info": "versions and threads; with --data, how that data is read",
}


@dataclass(frozen=True)
class Program:
    """``port(arguments)`` is where the ops come from; ``add_options`` puts options on every
    command; ``commands``: name -> help.
    """

    name: str = "python -m reference"
    description: str = "Diffusion models in NumPy, every backward pass derived by hand."
    port: Callable = lambda arguments: reference_ops
    add_options: Callable = lambda parser: None
    commands: dict = field(default_factory=lambda: COMMANDS)
    modules: dict = field(default_factory=dict)  # of commands that are not in reference.commands

    def module(self, command):
        return importlib.import_module(
            self.modules.get(command, f"reference.commands.{command.replace('-', '_')}")
        )


class Parser(argparse.ArgumentParser):
    """An argument parser that refuses in one line."""

    def error(self, message):
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(2)


def build_parser(program):
    parser = Parser(prog=program.name, allow_abbrev=False, description=program.description)
    parser.add_argument("--version", action="version", version=reference.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help_text in program.commands.items():
        command = commands.add_parser(
            name, help=help_text, description=help_text, allow_abbrev=False
        )
        program.module(name).add_options(command)
        program.add_options(command)
    return parser


def main(arguments=None, program=Program()):
    """Run one command; the exit code: 0, 2 for what can't be done, 1 for training that diverged,
    130 for a stop.
    """
    # a terminal that can't show a letter gets a question mark
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    parsed = build_parser(program).parse_args(arguments)
    parsed.program = program.name
    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=SamplingWarning)
        warnings.showwarning = lambda message, *where: print(
            f"{program.name}: warning: {message}", file=sys.stderr
        )
        return _execute(parsed, program)


def _execute(parsed, program):
    try:
        for name in ("out", "run", "data", "labels"):
            if getattr(parsed, name, None) == "":
                raise ValueError(f"{name} must not be empty")
        ops = program.port(parsed)
        raise_on_interrupt()
        return program.module(parsed.command).execute(parsed, ops)
    except (ValueError, TypeError) as error:
        return _refuse(program, error, 2)
    except BrokenPipeError:  # whoever read the output has gone: nothing is left to be said
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        return _refuse(
            program,
            f"{error.filename or 'a file'} can't be read or written: {error.strerror or error}",
            2,
        )
    except (MemoryError, OverflowError) as error:
        return _refuse(
            program, f"that needs more memory or larger numbers than there are: {error}", 2
        )
    except FloatingPointError as error:
        return _refuse(program, f"{error}; what was saved before is kept", 1)
    except KeyboardInterrupt:
        return _refuse(program, "interrupted", 130)


def _refuse(program, message, code):
    print(f"{program.name}: {' '.join(str(message).split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
