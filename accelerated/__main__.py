"""The command line on a port: ``python -m accelerated``, the words of ``python -m reference`` and ``trace``."""

import accelerated
from reference.__main__ import COMMANDS, Program, main

TRACE = "one training step on two ports, op by op: the first op whose error exceeds its budget"


def add_options(parser):
    parser.add_argument("--port", metavar="P", required=True, help="a module, or a file P.py, that exports the ops of the contract")


def port(arguments):
    return accelerated.load(arguments.port)


PROGRAM = Program(
    "python -m accelerated",
    "The reference's command line on another port of its ops.",
    port,
    add_options,
    COMMANDS | {"trace": TRACE},
    {name: f"accelerated.commands.{name}" for name in ("demo", "trace")},
)

if __name__ == "__main__":
    raise SystemExit(main(program=PROGRAM))
