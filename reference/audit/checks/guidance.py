"""Checks of ``guided``: how does it join the conditional prediction c and the unconditional u?

Every form in use is A c + B u.  With k = A + B and f = A / k,

    guided = k (f c + (1 - f) u),

f is the weight in our convention (0 unconditional, 1 conditional), and k = 1.  Ho and Salimans
write (1 + w) c - w u, so f = 1 + w.  Guidance rescale (Lin et al. 2024) has

    k = 1 - phi + phi std(c) / std(f c + (1 - f) u), for each sample by itself.
"""

import numpy as np

from reference.audit.checks.noising import tolerance_of_type
from reference.diffusion.guided_gaussian import ode_variance

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0, 7.5)
SHOWN = 2.0  # the weight of the variances in the report
NAMES = {(1.0, 0.0): "conditional at 1", (1.0, 1.0): "conditional at 0"}
FORMS = {"conditional at 1": "u + w (c - u)", "conditional at 0": "(1 + w) c - w u"}
SMALL = 1e-3  # the size of predictions that no clipping of x_0 or of predictions reaches


def check_guidance(context):
    target = context.target
    if "guided" not in target:
        context.add("guidance", "not there")
        return
    rng = np.random.default_rng(0)
    c, u = (SMALL * rng.standard_normal((3, *target.shape)).astype(target.dtype) for _ in range(2))
    results = {w: _guided(target, c, u, w) for w in WEIGHTS}
    if not (_check_finite(context, results) and _check_by_sample(context, c, u, results)):
        return
    fits = {w: [_fit(*rows) for rows in zip(c, u, results[w])] for w in WEIGHTS}
    if not _check_linear(context, fits):
        return
    if not _check_sum(context, c, u, fits):
        return
    _check_weight(context, {w: fits[w][0][0] / sum(fits[w][0][:2]) for w in WEIGHTS})


def _guided(target, c, u, weight):
    result = target.call("guided", c.shape, conditional=c, unconditional=u, weight=weight)
    return result.astype(np.float64)


def _fit(c, u, result):
    """(A, B, residual) of result = A c + B u for one sample, by least squares.  The residual is
    relative to the size of both terms.
    """
    columns = np.stack((c.ravel(), u.ravel()), axis=1).astype(np.float64)
    (A, B), *_ = np.linalg.lstsq(columns, result.ravel(), rcond=None)
    size = np.abs(columns).max() * (abs(A) + abs(B) + 1)
    return A, B, np.abs(columns @ (A, B) - result.ravel()).max() / size


def _bound(target):
    """The rounding error of some operations, and of sums over the entries of a sample."""
    return tolerance_of_type(target) * max(1, np.prod(target.shape)) ** 0.5


def _check_finite(context, results):
    wrong = [w for w, result in results.items() if not np.isfinite(result).all()]
    if wrong:
        context.add(
            "guidance finite",
            "fault",
            "results are finite",
            "",
            f"NaN or infinity at w = {wrong[0]:g}",
            "samples become NaN",
        )
    return not wrong


def _check_by_sample(context, c, u, results):
    """Does a sample get the same result alone as in a batch?"""
    target, errors = context.target, {}
    for w in WEIGHTS:
        alone = _guided(target, c[:1], u[:1], w)
        errors[w] = np.abs(alone - results[w][:1]).max() / (SMALL * (1 + abs(w)))
    worst = max(errors, key=errors.__getitem__)
    own = errors[worst] <= 8 * _bound(target)
    context.add(
        "guidance by sample",
        "right" if own else "fault",
        "a sample's result depends on its own predictions alone",
        "",
        "" if own else f"the rest of the batch changes it by {errors[worst]:.2g} at w = {worst:g}",
        "" if own else "the same seed gives another image in another batch",
    )
    return own


def _check_linear(context, fits):
    """Is every result a combination of c and u?"""
    residual = {w: max(row[2] for row in rows) for w, rows in fits.items()}
    worst = max(residual, key=residual.__getitem__)
    linear = residual[worst] <= 8 * _bound(context.target)
    context.add(
        "guidance combines both predictions",
        "right" if linear else "fault",
        "guided = A c + B u",
        "" if linear else "no rest",
        "" if linear else f"a rest of {residual[worst]:.2g} of its size at w = {worst:g}",
        "" if linear else "the result is no prediction of the same kind as c and u",
    )
    return linear


def _check_sum(context, c, u, fits):
    """A + B = 1, or the norm of the conditional prediction where that is restored."""
    bound = 8 * _bound(context.target)
    sums = {w: np.array([A + B for A, B, _ in rows]) for w, rows in fits.items()}
    scale = {w: max(abs(A) + abs(B) for A, B, _ in rows) for w, rows in fits.items()}
    off = {w: np.abs(sums[w] - 1).max() / scale[w] for w in fits}
    worst = max(off, key=off.__getitem__)
    phi = _rescale(c, u, fits, sums) if off[worst] > bound else None
    right = off[worst] <= bound
    if phi is not None:
        context.recognise("guidance rescale", f"{phi:.4g}", "none", "the norm of the result")
    equation = "A + B = 1: two equal predictions give that prediction"
    if right or phi is not None:
        context.add("guidance of equal predictions", "right" if right else "convention", equation)
        return True
    context.add(
        "guidance of equal predictions",
        "fault",
        equation,
        "1",
        f"A + B = {sums[worst][0]:.6g} at w = {worst:g}",
        "the prediction has the wrong size: x_0 is over- or underestimated at every step",
        details=[{"w": w, "sum": float(value[0])} for w, value in sums.items()],
    )
    return False


def _rescale(c, u, fits, sums):
    """phi of guidance rescale if that explains the sums k: k - 1 = phi (std(c) / std(base) - 1)."""
    pairs = []
    for w, rows in fits.items():
        for index, (A, _, _) in enumerate(rows):
            k = sums[w][index]
            if k == 0:
                return None
            base = (A * c[index] + (k - A) * u[index]).astype(np.float64) / k
            pairs.append((k - 1, np.std(c[index].astype(np.float64)) / np.std(base) - 1))
    measured, wanted = np.array(pairs).T
    if not wanted.any():
        return None
    phi = float(measured @ wanted / (wanted @ wanted))
    # n or n - 1 in the standard deviation cancels; what is left is rounding
    fits_all = np.abs(measured - phi * wanted).max() <= 1e-4 * np.abs(measured).max()
    return phi if fits_all and 0 < phi <= 1 + 1e-6 else None


def _check_weight(context, f):
    """f = slope w + offset, with the line of the weights above 1."""
    high = [w for w in WEIGHTS if w > 1]
    slope, offset = np.polyfit(high, [f[w] for w in high], 1)
    # a fit to rounded numbers: the rounding units of f at its largest
    bound = 64 * _bound(context.target) * (1 + abs(slope) * max(WEIGHTS) + abs(offset))
    off = {w: abs(f[w] - slope * w - offset) for w in WEIGHTS}
    worst = max(off, key=off.__getitem__)
    details = [{"w": w, "weight of the conditional prediction": float(f[w])} for w in WEIGHTS]
    if off[worst] > bound:
        low = [w for w in WEIGHTS if w <= 1 and off[w] > bound]
        plain = low and all(abs(f[w] - 1) <= bound for w in low)
        context.add(
            "guidance linear in w",
            "fault",
            "the weight of c grows with w along one line",
            f"{slope * worst + offset:.4g} at w = {worst:g}",
            f"{f[worst]:.4g}" + (": the plain conditional prediction" if plain else ""),
            f"samples at w = {worst:g} are not those of that weight: "
            + _variances(worst, f[worst]),
            details=details,
        )
        return
    context.add("guidance linear in w", "right", "the weight of c grows with w along one line")
    if slope <= bound:
        context.add(
            "guidance direction",
            "fault",
            "w above 1 moves away from the unconditional prediction, w c + (1 - w) u",
            "a weight of c that grows with w",
            f"{f[SHOWN]:.4g} at w = {SHOWN:g}"
            + (": c and u are exchanged" if slope < -bound else ", as at every w"),
            "guidance does not move samples towards their class: " + _variances(SHOWN, f[SHOWN]),
            details=details,
        )
        return
    _recognise_weight(context, slope, offset, bound)
    f2 = slope * SHOWN + offset
    context.add(
        "guidance direction",
        "right",
        "w above 1 moves away from the unconditional prediction",
        "",
        f"the weight of c is {f2:.4g} at w = {SHOWN:g}; {_variances(SHOWN, f2)}",
    )


def _recognise_weight(context, slope, offset, bound):
    for (known_slope, known_offset), name in NAMES.items():
        if abs(slope - known_slope) + abs(offset - known_offset) <= bound:
            context.recognise(
                "guidance", name, f"conditional at 1, {FORMS['conditional at 1']}", FORMS[name]
            )
            return
    conditional, unconditional = (round((at - offset) / slope, 6) + 0.0 for at in (1, 0))
    text = f"conditional at {conditional:.4g}, unconditional at {unconditional:.4g}"
    context.recognise("guidance", text, "conditional at 1, unconditional at 0", "the weight of c")


def _variances(w, f):
    """What guidance does to Gaussian data, in the closed form of the probability-flow ODE."""
    return (
        f"for data of variances 2 and 1 (the class) the ODE gives {ode_variance(1.0, 2.0, f):.4g},"
        f" and {ode_variance(1.0, 2.0, w):.4g} for the weight {w:g} in our convention"
    )
