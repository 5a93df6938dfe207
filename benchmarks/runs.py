"""``python -m benchmarks runs``: a whole training run on digits, from a new process to a stated quality.

All draw the same numbers and begin with the same weights, so that they end with the same network but for roundings: the loss of its
averaged weights on held-out digits is computed for each, by the reference, and must not lie above the stated one.  Seconds are those of
everything after the imports: preparing, compiling what no cache holds, and all steps.
"""

import sys
import tempfile

import numpy as np

from benchmarks import measure
from benchmarks.counts import counts
from benchmarks.peers import left_out
from benchmarks.workloads import RUNS
from benchmarks.workloads.networks import digits
from reference.__main__ import Parser

QUALITY = {"full": 0.095, "tiny": np.inf}  # of the loss on held-out digits; predicting zero scores about 1
DEFAULT = ("accelerated.cpu", "pytorch", measure.REFERENCE)


def main(arguments=None):
    """The exit code: 0, 1 if a run misses the quality, 2 for options that can't be."""
    parser = Parser(
        prog="python -m benchmarks runs", allow_abbrev=False, description="A whole training run on digits, to a stated quality."
    )
    parser.add_argument("--implementations", nargs="+", metavar="NAME", default=DEFAULT, help=f"(default: {', '.join(DEFAULT)})")
    parser.add_argument("--size", choices=RUNS, default="full", help="tiny: to try out the program itself")
    options = parser.parse_args(arguments)
    workload, good, threads = RUNS[options.size], True, len(measure.processors())
    called = counts(workload).calls
    print(
        f"{workload.steps} steps of {workload.batch} digits, to a held-out loss of {QUALITY[options.size]}; {threads} threads", flush=True
    )
    for name in options.implementations:
        try:
            if reason := left_out(name):
                print(f"{name:24} {reason}", flush=True)
                continue
            if lacks := measure.lacking(name, called):
                print(f"{name:24} not run: it lacks {', '.join(lacks)}", flush=True)
                continue
            seconds, loss = run(name, options.size, workload, threads)
        except (measure.Failure, ValueError) as failure:
            print(f"{name:24} {failure}", file=sys.stderr)
            return 2
        reached = loss <= QUALITY[options.size]
        good = good and reached
        print(f"{name:24} {seconds:8.1f} s   loss {loss:.4f}{'' if reached else ', which is not good enough'}", flush=True)
    return int(not good)


def run(implementation, size, workload, threads):
    """(seconds, held-out loss) of an implementation, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder, measure.Worker(implementation, "digits", f"runs-{size}", threads, folder) as worker:
        seconds = worker.answer()["first"]
        average = worker.results()["average"]
    missing = {name: np.zeros(shape, np.float32) for name, shape in workload.network.shapes().items() if name not in average}
    return seconds, held_out_loss(workload, average | missing)  # a key's bias, which has no effect, is no result


def held_out_loss(workload, params):
    """The mean loss over the held-out digits, each at one time."""
    x0 = digits().held_out
    sample = np.arange(len(x0))
    draws = workload.model.sample_training_noise(0, sample, 0, x0.shape[1:], x0.dtype)
    return float(workload.model.loss(params, x0, *draws)[0])
