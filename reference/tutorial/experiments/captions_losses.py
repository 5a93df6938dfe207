"""Small networks with captions beside the exact denoisers (captions_exact.py): one with
cross-attention, and one that gets the mean of the words alone.

The networks predict F at x = x_0 + sigma eps, for five values of sigma.  Their loss is the mean
square of the error of F.  With v the mean square of the data it is that of x̂_0 times a factor,

    loss = factor E[‖x̂_0 - x_0‖^2] / d,   factor = (v + sigma^2) / (v sigma^2),

whose least value, that of the exact denoiser x̂*_0 = E[x_0 | x, caption], is

    floor = factor sum_j (lam_j sigma^2 / (lam_j + sigma^2)) / d.

x̂*_0 - x_0 has the mean 0 for every x and caption, so it is orthogonal to x̂_0 - x̂*_0, and

    loss = floor + factor E[‖x̂_0 - x̂*_0‖^2] / d.

The second term is the excess.  It is measured in this form, whose statistical error is small.  The
score is (x̂_0 - x) / sigma^2, so that errors of the score are errors of x̂_0 over sigma^2.

A network that ignored the text would at best learn E[x_0 | x] over all captions of training.  The
price of ignoring the text is the loss of that denoiser less the floor.  A network that uses the
text has an excess below this price.  At the highest noise level a short training reaches this,
because x says little about x_0 there, and the text says much.  A long training reaches it in the
mean over the levels, too.
"""

import math
from typing import NamedTuple

import numpy as np

from reference import ops as reference_ops
from reference.data.captions import VOCABULARY
from reference.diffusion.conversions import log_alpha_bar_of_sigma
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.schedules import VarianceExplodingSchedule
from reference.networks import UNet
from reference.ops.random import Purpose
from reference.plotting import BLACK, BLUE, GREY, VERMILION
from reference.tutorial.experiments.captions_exact import SEEN, SHAPE, UNSEEN
from reference.tutorial.experiments.guided_images import Z_SCORE
from reference.tutorial.experiments.training import trained

SIGMAS = np.array([0.1, 0.3, 1.0, 3.0, 10.0])
SCHEDULE = VarianceExplodingSchedule(np.concatenate(([0.0], log_alpha_bar_of_sigma(SIGMAS))))
DRAWS = 40_000  # to train on
DATA_SEED, HELD_OUT_SEED = 1, 7
CHANNELS, DROPOUT = (16, 32), 0.1
CROSS, MEAN = "cross-attention", "mean of the words"
STYLES = {CROSS: ("o-", BLUE), MEAN: ("s-", VERMILION)}


def network(kind):
    """The small U-Net, with ``CROSS`` or ``MEAN``."""
    levels = {CROSS: UNet.cross_attention, MEAN: ()}[kind]
    words = len(VOCABULARY)
    return UNet(SHAPE[:2], SHAPE[2], CHANNELS, vocabulary=words, cross_attention=levels)


def parameters(kind):
    """The number of a network's parameters."""
    return sum(math.prod(shape) for shape in network(kind).shapes().values())


class Measured(NamedTuple):
    """At one noise level: loss of the exact denoiser, that of draws and its standard error;
    excess of a network [n] for each draw; relative error of its score; loss without the text.
    """

    floor: float
    drawn: float
    error: float
    excess: dict
    score_error: dict
    without_text: float


def train_networks(laws, steps, batch, seeds=1, ops=reference_ops):
    """(kind, seed) -> (denoiser, averaged weights), all trained on the same draws."""
    sample, seen = np.arange(DRAWS), laws.of_kind(SEEN)
    which = seen[sample % len(seen)]
    x = laws.images(DATA_SEED, sample, which, ops).astype(np.float32)
    found = {}
    for kind in (CROSS, MEAN):
        denoiser = Denoiser(network(kind), SCHEDULE, "F", float((x**2).mean()))
        for seed in range(seeds):
            options = {"labels": laws.tokens[which], "label_dropout": DROPOUT, "seed": seed}
            params = trained(denoiser, x, steps, batch, ops, **options)
            found[kind, seed] = denoiser, params
    return found


def measure(laws, networks, n, ops=reference_ops):
    """(kind of captions, sigma) -> ``Measured``, on n new draws of the captions in turn."""
    found = {}
    (denoiser, _), *_ = networks.values()
    for kind in (SEEN, UNSEEN):
        sample, captions = np.arange(n), laws.of_kind(kind)
        which = captions[sample % len(captions)]
        x0 = laws.images(HELD_OUT_SEED, sample, which, ops)
        for level, sigma in enumerate(map(float, SIGMAS)):
            noise = ops.normal(HELD_OUT_SEED, sample, level, Purpose.EVALUATION, SHAPE, np.float64)
            x = x0 + sigma * noise
            v = denoiser.data_variance
            factor = (v + sigma**2) / (v * sigma**2)
            square = lambda error: (error**2).reshape(n, -1).mean(axis=1)
            exact = laws.exact(x, sigma, which)
            drawn = factor * square(exact - x0)
            away = {
                name: square(predicted(model, params, x, sigma, laws.tokens[which], ops) - exact)
                for name, (model, params) in networks.items()
            }
            found[kind, sigma] = Measured(
                factor * laws.floor(sigma, which),
                float(drawn.mean()),
                float(drawn.std() / n**0.5),
                {name: factor * one for name, one in away.items()},
                {
                    name: (one.mean() / square(exact - x).mean()) ** 0.5
                    for name, one in away.items()
                },
                float(factor * square(laws.without_text(x, sigma) - x0).mean()),
            )
    return found


def predicted(denoiser, params, x, sigma, tokens, ops=reference_ops):
    """x̂_0[n,...] of x[n,...] by a network."""
    x0_hat = denoiser.posterior_mean_function(params, tokens, ops)
    return x0_hat(x.astype(np.float32), 1.0, sigma).astype(np.float64)


# Tables and checks


def totals(found, captions):
    """(floor, loss without the text, (kind, seed) -> excess [n] of the draws), all the mean over
    the noise levels.
    """
    rows = [found[captions, float(sigma)] for sigma in SIGMAS]
    excess = {name: np.mean([row.excess[name] for row in rows], axis=0) for name in rows[0].excess}
    mean = lambda field: float(np.mean([getattr(row, field) for row in rows]))
    return mean("floor"), mean("without_text"), excess


def differences(found, captions):
    """The excess with cross-attention less that with the mean, in units of the floor: its mean,
    the standard error over the draws, and the mean of each seed.
    """
    floor, _, excess = totals(found, captions)
    seeds = [seed for kind, seed in excess if kind == CROSS]
    each = np.array([excess[CROSS, seed] - excess[MEAN, seed] for seed in seeds]) / floor
    error = each.mean(axis=0).std() / each.shape[1] ** 0.5
    return float(each.mean()), float(error), each.mean(axis=1)


def report(outcome, found, in_training=False):
    """The tables, the checks and the comparison.  ``in_training``: the networks are far from the
    end of training, and the mean over the levels is not checked.
    """
    names = "loss, exact", "loss", "loss without text", "excess / exact", "± one standard error"
    more = "excess / price of ignoring the text", "error of the score"
    title = "One Gaussian a caption: losses by noise level, relative error of the score"
    columns = "captions", "network", "seed"
    outcome.tables[title] = (*columns, "sigma", *names, *more), _rows_by_level(found)
    means: list = []
    outcome.tables["The same, the mean over the noise levels"] = (*columns, *names, more[0]), means
    for captions in (SEEN, UNSEEN):
        floor, without_text, excess = totals(found, captions)
        means += [
            (captions, *name, *_losses(floor, without_text, one)) for name, one in excess.items()
        ]
        highest = found[captions, float(SIGMAS[-1])]
        where = f"at sigma = {SIGMAS[-1]:g}"
        _check_text(outcome, captions, where, highest.floor, highest.without_text, highest.excess)
        if not in_training:
            _check_text(outcome, captions, "in the mean", floor, without_text, excess)
    z = max(abs(one.drawn - one.floor) / one.error for one in found.values())
    outcome.check(
        "the exact denoisers have their least loss on the draws, at every noise level",
        f"{z:.1f} standard errors from it at most",
        z < Z_SCORE,
    )
    outcome.findings += [comparison(found, captions) for captions in (SEEN, UNSEEN)]


def _rows_by_level(found):
    return [
        (
            captions,
            *name,
            sigma,
            *_losses(one.floor, one.without_text, excess),
            one.score_error[name],
        )
        for (captions, sigma), one in found.items()
        for name, excess in one.excess.items()
    ]


def _losses(floor, without_text, excess):
    """The cells from the exact loss on, of an excess [n]."""
    mean, error = excess.mean(), _standard_error(excess)
    shares = mean / floor, error / floor, mean / (without_text - floor)
    return floor, floor + mean, without_text, *shares


def _check_text(outcome, captions, where, floor, without_text, excess):
    for (kind, seed), one in excess.items():
        share, price = one.mean(), without_text - floor
        outcome.check(
            f"{captions} captions, {kind}, seed {seed}: {where} the excess is below the price of"
            " ignoring the text",
            f"{share / price:.1%} of it ± {_standard_error(one) / price:.1%}",
            share + Z_SCORE * _standard_error(one) < price,
        )


def _standard_error(values):
    return values.std() / len(values) ** 0.5


def comparison(found, captions):
    """Whether cross-attention beats the mean of the words, as a sentence.  It does, or does not, if
    all seeds agree and their mean is ``Z_SCORE`` standard errors of the draws from 0.
    """
    difference, error, of_seeds = differences(found, captions)
    floor, _, excess = totals(found, captions)
    of_kind = {
        kind: np.mean([one.mean() for (name, _), one in excess.items() if name == kind]) / floor
        for kind in (CROSS, MEAN)
    }
    clear = abs(difference) > Z_SCORE * error and len({*np.sign(of_seeds)}) == 1
    verdict = "loses to" if difference > 0 else "beats"
    verdict = verdict if clear else "is neither clearly better nor clearly worse than"
    seeds = ", ".join(f"{one:+.1%}" for one in of_seeds)
    return (
        f"On {captions} captions cross-attention {verdict} the mean of the words: an excess over"
        f" the exact denoiser of {of_kind[CROSS]:.1%}, beside {of_kind[MEAN]:.1%}"
        f" (difference {difference:+.1%} ± {error:.1%}; by seed {seeds})."
    )


def draw_losses(axes, found, captions):
    """Loss over the noise level of ``captions``, the mean over the seeds."""
    rows = [found[captions, float(sigma)] for sigma in SIGMAS]
    axes.loglog(SIGMAS, [one.without_text for one in rows], ":", color=GREY, label="without text")
    for kind, (style, color) in STYLES.items():
        loss = [one.floor + _over_seeds(one.excess, kind) for one in rows]
        axes.loglog(SIGMAS, loss, style, color=color, label=kind)
    axes.loglog(SIGMAS, [one.floor for one in rows], "-", color=BLACK, label="exact")
    axes.set(xlabel="noise level sigma", ylabel="loss", title=f"{captions} captions")
    axes.legend(fontsize=9)


def draw_score_errors(axes, found):
    """The relative error of the score over the noise level."""
    for captions, line in zip((SEEN, UNSEEN), ("-", "--")):
        for kind, (style, color) in STYLES.items():
            errors = [
                _over_seeds(found[captions, float(sigma)].score_error, kind) for sigma in SIGMAS
            ]
            label = f"{kind}, {captions}"
            axes.loglog(SIGMAS, errors, style[0], linestyle=line, color=color, label=label)
    axes.set(xlabel="noise level sigma", ylabel="relative error of the score")
    axes.set_title("the score beside the exact one")
    axes.legend(fontsize=9)


def _over_seeds(values, kind):
    return np.mean([np.mean(value) for (name, _), value in values.items() if name == kind])
