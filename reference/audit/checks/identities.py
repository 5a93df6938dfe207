"""Checks of ``predict_x0`` and ``velocity``: the identities between eps, x_0, v, score and velocity
(``reference.diffusion.conversions``).

A prediction p = r0 x_0 + r1 eps and x = alpha x_0 + sigma eps give x_0 = a x + b p with

    a = r1 / D,   b = -sigma / D,   D = alpha r1 - sigma r0.
"""

import numpy as np

from reference.audit.checks.noising import probe_times, tolerance, tolerance_of_type
from reference.audit.levels import PREDICTIONS
from reference.diffusion.conversions import solve_rows

COUNT = 9
SMALL = 1e-6  # small predictions: x_0 stays inside of any clipping
LARGE = 10.0
VELOCITIES = {  # name -> (alpha, sigma) -> (r0, r1)
    "v": PREDICTIONS["v"],
    "reversed v": lambda alpha, sigma: (sigma, -alpha),
    "velocity": PREDICTIONS["velocity"],
    "reversed velocity": PREDICTIONS["reversed velocity"],
}
MISTAKES_OF_V = {
    "signal and noise exchanged": lambda alpha, sigma: (-alpha, sigma),
    "alpha eps + sigma x_0": lambda alpha, sigma: (sigma, alpha),
    "squares in place of alpha and sigma": lambda alpha, sigma: (-(sigma**2), alpha**2),
}


def check_identities(context):
    names = [name for name in ("predict_x0", "velocity") if name in context.target]
    for name in ("predict_x0", "velocity"):
        if name not in names:
            context.add(name, "not there")
    if not names:
        return
    if context.levels is None:
        for name in names:
            context.add(name, "not decidable", came="nothing tells which levels its times are")
        return
    context.recognise_levels()
    x0_of = _check_predict_x0(context) if "predict_x0" in names else None
    v = _check_velocity(context) if "velocity" in names else None
    read = x0_of or context.known.get("prediction")
    if v and read in VELOCITIES:
        _check_pair(context, read, v)


def _times(levels):
    """Training times with some signal: without any, x_0 does not follow from a prediction."""
    return [t for t in probe_times(levels, COUNT) if levels.at(t)[0] > 1e-3]


def _coefficients(target, piece, first, second, t, size):
    """The response of a piece to each of two arguments alone, divided by ``size``."""
    shape = (1, *target.shape)
    one, zero = np.full(shape, size, target.dtype), np.zeros(shape, target.dtype)
    return tuple(
        float(target.call(piece, shape, t=t, **{first: a, second: b}).flat[0]) / size
        for a, b in ((one, zero), (zero, one))
    )


def _misfit(target, levels, times, came, wanted):
    """[len(times)] the error of each pair over its allowance: an error e of alpha or sigma makes an
    error of about e / alpha^2 in 1 / alpha, the square of the coefficient times e.
    """
    ratios = []
    for t, pair, right in zip(times, came, wanted):
        allowed = tolerance(levels, levels.at(t)[1]) + tolerance_of_type(target)
        scale = max(1.0, *np.abs(right)) ** 2
        ratios.append(max(abs(a - b) for a, b in zip(pair, right)) / (allowed * scale))
    return np.nan_to_num(np.array(ratios), nan=np.inf, posinf=np.inf)


def _check_predict_x0(context):
    """The prediction that ``predict_x0`` converts, None if it is wrong."""
    target, levels = context.target, context.levels
    times = _times(levels)
    came = [_coefficients(target, "predict_x0", "x", "prediction", t, SMALL) for t in times]
    wanted = {name: [_row(name, levels.at(t)) for t in times] for name in PREDICTIONS}
    misfits = {name: _misfit(target, levels, times, came, rows) for name, rows in wanted.items()}
    fitting = [name for name, ratios in misfits.items() if ratios.max() <= 1]
    known = context.known.get("prediction", target.claims.get("prediction"))
    equation = "x_0 = (r1 x - sigma p) / (alpha r1 - sigma r0) for p = r0 x_0 + r1 eps"
    if fitting:
        name = known if known in fitting else fitting[0]
        context.add("predict_x0", "right", equation, came=f"x_0 of a prediction of {name}")
        context.agree_on_prediction("predict_x0", name, "predict_x0's coefficients")
        _recognise_clipping(context, times, came)
        return name
    name = known or min(misfits, key=lambda name: np.median(misfits[name]))
    worst = int(np.argmax(misfits[name]))
    a, b = wanted[name][worst]
    context.add(
        "predict_x0",
        "fault",
        equation,
        f"x_0 = {a:.6g} x + {b:.6g} p of {name} at t = {times[worst]:g}",
        f"{came[worst][0]:.6g} x + {came[worst][1]:.6g} p",
        "every step goes towards another x_0 than the network means",
        details=[
            {"t": t, "expected": list(right), "came": list(pair)}
            for t, right, pair in zip(times, wanted[name], came)
        ],
    )
    return None


def _row(name, level):
    """(a, b) with x_0 = a x + b p."""
    alpha, sigma = level
    return solve_rows(level, PREDICTIONS[name](alpha, sigma), (1.0, 0.0))


def _recognise_clipping(context, times, came):
    """Does a large x_0 come back smaller than the linear formula says?"""
    target = context.target
    t = times[len(times) // 2]
    a, b = came[len(times) // 2]
    size = LARGE / max(abs(a), abs(b))
    large = _coefficients(target, "predict_x0", "x", "prediction", t, size)
    results = [abs(value) * size for value in large]
    if max(results) < 0.99 * LARGE:
        largest = f"x_0 is clipped at {max(results):.4g}"
        context.recognise(
            "clipping in predict_x0", largest, "none", f"predict_x0 at x_0 = {LARGE:g}"
        )


def _check_velocity(context):
    """Which of the velocities is it?  None if it is none of them."""
    target, levels = context.target, context.levels
    times = probe_times(levels, COUNT)
    came = [_coefficients(target, "velocity", "x0", "noise", t, 1.0) for t in times]
    explained = lambda rows: _misfit(target, levels, times, came, rows).max() <= 1
    rows = {name: [r(*levels.at(t)) for t in times] for name, r in VELOCITIES.items()}
    fitting = [name for name, wanted in rows.items() if explained(wanted)]
    equation = "v = alpha eps - sigma x_0, or eps - x_0 of a flow, or its negative"
    if fitting:
        context.add("velocity", "right", equation, came=fitting[0])
        context.recognise("velocity", fitting[0], "v", "velocity's coefficients")
        return fitting[0]
    guesses = [
        text for text, r in MISTAKES_OF_V.items() if explained([r(*levels.at(t)) for t in times])
    ]
    middle = len(times) // 2
    r0, r1 = rows["v"][middle]
    context.add(
        "velocity",
        "fault",
        equation,
        f"{r0:.6g} x_0 + {r1:.6g} eps at t = {times[middle]:g}",
        f"{came[middle][0]:.6g} x_0 + {came[middle][1]:.6g} eps"
        + (f": {guesses[0]}" if guesses else ""),
        "the network learns a target from which samplers compute another x_0",
        details=[
            {"t": t, "expected": list(right), "came": list(pair)}
            for t, right, pair in zip(times, rows["v"], came)
        ],
    )
    return None


def _check_pair(context, read, v):
    """``velocity``, what a network learns, is what ``predict_x0`` and the other pieces read."""
    right = read == v
    context.add(
        "x_0 of the velocity",
        "right" if right else "fault",
        "predict_x0(velocity(x_0, eps, t), t, alpha x_0 + sigma eps) = x_0",
        read,
        v,
        "" if right else "a network that is trained on one is read as the other",
    )
