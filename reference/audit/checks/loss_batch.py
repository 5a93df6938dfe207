"""The loss of a batch: how is it made of its samples' losses, and these of their entries'?"""

import numpy as np

from reference.audit.checks import loss_probes as probes
from reference.audit.checks.noising import tolerance_of_type
from reference.audit.target import TargetError


def check_by_sample(context, levels, times, row):
    """The loss of a batch is the mean or the sum of its samples' losses, also at several times."""
    target = context.target
    draws = probes.draw(target, 3, seed=1)
    errors = np.array([0.5, 1.0, 3.0]).reshape(-1, *[1] * len(target.shape))
    chosen = [times[0], times[len(times) // 2], times[-1]]
    cases = {"one time": [chosen[1]] * 3, "a time for each sample": chosen}
    results = {}
    for case, own in cases.items():
        rows = np.array([row(*levels.at(t)) for t in own])
        shaped = lambda column: column.reshape(errors.shape)
        exact = draws.combined(shaped(rows[:, 0]), shaped(rows[:, 1]))
        output = exact + errors * shaped(np.abs(rows).max(axis=1))
        t = own[0] if case == "one time" else np.array(own)
        try:
            batch, _ = probes.run(target, draws, t, output)
        except TargetError:
            if case == "one time":
                raise
            context.add("loss with a time for each sample", "not decidable", came="one time only")
            continue
        singles = [
            probes.value(
                target,
                probes.Draw(draws.x0[i : i + 1], draws.noise[i : i + 1]),
                own[i],
                output[i : i + 1],
            )
            for i in range(3)
        ]
        results[case] = _agrees(target, batch, np.array(singles))
    for case, (right, came) in results.items():
        if case == "a time for each sample" and not results["one time"][0]:
            continue  # explained
        context.add(
            "loss by sample" if case == "one time" else "loss with a time for each sample",
            "right" if right else "fault",
            "the loss of a batch is the mean or the sum of its samples' losses",
            "" if right else "the mean or the sum",
            came,
            "" if right else "samples get weights that depend on the rest of their batch",
        )


def _agrees(target, batch, singles):
    """(is ``batch`` made of these losses of single samples?, text)."""
    if batch.size > 1:
        batch = batch.reshape(len(singles), -1).mean(axis=1)
        candidates = {"one for each sample": singles}
    else:
        batch = batch.reshape(())
        candidates = {"mean over the batch": singles.mean(), "sum over the batch": singles.sum()}
    # losses are sums of positive terms, so their relative error is that of some operations
    bound = 64 * tolerance_of_type(target)
    for text, wanted in candidates.items():
        if (np.abs(batch - wanted) <= bound * np.abs(wanted)).all():
            return True, text
    wanted = ", ".join(f"{s:.6g}" for s in singles)
    return False, f"{np.array2string(batch, precision=6)} for samples with losses {wanted}"


def recognise_reduction(context, t, row):
    """Mean or sum, over the batch and over the entries of a sample?"""
    target = context.target
    one = probes.draw(target, 1)
    wrong = lambda draws: draws.combined(*row) + probes.size_of(*row)
    loss = lambda draws: probes.run(target, draws, t, wrong(draws))[0]
    two = probes.Draw(np.repeat(one.x0, 2, axis=0), np.repeat(one.noise, 2, axis=0))
    single, double = loss(one), loss(two)
    if double.size > 1:
        batch = "none" if double.shape == two.x0.shape else "one for each sample"
    else:
        batch = "sum" if abs(double.sum() / single.sum() - 2) < 1e-3 else "mean"
    wide_shape = (*target.shape[:-1], 2 * target.shape[-1])
    try:
        wide = probes.draw(target, 1, shape=wide_shape)
        entries = "sum" if abs(loss(wide).mean() / single.mean() - 2) < 1e-3 else "mean"
    except TargetError:
        entries = "not decidable"
    context.recognise(
        "reduction of the loss",
        f"{batch} over the batch, {entries} over entries",
        "mean over both",
        "batches and samples of two sizes",
    )
