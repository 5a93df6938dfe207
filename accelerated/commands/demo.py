"""``demo`` on a port: the reference's demo, and a comparison of port and reference on the trained network: errors and speed."""

import time
from copy import deepcopy
from statistics import median

from accelerated.trace import trace
from reference import ops as reference_ops
from reference.commands import demo
from reference.runs.devices import hook, train

add_options = demo.add_options
STEPS = 7  # timed, of port and reference each


def execute(arguments, ops):
    hook(ops, "compile_all")(networks_only=True)
    return demo.execute(arguments, ops, lambda run, data: compare(run, data, ops))


def compare(run, data, port):
    """The rows of the demo's report on the port.  FloatingPointError if an op of a training step exceeds its tolerance."""
    tracer = trace(run, port, data)
    if wrong := tracer.first_mismatch():
        raise FloatingPointError(str(wrong))
    worst = max(tracer.calls, key=lambda call: call.ratio)
    return {
        "port": port.__name__,
        "speedup_over_reference": speedup(run, data, port),
        "worst_error_over_tolerance": worst.ratio,
        "worst_op": worst.name,
    }


def speedup(run, data, port):
    """The median time of a training step on the reference, divided by that on the port: the same batches, in turns."""
    times: dict = {reference_ops: [], port: []}
    steps = {ops: _endless(run, data, ops) for ops in times}
    for measured in [False, False] + STEPS * [True]:  # the first step may compile, the second may capture
        for ops, taken in times.items():
            begin = time.perf_counter()
            next(steps[ops])
            hook(ops, "synchronize")()
            if measured:
                taken.append(time.perf_counter() - begin)
    return median(times[reference_ops]) / median(times[port])


def _endless(run, data, ops):
    state = deepcopy(run.state)
    return train(run.model, data.train, data.train_labels, run.settings, state, float("inf"), ops)
