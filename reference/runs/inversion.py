"""DDIM inversion of a trained run: from data to the noise, their latents, from which ``ddim``
returns to about the same data; and files of latents.

DDIM without noise takes Euler steps of the probability flow dy/ds = e(y, s), with y = x / signal,
s = noise_scale / signal and e the predicted noise.  Inversion takes the same steps upwards.  Each
direction evaluates e where its step begins, so a step of length h up and down again gives

    y + h e(y, s) - h e(y + h e(y, s), s + h) = y - h^2 de/ds + O(h^3)

with de/ds along the flow.  The errors of all 1/h steps add up to O(h): the round trip is of first
order in 1/steps, while each direction approaches the flow, whose two directions are inverse.
"""

import json
import zipfile

import numpy as np

from reference.ops.checks import is_whole
from reference.runs import conditions
from reference.runs.devices import to_device, to_host
from reference.runs.sampling import BATCH, on_device
from reference.runs.trajectory import trajectory
from reference.runs.views import schedule_of
from reference.samplers import final_sample
from reference.samplers.ddim import ddim_invert


def invert(run, ops, x, steps, **condition):
    """The latents [n,...] of x[n,...] in the network's units.  ``condition``: from
    ``conditions.condition_options``.
    """

    def latents(run, sample, x):
        run = conditions.conditioned(run, sample, **condition)
        schedule, predict, prediction = schedule_of(run, ops, steps)
        return ddim_invert(predict, schedule, schedule.timesteps(steps), x, ops, prediction)

    return _in_batches(run, ops, x, latents)


def reconstruct(run, ops, latents, steps, **condition):
    """What ``ddim`` with eta = 0 and without clipping makes of latents [n,...]."""
    how = {"sampler": "ddim", "seed": 0, "steps": steps, "eta": 0.0, "clip": "none", **condition}
    return _in_batches(
        run, ops, latents, lambda run, sample, x: trajectory(run, ops, sample, start=x, **how)
    )


def _in_batches(run, ops, x, states_of):
    """The last states of ``states_of(run, sample, x)``, batch by batch.  ValueError unless they are
    finite.
    """
    run, results = on_device(run, ops), []
    batch = BATCH["images" if x.ndim == 4 else "points"]
    with np.errstate(over="ignore", invalid="ignore"):  # reported below
        for first in range(0, len(x), batch):
            part = x[first : first + batch]
            sample = np.arange(first, first + len(part))
            states = states_of(run, to_device(sample, ops), to_device(part, ops))
            results.append(to_host(final_sample(states), ops))
    together = np.concatenate(results)
    if not np.isfinite(together).all():
        raise ValueError(f"{run.folder} diverged in the steps of ddim: more steps may help")
    return together


def read_latents(path, shape):
    """(latents [n,*shape] in float32, the settings that they were made with) of a file that the
    command ``invert`` wrote.  ValueError for any other file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            latents, settings = archive["latents"], json.loads(str(archive["settings"]))
        steps = settings["steps"]
    except (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile):
        written = "it must be a .npz file that invert wrote"
        raise ValueError(f"{path} can't be read as latents: {written}") from None
    if latents.shape[1:] != tuple(shape) or not len(latents) or not is_whole(steps):
        raise ValueError(f"{path} must hold latents of shape {tuple(shape)}, got {latents.shape}")
    if latents.dtype != np.float32 or not np.isfinite(latents).all():
        raise ValueError(f"{path} can't be read as latents: they must be finite float32 numbers")
    return latents, settings
