"""The time base that a step shows, where nothing else decides it."""

from dataclasses import replace

import numpy as np

from reference.audit.levels import recognise
from reference.audit.step_coefficients import fitting_predictions, measure
from reference.audit.target import TargetError

BASES = ("0-based", "1-based", "sigma", "real")
CLEARLY = 10.0  # the second base must fit this many times worse


def decide_by_step(context, pairs_of):
    """Set ``context.levels`` to those of the base in which the steps lead to the right levels.

    A step that is right in one base is right; one that is wrong in every base is judged in the
    nearest.  ``pairs_of(levels)``: the steps to look at.
    """
    target, levels = context.target, context.levels
    if levels is None or levels.how or "step" not in target or "time" in context.known:
        return
    found = []
    for base in BASES:
        claimed = replace(target, claims={**target.claims, "time": base})
        try:
            candidate = recognise(claimed)
            found.append((_misfit(target, candidate, pairs_of(candidate)), base, candidate))
        except TargetError:
            continue
    found.sort(key=lambda entry: entry[0])
    if not found or not np.isfinite(found[0][0]):
        return
    (least, base, best), *others = found
    clear = all(entry[0] > CLEARLY * least for entry in others)
    how = "the step's coefficients" if clear else ""
    context.levels = replace(best, time=base, how=how) if clear else levels


def _misfit(target, levels, pairs):
    """The median misfit of the prediction that fits best; more for each step that is refused."""
    measured, refused = [], 0
    for t, t_prev in pairs:
        try:
            measured.append(measure(target, levels, t, t_prev))
        except TargetError:
            refused += 1
    if not measured:
        return np.inf
    _, misfits = fitting_predictions(measured)
    rounding = max(step.epsilon for step in measured)
    return max(min(misfits.values()), rounding) + refused
