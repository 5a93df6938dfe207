"""A trained run as a target: its noise levels, its loss, ``ddim`` on its schedule, and its network
with the averaged weights as ``denoise``, without a label.
"""

import numpy as np

from reference.audit.adapters.ours import chain_pieces, solver_pieces
from reference.audit.target import Target, TargetError
from reference.diffusion.denoiser import split_prediction
from reference.diffusion.guidance import guide, null_label
from reference.diffusion.schedules import SCHEDULES, Schedule, VarianceExplodingSchedule
from reference.runs.devices import to_device, to_host
from reference.runs.run import open_run
from reference.runs.sampling import on_device

METHODS = ("ddpm", "smld", "sde")  # the methods with a denoiser at every noise level


def target(name, limit, ops, data_dir=None):
    """The ``Target`` of a folder of a run, an exported file or a model of the package.

    ``data_dir``: the folder of mnist or fashion-mnist.  TargetError if there is no such run.
    """
    try:
        run = open_run(name, data_dir=data_dir)
    except (ValueError, OSError) as error:
        raise TargetError(str(error)) from error
    if run.method.name not in METHODS:
        trained = f"{name} was trained by {run.method.name}"
        raise TargetError(f"the audit examines runs of {', '.join(METHODS)}, and {trained}")
    schedule, prediction = run.model.schedule, run.model.prediction
    if isinstance(schedule, Schedule):
        pieces, claims = chain_pieces("ddim", schedule, prediction)
        pieces |= _table(schedule)
    else:
        pieces, claims = solver_pieces("dpm-solver-1", schedule, prediction)
    if _is_named(run):
        claims["schedule"] = run.config["schedule"]["name"]
    claims["shape"] = run.model.network.sample_shape
    return Target(name, pieces | _trained(run, ops), claims, limit)


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
    """The network and its data.  A network with classes that was trained without dropped labels has
    no prediction without a label, and data that can't be read are left out.
    """
    pieces = {"guided": guide} if run.config.get("classes") else {}
    if not run.config.get("classes") or run.settings.label_dropout:
        pieces["denoise"] = _denoise(run, ops)
    try:
        if not run.needs_download():
            pieces |= {"data": run.data.train, "held_out": run.data.held_out}
    except (ValueError, OSError):
        pass
    return pieces


def _denoise(run, ops):
    run, network = on_device(run, ops), run.model.network

    def denoise(x, t):
        labels = None
        if network.classes:
            labels = to_device(np.full(len(x), null_label(network)), ops)
        predict = run.model.predictor(run.state.ema, labels, ops)
        output = predict(to_device(x.astype(np.float32), ops), t)
        return to_host(split_prediction(output)[0], ops)

    return denoise
