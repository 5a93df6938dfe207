"""What mpiexec starts in these tests: `python -m tests.processes.job FILE.json [RANK FAULT]`.

The file holds commands, each a package and its words.  They are executed one after the other, with small batches of samples, and rank 0
prints their exit codes.  RANK FAULT: this rank has the fault, one of the functions below.
"""

import json
import os
import sys
import time
from pathlib import Path

from reference.commands.interrupts import end_on_interrupt
from reference.runs.launch import use_one_blas_thread

use_one_blas_thread()
end_on_interrupt("job")

import reference  # noqa: E402
from accelerated.__main__ import PROGRAM  # noqa: E402
from reference.commands.cli import Program, main  # noqa: E402
from reference.diffusion import training  # noqa: E402
from reference.runs import launch, sampling  # noqa: E402

PROGRAMS = {"accelerated": PROGRAM, "reference": Program()}


def at_step(true, fault):
    """Call ``fault(state)`` before the update of the training steps for whose number it is ``true``."""
    update = training.update

    def faulty(settings, state, *rest, **keywords):
        if true(state.step + 1):
            fault(state)
        return update(settings, state, *rest, **keywords)

    training.update = faulty


def refuse(state):
    raise ValueError("a value that only this process finds")


def fail(state):
    raise LookupError("an error of the program")


def drift(state):
    state.params.flat[0] += 0.01


def draw_slowly():
    """A second for every batch of samples."""
    draw = sampling.final_sample
    sampling.final_sample = lambda states: time.sleep(1) or draw(states)


THIRD, AFTER = (lambda step: step == 3), (lambda step: step > 3)
FAULTS = {
    "refuses": lambda: at_step(THIRD, refuse),
    "fails": lambda: at_step(THIRD, fail),
    "drifts": lambda: at_step(THIRD, drift),
    "has another version": lambda: setattr(reference, "__version__", "0"),
    "has another folder": lambda: os.chdir(Path("elsewhere")),
    "draws slowly": draw_slowly,
    "trains slowly": lambda: at_step(AFTER, lambda state: time.sleep(0.2)),
    "trains for minutes": lambda: at_step(AFTER, lambda state: time.sleep(5)),
}


def execute(commands, rank=None, fault=None):
    sampling.BATCH.update(images=3, points=300)
    here = launch.launched()
    if fault and rank in ("all", str(here[0])):
        FAULTS[fault]()
    for package, *words in commands:
        try:
            code = main(words, PROGRAMS[package])
        except SystemExit as stop:
            code = stop.code
        print("exit code", code, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(execute(json.loads(Path(sys.argv[1]).read_text()), *sys.argv[2:]))
