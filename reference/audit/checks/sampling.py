"""Checks of ``sample``: does it pass through the levels that it tells its network, does it end at
the data, and does each sample stand alone?

The order of convergence and the law of the samples are in convergence.py and monte_carlo.py.
"""

from dataclasses import replace

import numpy as np

from reference.audit.checks import convergence, guided_sampling, monte_carlo
from reference.audit.checks.sample_counts import (
    check_counts,
    check_evaluations,
    ignores_steps,
    rate_of,
    takes_every_time,
)
from reference.audit.checks.sample_levels import FALLS, bound, check_levels
from reference.audit.checks.sampler_conventions import find_sampler, report_grid
from reference.audit.checks.trajectories import Adaptive, Gaussian, respond, start_noise
from reference.audit.target import TargetError

# The standard deviation of the rounding of 8-bit images in [-1, 1], whose values are 2/255 apart.
# Noise below it can't be seen in an image.
VISIBLE = 2 / 255 / 12**0.5
STEP = ("step ", "last step")  # how the names of the checks of a step begin
LAST, COUNTS = "sample last step", "sample at few and many steps"
FOLLOWS = (  # the faults of a sampler that a fault of its step explains
    COUNTS,
    "sample levels",
    LAST,
    "sample evaluations",
    "sample order",
    "sample noise",
    "sample law",
)


def check_sampling(context):
    target = context.target
    if "sample" not in target:
        context.add("sample", "not there")
        return
    if context.levels is not None and context.levels.how:  # else the sampler may tell
        context.recognise_levels()
    before, cause = len(context.report.checks), _earlier_cause(context)
    try:
        _check_sampler(context)
    except Adaptive as error:
        context.add("sample", "not decidable", came=str(error))
    except TargetError as error:
        if not cause:
            raise
        context.add("sample", "not decidable", came=f"because of {cause}: {error}")
    checks = context.report.checks
    if cause:
        _attribute(checks, before, cause, _explained(context, cause))
    wrong = {check.name: check for check in checks[before:] if check.verdict == "fault"}
    if "claimed prediction" in wrong:
        _attribute(checks, before, "claimed prediction")
    if "sample noise" in wrong and "added by" not in getattr(wrong.get(LAST), "came", ""):
        _attribute(checks, before, "sample noise", (LAST,))
    elif LAST in wrong:
        _attribute(checks, before, LAST, ("sample law",))


def _earlier_cause(context):
    """The first fault of ``timesteps`` or ``step``, which a sampler is made of; "" if none."""
    names = [check.name for check in context.report.faults]
    return next((n for start in (STEP, "timesteps") for n in names if n.startswith(start)), "")


def _explained(context, cause):
    """The faults that ``cause`` explains.  That of ``timesteps`` explains those at the same numbers
    of steps.
    """
    if cause.startswith(STEP):
        return FOLLOWS
    rows = lambda name: (
        row for check in context.report.checks if check.name == name for row in check.details
    )
    wrong = {row["n"] for row in rows(cause)}
    if context.steps in wrong:
        return FOLLOWS
    return (COUNTS,) if {row["steps"] for row in rows(COUNTS) if "error" in row} <= wrong else ()


def _attribute(checks, first, cause, names=FOLLOWS):
    """One cause is one fault.  Seeds and batches are a sampler's own."""
    for index in range(first, len(checks)):
        check = checks[index]
        if check.verdict == "fault" and check.name in names:
            came = f"{check.came}, because of {cause}"
            checks[index] = replace(check, verdict="not decidable", came=came)


def _check_sampler(context):
    sampler = find_sampler(context)
    if sampler is None:
        return
    counts = check_counts(context, sampler)
    response = respond(sampler, context.steps)
    report_grid(context, response.times)
    sampler = sampler.with_(fixed=ignores_steps(counts))
    whole = sampler.fixed and takes_every_time(context.levels, response.times)
    verdict = check_levels(context, sampler, response)
    check_last_step(context, sampler, verdict)
    check_evaluations(context, sampler, counts, whole)
    alone = check_batch(context, sampler)
    because = (
        "the levels"
        if verdict == "fault"
        else "the batch"
        if not alone
        else "the number of steps, which it ignores"
        if sampler.fixed and not (whole and sampler.stochastic)
        else ""
    )
    if because:
        names = (
            ("sample noise", "sample law") if sampler.stochastic else ("sample order", "sample law")
        )
        for name in names:
            context.add(name, "not decidable", "", "", f"because of {because}")
    elif sampler.stochastic:
        monte_carlo.check_law(context, sampler, rate_of(counts), verdict)
    else:
        convergence.check_order(context, sampler, rate_of(counts), verdict)
    guided_sampling.check_guided(context, sampler, verdict)


def leftover(sampler, steps, seed=5):
    """(alpha, deviation, fresh) of the result for a point mass: what multiplies the data, the
    standard deviation of the noise that is left, and of the part that the last step adds.
    """
    shape = (64, *sampler.target.shape)
    z = start_noise(seed, shape)
    base, moved = (sampler.run(Gaussian(m), z, steps, seed) for m in (0.0, 0.5))
    started = sampler.run(Gaussian(0.0), z + 1.0, steps, seed)
    alpha = float((moved.result - base.result).mean() / 0.5)
    with np.errstate(all="ignore"):
        Q = (started.result - base.result).mean() / (started.x[-1] - base.x[-1]).mean()
    fresh = base.result - (Q if np.isfinite(Q) else 0.0) * base.x[-1]
    return alpha, float(np.sqrt(np.mean(base.result**2))), float(np.sqrt(np.mean(fresh**2)))


def check_last_step(context, sampler, verdict):
    """The last step returns x0hat, and adds no noise."""
    steps = context.steps
    alpha, left, fresh = leftover(sampler, steps)
    equation = "the last step returns x_0"
    details = [{"alpha": alpha, "noise left": left, "of it fresh": fresh}]
    off = max(abs(alpha - 1), left)
    response = respond(sampler, steps)
    u = bound(sampler, context.levels, response)[-1]
    # where the network is called without noise, eps of a point mass is 0 / 0
    singular = response.level[-2, 1] == 0 and abs(alpha - 1) <= u
    text = f"{alpha:.5g} x_0 + {left:.3g} eps" + (
        ", added by the last step" if fresh > u and fresh > left / 2 else ""
    )
    if off <= u:
        context.add(
            "sample last step", "right", equation, "x_0", "x_0, to rounding", details=details
        )
        return
    kind, came = "fault", text
    if not np.isfinite(off):
        pass
    elif off <= VISIBLE:
        kind, came = "convention", f"{text}: below the rounding of 8-bit images"
    elif singular or verdict in ("first order", "rounded times"):
        n = min(steps, sampler.limit // 4)
        finer = leftover(sampler, 4 * n)
        before = leftover(sampler, n)
        if max(abs(finer[0] - 1), finer[1]) <= FALLS * max(abs(before[0] - 1), before[1]):
            kind, came = "convention", f"{text}; {finer[1]:.3g} eps at {4 * n} steps"
        elif verdict == "rounded times":
            kind = "not decidable"
    elif verdict == "fault":
        kind, came = "not decidable", f"{text}, because of the levels"
    context.add(
        "sample last step",
        kind,
        equation,
        "x_0",
        came,
        "samples keep this noise, or lose this share of their contrast",
        details=details,
    )


def check_batch(context, sampler):
    """A sample does not depend on the others, nor on its place."""
    law, rng = Gaussian(0.25, 0.04), np.random.default_rng(11)
    z = rng.standard_normal((4, *context.target.shape))
    others = z.copy()
    others[1:] = rng.standard_normal(others[1:].shape) * 3
    base, changed = (sampler.run(law, start, context.steps).result for start in (z, others))
    # sums over a batch may be taken in another order; 64 operations a step
    rounding = 64 * sampler.unit * context.steps * max(1.0, np.abs(base).max())
    texts = []
    if np.abs(base[0] - changed[0]).max() > rounding:
        texts.append(
            f"sample 1 moves by {np.abs(base[0] - changed[0]).max():.3g} with the others' x"
        )
    if not sampler.stochastic:
        turned = sampler.run(law, z[::-1], context.steps).result[::-1]
        if np.abs(turned - base).max() > rounding and not texts:
            texts.append(f"its place moves a sample by {np.abs(turned - base).max():.3g}")
    else:
        same = sampler.run(law, np.zeros_like(z), context.steps).result
        if np.abs(same[0] - same[1]).max() <= rounding:
            texts.append("all samples of a batch get the same noise")
    context.add(
        "sample by itself",
        "fault" if texts else "right",
        "a sample is a function of its own x and noise",
        "",
        "; ".join(texts),
        "results depend on the batch that a sample happens to be in",
    )
    if sampler.stochastic:
        single = sampler.run(law, z[:1], context.steps).result
        own = np.abs(single[0] - base[0]).max() <= rounding
        context.recognise(
            "noise of a sample",
            "its own, in every batch" if own else "depends on the size of the batch",
            "its own, in every batch",
            "a batch of 1 and of 4",
        )
    return not texts
