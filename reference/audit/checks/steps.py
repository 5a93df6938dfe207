"""Checks of ``step`` and ``timesteps``: does one reverse step lead from level t to level t_prev?"""

import contextlib
from itertools import pairwise

import numpy as np

from reference.audit.checks.step_calls import check_by_sample, check_types, recognise_clipping
from reference.audit.checks.step_verdicts import check_last, check_means_and_variances
from reference.audit.checks.timesteps import check_timesteps, grid_of, outside
from reference.audit.step_coefficients import fitting_predictions, measure
from reference.audit.target import TargetError
from reference.audit.time_base import decide_by_step

OURS = "noise, x0, v or score"


def check_steps(context):
    target = context.target
    decide_by_step(context, lambda levels: step_pairs(context, levels))
    levels = context.levels
    check_timesteps(context)
    if "step" not in target:
        context.add("step", "not there")
        return
    context.recognise_levels()
    if levels is None:
        context.add("step", "not decidable", "", "", "nothing tells which levels its times are")
        return
    _recognise_order(context)
    pairs = step_pairs(context, levels)
    measured, refused = [], {}
    for t, t_prev in pairs:
        try:
            measured.append(measure(target, levels, t, t_prev))
        except TargetError as error:
            refused[t, t_prev] = str(error)
    context.add(
        "step at every pair of times",
        "fault" if refused else "right",
        "x_prev is finite",
        "",
        next(iter(refused.values()), f"{len(pairs)} pairs of times"),
        "sampling ends in NaN or in an exception",
        details=[{"t": t, "t_prev": s, "came": text} for (t, s), text in refused.items()],
    )
    inner = [step for step in measured if step.t_prev != levels.clean]
    last = [step for step in measured if step.t_prev == levels.clean]
    prediction = _recognise_prediction(context, inner or last)
    if prediction is None:
        return
    lost = check_means_and_variances(context, inner, prediction)
    for step in last[:1]:
        if lost:
            context.add("last step", "not decidable", came="because of step mean")
        else:
            check_last(context, step, prediction)
    recognise_clipping(context, inner or last, prediction, lost)
    check_by_sample(context, (inner or last)[len(inner or last) // 2])
    if not refused:
        check_types(context, pairs)


def takes_t_prev(target):
    return "t_prev" in target.argument_order("step") or not target.parameters("step")


def step_pairs(context, levels):
    """(t, t_prev) from the target's own grid; without one, from all neighbours near both ends and,
    if ``step`` takes t_prev, from skipped times.
    """
    target = context.target
    if "timesteps" in target:
        with contextlib.suppress(TargetError):  # a line of its own says so
            grid = grid_of(target, levels, min(context.steps, len(levels.times)))
            if not outside(levels, np.array(grid)):
                return list(pairwise(grid))
    times = [levels.clean, *levels.times.tolist()]
    T = len(times) - 1
    chosen = sorted({*range(1, min(T, 4) + 1), *np.linspace(1, T, 12).astype(int).tolist()})
    pairs = [(times[i], times[i - 1]) for i in chosen]
    if takes_t_prev(target):
        skipped = np.unique(np.linspace(0, T, min(context.steps, T) + 1).astype(int)).tolist()
        pairs += [(times[b], times[a]) for a, b in pairwise(skipped)]
    return sorted(set(pairs), reverse=True)


def _recognise_order(context):
    order = context.target.argument_order("step")
    names = context.target.parameters("step")
    if names:
        ours = "step(prediction, t, x, noise, t_prev)"
        context.report_convention("arguments of step", ", ".join(names), ours, "its signature")
    if "t_prev" not in order:
        context.report_convention(
            "previous time", "chosen by step itself", "an argument of step", "its signature"
        )


def _recognise_prediction(context, steps):
    """The prediction that ``step`` takes.  None, with a line, if nothing decides."""
    if not steps:
        return None
    fitting, misfits = fitting_predictions(steps)
    claim = context.target.claims.get("prediction")
    if len(fitting) == 1:
        context.recognise("prediction", fitting[0], OURS, "the step's coefficients")
        return fitting[0]
    if claim:
        context.report_convention("prediction", claim, OURS, "declared")
        context.known["prediction"] = claim
        return claim
    best = min(misfits, key=misfits.get)
    others = sorted(value for name, value in misfits.items() if name != best)
    if not fitting and misfits[best] > 0.3 * others[0]:
        context.add(
            "step prediction",
            "fault",
            "one of the known predictions makes the step lead from level t to level t_prev",
            "",
            f"none does: the nearest is {best}, off by {misfits[best]:.3g} of the size of x",
            "every step leaves the noise levels that the network was trained at",
            details=[{"prediction": name, "misfit": value} for name, value in misfits.items()],
        )
        return None
    how = "not decidable between " + ", ".join(fitting) if fitting else "the nearest fit"
    context.report_convention("prediction", best, OURS, how)
    context.known["prediction"] = best
    return best
