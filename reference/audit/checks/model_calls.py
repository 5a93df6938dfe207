"""Checks of the calls of a trained model: finite, repeatable, by sample, and with a use for t."""

import numpy as np

SAMPLES = 3


def check_calls(context, levels, train):
    """False if the model's output can't be judged further.  ``train``: samples, or None."""
    target, rng = context.target, np.random.default_rng(0)
    if train is None:
        train = rng.standard_normal((SAMPLES, *target.shape)).astype(target.dtype)
    times = [levels.times[i].item() for i in (0, len(levels.times) // 2, -1)]
    noise = rng.standard_normal((SAMPLES, *train.shape[1:]))
    levels_of = {t: levels.at(t) for t in times}
    x = {
        t: (a * train[:SAMPLES] + s * noise).astype(train.dtype) for t, (a, s) in levels_of.items()
    }
    call = lambda array, t: target.call("denoise", array.shape, x=array, t=t)
    results = {t: call(x[t], t) for t in times}
    if not _check_finite(context, results):
        return False
    middle = times[1]
    bound = _bound(train.dtype, results[middle])
    if not _check_repeats(context, results[middle], call(x[middle], middle), bound):
        return False
    single = call(x[middle][:1], middle)
    if not _check_by_sample(context, results[middle][:1], single, bound):
        return False
    first, last = call(x[middle], times[0]), call(x[middle], times[-1])
    _check_time(context, first, last, max(_bound(train.dtype, r) for r in (first, last)))
    return True


def _bound(kind, result):
    """Two sums of 10^4 terms in another order differ by at most 10^4 rounding units of their size.
    Layers of a network have no longer sums.
    """
    kinds = [r for r in (result.dtype, kind) if r.kind == "f"]
    unit = max(float(np.finfo(k).eps) for k in kinds)
    return min(1e4 * unit, 0.1) * np.abs(result.astype(np.float64)).max()


def _check_finite(context, results):
    wrong = [t for t, r in results.items() if not np.isfinite(r.astype(np.float64)).all()]
    context.add(
        "model finite",
        "fault" if wrong else "right",
        "the output is finite at all levels",
        "",
        f"NaN or infinity at t = {wrong[0]:g}" if wrong else "",
        "samples become NaN" if wrong else "",
    )
    return not wrong


def _check_repeats(context, first, second, bound):
    error = np.abs(first.astype(np.float64) - second).max()
    same = bool(error <= bound)
    context.add(
        "model repeats",
        "right" if same else "fault",
        "the same x and t give the same output",
        "" if same else "no difference",
        "" if same else f"a difference of {error:.2g}: is dropout on?",
        "" if same else "each step adds noise that no schedule accounts for",
    )
    return same


def _check_by_sample(context, batch, single, bound):
    error = np.abs(batch.astype(np.float64) - single).max()
    own = bool(error <= bound)
    context.add(
        "model by sample",
        "right" if own else "fault",
        "the output for a sample depends on that sample alone",
        "" if own else "no difference between a batch of 1 and of more",
        "" if own else f"a difference of {error:.2g}: is batch normalisation in training mode?",
        "" if own else "a sample changes with the batch that it is drawn in",
    )
    return own


def _check_time(context, first, last, bound):
    """Does the output change with t?  A model that ignores t may estimate the level from x, so this
    is a fault only beside a bad loss.
    """
    depends = bool(np.abs(first.astype(np.float64) - last).max() > bound)
    context.known["model ignores t"] = not depends
    if depends:
        context.add("model depends on t", "right", "the same x gives other outputs at other t")
    else:
        context.recognise(
            "use of t", "none, the level must follow from x", "t is an input", "calls"
        )
