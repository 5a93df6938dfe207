"""A model for diffusers as a run: a folder with a UNet2DModel and the config of its scheduler, as
DDPMPipeline saves them.  All samplers then work on it.

Its network takes x itself and the whole number t - 1.  Here a network gets c_in x with
c_in = 1 / sqrt(alpha^2 data_variance + sigma^2) (denoiser.py), and the schedule's network time.
These schedules preserve the variance, alpha^2 + sigma^2 = 1, so c_in is 1 for a data_variance of 1,
and ``WholeTimes`` has the network time t - 1.

A folder that ``export`` wrote holds the config of its run, ``RUN_FIELD``, and is read as that run.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from reference.ddpm.learned import LearnedVariance
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.schedules import Schedule, cosine, from_betas, zero_terminal_snr
from reference.diffusion.training import Settings
from reference.ops.checks import is_whole
from reference.runs.config import checked_model
from reference.runs.diffusers_format import CONFIG, PREDICTIONS, RUN_FIELD, load_model

SCHEDULER = "scheduler_config.json"
# schedulers of diffusers whose fields have the meanings and defaults below
SCHEDULERS = ("DDPMScheduler", "DDIMScheduler", "PNDMScheduler", "DPMSolverMultistepScheduler")
DEFAULTS: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
    "rescale_betas_zero_snr": False,
    "prediction_type": "epsilon",
    "variance_type": "fixed_small",
    "clip_sample_range": 1.0,
}
BETAS: dict[str, Any] = {  # (first, last, T) -> the betas
    "linear": np.linspace,
    "scaled_linear": lambda first, last, T: np.linspace(first**0.5, last**0.5, T) ** 2,
    "sigmoid": lambda first, last, T: first + (last - first) / (1 + np.exp(-np.linspace(-6, 6, T))),
}


class WholeTimes(Schedule):
    """A schedule whose network time is the whole number t - 1 = 0 .. T - 1, as in diffusers."""

    def network_time(self, t):
        return t - 1


def model_folder(folder):
    """The folder of the model's config: ``folder`` itself or its subfolder unet.  None if neither
    holds the config of a model for diffusers.
    """
    for place in (Path(folder), Path(folder) / "unet"):
        if "_class_name" in _json(place / CONFIG):
            return place
    return None


def read(folder):
    """(config, model, weights, step) of the model in ``folder``; step is 0 unless ``export`` wrote
    it.  ValueError for a folder without a supported model or scheduler.
    """
    place = model_folder(folder)
    network, weights = load_model(place)
    if facts := _json(place / CONFIG).get(RUN_FIELD):
        return _exported(place / CONFIG, facts, network, weights)
    settings, path = _scheduler(Path(folder))
    try:
        model = build_model(network, settings)
        reach = float(settings["clip_sample_range"])
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is not supported here: {error}") from None
    config = {
        "method": "ddpm",
        "data": str(Path(folder).resolve()),
        "data_sha256": None,
        "data_variance": model.data_variance,
        "data_range": [-reach, reach],
        "net": {"kind": "unet", **asdict(network)},
        "schedule": settings,
        "prediction": model.prediction,
        "classes": [str(label) for label in range(network.classes)] or None,
        "training": asdict(Settings()),
        "steps": 0,
    }
    return config, model, weights, 0


def build_model(network, settings):
    """The model of a network and its scheduler's settings."""
    chosen = settings["prediction_type"]
    names = {theirs: ours for ours, theirs in PREDICTIONS.items()}
    if chosen not in names:
        raise ValueError(f"prediction_type must be one of {', '.join(names)}, got {chosen!r}")
    arguments = network, schedule_of(settings), names[chosen]
    if network.outputs == 1:
        return Denoiser(*arguments)
    if network.outputs == 2 and settings["variance_type"] == "learned_range":
        return LearnedVariance(*arguments)
    raise ValueError(
        f"a network with {network.outputs} times as many channels as its images needs"
        f" variance_type learned_range, got {settings['variance_type']!r}"
    )


def schedule_of(settings):
    """The ``WholeTimes`` of a scheduler's settings.  As in diffusers, its betas are
    ``trained_betas``, or T values from ``beta_start`` to ``beta_end``: alpha_bar_T depends on T.
    """
    T, name, betas = (
        settings[field] for field in ("num_train_timesteps", "beta_schedule", "trained_betas")
    )
    if not is_whole(T) or T < 1:
        raise ValueError(f"num_train_timesteps must be a whole number from 1 on, got {T!r}")
    if betas is not None:
        schedule = from_betas(betas)
    elif name == "squaredcos_cap_v2":
        schedule = cosine(T)
    elif name in BETAS:
        schedule = from_betas(BETAS[name](settings["beta_start"], settings["beta_end"], T))
    else:
        known = ", ".join((*BETAS, "squaredcos_cap_v2"))
        raise ValueError(f"beta_schedule must be one of {known}, got {name!r}")
    if schedule.T != T:
        raise ValueError(f"trained_betas must hold {T} numbers, got {schedule.T}")
    if settings["rescale_betas_zero_snr"]:
        schedule = zero_terminal_snr(schedule)
    return WholeTimes(schedule.log_alpha_bar, str(name))


def _scheduler(folder):
    """(settings, path) of the scheduler in ``folder``, defaults included."""
    for path in (folder / "scheduler" / SCHEDULER, folder / SCHEDULER):
        if path.is_file():
            given = _json(path)
            if given.get("_class_name") not in SCHEDULERS:
                known, found = ", ".join(SCHEDULERS), given.get("_class_name")
                raise ValueError(f"{path} must be the config of one of {known}, got {found}")
            return {name: given.get(name, value) for name, value in DEFAULTS.items()}, path
    missing = f"it has neither scheduler/{SCHEDULER} nor {SCHEDULER}"
    raise ValueError(f"{folder} holds a UNet2DModel but not its noise levels: {missing}")


def _exported(path, facts, network, weights):
    """``read`` of a model that ``export`` wrote: of its run."""
    try:
        config, step = facts["config"], facts["step"]
    except (TypeError, KeyError):
        raise ValueError(f"{path} can't be read: {RUN_FIELD} must hold config and step") from None
    model = checked_model(config, path)
    if model.network != network:
        raise ValueError(f"{path} can't be read: {RUN_FIELD} describes another network")
    return config, model, weights, step


def _json(path):
    """The dictionary in a JSON file; an empty one if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
