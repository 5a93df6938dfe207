"""Checks of a trained ``denoise`` with its ``data``: what does it predict, and is it any good?

The model's prediction, converted to the noise, has a loss at each level.  It lies below the loss of
the best linear denoiser, which knows no more than mean and covariance (``yardsticks``).  On
held-out data no model beats the exact denoiser; the one that memorises its training samples is far
below both on them, and above the linear one on held-out data.
"""

import numpy as np

from reference.audit.checks.model_calls import check_calls
from reference.audit.checks.model_data import check_data, rescaled
from reference.audit.checks.model_losses import TOLERATED, losses, outputs
from reference.audit.checks.model_reading import candidates, recognise
from reference.audit.checks.statistics import FALSE_ALARM_RATE, above
from reference.diffusion.yardsticks import LinearDenoiser, memorising_denoiser, noise_loss

EQUATION = "E|eps_hat - eps|^2 is below the loss of the best linear denoiser at every level"


def check_model(context):
    target = context.target
    if "denoise" not in target:
        context.add("model", "not there")
        return
    data = check_data(context) if "data" in target else (None, None)
    if data is None:
        return
    found = candidates(context)
    if not found:
        context.add("model", "not decidable", came="nothing tells its schedule or its times")
        return
    train, held_out = data
    known = all(levels is found[0][0] for levels, _ in found)
    if known and not check_calls(context, found[0][0], train):
        return
    if train is None:
        context.add("model", "not decidable", came="a denoiser without its data can't be judged")
        return
    evaluated, fitted, source = _split(train, held_out)
    linear = LinearDenoiser.fit(fitted)
    reading = recognise(context, found, evaluated, linear)
    if reading is None:
        return
    levels, prediction, seen = reading
    if not known and not check_calls(context, levels, train):
        return
    judged = losses(seen, prediction, linear)
    if held_out is not None:
        on_train = losses(outputs(target, levels, train, seed=1), prediction, linear)
        if _check_memorising(context, judged, on_train, seen, train):
            return
    _check_losses(context, judged, source, lambda: rescaled(target, levels, prediction, train))


def _check_losses(context, seen, source, map_of_data):
    """Is the model good?  ``map_of_data()`` names a change of scale that would make it so."""
    cost = seen.cost()
    bad = seen.worse_than_linear() & (cost > 0)
    total = float(cost[bad].sum())
    fault = total > TOLERATED
    if fault and (other := map_of_data()):
        context.add(
            "data range of the model",
            "fault",
            "the data have the scale that the model was trained with",
            other,
            "the data as they are given",
            "training and sampling images differ in brightness and contrast",
        )
        return
    blind = context.known.get("model ignores t", False)
    place = int(np.argmax(np.where(bad, cost, -1)))
    context.add(
        "model loss by level" if not (fault and blind) else "model depends on t",
        "fault" if fault else "right",
        EQUATION,
        f"at most {seen.linear[place].mean():.4g} at t = {seen.times[place]:g}" if fault else "",
        f"{seen.model[place].mean():.4g} on {source}; worse at {int(bad.sum())} of {len(bad)}"
        f" levels, {total:.3g} nats an entry"
        if bad.any()
        else f"{seen.model.mean():.4g} in the mean, linear {seen.linear.mean():.4g}, on {source}",
        "samples are worse than those of a Gaussian with the data's mean and covariance"
        if fault
        else "",
        details=seen.rows(),
    )


def _split(train, held_out):
    """What the model is judged on, what the linear denoiser is fitted to, and the words for it.

    The linear denoiser must not see what it is judged on: on its own data it has less than its
    expected loss.  Without held-out data it gets one half, and the model is judged on the other.
    """
    if held_out is not None:
        return held_out, train, "held-out data"
    half = len(train) // 2
    return train[half:], train[:half], "half of the training data (there are no held-out data)"


def _check_memorising(context, held, on_train, seen, train):
    """Is the loss on training data below what generalises, and that on held-out data above?  True
    if this is a fault.
    """
    pairs = list(zip(held.model, on_train.model))
    gap = np.array([above(first, second, len(pairs)) for first, second in pairs])
    both = gap & on_train.better_than_linear() & held.worse_than_linear()
    fault = bool(both.any())
    ratio = on_train.model.mean(axis=1) / held.model.mean(axis=1)
    place = int(np.argmin(np.where(both if fault else gap, ratio, np.inf)))
    means = [losses.mean() for losses in (held.model, on_train.model, held.linear)]
    where = "in the mean"
    if gap.any():
        means = [losses[place].mean() for losses in (held.model, on_train.model, held.linear)]
        where = f"at t = {held.times[place]:g}"
    context.add(
        "memorisation",
        "fault" if fault else "convention" if gap.any() else "right",
        "the loss on training data is that on held-out data; a model that memorises has less than"
        " the linear denoiser on the first, and more on the second",
        "equal losses",
        "{:.4g} on held-out data, {:.4g} on training data, linear {:.4g}".format(*means)
        + f", {where} (false-alarm rate {FALSE_ALARM_RATE:g})",
        "samples are copies of training samples" if gap.any() else "",
        details=_memorising_rows(held, on_train, seen, train),
    )
    return fault


def _memorising_rows(held, on_train, seen, train):
    """By level: both losses, and the loss of the denoiser that memorises on held-out data."""
    rows = []
    for k, t in enumerate(held.times):
        sigma = held.sigma[k] / held.alpha[k]
        x = seen.x0 + sigma * seen.noise
        guess = memorising_denoiser(x, sigma, train.astype(np.float64))
        rows.append(
            {
                "t": t,
                "training": float(on_train.model[k].mean()),
                "held out": float(held.model[k].mean()),
                "linear": float(held.linear[k].mean()),
                "memorising, held out": float(noise_loss(guess, seen.x0, sigma).mean()),
            }
        )
    return rows
