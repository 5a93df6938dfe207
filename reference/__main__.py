"""The command line: ``python -m reference``.  ``main`` takes the port, so that other packages offer the same words on their own ops.

A command is a module of ``reference.commands`` with ``add_options(parser)`` and ``execute(arguments, ops) -> exit code``.
"""

import argparse
import importlib
import os
import sys
import warnings

import reference
from reference import ops as reference_ops
from reference.samplers.langevin import StabilityWarning

COMMANDS = {
    "demo": "the main job, end to end, in minutes on two cores: train on digits, sample, look",
    "train": "train a model",
    "sample": "draw samples from a trained run",
    "evaluate": "loss, likelihood bound and sample quality of a trained run",
    "experiment": "a question about diffusion models, and whether its answer is what theory says",
    "export": "the weights of a run alone, as safetensors, ours or for diffusers",
    "figures": "the tutorial's computed figures, drawn anew",
    "errata": "misprints of the tutorial: as printed, as corrected, and the number that tells them apart",
    "ops": "the contract between reference and ports, as a table",
    "info": "versions and threads",
}


class Parser(argparse.ArgumentParser):
    """An argument parser that refuses in one line."""

    def error(self, message):
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(2)


def build_parser(program):
    parser = Parser(prog=program, allow_abbrev=False, description="Diffusion models in NumPy, every backward pass derived by hand.")
    parser.add_argument("--version", action="version", version=reference.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help_text in COMMANDS.items():
        command = commands.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
        importlib.import_module(f"reference.commands.{name}").add_options(command)
    return parser


def main(ops=reference_ops, program="python -m reference", arguments=None):
    """Run one command on a port; the exit code: 0, 2 for what can't be done, 1 for training that diverged, 130 for a stop."""
    for stream in (sys.stdout, sys.stderr):  # a terminal that can't show a letter gets a question mark
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    parsed = build_parser(program).parse_args(arguments)
    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=StabilityWarning)
        warnings.showwarning = lambda message, *where: print(f"{program}: warning: {message}", file=sys.stderr)
        return _execute(parsed, ops, program)


def _execute(parsed, ops, program):
    try:
        for name in ("out", "run", "data", "labels"):
            if getattr(parsed, name, None) == "":
                raise ValueError(f"{name} must not be empty")
        return importlib.import_module(f"reference.commands.{parsed.command}").execute(parsed, ops)
    except (ValueError, TypeError) as error:
        return _refuse(program, error, 2)
    except BrokenPipeError:  # whoever read the output has gone: nothing is left to be said
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        return _refuse(program, f"{error.filename or 'a file'} can't be read or written: {error.strerror or error}", 2)
    except (MemoryError, OverflowError) as error:
        return _refuse(program, f"that needs more memory or larger numbers than there are: {error}", 2)
    except FloatingPointError as error:
        return _refuse(program, f"{error}; what was saved before is kept", 1)
    except KeyboardInterrupt:
        return _refuse(program, "interrupted", 130)


def _refuse(program, message, code):
    print(f"{program}: {' '.join(str(message).split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
