"""How many evaluations the steps of a sampler cost, and whether all of them are used."""

import numpy as np

from reference.audit.checks.trajectories import Gaussian, exact_prediction
from reference.audit.target import TargetError


def check_counts(context, sampler):
    """1, 2, 3 and T steps run and are finite.  Returns {steps: evaluations}."""
    counts: dict[int, int] = {}
    faults: list[str] = []
    refused: list[str] = []
    details = []
    law = Gaussian(0.25, 0.04)
    for n in sorted({1, 2, 3, context.steps, sampler.limit}):
        z = np.random.default_rng(n).standard_normal((2, *context.target.shape))
        row = {"steps": n}
        try:
            run = sampler.run(law, z, n)
            counts[n] = len(run.times)
            row["evaluations"] = counts[n]
            if not np.isfinite(run.result).all():
                row["error"] = "not finite"
                faults.append(f"not finite at {n} steps")
        except TargetError as error:
            row["error"] = str(error)
            wanted = isinstance(error.__cause__, ValueError)
            (refused if wanted else faults).append(f"{n} steps: {error}")
        details.append(row)
    context.add(
        "sample at few and many steps",
        "fault" if faults else "convention" if refused else "right",
        "1, 2, 3 and T steps give finite samples",
        "",
        "; ".join(faults or refused),
        "no samples at these numbers of steps",
        details=details,
    )
    return counts


def takes_every_time(levels, times):
    """Does each training time come, but for one end?  Then it is the whole loop, as that of DDPM or
    of Langevin; the check of the last step judges its end.
    """
    told, known = set(times), set(levels.times.tolist())
    return told <= known and len(known - told) <= 1 < len(told)


def check_evaluations(context, sampler, counts, whole):
    """``whole``: it takes every training time, whatever number of steps is asked for."""
    rate = evaluations_a_step(counts)
    equation = "each evaluation is used, and more steps take more of them"
    tried = sorted(counts)
    details = [{"steps": n, "evaluations": counts[n]} for n in tried]
    came = ", ".join(f"{counts[n]} for {n} steps" for n in tried)
    if whole:
        verdict, came = (
            "convention",
            f"{counts[tried[0]]}, at all training times, for any number of steps",
        )
    elif ignores_steps(counts):
        verdict, came = (
            "fault",
            f"{counts[tried[0]]} evaluations for {tried[0]} and for {tried[-1]} steps",
        )
    elif _last_is_wasted(context, sampler):
        broken = any(
            check.name == "sample last step" and check.verdict != "right"
            for check in context.report.checks
        )
        verdict = "not decidable" if broken else "fault"
        rest = ", because of the last step" if broken else f": {came}"
        came = f"the last evaluation changes nothing{rest}"
    else:
        verdict = "right" if rate else "convention"
        came = _pattern(rate) or came
    context.add(
        "sample evaluations",
        verdict,
        equation,
        "",
        came,
        "time is lost, and samplers are compared at the wrong cost",
        details=details,
    )


def evaluations_a_step(counts):
    """(a, b) with a n + b evaluations for n steps, None if there is no such rule."""
    tried = sorted(n for n in counts if n > 1)
    if len(tried) < 2:
        return None
    a = (counts[tried[-1]] - counts[tried[0]]) / (tried[-1] - tried[0])
    b = counts[tried[0]] - a * tried[0]
    exact = all(abs(counts[n] - a * n - b) < 1e-9 for n in tried)
    return (int(a), int(b)) if exact and a == int(a) and a >= 1 else None


def rate_of(counts):
    rule = evaluations_a_step(counts)
    return rule[0] if rule else 1


def ignores_steps(counts):
    return len(counts) > 1 and counts[min(counts)] == counts[max(counts)]


def _pattern(rate):
    if rate is None:
        return ""
    a, b = rate
    return (f"{a} n" if a > 1 else "n") + (f" {'+' if b > 0 else '-'} {abs(b)}" if b else "")


def _last_is_wasted(context, sampler):
    """Does another prediction of the last evaluation leave the result as it is?"""
    shape = (1, *context.target.shape)
    x = np.full(shape, 0.3) / sampler.gain
    predict, seen = exact_prediction(Gaussian(0.25, 0.04), sampler.prediction, sampler.at), []
    base = sampler.call(predict, x, context.steps)

    def other(x, t):
        seen.append(t)
        return predict(x, t) + (1.0 if len(seen) == len(base.times) else 0.0)

    return np.array_equal(base.result, sampler.call(other, x, context.steps).result)
