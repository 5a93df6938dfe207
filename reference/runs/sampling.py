"""Draw samples from a trained run, in batches, and warn where they can't be right."""

import warnings
from copy import copy
from dataclasses import replace

import numpy as np

from reference.diffusion.devices import captured, to_device, to_host
from reference.runs.gaussian_check import check_steps_on_gaussian_data
from reference.runs.progress import progress
from reference.runs.trajectory import data_clip, describe, length, trajectory
from reference.samplers import SamplingWarning, final_sample

# Samples that go through the network together: a limit on memory, which changes no noise.
BATCH = {"images": 128, "points": 4096}
# The share of samples whose last prediction may lie far outside of the data without a warning.
MOST_BEYOND = 0.05


class CountingOps:
    """A port's ops that count the network's evaluations in ``evaluations``."""

    def __init__(self, ops):
        self.ops, self.evaluations = ops, 0

    def __getattr__(self, name):
        setattr(self, name, getattr(self.ops, name))  # networks look ops up at every call
        return vars(self)[name]

    def replayed(self, function):
        inner = captured(function, self.ops)

        def counted(*args):
            self.evaluations += 1
            return inner(*args)

        return counted


def draw(run, ops, n, clip="data", **how):
    """(x, evaluations): n samples [n,...] by the run's averaged weights, and the number of network
    evaluations of one batch, None for a sampler without any.

    ``how``: from ``sampler_options``.  ``clip``: data or none.  ValueError if samples are not
    finite.  A warning where the network's last predictions of x_0 lie far outside of the data.
    """
    check_steps_on_gaussian_data(run, **how)
    run, ops, beyond = replace(run, state=copy(run.state)), CountingOps(ops), 0.0
    run.state.ema = to_device(dict(run.state.ema), ops)
    each, parts = length(**how), []
    batch = BATCH["images" if len(run.model.network.sample_shape) == 3 else "points"]
    label, total = f"{how['sampler']} step", each * -(-n // batch)
    # overflow is reported below, in one sentence
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        for number, first in enumerate(range(0, n, batch)):
            held = data_clip(run, clip)
            sample = to_device(np.arange(first, min(first + batch, n)), ops)
            states = trajectory(run, ops, sample, clip=held, **how)
            states = progress(states, total, label, first=number * each)
            parts.append(to_host(final_sample(states)))
            beyond += held.fraction_outside() * len(parts[-1])
            warnings.simplefilter("ignore")  # the warnings of the first batch hold for the others
    x = np.concatenate(parts)
    if not np.isfinite(x).all():
        diverged = f"{describe(**how)} diverged, and nothing was written"
        raise ValueError(f"the samples are not finite: {diverged}; a shorter step may help")
    if beyond > MOST_BEYOND * n:
        share = f"the network's predictions of {beyond / n:.0%} of the samples"
        message = (
            f"{share} end far outside of the range of the training data: such samples are wrong"
        )
        advice = "longer training, more steps or --sampler ddpm may help"
        warnings.warn(f"{message}; {advice}", SamplingWarning, stacklevel=2)
    return x, ops.evaluations / len(parts) or None
