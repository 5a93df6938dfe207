"""Restoration of Fashion-MNIST with the package's network as the prior, each method beside the two
classical ones: how near do the pictures come to the truth, and do they explain the measurement?

The network gets no label here: it does not know the class.
"""

import time
from typing import NamedTuple

import numpy as np
from scipy.stats import chi2

from reference import ops as reference_ops
from reference.data.image_metrics import psnr, ssim
from reference.data.mnist import BORDER
from reference.plotting import BLUE, GREEN, ORANGE, VERMILION, mosaic
from reference.runs.image_quality import classifier_features, spread
from reference.runs.progress import progress
from reference.runs.restoration import METHODS, operator_of, restore
from reference.runs.run import open_run
from reference.tutorial.experiments.guided_images import CLASSIFIER, RUN, left_out

NOISE, SEED = 0.05, 1
FULL = {"images": 32, "samples": 2, "steps": 100}
QUICK = {"images": 4, "samples": 2, "steps": 5}
SHOWN = [*METHODS]
CLASSICAL = tuple(METHODS[name].title for name in ("wiener", "total-variation"))
TRUTH, DEGRADED = "truth", "degraded"
FALSE_ALARM = 1e-6
PICTURED = 2  # images of a task in the figure
COLORS, MARKS = (VERMILION, BLUE, GREEN, ORANGE), "os^D"
TITLE = "Fashion-MNIST: restored images against the truth"
NAMES = "task method PSNR SSIM mean's-PSNR residual accuracy evaluations seconds".split()


class Row(NamedTuple):
    """A row of the table, its numbers averaged over the images and their samples.

    ``psnr_of_mean``: of the mean of an image's samples.  ``residual``: ‖y - A x‖^2 / (m s_y^2), for
    y of m numbers.  ``accuracy``: the share whose class the classifier finds.  ``evaluations`` and
    ``seconds``: for an image.  "" stands where there is no number.
    """

    task: str
    method: str
    psnr: float | str
    ssim: float
    psnr_of_mean: float | str
    residual: float
    accuracy: float
    evaluations: float | str
    seconds: float | str


def images(outcome, quick, ops=reference_ops):
    """Restore held-out images by all methods: a table with checks; returns the arguments of
    ``draw``.  None, with a sentence, where something is missing.
    """
    if left_out(outcome):
        return None
    run, setting = open_run(RUN), QUICK if quick else FULL
    outcome.settings["restored images"] = setting | {"noise": NOISE}
    chosen = by_class(run.data.held_out_labels, setting["images"])
    truth, labels = run.data.held_out[chosen], run.data.held_out_labels[chosen]
    log_probabilities = classifier_features(open_run(CLASSIFIER), ops).log_probabilities
    accuracy = lambda x: (log_probabilities(x).argmax(axis=1) == np.resize(labels, len(x))).mean()
    operators = tasks(truth.shape[1:])
    found = compare(run, truth, operators, accuracy, setting, ops)
    total = len(operators) * (2 + len(SHOWN))
    found = list(progress(found, total, "restoration", lambda pair: " ".join(pair[0][:2])))
    report(outcome, [row for row, _ in found], truth, operators, quick)
    return found


def by_class(labels, n):
    """n indices into labels, the classes as evenly as n allows."""
    return np.argsort(labels, kind="stable")[spread(len(labels), n)]


def tasks(shape):
    """Name -> operator on images of this shape (h, w, c).  The hole has 7/16 of each side, half of
    a picture without its border.
    """
    known = np.ones(shape[:2], bool)
    hole = tuple(slice(9 * size // 32, size - 9 * size // 32) for size in shape[:2])
    known[hole] = False
    return {
        "inpainting": operator_of("inpaint", shape, known=known),
        "deblurring": operator_of("deblur", shape, deviation=1.5),
        "2x super-resolution": operator_of("superres", shape, factor=2),
        "4x super-resolution": operator_of("superres", shape, factor=4),
    }


def compare(run, truth, operators, accuracy, setting, ops=reference_ops):
    """Yields (``Row``, pictures [n,h,w,c] of the first samples) of each task and method, for
    truth[n,h,w,c].  ``accuracy(x)``: a classifier's on [r n,h,w,c], the n images in turn.
    """
    for task, operator in operators.items():
        y = operator.measure(truth, NOISE, SEED, np.arange(len(truth)), reference_ops)
        for method, x, *cost in restorations(run, truth, operator, y, setting, ops):
            peak, similarity, of_mean = quality(x, truth)
            numbers = residual(x, operator, y), accuracy(x.clip(-1, 1)), *cost
            yield Row(task, method, peak, similarity, of_mean, *numbers), picture(x[: len(truth)])


def restorations(run, truth, operator, y, setting, ops):
    """Yields (method, x[r n,h,w,c], evaluations, seconds), the last two for an image.  Of a sampler
    r is the number of samples an image, else 1.
    """
    yield TRUTH, truth, "", ""
    yield DEGRADED, y if y.shape == truth.shape else operator.pseudo_inverse(y), "", ""
    for name in SHOWN:
        method = METHODS[name]
        repeats = setting["samples"] if method.samples else 1
        steps = setting["steps"] if method.samples else None
        sample, begin = np.arange(repeats * len(y)), time.perf_counter()
        of = run, ops, operator, np.concatenate([y] * repeats), NOISE, name, SEED, sample, steps
        x, evaluations = restore(*of, guidance=0.0)
        yield method.title, x, evaluations, (time.perf_counter() - begin) / len(x)


def findings(rows):
    """Which method when: sentences with numbers averaged over the tasks."""
    of = lambda name: averages(rows, name)
    peak, of_mean, ratio, seconds = map(of, ("psnr", "psnr_of_mean", "residual", "seconds"))
    gain = {method: value - peak[method] for method, value in of_mean.items()}
    nearest, narrowest = max(peak, key=peak.get), min(gain, key=lambda method: gain[method])
    classical = max(CLASSICAL, key=peak.get)
    samplers = ", ".join(f"{name} {gain[name]:.2f} and {ratio[name]:.2f}" for name in gain)
    dear, cheap = (
        np.mean([seconds[METHODS[name].title] for name in SHOWN if is_of(METHODS[name])])
        for is_of in (lambda m: m.backward, lambda m: m.samples and not m.backward)
    )
    exact = 10 * np.log10(2 / (1 + 1 / FULL["samples"]))
    return [
        f"Images: for one picture near the truth take {nearest}: {peak[nearest]:.1f} dB on average"
        f" over the tasks, and {peak[classical]:.1f} dB of the {classical}, the better classical"
        " method.",
        "A sample of the exact posterior has twice the least mean square error, and on average the"
        f" truth's residual, 1; the mean of {FULL['samples']} gains {exact:.2f} dB over one.  Gain"
        f" in dB and residual of the samplers: {samplers}.  The samples of {narrowest} vary least:"
        " they are near to an estimate, and show too little of what is uncertain.",
        f"PiGDM and DPS need a backward pass a step, and {dear / cheap:.1f} times the time of the"
        " samplers without.",
        "DMPS adds the scores of network and measurement.  Where both know x_0, each is"
        " -(x - x_0) / t^2; their sum leaves a third of the variance of the noise after many steps,"
        " and the network expects all of it.",
    ]


def averages(rows, name):
    """Method -> the mean of a number over the tasks, for methods that have it in all."""
    values: dict[str, list] = {}
    for row in rows:
        values.setdefault(row.method, []).append(getattr(row, name))
    return {method: np.mean(found) for method, found in values.items() if "" not in found}


def picture(x):
    """The picture without its border, in its range."""
    return x[:, BORDER:-BORDER, BORDER:-BORDER].clip(-1, 1)


def quality(x, truth):
    """(PSNR, SSIM, PSNR of the mean of each image's samples) of x[r n,h,w,c], truth[n,h,w,c]: of
    the pictures.  "" for numbers without sense: of the truth itself, and for r = 1.
    """
    real, repeats = picture(truth), len(x) // len(truth)
    shown, mean = picture(x), picture(x.reshape(repeats, *truth.shape).mean(axis=0))
    copies = np.concatenate([real] * repeats)
    similarity = float(ssim(shown, copies).mean())
    if x is truth:
        return "", similarity, ""
    of_mean = float(psnr(mean, real).mean()) if repeats > 1 else ""
    return float(psnr(shown, copies).mean()), similarity, of_mean


def residual(x, operator, y):
    """‖y - A x‖^2 / (m s_y^2) for x[r n,h,w,c], y[n,...] of m numbers each: its mean."""
    error = operator.forward(x.astype(np.float64)) - np.concatenate([y] * (len(x) // len(y)))
    return float((error**2).mean()) / NOISE**2


def report(outcome, rows, truth, operators, quick):
    """The table of ``compare`` and its checks."""
    outcome.tables[TITLE] = (NAMES, [tuple(row) for row in rows])
    for task, operator in operators.items():
        of = {row.method: row for row in rows if row.task == task}
        check_truth(
            outcome, task, of[TRUTH].residual, len(truth) * np.prod(operator.measured_shape)
        )
        check_means(outcome, task, of.values())
        if not quick:
            check_classical(outcome, task, of)
    if not quick:
        outcome.findings += findings(rows)


def check_truth(outcome, task, ratio, count):
    """The truth's residual times the ``count`` of numbers in all y has the distribution
    chi^2_count.
    """
    low, high = chi2.ppf((FALSE_ALARM / 2, 1 - FALSE_ALARM / 2), count) / count
    outcome.check(
        f"images, {task}: the noise of the measurements has its variance",
        f"residual of the truth {ratio:.4f}, interval {low:.3f} to {high:.3f}",
        low < ratio < high,
    )


def check_means(outcome, task, rows):
    """Averaging an image's samples lowers the mean square error, for any sampler: by the variance
    of the samples around their mean.
    """
    gains = {row.method: row.psnr_of_mean - row.psnr for row in rows if row.psnr_of_mean != ""}
    least = min(gains, key=lambda method: gains[method])
    outcome.check(
        f"images, {task}: the mean of an image's samples is nearer to the truth than a sample",
        f"PSNR rises by {gains[least]:.2f} dB or more (least: {least})",
        gains[least] > 0,
    )


def check_classical(outcome, task, of):
    """A learned prior has more structure than a covariance or the total variation."""
    classical = max(of[name].ssim for name in CLASSICAL)
    best = best_of(of.values(), "ssim")
    outcome.check(
        f"images, {task}: the best method with the network exceeds both classical ones in SSIM",
        f"{best.ssim:.3f} ({best.method}), {classical:.3f}",
        best.ssim > classical,
    )


def best_of(rows, name):
    """The row with the largest value among the methods with the network."""
    methods = (row for row in rows if row.method not in (TRUTH, DEGRADED, *CLASSICAL))
    return max(methods, key=lambda row: getattr(row, name))


def draw(panels, found):
    """PSNR and accuracy of each method, and restored pictures: three panels."""
    left, middle, right = panels
    rows = [row for row, _ in found]
    draw_numbers(left, rows, "psnr", "PSNR in dB, of a sample or the estimate")
    draw_numbers(middle, rows, "accuracy", "accuracy of the classifier on restored images")
    draw_pictures(right, found)


def draw_numbers(axes, rows, name, label):
    """A number of each method, with a mark for each task."""
    points = [row for row in rows if getattr(row, name) != ""]
    methods = [*dict.fromkeys(row.method for row in points)]
    names = dict.fromkeys(row.task for row in rows)
    for task, color, mark, shift in zip(names, COLORS, MARKS, (-0.15, -0.05, 0.05, 0.15)):
        of = [row for row in points if row.task == task]
        places = [methods.index(row.method) + shift for row in of]
        axes.plot([getattr(row, name) for row in of], places, mark, color=color, label=task)
    axes.set_yticks(range(len(methods)), methods)
    axes.invert_yaxis()
    axes.set(xlabel=label, title="Fashion-MNIST")
    axes.legend(fontsize=9, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.14))


def draw_pictures(axes, found):
    """A row for each method, and for each task columns of images of its own: ``PICTURED``, or one
    where there are too few.
    """
    methods = [*dict.fromkeys(row.method for row, _ in found)]
    names = [*dict.fromkeys(row.task for row, _ in found)]
    of, n = {row[:2]: pictures for row, pictures in found}, len(found[0][1])
    columns = PICTURED if n >= PICTURED * len(names) else 1
    chosen = spread(n, len(names) * columns).reshape(len(names), columns)
    sheet = [of[task, name][i] for name in methods for task, row in zip(names, chosen) for i in row]
    image = mosaic(np.stack(sheet), chosen.size)
    axes.imshow(image[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    height, width = (length + 1 for length in sheet[0].shape[:2])
    places, slanted = (
        (np.arange(len(names)) + 0.5) * width * columns,
        {"rotation": 40, "ha": "right"},
    )
    axes.set_xticks(places, names, fontsize=9, rotation_mode="anchor", **slanted)
    axes.set_yticks((np.arange(len(methods)) + 0.5) * height, methods)
    axes.tick_params(length=0)
    axes.grid(False)
    axes.set_title("first samples, and estimates")
