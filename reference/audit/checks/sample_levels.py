"""Is each evaluation of a sampler at the level that its network is told?"""

import numpy as np

from reference.audit.checks.sampler_conventions import deviation
from reference.audit.checks.trajectories import respond

# over four times the steps, an error of order 1/2 falls to 0.5, one of order 1 to 0.25
FALLS = 0.6
EFFECT = (
    "the network is told another level than that of its input: it removes too much or too little"
    " noise at every step"
)


def bound(sampler, levels, response):
    """What rounding explains of the errors of alpha and sigma at each evaluation.

    An x_0 computed from the noise has the error u (|x| + sigma) / alpha, of which alpha_next
    remains in the next x; so each step adds u (1 + alpha_next / alpha) max(1, sigma), 16 times for
    its operations.
    Tables in this precision add u / sigma to sigma, and interpolation between two times of a table
    its second difference.
    """
    alpha, sigma = response.level.T
    u = max(sampler.unit, float(np.finfo(np.float32).eps))  # constants in float32 are no fault
    growth = np.ones(len(alpha))
    if sampler.prediction in ("noise", "score"):
        growth[1:] += alpha[1:] / np.maximum(alpha[:-1], u)
    added = np.cumsum(growth) * np.maximum.accumulate(np.maximum(1, sigma)[::-1])[::-1]
    table = u / np.maximum(sigma, u**0.5)
    table[-1] = 0.0  # the result has no level of a table
    return 16 * u * added + 16 * table + _interpolation(sampler, levels, response)


def _interpolation(sampler, levels, response):
    """The second difference of alpha and sigma where a time lies between two of the table."""
    slack = np.zeros(len(response.level))
    if levels.time == "sigma":
        return slack
    times, low, high = levels.times, levels.times.min(), levels.times.max()
    spacing = float(np.median(np.abs(np.diff(times))))
    for k, t in enumerate(response.times):
        if np.abs(times - t).min() > 1e-9 * spacing:
            middle = np.clip(t, low + spacing, high - spacing)
            around = [np.array(sampler.at(middle + shift * spacing)) for shift in (-1, 0, 1)]
            slack[k] = np.abs(around[0] - 2 * around[1] + around[2]).max()
    return slack


def check_levels(context, sampler, response):
    """Is each evaluation at the level of its time?  Returns the verdict: "exact", "first order",
    "rounded times", "noise only" or "fault".
    """
    equation = "x = alpha(t) m + sigma(t) e at each evaluation, for data m"
    errors = np.abs(response.signal - response.level[:, 0])
    if not sampler.stochastic:
        errors = np.maximum(errors, np.abs(response.noise - response.level[:, 1]))
    allowed = bound(sampler, context.levels, response)
    finite = np.isfinite(errors[:-1])
    wrong = ~(errors[:-1] <= allowed[:-1])
    if not wrong.any():
        context.add(
            "sample levels", "right", equation, "", f"{len(wrong)} evaluations at their levels"
        )
        return "exact"
    if not finite.all():
        context.add(
            "sample levels",
            "fault",
            equation,
            "finite numbers",
            f"not finite at evaluation {int(np.argmin(finite)) + 1}",
            "samples are not numbers",
        )
        return "fault"
    rows, moves = _moves(sampler, context.levels, response)
    if shift := _shift(context, sampler):
        context.add(
            "sample levels",
            "fault",
            equation,
            "the level of t",
            f"the level of t {shift:+d}",
            EFFECT,
            details=rows,
        )
        return "fault"
    if _rounded(context.levels, response, moves) and _keeps_size(rows, response, allowed):
        context.add(
            "sample levels",
            "convention",
            equation,
            "",
            "the times told are rounded to whole numbers, the levels are not",
            details=rows,
        )
        return "rounded times"
    if not _on_another_level(sampler, context.levels, response, allowed):
        came = _refined(context, sampler)
        if came is not None:
            context.add("sample levels", "convention", equation, "", came, details=rows)
            return "first order"
    worst = int(np.nanargmax(np.where(wrong, errors[:-1], 0)))
    first = int(np.argmax(wrong))
    k = max(first, 1)
    alpha, sigma = response.level[k]
    context.add(
        "sample levels",
        "fault",
        equation,
        f"alpha, sigma = {alpha:.6g}, {sigma:.6g} at evaluation {k + 1},"
        f" t = {response.times[k]:.6g}",
        f"{rows[k - 1]['came'][0]:.6g}, {rows[k - 1]['came'][1]:.6g}{_where(rows[k - 1])};"
        f" the worst is evaluation {worst + 1}, off by {errors[worst]:.3g}",
        EFFECT,
        details=rows,
    )
    return "fault"


def _shift(context, sampler):
    """1 or -1 if nearly all evaluations are exactly at the level of the next or the last time."""
    if context.levels.time not in ("0-based", "1-based"):
        return 0
    for shift in (1, -1):
        moved = sampler.with_(at=lambda t, by=shift: sampler.at(t + by))
        response = respond(moved, context.steps)
        error = np.abs(response.signal - response.level[:, 0])
        if not sampler.stochastic:
            error = np.maximum(error, np.abs(response.noise - response.level[:, 1]))
        if (error <= bound(moved, context.levels, response))[:-1].mean() > 0.9:
            return shift
    return 0


def _moves(sampler, levels, response):
    """For each evaluation after the first: the level that a step from the exact level of the time
    before leads to, and the time of that level.

    A step is linear: signal' = P + Q signal and noise' = Q noise give P and Q.
    """
    rows, moves = [], []
    grid = np.array([sampler.at(t) for t in levels.times])
    with np.errstate(all="ignore"):
        ratio = np.log(grid[:, 1] / grid[:, 0])
        for k in range(1, len(response.times)):
            Q = response.noise[k] / response.noise[k - 1]
            P = response.signal[k] - Q * response.signal[k - 1]
            before = response.level[k - 1]
            came = np.array([P + Q * before[0], Q * before[1]])
            row = {
                "evaluation": k + 1,
                "t before": float(response.times[k - 1]),
                "t": float(response.times[k]),
                "expected": response.level[k].tolist(),
                "came": came.tolist(),
            }
            if not sampler.stochastic and came[0] > 0 and came[1] > 0:
                row["t of that level"] = float(
                    np.interp(np.log(came[1] / came[0]), ratio, levels.times)
                )
                moves.append(row["t of that level"] - response.times[k])
            rows.append(row)
    return rows, np.array(moves)


def _where(row):
    if "t of that level" not in row:
        return ""
    return f", the level of t = {row['t of that level']:.6g}"


def _rounded(levels, response, moves):
    """Whole times whose levels are off by at most a half at each end of a step, and in the mean by
    little: a move is the difference of two rounding errors, so that its sum nearly cancels.  The
    bound is three deviations of the mean of n errors of deviation 0.29, as if none cancelled.
    """
    if levels.time not in ("0-based", "1-based") or not len(moves):
        return False
    whole = bool((response.times == np.round(response.times)).all())
    return (
        whole and np.abs(moves).max() <= 1 and abs(moves.mean()) < 6 * 0.29 / len(moves) ** 0.5 / 2
    )


def _keeps_size(rows, response, allowed):
    """Is alpha^2 + sigma^2 what it must be?  Levels that preserve the variance do at all times, so
    that one of them off the circle is no rounded time.  Other forms have no such test.
    """
    if np.abs(np.hypot(*response.level.T) - 1).max() > 1e-6:
        return True
    size = np.array([np.hypot(*row["came"]) - np.hypot(*row["expected"]) for row in rows])
    return bool((np.abs(size) <= 4 * allowed[1:-1]).all())


def _on_another_level(sampler, levels, response, allowed):
    """Does a sampler that preserves the variance come out exactly on another level?  Then its steps
    are exact, and lead elsewhere: finer steps are no excuse.
    """
    if sampler.stochastic or levels.form != "variance preserving":
        return False
    rows, moves = _moves(sampler, levels, response)
    if len(moves) < len(rows) or not len(rows):
        return False
    return _keeps_size(rows, response, allowed)


def _refined(context, sampler):
    """A sentence if the error of the levels falls with the number of steps, else None."""
    n = context.steps
    if 4 * n > sampler.limit:
        n = max(2, sampler.limit // 8)
    errors = [deviation(respond(sampler, n * k), sampler.stochastic) for k in (1, 4)]
    if errors[1] > FALLS * errors[0]:
        return None
    return f"to first order: off by {errors[0]:.3g} at {n} steps, by {errors[1]:.3g} at {4 * n}"
