"""What a target's ``sample`` expects of its network and of its caller.

A point mass at m decides.  With exact predictions of the right type, for the right levels, every
evaluation is at alpha(t) m + sigma(t) e, and the result is m.  With another type, or at other
levels, it is not.
"""

from contextlib import suppress
from time import perf_counter

import numpy as np

from reference.audit.checks import convergence
from reference.audit.checks.sampler_candidates import candidates_of
from reference.audit.checks.schedule import LARGEST_PRIOR_TERM
from reference.audit.checks.trajectories import (
    ENTRIES,
    FEWER_ENTRIES,
    POINT,
    Gaussian,
    Listener,
    Sampler,
    respond,
)
from reference.audit.target import TargetError

# A type fits if the levels of a point mass are off by less than this at the steps that the user
# asks for.  Euler's method in t over a schedule with beta up to 20 is off by 0.2 at 30 steps; a
# wrong type by more than 1, for it takes the noise for the signal.
FITS = 0.35
LEFT = 1e-3  # of eps in a result: below it 8-bit images do not show noise
SLOW = 0.25  # seconds for two runs of 256 samples, ten times the usual ones
CLEARER = 3.0  # the best candidate must be this much better than the next


def find_sampler(context):
    """The ``Sampler`` of a target, with its conventions reported; None if nothing decides them."""
    target = context.target
    unit = max(float(np.finfo(target.dtype).eps), getattr(context.levels, "epsilon", 0.0))
    sampler = Sampler(target, unit=unit)
    sampler = _start(context, sampler)
    if sampler is None:
        return None
    chosen = _choose(context, sampler, _score(context, sampler))
    if chosen is None:
        return None
    if context.levels is None or not context.levels.how:
        context.levels = chosen.levels
        context.recognise_levels()
    sampler = sampler.with_(
        prediction=chosen.prediction,
        at=chosen.at,
        limit=_limit(context, sampler),
        most=50_000,
    )
    _report_start(context, sampler, chosen)
    _report_clipping(context, sampler)
    return sampler


def _score(context, sampler):
    """(misfit, candidate), the best first.  If the claimed prediction fits, no other is tried."""
    claim = _claim(context)
    candidates = list(candidates_of(context))
    score = lambda some: sorted(
        ((_misfit(context, sampler, one), one) for one in some), key=lambda pair: pair[0]
    )
    scored = score([one for one in candidates if one.prediction == claim])
    if not scored or scored[0][0] >= FITS:
        scored += score([one for one in candidates if one.prediction != claim])
    return sorted(scored, key=lambda pair: pair[0])


def _claim(context):
    """The prediction that the checks of a step have found, or that the target claims."""
    return context.known.get("prediction", context.target.claims.get("prediction"))


def _limit(context, sampler):
    """T, or a number of steps that is large enough for a fit; at most 2,000 evaluations."""
    integer = context.levels.time in ("0-based", "1-based")
    most = min(1000, len(context.levels.times)) if integer else 2 * convergence.STEPS[-1]
    return min(most, max(context.steps, int(2000 / sampler.rate)))


def _start(context, sampler):
    """``gain``, ``start_noise`` and ``stochastic``, by a network that predicts zeros."""
    shape, steps = (256, *context.target.shape), context.steps
    zero, ones = np.zeros(shape), np.ones(shape)
    nothing = lambda x, t: np.zeros_like(x)
    began = perf_counter()
    base, repeated = (sampler.call(nothing, zero, steps, seed=1, reseed=False) for _ in range(2))
    slow = perf_counter() - began > SLOW
    other = sampler.call(nothing, zero, steps, seed=2)
    again = sampler.call(nothing, zero, steps, seed=1)
    moved = sampler.call(nothing, ones, steps, seed=1)
    # a last step that returns the predicted x_0, 0 here, hides the noise from the result
    # a result in another range than x, such as [0, 1], is a constant
    noisy = any(np.ptp(values) > 0 for run in (base, other) for values in (run.x, run.result))
    _check_seed(context, base, repeated, other, noisy)
    if not noisy:
        _check_kind(context, "ode")
    else:
        _check_kind(context, "sde")
    context.recognise(
        "order of arguments",
        "denoise(t, x)" if base.swapped else "denoise(x, t)",
        "predict(x, t)",
        "the calls",
    )
    if not np.array_equal(again.x, sampler.call(nothing, zero, steps, seed=1).x, equal_nan=True):
        context.add("sample", "not decidable", came="its noise differs from call to call")
        return None
    gain = float((moved.x[0] - again.x[0]).mean())
    if not np.isfinite(gain) or abs(gain) < 1e-9:
        context.add(
            "sample", "not decidable", "", "", "it draws its start itself: x does not reach it"
        )
        return None
    start_noise = _variance_of_start(sampler, steps) if again.x[0].any() else 0.0
    most = min(50_000, 20 * len(base.times) + 100)
    return sampler.with_(
        gain=gain,
        start_noise=start_noise,
        stochastic=noisy,
        unit=max(sampler.unit, base.unit),
        most=most,
        entries=FEWER_ENTRIES if slow else ENTRIES,
        rate=len(base.times) / steps,
    )


def _variance_of_start(sampler, steps):
    """The variance of the noise that the target adds before its first evaluation, with the x 0.

    The relative error of a variance of N entries is sqrt(2 / N), 0.6 %.
    """
    shape = sampler.target.shape
    listener = Listener(lambda x, t: np.zeros_like(x), most=1)
    x = np.zeros((max(1, ENTRIES // int(np.prod(shape))), *shape))
    with suppress(TargetError):  # the listener stops the target
        sampler.call(listener.predict, x, steps, seed=1, listener=listener)
    return float(listener.calls[0][1].var())


def _check_kind(context, kind):
    words = {"ode": "none", "sde": "fresh noise on the way"}
    context.recognise("sampler", kind, "ode or sde, by name", f"two seeds: {words[kind]}")


def _check_seed(context, base, repeated, other, noisy):
    """Same seed, same result; another seed, another result where there is noise."""
    takes = (
        "seed" in context.target.argument_order("sample")
        or len(context.target.parameters("sample")) > 3
    )
    path = lambda run: np.concatenate([run.x, run.result[None]])
    same, equal = (
        np.array_equal(path(base), path(run), equal_nan=True) for run in (repeated, other)
    )
    if not takes and not same:
        verdict, came = "convention", "it takes no seed, and draws from a global generator"
    elif not same:
        verdict, came = "fault", "two calls with the same seed differ"
    elif noisy and equal:
        verdict, came = "fault", "two seeds give the same noise"
    else:
        verdict, came = "right", "no noise" if not noisy else "other seeds, other noise"
    context.add(
        "sample by seed",
        verdict,
        "the result is a function of x and the seed",
        "the same result for the same seed, another for another",
        came,
        "results can't be reproduced"
        if not same
        else "all sets of samples have the same noise in them",
    )


def _misfit(context, sampler, candidate):
    """The largest error of the levels of a point mass; infinite where the target refuses."""
    try:
        response = respond(
            sampler.with_(prediction=candidate.prediction, at=candidate.at),
            context.steps,
        )
    except TargetError:
        return np.inf
    return deviation(response, sampler.stochastic, ends=True)


def deviation(response, stochastic, ends=False):
    """The largest error of alpha, and of sigma where no fresh noise hides it, along a trajectory;
    that of sigma relative to the largest.  ``ends``: count the result as well.
    """
    with np.errstate(all="ignore"):
        error = np.abs(response.signal - response.level[:, 0])
        if not stochastic:
            scale = max(1.0, response.level[:, 1].max())
            error = np.maximum(error, np.abs(response.noise - response.level[:, 1]) / scale)
    worst = error.max() if ends else error[:-1].max()
    return float(worst) if np.isfinite(worst) else np.inf


def _choose(context, sampler, scored):
    """The candidate that fits, alone; the claimed one where none or several fit."""
    claim = _claim(context)
    claimed = [pair for pair in scored if pair[1].prediction == claim]
    best, candidate = scored[0]
    others = [
        misfit
        for misfit, other in scored
        if (other.prediction, other.change, other.levels.time)
        != (candidate.prediction, candidate.change, candidate.levels.time)
    ]
    slack = 1e3 * max(float(np.finfo(context.target.dtype).eps), 1e-12)
    alone = best < FITS and (not others or others[0] > CLEARER * best + slack)
    if claim is not None and (claimed[0][0] < FITS or not alone):
        if "prediction" not in context.known:
            how = "a point mass" if claimed[0][0] < FITS else "declared"
            context.recognise("prediction", claim, "noise", how)
        return claimed[0][1]
    if alone:
        context.recognise(
            "prediction", candidate.prediction, "noise", "a point mass comes out as itself"
        )
        return candidate
    fitting = sorted({other.prediction for misfit, other in scored if misfit < FITS})
    equation, text = (
        "a point mass at m comes out as m",
        f"predictions that fit: {', '.join(fitting)}",
    )
    if not fitting:
        text = "no known prediction, at levels that can be told, brings a point mass out as itself"
        if ending := _ending(context, sampler, scored):
            context.add(*ending)
            return None
        if _contradicts(context, sampler, candidate, best):
            context.add(
                "sample levels",
                "fault",
                "x = alpha(t) m + sigma(t) e at each evaluation, for data m",
                "one of the known predictions",
                f"none fits: the nearest is {candidate.prediction}, off by {best:.3g}, and no"
                " nearer with more steps",
                "x leaves the levels that the network is told, or the data",
            )
            return None
    context.add("sample", "not decidable", equation, "", text)
    return None


def _ending(context, sampler, scored):
    """The line on a sampler that keeps to its levels with one prediction, and does not end at x_0;
    None if it keeps to no levels.
    """
    found = []
    for _, candidate in scored:
        judged = sampler.with_(prediction=candidate.prediction, at=candidate.at)
        try:
            response = respond(judged, context.steps)
        except TargetError:
            continue
        found.append((deviation(response, sampler.stochastic), candidate.prediction, response))
    found.sort(key=lambda entry: entry[0])
    if not found or found[0][0] >= FITS or (len(found) > 1 and found[1][0] < CLEARER * found[0][0]):
        return None
    _, prediction, response = found[0]
    alpha, left = response.signal[-1], response.noise[-1]
    if len(response.times) < 3 or context.levels is None or not context.levels.how:
        return None
    text = f"{alpha:.4g} x_0 + {left:.3g} eps by a prediction of {prediction}"
    if abs(left) <= LEFT and alpha > 0:
        why = f"the result is {alpha:.4g} x_0 and a constant: return x in the range of the network"
        return "sample", "not decidable", "a point mass at m comes out as m", "", why
    return (
        "sample last step",
        "fault",
        "the last step returns x_0",
        "x_0",
        text,
        "samples keep this noise, or lose this share of their contrast",
    )


def _contradicts(context, sampler, candidate, misfit):
    """Do the times that the network is told span the known levels, while x keeps to them with no
    prediction, nor more nearly with four times the steps?

    Other times, such as t / 1000, would be the network's own; a result in another range, as of
    images in [0, 1], leaves the levels on the way right.
    """
    levels = context.levels
    if levels is None or not levels.how:
        return False
    judged = sampler.with_(prediction=candidate.prediction, at=candidate.at)
    few = respond(judged, context.steps)
    low, high = sorted((float(levels.clean), float(levels.times[-1])))
    inside = (few.times >= low).all() and (few.times <= high).all()
    spans = abs(few.times[0] - levels.times[-1]) <= 0.1 * (high - low)
    if not (inside and spans):
        return False
    steps = min(4 * context.steps, _limit(context, sampler))
    errors = [deviation(few, sampler.stochastic)]
    if steps > context.steps:
        errors.append(deviation(respond(judged, steps), sampler.stochastic))
    return min(errors) > FITS and errors[-1] > 0.6 * errors[0]


def _report_start(context, sampler, chosen):
    """How x begins, and what the network sees of it."""
    alpha, sigma = sampler.first_level(context.steps)
    exploding = context.levels.form == "variance exploding"
    if exploding:
        wide = float(np.sqrt(max(sigma**2 - sampler.start_noise, 0.0)) / alpha)
        own = bool(chosen.change) or (abs(sampler.gain - wide) < 0.01 * wide and wide > 1.01)
        text = (
            "x of unit variance, scaled by the target"
            if own
            else f"x of standard deviation {wide:.4g}, scaled by the caller"
        )
        context.recognise("start", text, "scaled by the caller", "the first evaluation")
    _check_start(context, sampler, alpha, sigma)
    context.recognise(
        "network input", chosen.change or "x itself", "x itself", "the levels of a point mass"
    )


def _check_start(context, sampler, alpha, sigma):
    """x of unit variance, or of the first level, reaches the first evaluation as it is, or becomes
    that of the first level, in any of the forms of x.

    For a start of r times the right deviation, KL(N(0, r^2) | N(0, 1)) = (r^2 - 1 - log r^2) / 2
    nats an entry; as much as the schedule's end may cost is no fault.
    """
    wide = sigma / max(alpha, 1e-12)
    scales = [1.0, sigma, np.hypot(alpha, sigma), wide, np.hypot(1.0, wide)]
    scales += [scale / form for scale in scales for form in (np.hypot(1.0, wide), alpha) if form]
    own = sampler.gain**2 + sampler.start_noise if sampler.start_noise else sampler.gain**2
    ratios = [value / scale**2 for value in (own, sampler.gain**2) for scale in scales if scale]
    cost, ratio = min(((r - 1 - np.log(r)) / 2, r) for r in ratios)
    if cost > LARGEST_PRIOR_TERM:
        context.add(
            "sample start",
            "fault",
            "the first evaluation is at the noise level that its network is told",
            "x, or x times the deviation of the first level",
            f"{sampler.gain:.6g} x, {np.sqrt(ratio):.4g} of the nearest",
            "samples begin with another amount of noise, and keep the difference",
        )


def _report_clipping(context, sampler):
    """Is the predicted x_0 limited?  Point masses at 0.5 and 3 tell."""
    shape = (2, *context.target.shape)
    z = np.random.default_rng(3).standard_normal(shape)
    came = [float(sampler.run(Gaussian(m), z, context.steps).result.mean()) for m in (POINT, 3.0)]
    clipped = abs(came[1] - 3) > max(0.5, 6 * abs(came[0] - POINT))
    context.recognise(
        "clipping in sample",
        f"x_0 is limited to {came[1]:.3g}" if clipped else "none",
        "none, unless asked for",
        "a point mass at 3",
    )


def report_grid(context, times):
    """The grid of times: leading, trailing, linspace or another."""
    levels, distinct = context.levels, np.unique(times)[::-1]
    known = "grid" in context.known
    if known or levels.time not in ("0-based", "1-based", "real") or len(distinct) < 3:
        return
    unit = 1.0 if levels.time != "real" else 1e-3
    first, last = levels.times[-1], levels.times[0]
    if last > first:  # times that rise toward the data
        distinct = distinct[::-1]
    steps = np.abs(np.diff(distinct))
    if steps.mean() < 2 * unit:  # all grids are the same
        return
    text = f"{distinct[0]:.6g}, {distinct[1]:.6g}, ..., {distinct[-1]:.6g}"
    top = abs(distinct[0] - first) < 0.6 * unit
    bottom = abs(distinct[-1] - last) < 1.1 * unit
    named = {(True, True): "linspace", (True, False): "trailing", (False, True): "leading"}
    grid = named.get((bool(top), bool(bottom))) if np.ptp(steps) <= 1.1 * unit else None
    if grid is None:
        context.report_convention("grid of sample", text, "trailing", "the calls")
    else:
        context.recognise("grid of sample", grid, "trailing", f"the calls: {text}", "grid")
