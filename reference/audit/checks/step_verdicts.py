"""Verdicts on measured steps: the mean, the variance, and the last step."""

from functools import partial

import numpy as np

from reference.audit.step_coefficients import measure

SHORT = 0.02  # the length of a short step in log(sigma / alpha)
MEAN = "x_prev = alpha_prev x_0 + sqrt(sigma_prev^2 - B^2) eps + B z"
FIRST_ORDER = "Euler's, right to first order in the step's length"
VARIANCE = "B^2 = beta sigma_prev^2 / sigma^2 (posterior), or beta, the variance added from t_prev"


def check_means_and_variances(context, steps, prediction):
    """Is a mean wrong?  The last step then says nothing new."""
    verdicts = [(step, *judge(step, prediction)) for step in steps]
    if is_euler(context, [step for step, part, _ in verdicts if part], prediction):
        verdicts = [
            (step, None, FIRST_ORDER) if part and error(step, prediction)[1] else (step, part, kind)
            for step, part, kind in verdicts
        ]
    wrong = {name: [s for s, part, _ in verdicts if part == name] for name in ("mean", "variance")}
    _report_means(context, wrong["mean"], prediction, len(steps))
    if wrong["mean"]:
        context.add("step variance", "not decidable", VARIANCE, "", "because of step mean")
    else:
        _report_variances(context, wrong["variance"], len(steps))
    kinds = {kind for _, part, kind in verdicts if part is None}
    if kinds and not (wrong["mean"] or wrong["variance"]):
        common = _common_kind(steps) if kinds <= {"none", "posterior", "beta"} else None
        kind = common or ", ".join(sorted(kinds))
        how = "the step's coefficients"
        context.report_convention("variance of a step", kind, "posterior, beta or exact", how)
        context.known["variance"] = kind
    return bool(wrong["mean"])


def is_euler(context, steps, prediction):
    """Are ``steps``, which lead to no exact level, Euler's steps in t?

    Euler's steps of the SDE and of the ODE have errors of about h^2 / 2 in A0 and in the variance,
    with h the step's length in log(sigma / alpha): 1 + beta/2 stands for 1 / sqrt(1 - beta).  So
    short steps from the same times are looked at, whose errors must be below 2 h^2.  A share of h
    of the prediction's coefficient, which is about 2 h sigma, makes an error of 4 h^2: smaller
    mistakes are of the order of Euler's own.
    """
    short = [step for step in map(partial(_shortened, context), steps[:: len(steps) // 8 + 1])]
    short = [step for step in short if step is not None and step.length <= SHORT]
    on_level = [abs(error(step, prediction)[0]) <= step.tolerance(prediction) for step in steps]
    return bool(short) and not all(on_level) and all(error(s, prediction)[1] for s in short)


def error(step, prediction):
    """(the error of A0^2 + A1^2 + B^2, whether this and that of A0 are below 2 h^2)."""
    A0, A1 = step.means(prediction)
    power = A0**2 + A1**2 + step.B**2 - step.alpha_prev**2 - step.sigma_prev**2
    bound = 2 * step.length**2 * step.size**2 + step.tolerance(prediction)
    return power, abs(A0 - step.alpha_prev) + abs(power) <= bound


def _shortened(context, step):
    """The step from the same time to the nearest training time below it; None if there is none, or
    if the target chooses t_prev.
    """
    if "t_prev" not in context.target.argument_order("step"):
        return step
    times = context.levels.times
    below = times[times < step.t]
    if not len(below):
        return None
    t_prev = below[-1].item()
    if context.levels.time in ("real", "sigma"):
        t_prev = step.t - (step.t - step.t_prev) / 64
    return measure(context.target, context.levels, step.t, t_prev)


def judge(step, prediction):
    """(the wrong part of a step: mean, variance or None; the kind of its variance)."""
    A0, A1 = step.means(prediction)
    slack = step.tolerance(prediction) + 1e-7 * step.size
    wide = _slack_of_square(step, prediction)
    if abs(A0 - step.alpha_prev) > slack:
        return "mean", None
    if abs(A1**2 + step.B**2 - step.sigma_prev**2) <= wide:
        return None, _kind(step) or "eta"
    ddpm = max(step.sigma_prev**2 - step.posterior_variance, 0.0) ** 0.5
    # the difference of two numbers of the size of sigma_prev^2 may round to a small one
    rounding = 32 * step.epsilon * step.size**2
    if abs(A1 - ddpm) <= slack + rounding / (2 * max(ddpm, rounding**0.5)):
        if not step.posterior_variance - wide <= step.B**2 <= step.beta + wide:
            return "variance", None
        return None, _kind(step) or "between posterior and beta"
    deterministic = abs(abs(A1) - step.sigma_prev) <= slack
    return ("variance" if deterministic and step.B else "mean"), None


def _slack_of_square(step, prediction):
    """The error of the step's coefficients, in their squares."""
    slack = step.tolerance(prediction) + 1e-7 * step.size
    return 4 * slack * (1 + step.sigma_prev)


def _kind(step, kinds=("none", "posterior", "beta")):
    """Which of ``kinds`` the variance is, the nearest of several; None if it is none of them.

    B is measured to a few rounding units.  1 - alpha_bar and beta, which are differences, have lost
    some of the variance's digits.
    """
    least = min(step.sigma**2, step.sigma_prev**2, step.beta / step.size**2)
    share = 32 * step.epsilon * (1 + 1 / max(least, step.epsilon))
    known = {"none": 0.0, "posterior": step.posterior_variance, "beta": step.beta}
    errors = {kind: abs(step.B**2 - known[kind]) for kind in kinds}
    near = {
        kind: error
        for kind, error in errors.items()
        if error <= max(share * known[kind], (4 * step.epsilon) ** 2)
    }
    return min(near, key=lambda kind: near[kind], default=None)


def _common_kind(steps):
    """The kind that every step may have; None unless there is one alone."""
    common = [
        kind for kind in ("none", "posterior", "beta") if all(_kind(s, (kind,)) for s in steps)
    ]
    return common[0] if len(common) == 1 else None


def _report_means(context, wrong, prediction, count):
    if not wrong:
        context.add("step mean", "right", MEAN, "", f"{count} steps")
        return
    worst = max(wrong, key=lambda step: step.misfit(prediction))
    A0, A1 = worst.means(prediction)
    level = level_of(context.levels, A0, A1, worst.B)
    context.add(
        "step mean",
        "fault",
        MEAN,
        f"{worst.alpha_prev:.6g} x_0 + {_eps(worst):.6g} eps"
        f" from t = {worst.t:g} to {worst.t_prev:g}",
        f"{A0:.6g} x_0 + {A1:.6g} eps{level}; {len(wrong)} of {count} steps differ",
        "x has another noise level than the network is told: details are lost, or noise is left",
        details=[_mean_details(context, step, prediction) for step in wrong],
    )


def _eps(step):
    """The coefficient of eps that the measured B leaves."""
    return (step.allowed_A1() or [step.sigma_prev])[0]


def _mean_details(context, step, prediction):
    A0, A1 = step.means(prediction)
    return {
        "t": step.t,
        "t_prev": step.t_prev,
        "expected x_0": step.alpha_prev,
        "came x_0": A0,
        "expected eps": _eps(step),
        "came eps": A1,
        "level": level_of(context.levels, A0, A1, step.B).removeprefix(", "),
    }


def level_of(levels, A0, A1, B):
    """The training time whose level a step led to, as text; empty if it is that of no time."""
    times, table = levels.curve
    distance = np.abs(table - (A0, np.hypot(A1, B))).sum(axis=1)
    nearest = int(np.argmin(distance))
    gaps = np.abs(np.diff(table, axis=0)).sum(axis=1)
    # half a step of the table; where the known times are far apart, that of a table of 1,000 times
    found = distance[nearest] <= min(0.51 * gaps[max(nearest - 1, 0)], 1e-3)
    return f", the level of t = {times[nearest]:g}" if found else ""


def _report_variances(context, wrong, count):
    if not wrong:
        context.add("step variance", "right", VARIANCE, "", f"{count} steps")
        return
    ratio = lambda step: abs(np.log(max(step.B**2, 1e-30) / max(step.posterior_variance, 1e-30)))
    worst = max(wrong, key=ratio)
    wide = worst.B**2 > worst.beta
    context.add(
        "step variance",
        "fault",
        VARIANCE,
        f"{worst.posterior_variance:.6g} to {worst.beta:.6g}"
        f" from t = {worst.t:g} to {worst.t_prev:g}",
        f"{worst.B**2:.6g}{_known_mistake(worst)}; {len(wrong)} of {count} steps differ",
        "noise stays in the samples" if wide else "samples vary too little",
        details=[
            {
                "t": step.t,
                "t_prev": step.t_prev,
                "posterior variance": step.posterior_variance,
                "beta": step.beta,
                "came": step.B**2,
            }
            for step in wrong
        ],
    )


def _known_mistake(step):
    """The mistake that explains B^2, as text."""
    root = step.beta * (1 - step.alpha_prev) / step.sigma**2
    known = {
        "the deviation in place of the variance": step.posterior_variance**0.5,
        "the variance in place of the deviation": step.posterior_variance**2,
        "beta in place of its root": step.beta**2,
        "1 - sqrt(alpha_bar_prev) in place of 1 - alpha_bar_prev": root,
    }
    texts = [text for text, value in known.items() if abs(step.B**2 - value) <= 1e-6 * value]
    return f": {texts[0]}" if texts else ""


def check_last(context, step, prediction):
    A0, A1 = step.means(prediction)
    slack = step.tolerance(prediction) + 1e-7
    left = float(np.hypot(A1, step.B))
    wrong = abs(A0 - 1) > slack or left > slack
    level = level_of(context.levels, A0, A1, step.B) if wrong else ""
    euler = FIRST_ORDER in context.known.get("variance", "")
    context.add(
        "last step",
        "right" if not wrong else "convention" if euler else "fault",
        "the step to the clean time returns the predicted x_0 and adds no noise",
        "1 x_0 + 0 eps + 0 z",
        f"{A0:.6g} x_0 + {A1:.4g} eps + {step.B:.4g} z{level}",
        f"noise of deviation {left:.3g} stays in every sample",
        details=[{"t": step.t, "x_0": A0, "eps": A1, "z": step.B}],
    )
