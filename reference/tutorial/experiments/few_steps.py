"""How few evaluations of a network are enough?  Samplers with exact scores on mixtures
(few_steps_frontier.py), and students of a sampler, for which the optimum is known
(few_steps_exact.py), one of them trained (few_steps_student.py).
"""

import numpy as np

from reference import ops as reference_ops
from reference.plotting import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    subplots,
)
from reference.tutorial.experiments import (
    Outcome,
    few_steps_exact,
    few_steps_frontier,
    few_steps_images,
    few_steps_student,
)
from reference.tutorial.experiments.few_steps_exact import HEUN, NUMBERS, TRAINING
from reference.tutorial.experiments.few_steps_frontier import FLOW_ERROR, SLICED, TARGETS, reached
from reference.tutorial.experiments.few_steps_samplers import METHODS, SEED

QUESTION = "How fast can a diffusion model sample?"
# dimension -> particles; evaluations, but the last
FULL = {1: 200_000, 2: 10_000, 16: 4000, 64: 4000}, few_steps_frontier.LINE_BUDGETS
QUICK = {1: 10_000, 2: 1000, 16: 500, 64: 400}, (6, 12, 24, 48, 96)
# trained students: numbers of levels, training steps, held-out draws, allowed excess over the floor
FULL_STUDENTS = (10, 20), 4000, 1_000_000, 0.02
QUICK_STUDENTS = (10,), 800, 100_000, 0.1
PICTURED = (1, 64)  # dimensions
TALLEST = 3.0  # error / deviation, above which a line is cut
COLORS = (BLUE, SKY, GREEN, ORANGE, VERMILION, PURPLE, BLACK, GREY, "#8C564B")
MARKERS = "osv^D*Xp<"


def run(quick=False, ops=reference_ops, students=()):
    """``students``: names of runs, students of the package's model, beside those of the package."""
    sizes, budgets = QUICK if quick else FULL
    trained = QUICK_STUDENTS if quick else FULL_STUDENTS
    outcome = Outcome(
        settings={
            "particles in d dimensions": sizes,
            "evaluations but the last": budgets,
            "evaluations on the line, without noise": few_steps_frontier.LINE_BUDGETS,
            "sigma": (few_steps_exact.HIGH, few_steps_exact.LOW),
            "N": NUMBERS,
            "variance of the Gaussian": few_steps_exact.VARIANCE,
            "levels, steps, held-out draws, allowed excess of trained students": trained,
            "seed": SEED,
        }
    )
    found, floors = few_steps_frontier.frontier(outcome, sizes, budgets, ops)
    exact = few_steps_exact.answers(outcome)
    numbers, steps, draws, allowed = trained
    few_steps_student.compare(outcome, numbers, steps, draws, allowed, ops)
    outcome.findings += findings(found, exact)
    pictures = few_steps_images.images(outcome, quick, ops, students)
    outcome.figure = figure(found, floors, exact, pictures)
    return outcome


def findings(found, students):
    """The samplers that need the fewest evaluations, and the students."""
    sentences = []
    target = min(TARGETS)
    for d in sorted({d for d, _, kind in found if kind == FLOW_ERROR}):
        needed = {
            name: reached(points, target)
            for (dimension, name, kind), points in found.items()
            if dimension == d and kind == FLOW_ERROR
        }
        ranked = sorted((count, name) for name, count in needed.items() if count != "")
        best = ", ".join(f"{name} {count:.0f}" for count, name in ranked[:3])
        if best:
            sentences.append(f"d = {d}: evaluations to an error of {100 * target:g} %: {best}.")
    training, euler, heun = (students[name][-1] for name in few_steps_exact.STUDENTS)
    return [
        *sentences,
        f"Ex 2.1, N = {NUMBERS[-1]} levels, one evaluation: W1 {training:.4f} by consistency"
        f" training, {euler:.4f} by distillation of Euler's steps, {heun:.5f} of Heun's.  Training"
        " loses variance at each level, as much as its loss floor; distillation has no floor.",
    ]


def figure(found, floors, students, pictures=None):
    """Rows: samplers without and with noise, and images; columns: two mixtures, and the students.

    ``pictures``: of few_steps_images.py; None where its models or data are missing.
    """
    drawing, axes = subplots(3 if pictures else 2, 3, 21, 20 if pictures else 12, QUESTION)
    for column, d in enumerate(PICTURED):
        draw_frontier(axes[0, column], found, d, False)
        draw_frontier(axes[1, column], found, d, True, floors[d])
    draw_students(axes[0, 2], students)
    draw_gaussian(axes[1, 2])
    if pictures:
        few_steps_images.draw_quality(axes[2, 0], pictures)
        few_steps_images.draw_accuracy(axes[2, 1], pictures)
        few_steps_images.draw_sheet(axes[2, 2], pictures)
    return drawing


def draw_frontier(axes, found, d, noisy, floor=None):
    names = [name for name, method in METHODS.items() if method.noisy == noisy]
    kind, ends = SLICED if noisy else FLOW_ERROR, {}
    for name, color, marker in zip(names, COLORS, MARKERS):
        points = [(count, error) for count, error in found[d, name, kind] if error < TALLEST]
        if points:
            axes.loglog(*zip(*points), color=color, marker=marker, markersize=5)
            ends[name] = (*points[-1], color)
    if floor is not None:
        axes.plot((7, max(x for x, _, _ in ends.values())), (floor, floor), ":", color=GREY)
        axes.text(7, 0.92 * floor, "as many exact draws", color=GREY, fontsize=9, va="top")
        axes.set_ylim(bottom=min(axes.get_ylim()[0], 0.6 * floor))
    measure = "W1" if d == 1 else "sliced W1" if noisy else "coupled error"
    axes.set(xlabel="network evaluations", ylabel=f"{measure} / deviation of the data")
    data = "Ex 2.1" if d == 1 else f"three Gaussians in {d} dimensions"
    axes.set_title(f"{data}, samplers {'with' if noisy else 'without'} noise")
    label_ends(axes, ends)


def draw_students(axes, students):
    ends = {}
    for (name, values), color, marker in zip(students.items(), COLORS, MARKERS):
        axes.loglog(NUMBERS, values, color=color, marker=marker)
        ends[name] = (NUMBERS[-1], values[-1], color)
    axes.set(xlabel="number of levels N in training", ylabel="W1 of one-step samples to the data")
    axes.set_title("students of one evaluation, Ex 2.1: the exact optimum")
    label_ends(axes, ends)


def draw_gaussian(axes):
    answers, ends = few_steps_exact.gaussian(), {}
    lines = {
        "training and Euler": np.abs(np.subtract(answers.values[TRAINING], 1)),
        "Heun": np.abs(np.subtract(answers.values[HEUN], 1)),
        "sum of the loss floors": [floors.sum() for floors in answers.floors],
    }
    for (name, values), color, marker in zip(lines.items(), (COLORS[0], *COLORS[2:]), MARKERS):
        axes.loglog(NUMBERS, values, color=color, marker=marker)
        ends[name] = (NUMBERS[-1], values[-1], color)
    axes.set(
        xlabel="number of levels N in training", ylabel="|deviation / exact - 1|, and the floor"
    )
    axes.set_title(
        f"students of one evaluation, N(0, {few_steps_exact.VARIANCE}): the exact optimum"
    )
    label_ends(axes, ends)


def label_ends(axes, ends, gap=0.042):
    """Write each name beside the end of its line, name -> (x, y, color), on logarithmic axes; names
    keep a ``gap``, a share of the height.
    """
    right, (low, high) = max(x for x, _, _ in ends.values()), np.log(axes.get_ylim())
    place = -np.inf
    for name, (_, y, color) in sorted(ends.items(), key=lambda item: item[1][1]):
        place = max((np.log(y) - low) / (high - low), place + gap)
        height = np.exp(low + place * (high - low))
        axes.text(1.12 * right, height, name, color=color, fontsize=9, va="center")
    left, _ = axes.get_xlim()
    axes.set_xlim(left, right * (right / left) ** 0.42)
