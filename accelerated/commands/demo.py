"""``demo`` on a port: the reference's, and on the trained network whether the two agree, and how much faster the port is."""

import time
from copy import deepcopy
from statistics import median

from accelerated.trace import trace
from reference import ops as reference_ops
from reference.commands import demo
from reference.runs.devices import hook, train

add_options = demo.add_options
STEPS = 7  # that are timed, of each


def execute(arguments, ops):
    hook(ops, "compile_all")(laws=False)
    return demo.execute(arguments, ops, lambda run, data: compare(run, data, ops))


def compare(run, data, port):
    """What the demo's report says of the port.  FloatingPointError if an op of a training step is over its budget."""
    tracer = trace(run, port, data)
    if wrong := tracer.first_over():
        raise FloatingPointError(str(wrong))
    worst = max(tracer.calls, key=lambda call: call.ratio)
    return {
        "port": port.__name__,
        "speedup_over_reference": speedup(run, data, port),
        "worst_error_over_budget": worst.ratio,
        "worst_op": worst.name,
    }


def speedup(run, data, port):
    """The reference's median time for a training step over the port's: the same batches, taken in turns."""
    times: dict = {reference_ops: [], port: []}
    steps = {ops: _endless(run, data, ops) for ops in times}
    for measured in [False, False] + STEPS * [True]:  # the first one may compile, the second record what is replayed
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
