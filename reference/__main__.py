"""The command line: ``python -m reference``.  ``main`` takes the port, so that other packages offer the same words on their own ops."""

import argparse
import importlib
import sys

import reference
from reference import ops as reference_ops

COMMANDS = {
    "demo": "the main job, end to end, in minutes on two cores: train on digits, sample, look",
    "train": "train a model",
    "sample": "draw samples from a trained run",
    "evaluate": "loss, likelihood bound and sample quality of a trained run",
    "export": "the weights of a run alone, as safetensors",
    "ops": "the contract between reference and ports, as a table",
    "info": "versions and threads",
}


class Parser(argparse.ArgumentParser):
    """An argument parser that refuses in one line."""

    def error(self, message):
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(2)


def build_parser(program):
    parser = Parser(prog=program, description="Diffusion models in NumPy, every backward pass derived by hand.")
    parser.add_argument("--version", action="version", version=reference.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help_text in COMMANDS.items():
        command = commands.add_parser(name, help=help_text, description=help_text)
        if name in ("ops", "info"):
            continue
        if name == "train":
            command.add_argument("system", metavar="SYSTEM", help="ddpm")
        elif name != "demo":
            command.add_argument("run", metavar="RUN", help="folder of a run, as train or demo wrote it")
        importlib.import_module(f"reference.commands.{name}").add_options(command)
        if name in ("demo", "train"):
            command.add_argument("--out", required=True, metavar="FOLDER", help="folder of the run")
            command.add_argument("--resume", action="store_true", help="go on with the run in FOLDER from its last checkpoint")
        if name == "train":
            command.add_argument("--save-every", type=int, default=100, metavar="N", help="steps between checkpoints (default 100)")
        if name in ("sample", "export"):
            kinds = "FILE.png or FILE.npz" if name == "sample" else "FILE.safetensors"
            command.add_argument("--out", required=True, metavar="FILE", help=kinds)
    return parser


def main(ops=reference_ops, program="python -m reference", arguments=None):
    """Run one command on a port; the exit code: 0, 2 for what the caller got wrong, 1 for training that diverged, 130 for a stop."""
    parsed = build_parser(program).parse_args(arguments)
    try:
        if parsed.command == "ops":
            return print_contract()
        if parsed.command == "info":
            return print_info()
        return importlib.import_module(f"reference.commands.{parsed.command}").execute(parsed, ops)
    except (ValueError, TypeError) as error:
        return _refuse(program, error, 2)
    except OSError as error:
        return _refuse(program, f"{error.filename or 'a file'} can't be read or written: {error.strerror or error}", 2)
    except FloatingPointError as error:
        return _refuse(program, f"{error}; what was saved before is kept", 1)
    except KeyboardInterrupt:
        return _refuse(program, "interrupted", 130)


def _refuse(program, message, code):
    print(f"{program}: {' '.join(str(message).split())}", file=sys.stderr)
    return code


def print_contract():
    from reference.contract import CONTRACT

    rows = [("family", "op", "arguments", "results", "gradients", "rule")]
    rows += [(op.family, op.name, op.arguments, op.results or "in place", op.gradients or "-", op.rule) for op in CONTRACT]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    return 0


def print_info():
    from importlib.metadata import version

    from reference.checkpoint import environment

    rows = {"reference": reference.__version__} | environment()
    rows |= {name: version(name) for name in ("matplotlib", "scikit-learn", "safetensors", "tqdm")}
    for name, value in rows.items():
        print(f"{name:12}  {value}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
