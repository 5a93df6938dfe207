"""Score networks on a noised mixture: three score-matching losses, one score, and the error that
too few data cause.

Every value that a network is compared with is known: the score at every level, the least possible
loss, and the minimiser over all functions on finite data.  That minimiser is the score of a kernel
density with h = sigma.
"""

from itertools import pairwise

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.conversions import log_alpha_bar_of_sigma
from reference.diffusion.mixtures import example_2_1
from reference.diffusion.schedules import VarianceExplodingSchedule
from reference.networks import MLP
from reference.ops.random import Purpose
from reference.plotting import BLUE, GREEN, PATH_COLORS, SKY, VERMILION, subplots
from reference.samplers import final_sample
from reference.samplers.annealed_langevin import annealed_langevin
from reference.smld.kernel_density import kernel_density
from reference.smld.smld import ScoreModel, loss_floors
from reference.tutorial.experiments import Outcome
from reference.tutorial.experiments.training import trained

QUESTION = "Does a network learn the score with each score-matching loss?"
DISTRIBUTION = example_2_1()
SIGMAS = np.array([0.05, 0.1, 0.3, 1.0, 3.0, 10.0])
LEVELS = VarianceExplodingSchedule(np.concatenate(([0.0], log_alpha_bar_of_sigma(SIGMAS))))
# (steps, batch) for each loss; the implicit loss is the noisiest
TRAINING = {"denoising": (6000, 256), "explicit": (2000, 256), "implicit": (6000, 512)}
QUICK = {"denoising": (1500, 256), "explicit": (800, 256), "implicit": (1500, 256)}
SAMPLES = (20, 100, 1000, 10_000)


def run(quick=False, ops=reference_ops):
    training = QUICK if quick else TRAINING
    outcome = Outcome(settings={"training steps and batch": training, "sigmas": SIGMAS.tolist()})
    slack = 3 if quick else 1
    draws = 20_000 if quick else 100_000
    found, least = {}, loss_floors(example_2_1(ops), SIGMAS)
    for loss, (steps, batch) in training.items():
        score = learned_score(loss, steps, batch, ops)
        found[loss] = [level_errors(score, float(sigma), draws, ops) for sigma in SIGMAS]
        check_levels(outcome, loss, found[loss], slack, least)
        if loss == "denoising":
            mass = annealed_mass(score, 2000 if quick else 20_000, ops)
    header = (
        "sigma",
        "floor",
        *(f"loss, {loss}" for loss in TRAINING),
        *(f"error, {loss}" for loss in TRAINING),
    )
    rows = [
        (
            sigma,
            floor,
            *(found[loss][i][0] for loss in TRAINING),
            *(found[loss][i][1] for loss in TRAINING),
        )
        for i, (sigma, floor) in enumerate(zip(SIGMAS, least))
    ]
    outcome.tables[
        "sigma^2 times the denoising loss on fixed draws, and sqrt(E|s - score|^2 / E|score|^2)"
    ] = (header, rows)
    right = float(DISTRIBUTION.cdf(0.0))
    outcome.check(
        f"annealed Langevin with the learned score finds the mass below 0, {right:.4f}, "
        f"within {0.02 * slack:g}",
        f"{mass:.4f}",
        abs(mass - right) < 0.02 * slack,
    )
    finite_data = finite_data_errors(outcome, ops)
    outcome.figure = figure(found, finite_data)
    return outcome


def check_levels(outcome, loss, found, slack, least):
    excess = max(
        min(value - floor, (value - floor) / floor * 0.2)
        for (value, _, _), floor in zip(found, least)
    )
    outcome.check(
        f"{loss}: the weighted loss is within .01 or 5 % of its floor at every level",
        f"{excess:.4f} at most",
        excess < 0.01,
    )
    high = max(relative for _, relative, _ in found[2:])
    low = found[0][1]
    limits = f"{0.1 * slack:g} for sigma from .3 on, and {0.25 * slack:g} at .05"
    outcome.check(
        f"{loss}: the score's relative error is below {limits}",
        f"{high:.3f}, {low:.3f}",
        high < 0.1 * slack and low < 0.25 * slack,
    )


def level_errors(score, sigma, n, ops):
    """(sigma^2 times the denoising loss on n fixed draws, relative error of the score on them, the
    scores on a grid of x).
    """
    sample, distribution = np.arange(n), example_2_1(ops)
    x0, _ = distribution.sample(11, sample)
    z = ops.normal(12, sample, 0, Purpose.EVALUATION, (1,), np.float64)
    x = x0 + sigma * z
    s = score(x.astype(np.float32), 1.0, sigma).astype(np.float64)
    exact = distribution.noised(1.0, sigma).score(x)
    line = np.linspace(-4, 6, 400)[:, None]
    on_line = score(line.astype(np.float32), 1.0, sigma)[:, 0]
    # less the exact score's loss on the same draws: a control variate
    excess = ((sigma * s + z) ** 2).mean() - ((sigma * exact + z) ** 2).mean()
    loss = excess / 2 + float(loss_floors(distribution, [sigma])[0])
    return loss, relative_error(s, exact), on_line


def relative_error(score, exact):
    return float(np.sqrt(((score - exact) ** 2).mean() / (exact**2).mean()))


def annealed_mass(score, n, ops):
    """The mass below 0 of samples by annealed Langevin dynamics."""
    sample = np.arange(n)
    x = 10 * ops.normal(13, sample, 0, Purpose.PRIOR, (1,), np.float32)
    score_at_sigma = lambda x, sigma: score(x, 1.0, sigma)
    states = annealed_langevin(score_at_sigma, SIGMAS[::-1], x, 100, 14, sample, ops=ops)
    return float((final_sample(states) < 0).mean())


def finite_data_errors(outcome, ops):
    """The error that no training removes: the relative error of the loss's minimiser on M samples,
    the score of their kernel density.
    """
    rows, distribution = [], example_2_1(ops)
    for M in SAMPLES:
        points, _ = distribution.sample(15, np.arange(M))
        errors = []
        for sigma in SIGMAS:
            sample = np.arange(2000)
            x0, _ = distribution.sample(16, sample)
            x = x0 + sigma * ops.normal(17, sample, 0, Purpose.EVALUATION, (1,), np.float64)
            exact = distribution.noised(1.0, float(sigma)).score(x)
            minimiser = kernel_density(points, float(sigma), ops).score(x)
            errors.append(relative_error(minimiser, exact))
        rows.append((M, *errors))
    title = "Relative error of the loss's minimiser on M samples: a kernel density with h = sigma"
    outcome.tables[title] = (("M", *(f"{s:g}" for s in SIGMAS)), rows)
    smallest = [row[1] for row in rows]
    outcome.findings.append(
        f"At sigma = .05 the loss's minimiser on {SAMPLES[0]} samples has a relative error of "
        f"{smallest[0]:.2f}, on {SAMPLES[-1]} of {smallest[-1]:.2f}: a network that fits too few "
        "samples perfectly has learned these samples and not their distribution."
    )
    outcome.check(
        "the error at the smallest noise falls with the number of samples",
        ", ".join(f"{e:.2f}" for e in smallest),
        all(b < a for a, b in pairwise(smallest)),
    )
    return rows


def learned_score(loss, steps, batch, ops):
    """The function (x, alpha, sigma) -> score of a network trained on 100,000 draws from the
    distribution.
    """
    distribution = example_2_1(ops)
    data = distribution.sample(7, np.arange(100_000))[0].astype(np.float32)
    power = float((data**2).mean())
    exact = distribution if loss == "explicit" else None
    model = ScoreModel(MLP((1,)), LEVELS, "noise", power, loss, exact)
    return model.score_function(trained(model, data, steps, batch, ops), ops=ops)


def figure(found, finite_data):
    """Above, the learned scores and the exact one at three noise levels.  Below, their errors at
    all levels, and the errors that finite data cause.
    """
    title = f"{QUESTION}  Data 0.3 N(-2, 0.2²) + 0.7 N(2, 1)"
    drawing, axes = subplots(2, 3, 14, 8.6, title)
    styles = dict(zip(TRAINING, ((VERMILION, "--"), (BLUE, "-."), (GREEN, ":"))))
    for panel, i in zip(axes[0], (1, 2, 3)):
        draw_scores(panel, i, found, styles)
    errors, samples, unused = axes[1]
    for (loss, (color, style)), mark in zip(styles.items(), "os^"):
        relative = [relative for _, relative, _ in found[loss]]
        errors.loglog(SIGMAS, relative, style, marker=mark, color=color, label=f"learned, {loss}")
    errors.set(title="error of the learned scores")
    for (M, *row), color, mark in zip(finite_data, PATH_COLORS, "os^v"):
        samples.loglog(SIGMAS, row, "-", marker=mark, color=color, label=f"M = {M}")
    samples.set(title="error of the loss's minimiser on M samples")
    for panel in (errors, samples):
        panel.set(xlabel="noise level sigma", ylabel="relative error of the score")
    for panel in (axes[0, 0], errors, samples):
        panel.legend(fontsize=9)
    unused.remove()
    return drawing


def draw_scores(panel, i, found, styles):
    line = np.linspace(-4, 6, 400)
    sigma = float(SIGMAS[i])
    exact = sigma * DISTRIBUTION.noised(1.0, sigma).score(line[:, None])[:, 0]
    panel.plot(line, exact, color=SKY, linewidth=4, label="exact")
    for loss, (color, style) in styles.items():
        learned = sigma * found[loss][i][2]
        panel.plot(line, learned, style, color=color, label=f"learned, {loss}")
    limit = 1.3 * abs(exact).max()
    panel.set(
        xlabel="x",
        ylabel="sigma times the score",
        ylim=(-limit, limit),
        title=f"score at noise level sigma = {sigma:g}",
    )
