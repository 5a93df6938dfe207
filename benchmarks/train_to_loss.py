"""``python -m benchmarks train-to-loss``: a whole training run on digits, from a new process to a target loss.

All implementations use the same random numbers and first weights, so that their networks differ by rounding only.  The reference computes
the loss of the averaged weights on held-out digits; it must reach the target.  The time includes everything after the imports:
preparation, compilation of kernels that are not cached, and all steps.
"""

import sys
import tempfile

import numpy as np

from benchmarks import measure
from benchmarks.counts import counts
from benchmarks.peers import IMPL_HELP, skip_reason
from benchmarks.workloads import SIZE_HELP, TRAIN_TO_LOSS
from benchmarks.workloads.networks import digits
from reference.commands.cli import Parser

TARGET_LOSS = {"full": 0.095, "tiny": np.inf}  # on held-out digits; predicting zero has a loss of about 1
DEFAULT = ("accelerated.cpu", "pytorch", measure.REFERENCE)


def main(arguments=None):
    """The exit code: 0, 1 if a run misses the target, 2 for invalid options or a run that fails."""
    description = "Time of a whole training run on digits, from a new process to a target loss."
    parser = Parser(prog="python -m benchmarks train-to-loss", allow_abbrev=False, description=description)
    parser.add_argument("--impl", nargs="+", metavar="NAME", default=DEFAULT, help=IMPL_HELP.format(", ".join(DEFAULT)))
    parser.add_argument("--size", choices=TRAIN_TO_LOSS, default="full", help=SIZE_HELP)
    options = parser.parse_args(arguments)
    workload, passed, threads = TRAIN_TO_LOSS[options.size], True, len(measure.available_processors())
    target, called = TARGET_LOSS[options.size], counts(workload).calls
    print(f"{workload.steps} steps with batches of {workload.batch} digits; target: held-out loss {target}; {threads} threads", flush=True)
    for name in options.impl:
        try:
            if reason := skip_reason(name):
                print(f"{name:24} {reason}", flush=True)
                continue
            if missing := measure.missing_ops(name, called):
                print(f"{name:24} not run: it lacks {', '.join(missing)}", flush=True)
                continue
            seconds, loss = run(name, options.size, workload, threads)
        except (measure.Failure, ValueError) as failure:
            print(f"{name:24} {failure}", file=sys.stderr)
            return 2
        reached = loss <= target
        passed = passed and reached
        print(f"{name:24} {seconds:8.1f} s   loss {loss:.4f}{'' if reached else ', above the target'}", flush=True)
    return int(not passed)


def run(implementation, size, workload, threads):
    """(seconds, held-out loss) of an implementation, in a process of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        measure.Worker(implementation, "digits", f"train-to-loss-{size}", threads, folder) as worker,
    ):
        seconds = worker.answer()["first"]
        average = worker.results()["average"]
    missing = {name: np.zeros(shape, np.float32) for name, shape in workload.network.shapes().items() if name not in average}
    return seconds, held_out_loss(workload, average | missing)  # biases of attention keys have no effect and are no results


def held_out_loss(workload, params):
    """The mean loss over the held-out digits, each at one time."""
    x0 = digits().held_out
    sample = np.arange(len(x0))
    draws = workload.model.sample_training_noise(0, sample, 0, x0.shape[1:], x0.dtype)
    return float(workload.model.loss(params, x0, *draws)[0])
