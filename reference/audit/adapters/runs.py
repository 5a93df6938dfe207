"""A trained run as a target: its noise levels, its loss, ``ddim`` on its schedule, and its network
with the averaged weights as ``denoise``, without a label.
"""

import numpy as np

from reference.audit.adapters.ours import chain_pieces, solver_pieces
from reference.audit.target import Target, TargetError
from reference.data.datasets import load_dataset
from reference.diffusion.denoiser import split_prediction
from reference.diffusion.guidance import guide, null_labels
from reference.diffusion.schedules import SCHEDULES, Schedule, VarianceExplodingSchedule
from reference.networks.blocks import takes_labels
from reference.runs.devices import to_device, to_host
from reference.runs.run import open_run
from reference.runs.sampling import on_device

METHODS = ("ddpm", "smld", "sde", "flow")  # the methods with a denoiser at every noise level


def target(name, limit, ops, data_dir=None, data=None):
    """The ``Target`` of a folder of a run, an exported file, a model of the package or a model for
    diffusers.

    ``data``: the data of the checks of the network, by default those of the run's training.
    ``data_dir``: the folder of mnist or fashion-mnist.  TargetError if there is no such run.
    """
    try:
        run = open_run(name, data_dir=data_dir)
    except (ValueError, OSError) as error:
        raise TargetError(str(error)) from error
    if run.method.name not in METHODS:
        trained = f"{name} was trained by {run.method.name}"
        raise TargetError(f"the audit examines runs of {', '.join(METHODS)}, and {trained}")
    schedule, prediction = run.model.schedule, run.model.sampled_prediction
    if isinstance(schedule, Schedule):
        pieces, claims = chain_pieces("ddim", schedule, prediction)
        pieces |= _table(schedule)
    else:
        pieces, claims = solver_pieces("dpm-solver-1", schedule, prediction)
    if _is_named(run):
        claims["schedule"] = schedule.name
    claims["shape"] = run.model.network.sample_shape
    known = _named_data(run, data, data_dir) if data else _own_data(run)
    return Target(name, pieces | _trained(run, ops) | known, claims, limit)


def _table(schedule):
    times = np.arange(schedule.T + 1)
    if isinstance(schedule, VarianceExplodingSchedule):
        return {"sigmas": schedule.noise_scale(times[1:])}
    return {"alpha_bar": schedule.signal_power(times)}


def _is_named(run):
    """Is the schedule the one that its name and T give without other options?"""
    schedule = run.model.schedule
    make = SCHEDULES.get(getattr(schedule, "name", ""))
    return make is not None and np.array_equal(
        make(schedule.T).log_alpha_bar, schedule.log_alpha_bar
    )


def _trained(run, ops):
    """The network.  One with labels that was trained without dropped labels has no prediction
    without a label, and is left out.
    """
    labelled = takes_labels(run.model.network)
    pieces = {"guided": guide} if labelled else {}
    if not labelled or run.settings.label_dropout:
        pieces["denoise"] = _denoise(run, ops)
    return pieces


def _own_data(run):
    """The data that the run was trained on; {} where they can't be read."""
    try:
        return {} if run.needs_download() else _pieces(run.data)
    except (ValueError, OSError):
        return {}


def _named_data(run, name, data_dir):
    shape = run.model.network.sample_shape
    try:
        data = load_dataset(name, data_dir=data_dir)
    except (ValueError, OSError) as error:
        raise TargetError(str(error)) from error
    larger = all(ours >= theirs for ours, theirs in zip(shape, data.shape))
    if len(shape) != len(data.shape) or shape[-1] != data.shape[-1] or not larger:
        raise TargetError(f"a sample of {name} has the shape {data.shape}, the network {shape}")
    return _pieces(data.padded(shape))


def _pieces(data):
    return {"data": data.train, "held_out": data.held_out}


def _denoise(run, ops):
    run, network = on_device(run, ops), run.model.network

    def denoise(x, t):
        labels = None
        if takes_labels(network):
            tokens = (network.caption_length,) if getattr(network, "vocabulary", 0) else ()
            labels = to_device(null_labels(np.zeros((len(x), *tokens), int), network), ops)
        predict = run.model.predictor(run.state.ema, labels, ops)
        output = predict(to_device(x.astype(np.float32), ops), t)
        return to_host(split_prediction(output)[0], ops)

    return denoise
