"""Guidance on Fashion-MNIST, by the package's network and classifier: how class accuracy and
distance to the data change with the weight.
"""

import numpy as np

from reference import ops as reference_ops
from reference.plotting import BLACK, BLUE, GREY, VERMILION
from reference.runs.conditions import labels_of
from reference.runs.exported import package_models
from reference.runs.image_quality import NAMES, classifier_features, feature_quality, spread
from reference.runs.run import open_run
from reference.runs.sampler_options import sampler_options
from reference.runs.sampling import draw

RUN, CLASSIFIER = "fashion-mnist", "fashion-mnist-classifier"
SAMPLERS = {  # sampler -> steps, weights
    "dpm-solver++": (20, (0, 1, 1.5, 2, 3, 4, 6)),
    "ddpm": (50, (1, 2, 4)),
}
QUICK_SAMPLERS = {"dpm-solver++": (10, (1, 2, 4))}
SHOWN = ("class_accuracy", "frechet", "recall", "precision")
CHANCE = 0.1
LEAST_ACCURACY = 5 * CHANCE
Z_SCORE = 4.9  # two-sided normal quantile for one false alarm in 10^6


def missing():
    """What the experiment lacks, as text; None if the models and the data are here."""
    for name in (RUN, CLASSIFIER):
        if name not in package_models():
            return f"the model {name}"
    return f"the data of {RUN}" if open_run(RUN).needs_download() else None


def left_out(outcome):
    """Whether the part on images lacks something; if so, a sentence says it."""
    if lacking := missing():
        outcome.findings.append(f"The part on images is left out: {lacking} is not here.")
    return lacking is not None


def images(outcome, quick, ops=reference_ops):
    """The curves of ``curves`` with the package's models, as a table with checks; returns them.
    None, with a sentence, where something is missing.
    """
    if left_out(outcome):
        return None
    n, samplers = (100, QUICK_SAMPLERS) if quick else (2000, SAMPLERS)
    outcome.settings |= {"images a point": n, "samplers of images": samplers}
    found = curves(open_run(RUN), classifier_features(open_run(CLASSIFIER), ops), n, samplers, ops)
    report(outcome, found, n)
    return found


def curves(run, features, n, samplers, ops=reference_ops):
    """(sampler, weight) -> name -> ``Estimate`` for n samples, the classes in turn; and ("real",
    None) for n held-out images.  All are compared with n training images.
    """
    data = run.data
    reference = features.of(data.train[spread(len(data.train), n)])
    held_out = spread(len(data.held_out), n)
    real = data.held_out[held_out], features, reference, data.held_out_labels[held_out]
    found = {("real", None): feature_quality(*real)}
    labels = labels_of(run, np.arange(n))
    for sampler, (steps, weights) in samplers.items():
        for w in weights:
            how = sampler_options(run, sampler, seed=1, steps=steps, label="all", guidance=w)
            x, _ = draw(run, ops, n, **how)
            found[sampler, w] = feature_quality(x, features, reference, labels)
    return found


def report(outcome, found, n):
    """The table of ``curves`` and its checks."""
    rows = [
        (sampler, "" if w is None else w, *(part for name in SHOWN for part in estimates[name]))
        for (sampler, w), estimates in found.items()
    ]
    columns = (part for name in SHOWN for part in (NAMES[name], "low", "high"))
    outcome.tables["Fashion-MNIST: samples by class against training images, 95 % intervals"] = (
        ("sampler", "w", *columns),
        rows,
    )
    for sampler in samplers_of(found):
        accuracy = {
            w: estimates["class_accuracy"]
            for (name, w), estimates in found.items()
            if name == sampler
        }
        check_accuracy(outcome, sampler, accuracy, n)


def check_accuracy(outcome, sampler, accuracy, n):
    """Checks of the class accuracy of n samples, weight -> ``Estimate``.

    Samples drawn without their labels agree with them at chance, 1/10, for any shares of the ten
    classes among the samples: the labels have equal shares and do not depend on the samples.
    """
    outcome.check(
        f"images, {sampler}: conditional samples show their class",
        f"accuracy {accuracy[1].value:.3f}",
        accuracy[1].low > LEAST_ACCURACY,
    )
    outcome.check(
        f"images, {sampler}: guidance w = 2 does not lower the class accuracy",
        f"{accuracy[1].value:.3f} at w = 1, {accuracy[2].value:.3f} at w = 2",
        accuracy[2].high >= accuracy[1].low,
    )
    if 0 in accuracy:
        z = (accuracy[0].value - CHANCE) / (CHANCE * (1 - CHANCE) / n) ** 0.5
        outcome.check(
            f"images, {sampler}: unconditional samples agree with labels at chance",
            f"accuracy {accuracy[0].value:.3f}, {z:.1f} standard errors from {CHANCE}",
            abs(z) < Z_SCORE,
        )


def samplers_of(found):
    return dict.fromkeys(sampler for sampler, _ in found if sampler != "real")


def draw_curves(panels, found):
    """Class accuracy, Fréchet distance and recall over the weight, with intervals and the
    value of held-out images.
    """
    for axes, name in zip(panels, SHOWN):
        real = found["real", None][name]
        axes.axhline(real.value, color=GREY, linestyle="--", label="held-out images")
        axes.axhspan(real.low, real.high, color=GREY, alpha=0.15)
        for sampler, color, mark in zip(samplers_of(found), (VERMILION, BLUE, BLACK), "os^"):
            points = {w: value[name] for (key, w), value in found.items() if key == sampler}
            value, low, high = np.array([*points.values()]).T
            axes.plot([*points], value, "-", marker=mark, color=color, label=sampler)
            axes.vlines([*points], low, high, color=color)
        axes.set(
            xlabel="weight w of guidance",
            ylabel=NAMES[name],
            title="Fashion-MNIST, in the features of the classifier",
        )
        axes.legend(fontsize=9)
