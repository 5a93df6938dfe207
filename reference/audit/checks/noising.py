"""Checks of ``add_noise``: x_t = alpha x_0 + sigma eps with the table's alpha and sigma, for every
sample by itself.
"""

import numpy as np

from reference.audit.data_at_x1 import exchange, names_x1
from reference.audit.levels import noising_coefficients
from reference.audit.target import TargetError

PROBES = 25
EFFECT = "the network is trained at other levels than samplers use"
LOST_NOISE = 0.01  # ten times the rounding of float16


def check_add_noise(context):
    target, levels = context.target, context.levels
    if "add_noise" not in target:
        context.add("add_noise", "not there")
        return
    context.recognise_levels()
    if levels is None:
        context.add("add_noise", "not decidable", "", "", "nothing tells which times it takes")
        return
    times = probe_times(levels)
    wanted = np.array([levels.at(t) for t in times])
    came = np.array([noising_coefficients(target, t) for t in times])
    if names_x1(target, "add_noise") and np.allclose(came, wanted[:, ::-1], atol=1e-6):
        exchange(context, "add_noise", "the coefficients of add_noise")
        came = came[:, ::-1]
    ordered = "schedule order" not in [check.name for check in context.report.faults]
    if _check_coefficients(context, times, came, wanted) and ordered:
        _check_falling(context, times, came)
    _check_linear(context, times)
    _check_types(context, times)


def probe_times(levels, count=PROBES):
    """Training times from the least to the most noise, as Python numbers."""
    chosen = np.unique(np.linspace(0, len(levels.times) - 1, count).astype(int))
    return [levels.times[i].item() for i in chosen]


def tolerance(levels, sigma):
    """The error of a coefficient that rounding explains: a table of alpha_bar in this precision has
    an error of epsilon in 1 - alpha_bar, so epsilon / (2 sigma) in sigma; some operations follow.
    """
    return 16 * levels.epsilon * (1 + 1 / max(sigma, levels.epsilon**0.5)) + 1e-9


def _check_coefficients(context, times, came, wanted):
    """True if the coefficients are right.  The order of wrong ones need not be checked."""
    if context.levels.measured:
        context.add(
            "add_noise coefficients", "not decidable", "", "", "there is no table to compare with"
        )
        return True
    scale = np.maximum(1, np.abs(wanted).max(axis=1))
    error = np.abs(came - wanted).max(axis=1) / scale
    bounds = [
        max(tolerance(context.levels, sigma), tolerance_of_type(context.target))
        for _, sigma in wanted
    ]
    wrong = ~(error <= np.array(bounds))
    worst = int(np.nanargmax(np.where(np.isnan(error), np.inf, error)))
    context.add(
        "add_noise coefficients",
        "fault" if wrong.any() else "right",
        "x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps, or x_0 + sigma eps",
        f"alpha, sigma = {wanted[worst][0]:.6g}, {wanted[worst][1]:.6g} at t = {times[worst]:g}",
        f"{came[worst][0]:.6g}, {came[worst][1]:.6g}{_guess(came[worst], wanted[worst])};"
        f" {wrong.sum()} of {len(times)} times differ"
        if wrong.any()
        else f"{len(times)} times",
        EFFECT,
        details=[
            {"t": times[i], "expected": wanted[i].tolist(), "came": came[i].tolist()}
            for i in np.flatnonzero(wrong)
        ],
    )
    return not wrong.any()


def _guess(came, wanted):
    """A known mistake that explains the coefficients."""
    alpha, sigma = wanted
    known = {
        "alpha_bar in place of its root": (alpha**2, None),
        "1 - alpha_bar in place of its root": (None, sigma**2),
        "sqrt(alpha_bar) and 1 - sqrt(alpha_bar)": (None, 1 - alpha),
        "signal and noise exchanged": (sigma, alpha),
    }
    for text, pair in known.items():
        if all(value is None or abs(value - c) < 1e-5 for value, c in zip(pair, came)):
            if not np.allclose(came, wanted, atol=1e-5):
                return f": {text}"
    return ""


def tolerance_of_type(target):
    return 64 * float(np.finfo(target.dtype).eps)


def _check_falling(context, times, came):
    """The signal-to-noise ratio falls with t."""
    with np.errstate(all="ignore"):
        ratio = np.abs(came[:, 0] / came[:, 1])
    falls = bool((np.diff(ratio) < 0).all())
    context.add(
        "add_noise adds more with t",
        "right" if falls else "fault",
        "alpha / sigma falls with t",
        "a falling ratio",
        f"from {ratio[0]:.4g} to {ratio[-1]:.4g}",
        "the network can't tell the noise level from t",
    )


def _check_linear(context, times):
    """Each sample by itself, whatever else is in the batch; linear in x0 and noise."""
    target = context.target
    rng = np.random.default_rng(0)
    t = times[len(times) // 2]
    x0, noise = (rng.standard_normal((3, *target.shape)).astype(target.dtype) for _ in range(2))
    batch = target.call("add_noise", x0.shape, x0=x0, noise=noise, t=t)
    single = target.call("add_noise", x0[:1].shape, x0=x0[:1], noise=noise[:1], t=t)
    alpha, sigma = noising_coefficients(target, t)
    bound = tolerance_of_type(target) * (abs(alpha) + abs(sigma)) * 8
    own = np.abs(batch[:1] - single).max() <= bound
    linear = np.abs(batch - (alpha * x0 + sigma * noise)).max() <= bound
    context.add(
        "add_noise by sample",
        "right" if own and linear else "fault",
        "x_t of a sample is alpha x_0 + sigma eps with its own x_0 and eps",
        "",
        ""
        if own and linear
        else "the batch changes the result"
        if not own
        else "not linear, or noise of its own",
        "the noise that the loss asks for is not the noise in x_t",
    )
    times_array = np.array([times[0], times[len(times) // 2], times[-1]])
    try:
        mixed = target.call("add_noise", x0.shape, x0=x0, noise=noise, t=times_array)
    except TargetError:
        context.add(
            "add_noise with a time for each sample",
            "not decidable",
            "",
            "",
            "it takes one time only",
        )
        return
    pairs = np.array([noising_coefficients(target, t) for t in times_array.tolist()])
    wanted = pairs[:, :1] * x0.reshape(3, -1) + pairs[:, 1:] * noise.reshape(3, -1)
    wrong = (
        np.abs(mixed.reshape(3, -1) - wanted).max()
        > 8 * tolerance_of_type(target) * np.abs(pairs).max()
    )
    context.add(
        "add_noise with a time for each sample",
        "fault" if wrong else "right",
        "x_t[b] has the level of t[b]",
        "",
        "the samples do not have the levels of their times" if wrong else "",
        "the network is told the wrong level for most of a batch",
    )


def _check_types(context, times):
    """In each floating-point type, at both ends: results are finite, and the noise is not lost.

    A factor that is cast at use is rounded once, by 1e-3 of itself in float16.  1 - alpha_bar
    of a cast alpha_bar has lost its digits.
    """
    target, failed, wider = context.target, [], []
    for kind in ("float16", "float32", "float64"):
        for t in (times[0], times[-1]):
            one = np.ones((1, *target.shape), kind)
            try:
                came = target.call("add_noise", one.shape, x0=one, noise=one, t=t)
                alone = target.call("add_noise", one.shape, x0=0 * one, noise=one, t=t).flat[0]
                sigma = noising_coefficients(target, t)[1]
            except TargetError:
                continue
            if not np.isfinite(came.astype(np.float64)).all():
                failed.append(f"not finite in {kind} at t = {t:g}")
            elif abs(alone - sigma) > LOST_NOISE * abs(sigma):
                failed.append(f"sigma = {alone:.3g}, not {sigma:.3g}, in {kind} at t = {t:g}")
            if came.dtype.kind == "f" and came.dtype.itemsize > one.dtype.itemsize:
                wider.append(kind)
    names = ", ".join(sorted(set(wider)))
    context.add(
        "add_noise in float16, float32, float64",
        "fault" if failed else "convention" if wider else "right",
        "results are finite, and sigma is that of float64 up to 1 %",
        "",
        "; ".join(failed) or (f"results of another type for {names}" if wider else ""),
        "the first noise levels are clean images, or training diverges"
        if failed
        else "networks then compute in the wider type",
    )
