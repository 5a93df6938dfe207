"""Score networks on a noised mixture: three ways of matching, one score, and what too few data do
to it.

Everything a network is held against is known: the score at every level, the least possible loss,
and the minimiser over all functions on finite data, which is the score of a kernel density with h =
sigma.
"""

from itertools import pairwise

import numpy as np

from reference.diffusion.conversions import log_alpha_bar_of_sigma
from reference.diffusion.mixtures import example_2_1
from reference.diffusion.schedules import VarianceExplodingSchedule
from reference.networks import MLP
from reference.ops import normal
from reference.ops.random import Purpose
from reference.plotting import BLUE, GREEN, PATHS, SKY, VERMILION, subplots
from reference.samplers import final_sample
from reference.samplers.annealed_langevin import annealed_langevin
from reference.smld.kernel_density import kernel_density
from reference.smld.smld import ScoreModel, floors
from reference.tutorial.experiments import Outcome
from reference.tutorial.experiments.training import trained

QUESTION = "F3: does a network learn the score, however it is matched?"
DISTRIBUTION = example_2_1()
SIGMAS = np.array([0.05, 0.1, 0.3, 1.0, 3.0, 10.0])
LEVELS = VarianceExplodingSchedule(np.concatenate(([0.0], log_alpha_bar_of_sigma(SIGMAS))))
TRAINING = {
    "denoising": (6000, 256),
    "explicit": (2000, 256),
    "implicit": (6000, 512),
}  # steps and batch: the implicit loss is the noisiest
QUICK = {"denoising": (1500, 256), "explicit": (800, 256), "implicit": (1500, 256)}
SAMPLES = (20, 100, 1000, 10_000)


def run(quick=False):
    training, found = QUICK if quick else TRAINING, {}
    outcome = Outcome(settings={"training steps and batch": training, "sigmas": SIGMAS.tolist()})
    least, slack = floors(DISTRIBUTION, SIGMAS), 3 if quick else 1
    for matching, (steps, batch) in training.items():
        score = learned(matching, steps, batch)
        found[matching] = found_at = [
            at_level(score, float(sigma), 20_000 if quick else 100_000) for sigma in SIGMAS
        ]
        excess = max(
            min(loss - floor, (loss - floor) / floor * 0.2)
            for (loss, _, _), floor in zip(found_at, least)
        )
        outcome.check(
            f"{matching}: the weighted loss is within .01 or 5 % of its floor at every level",
            f"{excess:.4f} at most",
            excess < 0.01,
        )
        high, low = max(relative for _, relative, _ in found_at[2:]), found_at[0][1]
        limits = f"{0.1 * slack:g} for sigma from .3 on, and {0.25 * slack:g} at .05"
        outcome.check(
            f"{matching}: the score's relative error is below {limits}",
            f"{high:.3f}, {low:.3f}",
            high < 0.1 * slack and low < 0.25 * slack,
        )
        if matching == "denoising":
            mass = annealed(score, 2000 if quick else 20_000)
    rows = [
        (sigma, floor, *(found[m][i][0] for m in TRAINING), *(found[m][i][1] for m in TRAINING))
        for i, (sigma, floor) in enumerate(zip(SIGMAS, least))
    ]
    header = (
        "sigma",
        "floor",
        *(f"loss, {m}" for m in TRAINING),
        *(f"error, {m}" for m in TRAINING),
    )
    outcome.tables[
        "sigma^2 times the denoising loss on fixed draws, and sqrt(E|s - score|^2 / E|score|^2)"
    ] = header, rows
    right = float(DISTRIBUTION.cdf(0.0))
    outcome.check(
        f"annealed Langevin with the learned score finds the mass below 0, {right:.4f}, within {0.02 * slack:g}",
        f"{mass:.4f}",
        abs(mass - right) < 0.02 * slack,
    )
    few = too_few(outcome)
    outcome.figure = figure(found, few)
    return outcome


def at_level(score, sigma, n):
    """(sigma^2 times the denoising loss on n fixed draws, relative error of the score there, the
    scores on a line of x).
    """
    sample = np.arange(n)
    x0, z = DISTRIBUTION.sample(11, sample)[0], normal(12, sample, 0, Purpose.EVALUATION, (1,))
    x, distribution = x0 + sigma * z, DISTRIBUTION.noised(1.0, sigma)
    s, exact = score(x.astype(np.float32), 1.0, sigma).astype(np.float64), distribution.score(x)
    line = np.linspace(-4, 6, 400)[:, None]
    relative = np.sqrt(((s - exact) ** 2).mean() / (exact**2).mean())
    at = score(line.astype(np.float32), 1.0, sigma)[:, 0]
    # against the exact score's loss on the same draws
    control = ((sigma * s + z) ** 2).mean() - ((sigma * exact + z) ** 2).mean()
    return control / 2 + float(floors(DISTRIBUTION, [sigma])[0]), float(relative), at


def annealed(score, n):
    """The mass below 0 of annealed Langevin's samples."""
    x = 10 * normal(13, np.arange(n), 0, Purpose.PRIOR, (1,), np.float32)
    x = final_sample(
        annealed_langevin(
            lambda x, sigma: score(x, 1.0, sigma), SIGMAS[::-1], x, 100, 14, np.arange(n)
        )
    )
    return float((x < 0).mean())


def too_few(outcome):
    """What no training helps against: the error of what minimises the loss on M samples, the score
    of their kernel density.
    """
    rows = []
    for M in SAMPLES:
        points, row = DISTRIBUTION.sample(15, np.arange(M))[0], []
        for sigma in SIGMAS:
            distribution = DISTRIBUTION.noised(1.0, float(sigma))
            x = DISTRIBUTION.sample(16, np.arange(2000))[0] + sigma * normal(
                17, np.arange(2000), 0, Purpose.EVALUATION, (1,)
            )
            exact = distribution.score(x)
            row.append(
                float(
                    np.sqrt(
                        ((kernel_density(points, float(sigma)).score(x) - exact) ** 2).mean()
                        / (exact**2).mean()
                    )
                )
            )
        rows.append((M, *row))
    outcome.tables[
        "Error of the function that minimises the loss on M samples, the score of their kernel density with h = sigma"
    ] = (
        ("M", *(f"{s:g}" for s in SIGMAS)),
        rows,
    )
    smallest = [row[1] for row in rows]
    outcome.findings.append(
        f"At sigma = .05 what minimises the loss on {SAMPLES[0]} samples has a relative error of {smallest[0]:.2f}, on {SAMPLES[-1]} of "
        f"{smallest[-1]:.2f}: a network that fits too few samples perfectly has learned them, and not their law."
    )
    falls = all(b < a for a, b in pairwise(smallest))
    outcome.check(
        "the error at the smallest noise falls with the number of samples",
        ", ".join(f"{e:.2f}" for e in smallest),
        falls,
    )
    return rows


def learned(matching, steps, batch):
    """The function (x, alpha, sigma) -> score of a network trained on 100,000 draws of the law."""
    data = DISTRIBUTION.sample(7, np.arange(100_000))[0].astype(np.float32)
    model = ScoreModel(
        MLP((1,)),
        LEVELS,
        "noise",
        float((data**2).mean()),
        matching,
        DISTRIBUTION if matching == "explicit" else None,
    )
    return model.score_function(trained(model, data, steps, batch))


def figure(found, few):
    """Above, the learned scores over the exact one at three noise levels; below, their errors at
    all levels, and what few data allow.
    """
    drawing, axes = subplots(2, 3, 14, 8.6, f"{QUESTION}  Data 0.3 N(-2, 0.2²) + 0.7 N(2, 1)")
    line, styles = (
        np.linspace(-4, 6, 400),
        dict(zip(TRAINING, ((VERMILION, "--"), (BLUE, "-."), (GREEN, ":")))),
    )
    for panel, i in zip(axes[0], (1, 2, 3)):
        sigma = float(SIGMAS[i])
        exact = sigma * DISTRIBUTION.noised(1.0, sigma).score(line[:, None])[:, 0]
        panel.plot(line, exact, color=SKY, linewidth=4, label="exact")
        for matching, (color, style) in styles.items():
            panel.plot(
                line,
                sigma * found[matching][i][2],
                style,
                color=color,
                label=f"learned, {matching}",
            )
        reach = 1.3 * abs(exact).max()
        panel.set(
            xlabel="x",
            ylabel="sigma times the score",
            ylim=(-reach, reach),
            title=f"score at noise level sigma = {sigma:g}",
        )
    errors, samples, unused = axes[1]
    for (matching, (color, style)), mark in zip(styles.items(), "os^"):
        relative = [relative for _, relative, _ in found[matching]]
        errors.loglog(
            SIGMAS, relative, style, marker=mark, color=color, label=f"learned, {matching}"
        )
    errors.set(title="error of the learned scores")
    for (M, *row), color, mark in zip(few, PATHS, "os^v"):
        samples.loglog(SIGMAS, row, "-", marker=mark, color=color, label=f"M = {M}")
    samples.set(title="error of the loss's minimiser on M samples")
    for panel in (errors, samples):
        panel.set(xlabel="noise level sigma", ylabel="relative error of the score")
    for panel in (axes[0, 0], errors, samples):
        panel.legend(fontsize=9)
    unused.remove()
    return drawing
