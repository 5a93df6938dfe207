"""The command line on a port: ``python -m accelerated``, the words of ``python -m reference``, ``compile`` and ``trace``."""

import sys

from reference.commands.interrupts import end_on_interrupt

if __name__ == "__main__":  # before the imports that take time
    end_on_interrupt("python -m accelerated")

import accelerated
from reference.commands.cli import COMMANDS, Program, main
from reference.runs.devices import has_hook, hook

COMPILE = "a port's kernels now, on all processors, instead of each when it is needed first"
TRACE = "one training step on port and reference, op by op: the first op that differs by more than its budget"
PARTLY = ("compile", "info", "trace")  # commands that take a port as it is, whatever it lacks


def add_options(parser):
    words = ", ".join(accelerated.SHIPPED)
    parser.add_argument(
        "--port",
        metavar="P",
        help=f"{words}, a module, or a file P.py, with ops of the contract (default: gpu where a CUDA device works, else cpu)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="that a shipped port works with (default: every processor)")


def port(arguments):
    arguments.port = arguments.port or accelerated.pick()
    module = accelerated.load(arguments.port)
    if reason := accelerated.missing(module):
        raise ValueError(f"{module.__name__} can't work here: {reason}")
    if arguments.threads is not None:
        if not has_hook(module, "set_threads"):
            raise ValueError(f"--threads is an option of the shipped ports, not of {arguments.port}")
        hook(module, "set_threads")(arguments.threads)
    if arguments.command in PARTLY:
        return module
    whole = accelerated.complete(module)
    if lacking := accelerated.lacking(module):
        print(f"{PROGRAM.name}: {arguments.port} lacks ops that are taken from the reference: {', '.join(lacking)}", file=sys.stderr)
    return whole


PROGRAM = Program(
    "python -m accelerated",
    "The reference's command line on another port of its ops.",
    port,
    add_options,
    COMMANDS | {"compile": COMPILE, "trace": TRACE},
    {name: f"accelerated.commands.{name}" for name in ("compile", "demo", "info", "trace")},
)

if __name__ == "__main__":
    raise SystemExit(main(program=PROGRAM))
