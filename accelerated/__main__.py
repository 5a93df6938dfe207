"""The command line on a fast port: ``python -m accelerated``, the words of ``python -m reference`` and ``trace``."""

import accelerated
from reference.__main__ import COMMANDS, Program, main

TRACE = "one training step on two ports, op by op: the first op whose error exceeds its budget"


def add_options(parser):
    parser.add_argument("--port", metavar="P", help="a module, or a file P.py, with the ops (default: the fastest that works here)")
    parser.add_argument("--threads", type=int, metavar="N", help="of the CPU port (default: all cores, or NUMBA_NUM_THREADS)")


def port(arguments):
    if arguments.threads is not None:
        set_threads(arguments.threads)
    return accelerated.load(arguments.port) if arguments.port else accelerated.pick()


def set_threads(threads):
    import numba

    if not 1 <= threads <= numba.config.NUMBA_NUM_THREADS:
        raise ValueError(f"threads must lie in 1 .. {numba.config.NUMBA_NUM_THREADS}, got {threads}")
    numba.set_num_threads(threads)


PROGRAM = Program(
    "python -m accelerated",
    "Diffusion models on fast kernels that agree with the NumPy reference.",
    port,
    add_options,
    COMMANDS | {"trace": TRACE},
    {name: f"accelerated.commands.{name}" for name in ("demo", "trace")},
)

if __name__ == "__main__":
    raise SystemExit(main(program=PROGRAM))
