"""Sampling by class or by caption: the label of each sample, and guidance, on a run that was trained
on labels.
"""

from copy import copy

import numpy as np

from reference.data.captions import encode
from reference.diffusion.guidance import fixed_labels
from reference.networks.blocks import takes_labels
from reference.runs.views import network_time

OPTIONS = ("label", "caption", "guidance", "guidance_interval")
# label: the classes in turn; of a restored image its own class, or the captions of the held-out
# images in turn
ALL, OWN = "all", "own"


def condition_options(run, label=None, caption=None, guidance=None, guidance_interval=None):
    """The options as ``conditioned`` takes them, with defaults for None; none of them for a run
    without labels.

    ``label``: a class's number or name, or "all" (the default), which takes the classes in turn,
    or for InDI "own" (its default), the class of the image to restore.  ``caption``: a list of
    captions, which become the ``label`` of a run with captions; its default is "own", the captions
    of the held-out images in turn.  ValueError for options that the run does not support.
    """
    given = {"label": label, "caption": caption, "guidance": guidance}
    _check_supported(run, **given, guidance_interval=guidance_interval)
    if not takes_labels(run.model.network):
        return {}
    guidance = 1.0 if guidance is None else guidance
    if not np.isfinite(guidance):
        raise ValueError(f"guidance must be a number, got {guidance}")
    if guidance != 1 and not run.settings.label_dropout:
        needed = f"guidance {guidance:g} needs a null label"
        raise ValueError(f"{needed}, and {run.folder} was trained with --label-dropout 0")
    label = _captions(caption) if run.config.get("vocabulary") else _label(run, label)
    options = {"label": label, "guidance": guidance}
    if guidance_interval is not None:
        options["guidance_interval"] = _interval(guidance_interval)
    return options


def _check_supported(run, **given):
    """ValueError for an option that goes with other labels than the run's."""
    labels = "captions" if run.config.get("vocabulary") else "classes"
    labels = labels if takes_labels(run.model.network) else None
    needed = {"label": "classes", "caption": "captions"}
    for name, value in given.items():
        own = needed.get(name, labels or "classes or captions")
        if value is not None and own != labels:
            option, trained = name.replace("_", "-"), f"{run.folder} was trained without {own}"
            raise ValueError(f"--{option} needs a run with {own}, and {trained}")


def _captions(captions):
    for caption in captions or ():
        encode(caption)  # refuses what is not one
    return OWN if captions is None else [" ".join(caption.lower().split()) for caption in captions]


def _default_label(run):
    return OWN if run.method.restores or run.config.get("vocabulary") else ALL


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


def labels_of(run, label, sample):
    """The labels [b], or tokens [b,8] of captions, of the samples with the indices ``sample`` [b]:
    a sample's label depends on its index alone.
    """
    if isinstance(label, list):
        tokens = np.asarray(np.stack([encode(caption)[0] for caption in label]), like=sample)
        return tokens[sample % len(label)]
    if label == OWN:
        own = np.asarray(run.data.held_out_labels, like=sample)
        return own[sample % len(own)]
    return sample % len(run.config["classes"]) if label == ALL else np.full_like(sample, label)


def conditioned(run, sample, label=None, guidance=1.0, guidance_interval=None):
    """The run with a network that predicts for the labels of these samples, with guidance where
    sigma / alpha lies in the interval.  A run without labels is returned unchanged.
    """
    if not takes_labels(run.model.network):
        return run
    interval = (-np.inf, np.inf)
    if guidance_interval is not None:
        low, high = guidance_interval
        interval = network_time(run, low), network_time(run, high)
    label = _default_label(run) if label is None else label
    return with_labels(run, labels_of(run, label, sample), guidance, interval)


def with_labels(run, labels, weight=1.0, interval=(-np.inf, np.inf)):
    """The run with a network that predicts for labels[b]; unchanged if it takes none."""
    if not takes_labels(run.model.network):
        return run
    run = copy(run)  # with the data that the run has loaded
    run.model = fixed_labels(run.model, labels, weight, interval)
    return run
