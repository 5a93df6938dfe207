"""Few steps on Fashion-MNIST: the package's network by several samplers, and its students, by
quality and by time.
"""

import time
import warnings
from itertools import product

import numpy as np

from reference import ops as reference_ops
from reference.plotting import GREY, PATH_COLORS, mosaic
from reference.runs.conditions import labels_of
from reference.runs.exported import digest, package_models
from reference.runs.image_quality import NAMES, classifier_features, feature_quality, spread
from reference.runs.run import open_run
from reference.runs.sampler_options import sampler_options
from reference.runs.sampling import draw
from reference.samplers import SamplingWarning
from reference.tutorial.experiments.guided_images import CLASSIFIER, RUN, left_out

STEPS = {  # sampler -> numbers of steps; EDM makes 2 n - 1 evaluations in n steps
    "ddim": (1, 2, 4, 8, 16, 50),
    "dpm-solver++": (3, 7, 15),
    "edm": (2, 4, 8),
}
STUDENT_STEPS = (1, 2, 4, 8)
QUICK = {"ddim": (2,)}
SHOWN = ("frechet", "class_accuracy")
SEED, PART = 1, 50  # images drawn together, for the time
REAL = "test images"


def images(outcome, quick, ops=reference_ops, given=()):
    """(name, evaluations) -> name -> ``Estimate``, seconds and samples, as a table with checks;
    None, with a sentence, where something is missing.  ``given``: the names of more students.
    """
    if left_out(outcome):
        return None
    n, samplers = (400, QUICK) if quick else (2000, STEPS)
    run, features = open_run(RUN), classifier_features(open_run(CLASSIFIER), ops)
    outcome.settings |= {
        "images a row": n,
        "samplers of images": samplers,
        "images at a time": PART,
    }
    rows = [(run, sampler, steps) for sampler, counts in samplers.items() for steps in counts]
    for name, student in students(run, given).items():
        rows += [(student, name, steps) for steps in _steps(student, name in given)]
    found = measure(run, rows, n, features, ops)
    report(outcome, found, n)
    return found


def students(teacher, given=()):
    """The models of the package that are students of a run, by name, and those ``given``.

    ValueError if one of these is no student of it.
    """
    opened = {name: open_run(name) for name in (*package_models(), *given)}
    weights = digest(teacher.state.ema)
    of_teacher = lambda run: run.config.get("teacher", {}).get("weights") == weights
    for name in given:
        if not of_teacher(opened[name]):
            raise ValueError(f"{name} is not a student of {teacher.folder}")
    return {name: run for name, run in opened.items() if of_teacher(run)}


def _steps(student, given):
    """The numbers of steps to measure: for a ``given`` student of progressive distillation its own
    number, for other students the divisors of their number.
    """
    own = student.config.get("student_steps")
    return (own,) if given and own else [n for n in STUDENT_STEPS if not own or own % n == 0]


def measure(teacher, rows, n, features, ops=reference_ops):
    """(name, evaluations) -> {"seconds": [parts], "x": samples, name of a measure: ``Estimate``}
    for rows (run, name, steps): n samples each, drawn ``PART`` at a time, the rows in turn; and
    (REAL, None) for n held-out images.  The seconds are those of one image.
    """
    data = teacher.data
    reference = features.of(data.train[spread(len(data.train), n)])
    held_out = spread(len(data.held_out), n)
    real = data.held_out[held_out]
    drawn: dict = {}
    for first in range(0, n, PART):  # the rows in turn, so that each has the same machine
        for run, name, steps in rows:
            sampler = run.method.sampler if name not in STEPS else name
            how = sampler_options(run, sampler, seed=SEED + first, steps=steps, label="all")
            begin = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SamplingWarning)  # few steps are the question
                x, evaluations = draw(run, ops, min(PART, n - first), **how)
            seconds = (time.perf_counter() - begin) / len(x)
            parts = drawn.setdefault((name, evaluations), ([], []))
            parts[0].append(x), parts[1].append(seconds)
    labels = labels_of(teacher, np.arange(PART))
    of_real = data.held_out_labels[held_out]
    by_class = [np.flatnonzero(of_real == label)[0] for label in np.unique(of_real)]
    found: dict = {(REAL, None): {"x": real[by_class], "seconds": []}}
    found[REAL, None] |= feature_quality(real, features, reference, of_real)
    for key, (parts, seconds) in drawn.items():
        x, own = np.concatenate(parts), np.concatenate([labels[: len(part)] for part in parts])
        found[key] = {"x": x[:PART], "seconds": seconds}
        found[key] |= feature_quality(x, features, reference, own)
    return found


def report(outcome, found, n):
    """The tables: quality and time, and for each student the samplers of the same quality."""
    rows = []
    for (name, evaluations), row in found.items():
        cells: list = [name, "" if evaluations is None else evaluations]
        cells += [part for measure in SHOWN for part in row[measure]]
        if row["seconds"]:
            median, low, high = np.quantile(row["seconds"], (0.5, 0.25, 0.75))
            cells += [median, low, high, 1 / median]
        rows.append((*cells, *[""] * (12 - len(cells))))
    columns = [part for measure in SHOWN for part in (NAMES[measure], "low", "high")]
    timing = ("seconds an image, median", "quartile", "quartile", "images a second")
    title = f"Fashion-MNIST: {n} samples by class, against as many training images, 95 % intervals"
    outcome.tables[title] = (("sampler", "evaluations", *columns, *timing), rows)
    equal = [
        (*key, *other, found[other]["frechet"].value, ratio)
        for key in found
        if key[0] not in (*STEPS, REAL)
        for other, ratio in equals(found, key).items()
    ]
    if equal:
        title = "Fashion-MNIST: the fastest samplers that are not worse than a student"
        counts = ("student", "evaluations", "sampler", "evaluations")
        outcome.tables[title] = ((*counts, NAMES["frechet"], "times slower"), equal)
    _check(outcome, found)


def equals(found, student):
    """Of each sampler without a student, the row of fewest evaluations whose Fréchet distance is
    not above the student's: key -> its time over the student's.
    """
    best: dict = {}
    for (name, evaluations), row in found.items():
        good = row["frechet"].value <= found[student]["frechet"].value
        if name in STEPS and good and evaluations <= best.get(name, evaluations):
            best[name] = evaluations
    own = np.median(found[student]["seconds"])
    return {
        (name, count): float(np.median(found[name, count]["seconds"]) / own)
        for name, count in best.items()
    }


def _check(outcome, found):
    """A student in two evaluations is nearer to the data than the teacher's two steps of ddim."""
    for (name, evaluations), row in found.items():
        plain = found.get(("ddim", evaluations))
        if name not in (*STEPS, REAL) and plain and evaluations <= 4:
            outcome.check(
                f"images, {name}: in {evaluations:g} evaluations nearer to the data than ddim",
                f"{NAMES['frechet']} {row['frechet'].value:.1f}, ddim {plain['frechet'].value:.1f}",
                row["frechet"].high < plain["frechet"].low,
            )


def draw_quality(axes, found):
    """Fréchet distance over seconds an image, a line a sampler, evaluations beside the points."""
    seconds = lambda row, evaluations: float(np.median(row["seconds"]))
    _draw_lines(axes, found, "frechet", seconds)
    axes.set(xlabel="seconds an image", title="Fashion-MNIST; numbers: evaluations")


def draw_accuracy(axes, found):
    """Class accuracy over evaluations, a line a sampler."""
    _draw_lines(axes, found, "class_accuracy", lambda row, evaluations: evaluations)
    axes.set(xlabel="network evaluations", yscale="linear", title="Fashion-MNIST, by class")


def _draw_lines(axes, found, measure, x_of):
    names = dict.fromkeys(name for name, _ in found if name != REAL)
    for (marker, color), name in zip(product("os^", PATH_COLORS), names):
        rows = {count: row for (key, count), row in found.items() if key == name}
        points = [(x_of(row, count), row[measure].value) for count, row in rows.items()]
        axes.loglog(*zip(*points), f"{marker}-", color=color, label=name)
        for count, place in zip(rows, points):
            axes.annotate(f"{count:g}", place, (3, 3), textcoords="offset points", fontsize=8)
    real = found[REAL, None][measure].value
    axes.axhline(real, color=GREY, linestyle="--", label=REAL)
    axes.set_ylabel(NAMES[measure])
    axes.legend(fontsize=9)


def draw_sheet(axes, found):
    """The first sample of each class in every row, one under the other: the same noise."""
    count = len(found[REAL, None]["x"])
    rows = np.stack([row["x"][:count] for row in found.values()])
    axes.imshow(mosaic(rows.reshape(-1, *rows.shape[2:]), count), cmap="gray", vmin=0, vmax=1)
    height = rows.shape[2] + 1  # with the line below
    names = [f"{name} {count:g}" if count else name for name, count in found]
    axes.set_yticks([height * (k + 0.5) for k in range(len(names))], names, fontsize=8)
    axes.set_xticks([])
    axes.grid(False)
    axes.set_title("the same noise and classes in every row of samples")
