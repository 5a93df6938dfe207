"""Captions on images: do the samples of the package's model ``captions`` show what was asked for,
also in combinations that training left out?

If the errors of colour, digit and place were independent, the share of images with all three right
would be the product of the three shares.  Okawa et al. 2023 (arXiv 2310.09336) find about that on
combinations that are held out of training.
"""

from typing import Any

import numpy as np

from reference import ops as reference_ops
from reference.data.bootstrap import bootstrap
from reference.data.caption_judge import attributes_seen, digit_classifier, judged
from reference.data.captions import KINDS, attributes_of, caption_of, decode, is_held_out
from reference.data.datasets import load_dataset
from reference.ops.random import Purpose, uniform
from reference.plotting import GREY, PATH_COLORS, mosaic
from reference.runs.exported import package_models
from reference.runs.image_quality import Estimate
from reference.runs.run import open_run
from reference.runs.sampler_options import sampler_options
from reference.runs.sampling import draw
from reference.tutorial.experiments.captions_exact import SEEN, UNSEEN
from reference.tutorial.experiments.guided_images import Z_SCORE

RUN, SAMPLER, SEED = "captions", "dpm-solver++", 1
WEIGHTS, STEPS, IMAGES = (0, 1, 2, 3, 5), 15, 400
QUICK_WEIGHTS, QUICK_STEPS, QUICK_IMAGES = (1, 3), 10, 40
REAL = "held-out images"
ALL, PRODUCT, EXCESS = "all three", "product of the three", "all three - product"
SHOWN = 8  # images of the sheet


def images(outcome, quick, ops=reference_ops):
    """The accuracies of ``accuracies`` with the package's model, as a table with checks; returns
    them.  None, with a sentence, where the model is missing.
    """
    if RUN not in package_models():
        outcome.findings.append(f"The part on images is left out: the model {RUN} is not here.")
        return None
    weights, steps, n = (
        (QUICK_WEIGHTS, QUICK_STEPS, QUICK_IMAGES) if quick else (WEIGHTS, STEPS, IMAGES)
    )
    outcome.settings |= {"images a row": n, "sampler": SAMPLER, "steps": steps, "weights": weights}
    found = accuracies(open_run(RUN), weights, steps, n, ops)
    report(outcome, found, n)
    return found


def combinations(kind):
    """The captions with three attributes that are ``SEEN`` or ``UNSEEN`` in training, in an order
    drawn at random.
    """
    every = [*np.ndindex(*map(len, KINDS.values()))]
    own = [caption_of(one) for one in every if is_held_out(one) == (kind == UNSEEN)]
    order = np.argsort(uniform(SEED, np.arange(len(own)), 0, Purpose.EVALUATION, ()))
    return [own[k] for k in order]


def accuracies(run, weights, steps, n, ops=reference_ops):
    """(kind of captions, weight) -> {"x": the first samples, "captions": theirs, measure:
    ``Estimate``} of n samples; and (kind, ``REAL``) for n held-out images.
    """
    digits = load_dataset("digits")
    classifier = digit_classifier(digits.train, digits.train_labels)
    found: dict = {}
    for kind in (SEEN, UNSEEN):
        x, captions = real_images(kind, n)
        found[kind, REAL] = measured(x, captions, classifier)
        chosen = combinations(kind)
        captions = [chosen[i % len(chosen)] for i in range(n)]
        for w in weights:
            options = {"seed": SEED, "steps": steps, "caption": chosen, "guidance": w}
            x, _ = draw(run, ops, n, **sampler_options(run, SAMPLER, **options))
            found[kind, w] = measured(x, captions, classifier)
    return found


def real_images(kind, n):
    """(n held-out images of the data set, their captions), which name all three attributes."""
    data = load_dataset("captions")
    captions = [decode(tokens) for tokens in data.captions.held_out]
    full = np.array([None not in attributes_of(caption) for caption in captions])
    own = np.flatnonzero(full & (data.captions.unseen == (kind == UNSEEN)))[:n]
    return data.held_out[own], [captions[i] for i in own]


def measured(x, captions, classifier):
    """The measures of images x[n,32,32,3] of n captions, with 95 % intervals: Wilson's for shares,
    by the bootstrap for the others.
    """
    right = judged(attributes_seen(x, classifier), captions)
    found: dict[str, Any] = {"x": x[:SHOWN], "captions": captions[:SHOWN]}
    for name, column in (*zip(KINDS, right.T), (ALL, right.min(axis=1))):
        found[name] = share(int(column.sum()), len(column))
    product = lambda rows: rows.mean(axis=0).prod()
    excess = lambda rows: rows.min(axis=1).mean() - product(rows)
    for name, statistic in ((PRODUCT, product), (EXCESS, excess)):
        found[name] = Estimate(float(statistic(right)), *bootstrap(statistic, right))
    return found


def share(count, n):
    """count / n with Wilson's interval (1927)."""
    from scipy.stats import binomtest

    interval = binomtest(count, n).proportion_ci(0.95, method="wilson")
    return Estimate(count / n, float(interval.low), float(interval.high))


def report(outcome, found, n):
    """The table of ``accuracies``, its checks, and what guidance and new combinations change."""
    names = (*KINDS, ALL, PRODUCT, EXCESS)
    rows = [
        (kind, w, *(part for name in names for part in one[name]))
        for (kind, w), one in found.items()
    ]
    columns = (part for name in names for part in (name, "low", "high"))
    title = f"Captions: the share of {n} images that show what they should, 95 % intervals"
    outcome.tables[title] = ("combinations", "w", *columns), rows
    for name, names_of_kind in KINDS.items():
        least = (1 + 1 / len(names_of_kind)) / 2
        one = found[SEEN, 1][name]
        outcome.check(
            f"images, seen combinations: the {name} is right, more than halfway from chance to 1",
            f"{_interval(one)} at w = 1, halfway is {least:g}",
            one.low > least,
        )
        one, chance = found[UNSEEN, 1][name], 1 / len(names_of_kind)
        outcome.check(
            f"images, unseen combinations: the {name} is right more often than by chance",
            f"{_interval(one)} at w = 1, chance is {chance:g}",
            one.low > chance,
        )
        if (SEEN, 0) in found:
            check_chance(outcome, name, found[SEEN, 0][name].value, n)
    outcome.findings += [sentence(kind, found) for kind in (SEEN, UNSEEN)]


def _interval(one):
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def check_chance(outcome, name, accuracy, n):
    """Unconditional samples agree with the captions at chance, for any shares of the samples: the
    captions have equal shares of the names, and do not depend on the samples.
    """
    chance = 1 / len(KINDS[name])
    z = (accuracy - chance) / (chance * (1 - chance) / n) ** 0.5
    outcome.check(
        f"images: the {name} of unconditional samples agrees with captions at chance",
        f"accuracy {accuracy:.3f}, {z:.1f} standard errors from {chance:g}",
        abs(z) < Z_SCORE,
    )


def sentence(kind, found):
    """The accuracies over the weights of guidance, and whether all three are the product."""
    weights = [w for name, w in found if name == kind and w != REAL]
    parts = [
        f"{name} " + ", ".join(f"{found[kind, w][name].value:.2f}" for w in weights)
        for name in (*KINDS, ALL)
    ]
    apart = [f"{w:g}" for w in weights if not _holds_zero(found[kind, w][EXCESS])]
    answer = f"differs from it at w = {', '.join(apart)}" if apart else "agrees with it"
    return (
        f"Images of {kind} combinations at w = {', '.join(f'{w:g}' for w in weights)}:"
        f" {'; '.join(parts)}.  If errors were independent, all three would be the product; the"
        f" measured share {answer}, by an interval of 95 % at each w."
    )


def _holds_zero(estimate):
    return estimate.low <= 0 <= estimate.high


def draw_accuracies(axes, found, kind):
    """Accuracies over the weight of guidance, with intervals, side by side at each weight."""
    weights = [w for name, w in found if name == kind and w != REAL]
    lines = zip(np.linspace(-0.1, 0.1, 5), (*KINDS, ALL, PRODUCT), PATH_COLORS, "os^Dv")
    for aside, name, color, mark in lines:
        value, low, high = np.array([found[kind, w][name] for w in weights]).T
        axes.plot(np.add(weights, aside), value, "-", marker=mark, color=color, label=name)
        axes.vlines(np.add(weights, aside), low, high, color=color)
    real = found[kind, REAL][ALL].value
    axes.axhline(real, color=GREY, linestyle="--", label=f"{ALL}, {REAL}")
    axes.set(xlabel="weight w of guidance", ylabel="share of images that are right")
    axes.set_title(f"images of {kind} combinations")
    axes.legend(fontsize=8)


def draw_sheet(axes, found, columns=4, space=14):
    """Samples of seen combinations above those of unseen ones, under each its caption."""
    w = max(w for kind, w in found if w in (1, 2))
    rows = [found[kind, w] for kind in (SEEN, UNSEEN)]
    padded = np.concatenate(
        [np.pad(one["x"], ((0, 0), (0, space), (0, 0), (0, 0))) for one in rows]
    )
    axes.imshow(mosaic(padded, columns), cmap="gray", vmin=0, vmax=1)
    _, height, width, _ = padded.shape
    for i, caption in enumerate(rows[0]["captions"] + rows[1]["captions"]):
        x, y = (i % columns + 0.5) * (width + 1), (i // columns + 1) * (height + 1) - space / 2
        words = caption.split()
        lines = f"{' '.join(words[:3])}\n{' '.join(words[3:])}"
        axes.text(x, y - 1, lines, fontsize=6.5, ha="center", va="center")
    axes.set(xticks=[], yticks=[], title=f"w = {w:g}: seen combinations above unseen ones")
    axes.grid(False)
