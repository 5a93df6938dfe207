"""Sampling by class or by caption: the label of each sample, and guidance, on a run that was
trained on labels.
"""

from copy import copy
from typing import Any

import numpy as np

from reference.data.captions import attributes_of, encode
from reference.diffusion.guidance import fixed_labels
from reference.networks.blocks import takes_labels
from reference.runs.views import network_time

OPTIONS = ("label", "caption", "guidance", "guidance_interval")
# label: the classes in turn; of a restored image its own class.  caption: those of the held-out
# images in turn
ALL, OWN = "all", "own"


def condition_options(run, label=None, caption=None, guidance=None, guidance_interval=None):
    """The options as ``conditioned`` takes them, with defaults for None; none of them for a run
    without labels.

    ``label``: a class's number or name, or "all" (the default), which takes the classes in turn,
    or for InDI "own" (its default), the class of the image to restore.  ``caption``: a list of
    captions, which the samples take in turn, or "own" (the default), the captions of the held-out
    images in turn.  ValueError for options that the run or its classes do not support.
    """
    given = {"label": label, "caption": caption, "guidance": guidance}
    given["guidance_interval"] = guidance_interval
    _check_supported(run, given)
    if not takes_labels(run.model.network):
        return {}
    guidance = 1.0 if guidance is None else guidance
    if not np.isfinite(guidance):
        raise ValueError(f"guidance must be a number, got {guidance}")
    if guidance != 1 and not run.settings.label_dropout:
        needed = f"guidance {guidance:g} needs a null label"
        raise ValueError(f"{needed}, and {run.folder} was trained with --label-dropout 0")
    if run.config.get("vocabulary"):
        options: dict[str, Any] = {"caption": _captions(caption), "guidance": guidance}
    else:
        options = {"label": _label(run, label), "guidance": guidance}
    if guidance_interval is not None:
        options["guidance_interval"] = _interval(guidance_interval)
    return options


def _check_supported(run, given):
    """ValueError for an option that goes with other labels than the run's."""
    labels = None
    if takes_labels(run.model.network):
        labels = "captions" if run.config.get("vocabulary") else "classes"
    needed = {"label": "classes", "caption": "captions"}
    for name, value in given.items():
        own = needed.get(name, labels or "classes or captions")
        if value is not None and own != labels:
            option, trained = name.replace("_", "-"), f"{run.folder} was trained without {own}"
            raise ValueError(f"--{option} needs a run with {own}, and {trained}")


def _captions(captions):
    if captions in (None, OWN):
        return OWN
    for caption in captions:
        attributes_of(caption)  # refuses a wrong one
    return list(captions)


def _default_label(run):
    return OWN if run.method.restores else ALL


def _label(run, label):
    names = run.config["classes"]
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


def labels_of(run, sample, label=None, caption=None):
    """The labels [b], or tokens [b,8] of captions, of the samples with the indices ``sample`` [b]:
    a sample's label depends on its index alone.  ``label`` and ``caption``: from
    ``condition_options``, None for the default.
    """
    if run.config.get("vocabulary"):
        chosen = OWN if caption is None else caption
    else:
        chosen = _default_label(run) if label is None else label
    if chosen == ALL:
        return sample % len(run.config["classes"])
    if isinstance(chosen, int):
        return np.full_like(sample, chosen)
    if chosen == OWN:
        rows = run.data.held_out_labels
    else:
        tokens = {caption: encode(caption)[0] for caption in {*chosen}}
        rows = np.array([tokens[caption] for caption in chosen])
    return np.asarray(rows, like=sample)[sample % len(rows)]


def conditioned(run, sample, label=None, caption=None, guidance=1.0, guidance_interval=None):
    """The run with a network that predicts for the labels of these samples, with guidance where
    sigma / alpha lies in the interval.  A run without labels is returned unchanged.
    """
    if not takes_labels(run.model.network):
        return run
    interval = (-np.inf, np.inf)
    if guidance_interval is not None:
        low, high = guidance_interval
        interval = network_time(run, low), network_time(run, high)
    return with_labels(run, labels_of(run, sample, label, caption), guidance, interval)


def with_labels(run, labels, weight=1.0, interval=(-np.inf, np.inf)):
    """The run with a network that predicts for labels[b]; unchanged if it takes none."""
    if not takes_labels(run.model.network):
        return run
    run = copy(run)  # with the data that the run has loaded
    run.model = fixed_labels(run.model, labels, weight, interval)
    return run
