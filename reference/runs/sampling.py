"""Draw samples from a trained run, in batches, and warn where they can't be right."""

import warnings
from copy import copy
from dataclasses import replace

import numpy as np

from reference.runs.devices import prepare, to_device, to_host
from reference.runs.gaussian_check import check_steps_on_gaussian_data
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


def draw(run, ops, n, clip="data", start=None, **how):
    """(x, evaluations): n samples [n,...] by the run's averaged weights, and the number of network
    evaluations of a sample, None for a sampler without any.

    ``how``: from ``sampler_options``.  ``clip``: data or none.  ``start``[n,...]: as in
    ``trajectory``.  ValueError if samples are not
    finite.  A warning where the network's last predictions of x_0 lie far outside of the data.
    """
    check_steps_on_gaussian_data(run, **how)
    run = on_device(run, ops)
    network = CountingNetwork(run.model.network)
    run = replace(run, model=replace(run.model, network=network))
    each, parts, beyond = length(**how), [], 0.0
    batch = BATCH["images" if len(run.model.network.sample_shape) == 3 else "points"]
    label, total = f"{how['sampler']} step", each * -(-n // batch)
    # overflow is reported below, in one sentence
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        for number, first in enumerate(range(0, n, batch)):
            held = data_clip(run, clip)
            sample = to_device(np.arange(first, min(first + batch, n)), ops)
            begin = None if start is None else to_device(start[first : first + batch], ops)
            states = trajectory(run, ops, sample, clip=held, start=begin, **how)
            states = progress(states, total, label, first=number * each)
            parts.append(to_host(final_sample(states), ops))
            beyond += held.fraction_outside() * len(parts[-1])
            warnings.simplefilter("ignore")  # the warnings of the first batch hold for the others
    x = np.concatenate(parts)
    check_finite(x, how)
    if beyond > MOST_BEYOND * n:
        share = f"the network's predictions of {beyond / n:.0%} of the samples"
        message = (
            f"{share} end far outside of the range of the training data: such samples are wrong"
        )
        advice = "longer training, more steps or --sampler ddpm may help"
        warnings.warn(f"{message}; {advice}", SamplingWarning, stacklevel=2)
    return x, network.evaluations / n or None


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
