"""Draw samples from a trained run, in batches, and warn where they can't be right."""

import warnings
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reference.runs.devices import prepare, to_device, to_host
from reference.runs.gaussian_check import check_steps_on_gaussian_data
from reference.runs.processes import PROCESS
from reference.runs.progress import progress
from reference.runs.trajectory import data_clip, describe, length, trajectory
from reference.samplers import SamplingWarning, final_sample

# Samples that go through the network together: a limit on memory, which changes no noise.
BATCH = {"images": 128, "points": 4096}
# The share of samples whose last prediction may lie far outside of the data without a warning.
MOST_BEYOND = 0.05


class CountingNetwork:
    """A network that counts the samples of all calls of ``forward`` in ``evaluations``."""

    def __init__(self, network):
        self.network, self.evaluations = network, 0

    def __getattr__(self, name):
        return getattr(self.network, name)

    def forward(self, params, x, *args, **keywords):
        self.evaluations += len(x)
        return self.network.forward(params, x, *args, **keywords)


def on_device(run, ops):
    """The run with its model and averaged weights on the port's device."""
    state = copy(run.state)
    state.ema = to_device(dict(state.ema), ops)
    return replace(run, model=prepare(run.model, ops), state=state)


@dataclass(frozen=True)
class Batch:
    """Samples x of the indices from ``first`` on; the network's evaluations of all of them; how
    many of their last predictions of x_0 lie far outside of the data.
    """

    first: int
    x: Any
    evaluations: int
    beyond: float


def draw(run, ops, n, clip="data", start=None, team=PROCESS, watch=None, **how):
    """(x, evaluations): n samples [n,...] by the run's averaged weights, and the number of network
    evaluations of a sample, None for a sampler without any.  The processes of the ``team`` draw
    batches in turn; then rank 0 has the result, and the others have (None, None).

    ``how``: from ``sampler_options``.  ``clip``: data or none.  ``start``[n,...]: as in
    ``trajectory``.  ``watch``: the network -> one that computes the same, and takes its place on
    the device.  ValueError if samples are not finite.  A warning where the network's last
    predictions of x_0 lie far outside of the data.
    """
    firsts = batch_starts(run, n)
    drawn = draw_batches(run, ops, n, firsts[team.rank :: team.count], clip, start, watch, **how)
    found = team.gather(list(drawn))
    return team.first(lambda: _join(found, n, how)) or (None, None)


def batch_starts(run, n):
    """The index of the first sample of every batch of n samples."""
    return range(0, n, BATCH["images" if len(run.model.network.sample_shape) == 3 else "points"])


def draw_batches(run, ops, n, firsts, clip="data", start=None, watch=None, **how):
    """Yield a ``Batch`` for each of ``firsts``, some of ``batch_starts``; as ``draw``."""
    check_steps_on_gaussian_data(run, **how)
    run = on_device(run, ops)
    network = CountingNetwork(watch(run.model.network) if watch else run.model.network)
    run = replace(run, model=replace(run.model, network=network))
    each, size = length(**how), batch_starts(run, n).step
    label, total = f"{how['sampler']} step", each * len(firsts)
    # overflow is reported later, in one sentence
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        for number, first in enumerate(firsts):
            held, before = data_clip(run, clip), network.evaluations
            sample = to_device(np.arange(first, min(first + size, n)), ops)
            begin = None if start is None else to_device(start[first : first + size], ops)
            states = trajectory(run, ops, sample, clip=held, start=begin, **how)
            states = progress(states, total, label, first=number * each)
            x = to_host(final_sample(states), ops)
            beyond = held.fraction_outside() * len(x)
            yield Batch(first, x, network.evaluations - before, beyond)
            warnings.simplefilter("ignore")  # the warnings of the first batch hold for the others


def _join(found, n, how):
    """What ``draw`` returns, of the batches of all processes."""
    batches = sorted((batch for own in found for batch in own), key=lambda batch: batch.first)
    x = np.concatenate([batch.x for batch in batches])
    check_finite(x, how)
    check_range(sum(batch.beyond for batch in batches), n)
    return x, sum(batch.evaluations for batch in batches) / n or None


def check_range(beyond, n):
    """A warning if ``beyond`` of n samples are too many."""
    if beyond > MOST_BEYOND * n:
        share = f"the network's predictions of {beyond / n:.0%} of the samples"
        message = (
            f"{share} end far outside of the range of the training data: such samples are wrong"
        )
        advice = "longer training, more steps or --sampler ddpm may help"
        warnings.warn(f"{message}; {advice}", SamplingWarning, stacklevel=2)


def check_finite(x, how):
    """ValueError unless the samples x by the options ``how`` are finite."""
    if not np.isfinite(x).all():
        diverged = f"{describe(**how)} diverged, and nothing was written"
        raise ValueError(f"the samples are not finite: {diverged}; a shorter step may help")


def draw_at_once(run, ops, n, **how):
    """The samples of ``draw`` in one batch, for a run that is ``on_device``: without a count, a
    progress bar and checks of the steps.
    """
    x = final_sample(trajectory(run, ops, to_device(np.arange(n), ops), **how))
    check_finite(x := to_host(x, ops), how)
    return x
