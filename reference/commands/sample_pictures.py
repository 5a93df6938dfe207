"""The pictures of ``sample``: samples beside real data, and a sampler's steps as an animation."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np

from reference.data import datasets
from reference.data.captions import encode
from reference.runs.conditions import ALL, OWN
from reference.runs.progress import progress
from reference.runs.trajectory import describe, length, trajectory

# A GIF shows the samples at about this many steps of the sampler.
FRAMES = 24
MOST_ANIMATED = 1024


def picture(run, arrays, how, settings):
    """A PNG of the samples beside real data, or beside the degraded and the clean data of a
    restoration.
    """
    from reference import plotting

    x, data = arrays["x"], run.config["data"]
    title = f"{run.title}: {describe(**how)}"
    if x.ndim == 4 and (rows := rows_of(run, **how)):
        own = np.arange(len(x)) % len(rows)
        groups = _real_by_row(run, rows, own) | {f"{len(x)} samples": (x, own)}
        names = rows if "caption" in how else run.config["classes"]
        sheet = plotting.class_sheet(groups, names, title)
        return plotting.png_bytes(sheet, json.dumps(settings))
    if "degraded" in arrays:
        groups = {
            "clean data": arrays["clean"],
            "degraded": arrays["degraded"],
            f"restored in {how['steps']} steps": x,
        }
    else:
        groups = _real_data(run, len(x), **how) | {f"{len(x)} samples": x}
    sheet = plotting.sample_sheet(groups, title, datasets.exact_distribution(data))
    return plotting.png_bytes(sheet, json.dumps(settings))


def check_animation(n, how):
    """ValueError for samples that can't be animated."""
    if n > MOST_ANIMATED:
        raise ValueError(f"a .gif shows at most {MOST_ANIMATED} samples, got {n}: take .png")
    if how["sampler"] == "decoder":
        raise ValueError("a decoder draws in one step, and a .gif shows several: take .png")


def animation(run, ops, n, how, settings, start=None):
    """A GIF of the n samples at up to ``FRAMES`` steps of the sampler.

    The frames are chosen so that the samples move by about the same distance from one to the next.
    """
    from reference.animation import gif_bytes, reverse_process_animation

    states = trajectory(run, ops, np.arange(n), start=start, **how)
    states = progress(states, length(**how), "animation, step")
    stages = [(float(t), run.in_data_units(np.asarray(x))) for t, x, _ in states]
    kept = evenly_moved([x for _, x in stages], FRAMES)
    title = f"{n} samples of {Path(run.config['data']).name} by {how['sampler']}"
    figure, updates = reverse_process_animation([stages[k] for k in kept], title)
    return gif_bytes(figure, updates, json.dumps(settings))


def evenly_moved(states, count):
    """Up to ``count`` rising indices of ``states``, the first and the last among them: the path
    from one to the next has about the same length.  The length of a step is the root mean square of
    the change of an entry, in units of the larger of 1 and the entries.
    """
    change = lambda a, b: np.sqrt(np.mean((b - a) ** 2) / max(1.0, float(np.mean(a**2))))
    path = np.cumsum([0.0, *(change(a, b) for a, b in pairwise(states))])
    wanted = np.linspace(0, path[-1], count)
    return sorted({int(np.abs(path - length).argmin()) for length in wanted} | {len(states) - 1})


def data_of(run):
    """The run's data; None if the data's file is gone, or is yet to be downloaded."""
    try:
        return None if run.needs_download() else run.data
    except ValueError:
        return None


def rows_of(run, label=None, caption=None, **_):
    """The labels of the rows of a picture: the classes, by number, or the captions that the samples
    take in turn; None for samples of one label.
    """
    if label == ALL:
        return range(len(run.config["classes"]))
    return caption if isinstance(caption, list) and len(caption) > 1 else None


def _has_label(data, label):
    """[n]: which held-out samples have the label, the number of a class or a caption."""
    if isinstance(label, str):
        return (data.held_out_labels == encode(label)[0]).all(axis=1)
    return data.held_out_labels == label


def _real_data(run, n, label=None, caption=None, **_):
    """Up to n held-out samples of the data, those of the class ``label`` or of the caption if there
    is one, by the name of their panel; none without data.
    """
    if not (data := data_of(run)):
        return {}
    one = caption[0] if isinstance(caption, list) else label
    chosen = slice(None) if one in (None, ALL, OWN) else _has_label(data, one)
    real = run.in_data_units(data.held_out[chosen][:n])
    return {f"{len(real)} of the data": real} if len(real) else {}


def _real_by_row(run, rows, own):
    """As ``_real_data``, the images with their row: in each row up to as many as samples, which are
    in the rows own[n].
    """
    if not (data := data_of(run)):
        return {}
    counts = np.bincount(own, minlength=len(rows))
    kept = [np.flatnonzero(_has_label(data, row))[:n] for row, n in zip(rows, counts)]
    real = run.in_data_units(data.held_out[np.concatenate(kept)])
    labels = np.repeat(np.arange(len(rows)), [len(indices) for indices in kept])
    return {f"{len(real)} of the data": (real, labels)} if len(real) else {}
