"""Sampling by class: the label of each sample, and guidance, on a run trained on classes."""

from copy import copy

import numpy as np

from reference.diffusion.guidance import fixed_labels
from reference.runs.views import network_time

OPTIONS = ("label", "guidance", "guidance_interval")
# label: the classes in turn; of a restored image, its own class
ALL, OWN = "all", "own"


def condition_options(run, label=None, guidance=None, guidance_interval=None):
    """The options as ``conditioned`` takes them, with defaults for None; none of them for a run
    without classes.

    ``label``: a class's number or name, or "all" (the default), which takes the classes in turn,
    or for InDI "own" (its default), the class of the image to restore.  ValueError for options
    that the run or its classes do not support.
    """
    names = run.config.get("classes")
    given = {"label": label, "guidance": guidance, "guidance_interval": guidance_interval}
    if not names:
        for name, value in given.items():
            if value is not None:
                trained = f"{run.folder} was trained without classes"
                raise ValueError(
                    f"--{name.replace('_', '-')} needs a run with classes, and {trained}"
                )
        return {}
    guidance = 1.0 if guidance is None else guidance
    if not np.isfinite(guidance):
        raise ValueError(f"guidance must be a number, got {guidance}")
    if guidance != 1 and not run.settings.label_dropout:
        needed = f"guidance {guidance:g} needs a null label"
        raise ValueError(f"{needed}, and {run.folder} was trained with --label-dropout 0")
    options = {"label": _label(run, names, label), "guidance": guidance}
    if guidance_interval is not None:
        options["guidance_interval"] = _interval(guidance_interval)
    return options


def _default_label(run):
    return OWN if run.method.restores else ALL


def _label(run, names, label):
    if label in (None, ALL, _default_label(run)):
        return label or _default_label(run)
    if str(label) in names:
        return names.index(str(label))
    if str(label).isdecimal() and int(label) < len(names):
        return int(label)
    choices = f"0 to {len(names) - 1}, one of {', '.join(names)}, or {ALL}"
    raise ValueError(f"label must be {choices}, got {label!r}")


def _interval(interval):
    low, high = interval
    if not 0 <= low < high:
        raise ValueError(
            f"guidance-interval must be a low and a higher noise level, got {low:g} {high:g}"
        )
    return [float(low), float(high)]


def labels_of(run, label, sample):
    """The labels [b] of the samples with the indices ``sample`` [b]: a sample's label depends on
    its index alone.
    """
    if label == OWN:
        own = np.asarray(run.data.held_out_labels, like=sample)
        return own[sample % len(own)]
    return sample % len(run.config["classes"]) if label == ALL else np.full_like(sample, label)


def conditioned(run, sample, label=None, guidance=1.0, guidance_interval=None):
    """The run with a network that predicts for the labels of these samples, with guidance where
    sigma / alpha lies in the interval.  A run without classes is returned unchanged.
    """
    if not run.model.network.classes:
        return run
    interval = (-np.inf, np.inf)
    if guidance_interval is not None:
        low, high = guidance_interval
        interval = network_time(run, low), network_time(run, high)
    label = _default_label(run) if label is None else label
    return with_labels(run, labels_of(run, label, sample), guidance, interval)


def with_labels(run, labels, weight=1.0, interval=(-np.inf, np.inf)):
    """The run with a network that predicts for labels[b]; unchanged without classes."""
    if not run.model.network.classes:
        return run
    run = copy(run)  # with the data that the run has loaded
    run.model = fixed_labels(run.model, labels, weight, interval)
    return run
