"""``evaluate RUN``: the loss and its floor, a bound on the likelihood, the loss by noise level, and
the quality of samples and of real data; for a classifier its loss and accuracy.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reference.commands import evaluation_figures
from reference.commands.sampler_options import (
    add_sampling_options,
    given_options,
    parse_sampler_options,
)
from reference.runs import noise_levels
from reference.runs.conditions import labels_of
from reference.runs.evaluation import classification, likelihood, quality
from reference.runs.exported import package_classifier
from reference.runs.image_quality import NAMES, classifier_features, image_quality, pca_features
from reference.runs.processes import processes
from reference.runs.run import open_run
from reference.runs.sampling import draw
from reference.runs.trajectory import describe
from reference.runs.views import has_score

MANY_IMAGES, FEW_IMAGES, POINTS = 1000, 256, 4000


@dataclass
class Found:
    """The printed numbers: ``rows`` by name; ``by_level``, the result of
    ``losses_by_noise_level``; ``quality``, the result of ``image_quality``, with the name of its
    features.  Empty where they do not apply.
    """

    rows: dict[str, Any]
    by_level: Any = ()
    quality: dict = field(default_factory=dict)
    features: str = ""


def add_options(parser):
    images = f"{MANY_IMAGES} images, {FEW_IMAGES} where fewer are held out"
    add_sampling_options(parser, f"{images}; {POINTS} points; of a classifier all held out")
    parser.add_argument(
        "--classifier",
        metavar="RUN",
        help="a run of train classifier on the same data: distances are measured in its features, "
        "and samples by class also by its accuracy (default: the package's classifier, else "
        "principal components)",
    )
    files = ", ".join(evaluation_figures.FILES)
    parser.add_argument(
        "--out", metavar="FOLDER", help=f"folder for {files} (default: nothing is written)"
    )


def execute(arguments, ops):
    run = open_run(arguments.run, data_dir=arguments.data_dir)
    if not run.method.sampler:
        return _print_classification(run, arguments, ops)
    team = processes()
    folder = team.first(lambda: evaluation_figures.folder_for(arguments.out))
    how = parse_sampler_options(run, arguments)
    features = _features(run, arguments.classifier, ops)
    n = _default_samples(run.data) if arguments.samples is None else arguments.samples
    if n < 2:
        raise ValueError(f"samples must be at least 2 to measure a distance, got {n}")
    x, evaluations = draw(run, ops, n, team=team, **how)
    if team.rank == 0:  # the others have drawn their part
        _evaluate(run, ops, x, how, evaluations, features, folder)
    return 0


def _evaluate(run, ops, x, how, evaluations, features, folder):
    """Print the numbers of the samples x and of the network, and write them to ``folder``."""
    n = len(x)
    drawn = f"samples by {describe(**how, evaluations=evaluations)}"
    print(f"{run.folder}: {run.method.name} on {run.data.name}, {drawn}")
    found = Found({"training steps": run.state.step} | likelihood(run, ops, x, how))
    if not run.data.is_image:
        found.rows |= quality(x, run.data)
    _print_rows(found.rows)
    if has_score(run):
        count = min(n, MANY_IMAGES, len(run.data.held_out))
        levels, losses = noise_levels.losses_by_noise_level(run, ops, count)
        found.by_level = levels, losses
        _print_by_level(levels, losses, count)
    if features:
        by_class = how.get("guidance") and "label" in how
        labels = labels_of(run, np.arange(n), how["label"]) if by_class else None
        found.quality = image_quality(x, run.data, features, labels)
        found.features = features.name
        _print_quality(found.quality, features.name)
    if folder:
        settings = {"samples": n, **how}
        evaluation_figures.write(run, ops, x, found, settings, evaluations, folder)


def _default_samples(data):
    if not data.is_image:
        return POINTS
    return MANY_IMAGES if len(data.held_out) >= MANY_IMAGES else FEW_IMAGES


def _features(run, classifier, ops):
    """The ``Features`` of images; None for points."""
    classifier = classifier or package_classifier(run)
    if classifier is None:
        return pca_features(run.data) if run.data.is_image else None
    found = open_run(classifier)
    if not hasattr(found.model, "log_probabilities"):
        raise ValueError(f"classifier must be a run of train classifier, got {classifier}")
    shape, own = run.data.shape, found.model.network.sample_shape
    if shape != own:
        raise ValueError(f"classifier {classifier} takes images of shape {own}, not {shape}")
    return classifier_features(found, ops)


def _print_rows(rows):
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"  {name:{width}}  {value if isinstance(value, int) else format(value, '.5g')}")


def _print_classification(run, arguments, ops):
    """The evaluation of a classifier, on ``--samples`` held-out images with noise of ``--seed``."""
    for name in ("sampler", "out", "classifier", *given_options(arguments)):
        if getattr(arguments, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{option} is not an option of evaluate for a run of classifier")
    held_out = len(run.data.held_out)
    n = held_out if arguments.samples is None else arguments.samples
    if not 1 <= n <= held_out:
        raise ValueError(f"samples must lie in 1 .. {held_out}, the held-out images, got {n}")
    rows = {"training steps": run.state.step} | classification(run, ops, n, arguments.seed)
    print(f"{run.folder}: {run.method.name} on {run.data.name}, {n} held-out images")
    _print_rows(rows)
    return 0


def _print_by_level(levels, losses, count):
    print(f"loss by noise level: error of the noise, {count} held-out samples, ± standard error")
    cells = [[f"{m:.4g} ± {e:.2g}" for m, e in zip(*pair)] for pair in losses.values()]
    _print_table(
        "sigma / alpha", losses, {f"{level:.4g}": row for level, *row in zip(levels, *cells)}
    )


def _print_quality(found, features):
    print(f"quality of images, by {features}, with 95 % intervals")
    columns = {"samples": "samples", "real": "held-out images"}
    rows = {}
    for name, estimates in found.items():
        rows[NAMES[name]] = [_cell(estimates.get(column)) for column in columns]
    _print_table("", columns.values(), rows)


def _cell(estimate):
    if estimate is None:
        return ""
    value, low, high = (f"{number:.4g}" for number in estimate)
    return value if low == high == value else f"{value} [{low}, {high}]"


def _print_table(corner, columns, rows):
    table = [[corner, *columns], *([name, *cells] for name, cells in rows.items())]
    widths = [max(map(len, column)) for column in zip(*table)]
    for cells in table:
        print("  " + "  ".join(f"{c:{width}}" for c, width in zip(cells, widths)).rstrip())
