"""Can a run be trained here, and did its training learn anything?"""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np

from reference.diffusion import training
from reference.networks.blocks import takes_labels
from reference.runs.devices import has_hook, prepare, to_device
from reference.runs.run import training_model

# Averaged weights with more than this share of the untrained weights' loss have learned nothing.
LEARNED_NOTHING = 0.98


def check_trainable(run, data, ops):
    """ValueError for a run that can't be trained on its data, or needs more memory than is free.

    The memory of a step is extrapolated from two small batches: it grows at least linearly with the
    batch.  A device reports by itself that its memory is spent.
    """
    training_model(run, data)
    if has_hook(ops, "to_device"):
        return
    few, more = 4, 8
    step_loss(run, data, run.state.params, few, ops)  # compiles the kernels
    of_few, of_more = _peak(run, data, few, ops), _peak(run, data, more, ops)
    needed = of_few + (of_more - of_few) / (more - few) * (run.settings.batch - few)
    free = free_memory()
    if needed > free:
        step = f"a step of {run.settings.batch} samples"
        sizes = (
            f"at least {needed / 2**30:,.1f} GiB of memory, and {free / 2**30:,.1f} GiB are free"
        )
        raise ValueError(f"batch must be smaller: {step} takes {sizes}")


def _peak(run, data, batch, ops):
    """The peak memory in bytes of the loss of ``batch`` samples and its gradient."""
    tracemalloc.start()
    try:
        step_loss(run, data, run.state.params, batch, ops)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def step_loss(run, data, params, batch, ops):
    """The loss of ``params`` on a batch of training data, the same one at every call."""
    model, train = prepare(training_model(run, data), ops), to_device(data.train, ops)
    settings = replace(run.settings, batch=batch, shards=1)
    indices, *draws = training.draw_batch(model, train, settings, 0, ops)
    labels = to_device(data.train_labels, ops)[indices] if takes_labels(model.network) else None
    params = to_device(dict(params), ops)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, *_ = model.loss(params, train[indices], *draws, labels=labels, ops=ops)
    return float(mean)


def free_memory():
    """Bytes that a process can still get; infinity where the system does not report it."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError):
        return float("inf")


def learned_nothing(run, data, ops):
    """A sentence if the averaged weights are hardly better than the untrained ones, which predict
    zero; else None.
    """
    untrained = training.init_state(run.model.network, run.settings.seed).params
    batch = run.settings.batch
    loss = step_loss(run, data, run.state.ema, batch, ops)
    of_zero = step_loss(run, data, untrained, batch, ops)
    if loss < of_zero - (1 - LEARNED_NOTHING) * abs(of_zero):
        return None
    found = f"their loss is {loss:.4g}, and {of_zero:.4g} before training"
    advice = "a smaller --lr or more --steps may help"
    return f"the averaged weights have learned nothing: {found}; {advice}"
