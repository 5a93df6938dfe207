"""Checks of ``loss``: the x that it hands to the network, the time that it tells it, the prediction
that it asks for, its weights, and the value that a right model has.
"""

import numpy as np

from reference.audit.checks import loss_probes as probes
from reference.audit.checks.loss_batch import check_by_sample, recognise_reduction
from reference.audit.checks.loss_input import calls_of, check_input, with_range_of_network
from reference.audit.checks.loss_value import report_value, report_weight
from reference.audit.checks.noising import probe_times, tolerance, tolerance_of_type
from reference.audit.data_at_x1 import exchange, names_x1
from reference.audit.levels import PREDICTIONS, noised_by_loss

COUNT = 7
EFFECT = "the network learns another quantity than samplers read from it"


def check_loss(context):
    target, levels = context.target, context.levels
    if "loss" not in target:
        context.add("loss", "not there")
        return
    draws = probes.draw(target, 3)
    if levels is None:
        calls_of(context, draws, 1)
        context.add("loss x", "not decidable", came="nothing tells which times it takes")
        return
    context.recognise_levels()
    times = probe_times(levels, COUNT)
    if names_x1(target, "loss"):
        _read_x1(context, times[1])
    context = with_range_of_network(context, draws, times)
    target = context.target
    if not _check_finite(context, draws, times):
        return
    levels = check_input(context, draws, times)
    if levels is None:
        return
    row = _check_prediction(context, levels, draws, times)
    if row is None:
        return
    check_by_sample(context, levels, times, row)
    middle = times[len(times) // 2]
    alone = probes.draw(target, 1)
    shape = probes.shape_of_error(target, alone, middle, row(*levels.at(middle)))
    context.recognise("loss of an error", shape.name, "squared error", "outputs with known errors")
    recognise_reduction(context, middle, row(*levels.at(middle)))
    weights = report_weight(context, levels, alone, row, shape)
    report_value(context, levels, row, shape, weights)


def _read_x1(context, t):
    """Is x_1 the data?  Then x has the level of t with both exchanged."""
    target = context.target
    one = np.ones((1, *target.shape), target.dtype)
    came = [
        noised_by_loss(target, x0, noise, t).flat[0]
        for x0, noise in ((one, 0 * one), (0 * one, one))
    ]
    alpha, sigma = context.levels.at(t)
    bound = tolerance(context.levels, sigma) + tolerance_of_type(target)
    if np.allclose(came, (sigma, alpha), rtol=0, atol=bound) and abs(alpha - sigma) > 2 * bound:
        exchange(context, "loss", "x of the network's call")


def _check_finite(context, draws, times):
    """Numbers at both ends of the noise."""
    wrong = []
    for t in (times[0], times[-1]):
        value, _ = probes.run(context.target, draws, t, np.zeros(draws.x0.shape))
        if not np.isfinite(value).all():
            wrong.append(t)
    context.add(
        "loss finite",
        "fault" if wrong else "right",
        "the loss is finite at both ends of the noise",
        "",
        f"NaN or infinity at t = {wrong[0]:g}" if wrong else "",
        "one such sample in a batch destroys all parameters" if wrong else "",
    )
    return not wrong


def _check_prediction(context, levels, draws, times):
    """(alpha, sigma) -> (r0, r1) of the prediction that the loss asks for; None if it has none."""
    target = context.target
    fitting = probes.fitting_predictions(target, levels, draws, times)
    known = context.known.get("prediction", target.claims.get("prediction"))
    equation = "the loss is 0 for the exact prediction r0 x_0 + r1 eps of one kind, and no other"
    if fitting:
        name = known if known in fitting else fitting[0]
        context.add("loss prediction", "right", equation, came=name)
        context.agree_on_prediction("loss", name, "the loss is 0 for it")
        return PREDICTIONS[name]
    middle = times[len(times) // 2]
    row = probes.linear_target(target, levels, middle)
    expected = known or "noise, x0, v, score or velocity"
    if row is None:
        context.add(
            "loss prediction",
            "fault",
            equation,
            expected,
            f"no combination of x_0 and eps gives 0{_own_noise(target, draws, middle)}",
            EFFECT,
        )
        return None
    if alone := _fits_alone(target, levels, times):
        context.add(
            "loss by sample",
            "fault",
            "the loss of a batch is the mean or the sum of its samples' losses",
            f"0 for the exact prediction of {alone}",
            "0 for one sample alone, not for three: others' data or noise are in it",
            EFFECT,
        )
        return None
    came = f"{row[0]:.6g} x_0 + {row[1]:.6g} eps gives 0 at t = {middle:g}"
    for text, mistaken in probes.MISTAKES.items():
        if probes.fits(target, levels, draws, times, mistaken):
            context.add(
                "loss prediction",
                "fault" if known else "not decidable",
                equation,
                expected,
                f"{came}: {text}",
                EFFECT,
            )
            return mistaken
    context.add(
        "loss prediction", "fault" if known else "not decidable", equation, expected, came, EFFECT
    )
    return None


def _fits_alone(target, levels, times):
    """The prediction for which the loss of a single sample is 0, "" if there is none."""
    fitting = probes.fitting_predictions(target, levels, probes.draw(target, 1), times)
    return fitting[0] if fitting else ""


def _own_noise(target, draws, t):
    """A loss that differs from call to call draws noise of its own."""
    zero = np.zeros(draws.x0.shape)
    same = probes.value(target, draws, t, zero) == probes.value(target, draws, t, zero)
    return "" if same else ": it differs from call to call"
