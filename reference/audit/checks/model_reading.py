"""How a trained model is to be read: schedule, time base and prediction, from its loss."""

from dataclasses import replace

import numpy as np

from reference.audit import levels as noise_levels
from reference.audit.checks.model_losses import TOLERATED, chosen_times, excess, outputs
from reference.audit.levels import PREDICTIONS, Levels
from reference.audit.target import TargetError
from reference.diffusion.schedules import SCHEDULES

WELL_BELOW = 10 * TOLERATED  # nats an entry between the best reading and the second
# What the better of eps_hat = 0 and x0_hat = mean costs beyond the linear denoiser: for data of one
# variance and s = SNR times it, 1/2 int [min(1, s) - s / (1 + s)] ds / s = 1/2 nat an entry.
KNOWS_NOTHING = 0.5
BASES = ("0-based", "1-based", "real", "sigma")


def candidates(context):
    """(levels, prediction) for each time base and schedule that is not decided, each prediction."""
    target, found = context.target, context.levels
    tables = [found] if found is not None and found.how else _possible_levels(target)
    claim = claimed_prediction(context)
    return [
        (table, name)
        for table in tables
        if len(chosen_times(table)) > 1
        for name in PREDICTIONS
        if name == claim or not (name.endswith("velocity") and table.form != "flow")
    ]


def claimed_prediction(context):
    return context.known.get("prediction", context.target.claims.get("prediction"))


def _possible_levels(target):
    """``Levels`` for each claim that the target might have made."""
    claims, found = target.claims, list[Levels]()
    schedules = [claims["schedule"]] if "schedule" in claims else [None, *SCHEDULES]
    for base in [claims["time"]] if "time" in claims else BASES:
        for schedule in schedules:
            more = {"time": base, **({"schedule": schedule} if schedule else {})}
            try:
                levels = noise_levels.recognise(replace(target, claims={**claims, **more}))
            except TargetError:
                continue
            if levels is not None and not any(_same(levels, other) for other in found):
                found.append(levels)
    return found


def _same(first, second):
    if first.time != second.time or len(first.times) != len(second.times):
        return False
    probes = first.times[:: max(1, len(first.times) // 7)]
    return all(first.at(t.item()) == second.at(t.item()) for t in probes)


def recognise(context, found, train, linear):
    """(levels, prediction, ``Outputs``) that the data determine: the one with the least loss, if it
    is well below the second.  None, with a line in the report, if they don't.

    A claimed prediction stands, unless the model is bad with it and good with another.
    """
    claim = claimed_prediction(context)
    seen = _outputs(context.target, found, train)
    costs = np.array(
        [
            excess(made, prediction, linear) if made is not None else np.inf
            for made, (_, prediction) in zip(seen, found)
        ]
    )
    order = np.argsort(costs)
    text = _list(found, costs, order)
    best = order[0]
    if claim:
        claimed = next(i for i in order if found[i][1] == claim)
        contradicted = costs[claimed] > costs[best] + WELL_BELOW and costs[best] <= TOLERATED
        best = best if contradicted else claimed
    same = {i for i in order if found[i][1] == found[best][1]}
    near = {i for i in order if costs[i] < costs[best] + WELL_BELOW}
    if not claim and (near - same or not costs[best] < KNOWS_NOTHING):
        context.add(
            "model prediction",
            "not decidable",
            "one prediction and one schedule have far less loss than all others",
            came=text,
        )
        return None
    context.agree_on_prediction("denoise", found[best][1], text)
    if context.levels is None or not context.levels.how:
        rivals = near & same - {best}
        base = "not decidable, two have equal losses" if rivals else found[best][0].time
        context.recognise("time of the model", base, "1-based, t = 0 is clean", text)
    return *found[best], seen[best]


def _outputs(target, found, train):
    """The ``Outputs`` of each of (levels, prediction), None where the model refuses the times."""
    made: dict = {}
    for levels, _ in found:
        if id(levels) not in made:
            try:
                made[id(levels)] = outputs(target, levels, train)
            except TargetError:
                made[id(levels)] = None
    return [made[id(levels)] for levels, _ in found]


def _list(found, costs, order):
    """The two least costs in words."""
    parts = [
        f"{costs[i]:.3g} nats an entry as {found[i][1]} ({found[i][0].time})" for i in order[:2]
    ]
    return "beyond the linear denoiser it costs " + ", ".join(parts)
