"""``python -m accelerated``: the commands of ``python -m reference`` on a port, and ``check``, ``compile`` and ``trace``."""

import sys

from reference.commands.interrupts import end_on_interrupt
from reference.runs.launch import use_one_blas_thread

if __name__ == "__main__":  # before the imports that take time
    end_on_interrupt("python -m accelerated")
    use_one_blas_thread()

import accelerated
from reference.commands.cli import COMMANDS, Program, main
from reference.runs.devices import has_hook, hook
from reference.runs.processes import processes

OWN_COMMANDS = {
    "check": "test every op, network, training run and sampler of a port against the reference",
    "compile": "compile the kernels of a port ahead of use, on all processors",
    "trace": "run one training step op by op on port and reference, and show the first op that differs by more than its tolerance",
}
PARTIAL_PORT = ("check", "compile", "info", "trace")  # commands that take a port without completing it


def add_options(parser):
    words = ", ".join(accelerated.BUILTIN_PORTS)
    parser.add_argument(
        "--port",
        metavar="P",
        help=f"{words}, a module, or a file P.py, with ops of the contract (default: gpu where a CUDA device works, else cpu)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="number of threads for the built-in ports (default: all cores)")


def port(arguments):
    arguments.port = arguments.port or accelerated.default_port()
    module = accelerated.load_port(arguments.port)
    if reason := accelerated.unavailable_reason(module):
        raise ValueError(f"{module.__name__} can't work here: {reason}")
    share_machine(module)
    if arguments.threads is not None:
        if not has_hook(module, "set_threads"):
            raise ValueError(f"--threads is an option of the built-in ports, not of {arguments.port}")
        hook(module, "set_threads")(arguments.threads)
    if arguments.command in PARTIAL_PORT:
        return module
    whole = accelerated.with_reference_ops(module)
    if missing := accelerated.missing_ops(module):
        print(f"{PROGRAM.name}: {arguments.port} lacks ops that are taken from the reference: {', '.join(missing)}", file=sys.stderr)
    return whole


def share_machine(port):
    """Give one of several processes its part of the machine's processors, and a device of its own."""
    team = processes()
    if team.count > 1:
        hook(port, "choose_device")(team.local[0])
        if (threads := hook(port, "threads")()) is not None:
            hook(port, "set_threads")(min(threads, team.processors()))


PROGRAM = Program(
    "python -m accelerated",
    "The reference's command line on another port of its ops.  errata, contract, test-vectors and export compute in NumPy on every port.",
    port,
    add_options,
    COMMANDS | OWN_COMMANDS,
    {name: f"accelerated.commands.{name}" for name in ("check", "compile", "demo", "info", "trace")},
)

if __name__ == "__main__":
    raise SystemExit(main(program=PROGRAM))
