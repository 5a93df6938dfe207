"""The order of convergence of a deterministic sampler, on data N(m, c) in every entry.

The probability-flow ODE keeps the number of standard deviations, so that the exact trajectory from
x = alpha_0 m + sqrt(alpha_0^2 c + sigma_0^2) z is

    x_t = alpha m + sqrt(alpha^2 c + sigma^2) z.

The error of a method of order p falls like n^-p over the part of the trajectory where the noise is
as large as the data.  Below that, a grid that is even in t has steps of log(sigma) that do not
shrink, and the last steps of a method of any order make an error like 1/n; this part is reported,
but not held against a claim.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from reference.audit.checks.trajectories import Gaussian

LAW = Gaussian(0.25, 0.04)
STEPS = (20, 28, 40, 57, 80, 113, 160)  # 2^(1/2) apart
SHORT = (5, 7, 10, 14, 20, 28, 40, 57)  # for schedules with few levels
LEVEL = 0.999  # of the interval of a fitted order
# Orders are whole numbers, so a claim is wrong if the fitted one is nearer to the next lower.
MARGIN = 0.5
# where the error is measured: sigma / alpha from five times the data's deviation to that deviation
ANGLES = np.arctan(LAW.variance**0.5 * np.array([1.0, 1.5, 2.0, 3.0, 5.0]))
SMALL = 0.02  # an error, in standard deviations of the data, that no picture shows


@dataclass(frozen=True)
class Fit:
    """The order p of errors like n^-p, with its interval."""

    order: float
    low: float
    high: float

    def __str__(self):
        return f"{self.order:.2f} ({self.low:.2f} to {self.high:.2f})"


def fit_order(steps, errors, floor=0.0):
    """The ``Fit`` of errors over steps, by the steps whose error is above ``floor``; None if these
    are fewer than 4.
    """
    steps, errors = np.asarray(steps, float), np.asarray(errors, float)
    used = np.isfinite(errors) & (errors > floor)
    if used.sum() < 4:
        return None
    line = stats.linregress(np.log(steps[used]), np.log(errors[used]))
    width = float(stats.t.ppf((1 + LEVEL) / 2, used.sum() - 2) * line.stderr)
    return Fit(-line.slope, -line.slope - width, -line.slope + width)


def check_order(context, sampler, rate, verdict):
    equation = "the error on Gaussian data falls like n^-p"
    claim = context.target.claims.get("order")
    expected = f"p = {claim:g}" if claim is not None else "an error that falls"
    most = sampler.limit // 2
    steps = [n for n in (STEPS if most >= STEPS[4] else SHORT) if n <= most]
    if len(steps) < 4:
        why = f"T = {sampler.limit} is too few"
        context.add("sample order", "not decidable", equation, expected, why)
        context.add("sample law", "not decidable", "mean and variance", came=why)
        return
    inner, outer, rows = [], [], []
    for n in steps:
        on_the_way, at_the_end, end = errors_at(sampler, n, rate)
        inner.append(on_the_way)
        outer.append(at_the_end)
        rows.append({"steps": n, "error": on_the_way, "error at the end": at_the_end, **end})
    # rounding: 16 operations in each of n steps, relative to x
    floor = 16 * sampler.unit * steps[-1]
    fit, last = fit_order(steps, inner, floor), fit_order(steps, outer, floor)
    _report(context, verdict, equation, expected, claim, fit, last, inner, outer, floor, rows)


def errors_at(sampler, n, rate=1):
    """(error while the noise is at least as large as the data, error of the result, its numbers),
    in standard deviations.  ``rate``: evaluations a step; those between the steps are left out.

    The errors of mean and deviation are interpolated to fixed levels, so that they do not depend on
    the places of the evaluations, and their root mean square is taken.
    """
    z = np.zeros((2, *sampler.target.shape))
    z[1] = 1.0
    run = sampler.run(LAW, z, n)
    level = np.array([sampler.at(t) for t in run.times])
    rows = run.x.reshape(len(run.x), 2, -1).mean(axis=2)
    spread = np.sqrt(level[:, 0] ** 2 * LAW.variance + level[:, 1] ** 2)
    errors = np.array([rows[:, 0] - level[:, 0] * LAW.mean, rows[:, 1] - rows[:, 0] - spread])
    chosen = np.zeros(len(run.times), bool)
    chosen[::rate] = True
    if rate == 1:  # of evaluations at the same time, the last has the corrected x
        chosen[:-1] &= np.diff(run.times) != 0
    angle = np.arctan2(level[:, 1], level[:, 0])[chosen][::-1]
    inner = [np.interp(ANGLES, angle, row[chosen][::-1]) for row in errors / spread]
    mean, width = float(run.result[0].mean()), float((run.result[1] - run.result[0]).mean())
    deviation = LAW.variance**0.5
    end = max(abs(mean - LAW.mean), abs(abs(width) - deviation)) / deviation
    on_the_way = float(np.sqrt(np.mean(np.square(inner))))
    return on_the_way, float(end), {"mean": mean, "variance": width**2}


def _report(context, verdict, equation, expected, claim, fit, last, inner, outer, floor, rows):
    texts = [f"{fit}" if fit else "errors by rounding alone"]
    if last is not None:
        texts.append(f"at the end {last}, error {outer[-1]:.2g} at {rows[-1]['steps']} steps")
    came = "; ".join(texts)
    effect = "samples need more steps than the method promises"
    kind = "right"
    if verdict == "rounded times":
        kind, came = "not decidable", f"{came}; the rounded times stop it"
    elif not np.isfinite([*inner, *outer]).all():
        kind, came, effect = "fault", "not finite", "samples are not numbers"
    elif inner[-1] > max(SMALL, floor) and (fit is None or fit.order < MARGIN / 2):
        kind = "fault"
        few, many = rows[0]["steps"], rows[-1]["steps"]
        came = f"error {inner[0]:.3g} at {few} steps, {inner[-1]:.3g} at {many}"
        effect = "samples do not have the data's distribution, with any number of steps"
    elif claim is not None and fit is not None and fit.high < claim - MARGIN:
        kind = "fault"
    elif claim is not None and fit is not None and fit.low < claim - 1 < fit.high - 1:
        kind, came = "not decidable", f"{came}; the next lower order is as likely"
    context.add("sample order", kind, equation, expected, came, effect, details=rows)
    _check_end(context, verdict, kind, last, outer, floor, rows)


def _check_end(context, verdict, kind, last, outer, floor, rows):
    """Mean and variance of the samples, which are those of the data to within the error."""
    row = rows[int(np.argmin([abs(row["steps"] - context.steps) for row in rows]))]
    texts = [f"mean {row['mean']:.4g}, variance {row['variance']:.4g} at {row['steps']} steps"]
    ends = [check for check in context.report.checks if check.name == "sample last step"]
    equation, expected = "mean and variance", f"{LAW.mean:g} and {LAW.variance:g} for many steps"
    stays = outer[-1] > max(SMALL, floor) and (last is None or last.order < MARGIN / 2)
    if kind != "right" or verdict == "rounded times":
        result, texts = "not decidable", [*texts, "because of the line above"]
    elif stays and ends and ends[-1].verdict == "right":
        result = "fault"
        texts.append(f"off by {outer[-1]:.3g} standard deviations at {rows[-1]['steps']} steps")
    elif stays:
        result, texts = "not decidable", [*texts, "because of the last step"]
    else:
        result = "right"
    context.add(
        "sample law",
        result,
        equation,
        expected,
        ", ".join(texts),
        "samples do not have the data's distribution",
    )
