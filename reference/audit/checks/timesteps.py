"""Checks of ``timesteps``: the times at which a sampler of n steps calls its network."""

import numpy as np

from reference.audit.target import TargetError

FEW = range(1, 129)  # rounding makes a grid of some n, such as 61, longer than n


def grid_of(target, levels, n):
    """The times of ``timesteps(n)`` and the clean time, from the most noise on."""
    times = from_the_noise(np.ravel(target.call("timesteps", n=n)), levels)
    if not (len(times) and np.isfinite(times).all()):
        raise TargetError(f"timesteps returns {'NaN or infinity' if len(times) else 'no times'}")
    whole = levels is not None and levels.time.endswith("based") and "marginal" not in target
    if whole and (times != np.round(times)).any():
        times = np.unique(np.round(times).astype(int))[::-1]  # levels are known at whole times
    values = [value.item() for value in times]
    if values and levels is not None and values[-1] != levels.clean:
        values.append(levels.clean)
    return values


def from_the_noise(times, levels):
    """``times`` from the most noise on: some code keeps them rising, and reads them backward."""
    toward_clean = 1 if levels is not None and levels.data_at_one else -1
    return times[::-1] if (np.diff(times) * toward_clean < 0).all() else times


def check_timesteps(context):
    """``timesteps`` for 1, 2, 3, the asked and T steps."""
    target, levels = context.target, context.levels
    if "timesteps" not in target:
        context.add("timesteps", "not there")
        return
    T = len(levels.times) if levels is not None else int(target.claims.get("T", 1000))
    wrong, refused = [], ""
    for n in sorted({*(n for n in FEW if n <= T), min(context.steps, T), T}):
        try:
            given = np.ravel(target.call("timesteps", n=n)).astype(np.float64)
        except TargetError as error:
            if n == 1 and isinstance(error.__cause__, ValueError):  # a range needs two ends
                refused = f"one step is refused: {error.__cause__}"
            else:
                wrong.append({"n": n, "came": str(error)})
            continue
        times = from_the_noise(given, levels)
        clean = None if levels is None else levels.clean
        count = len(times) - int(len(times) == n + 1 and times[-1] == clean)
        if count != n:
            wrong.append({"n": n, "came": f"{count} times for {n} steps"})
        elif not (np.abs(np.sign(np.diff(times)).sum()) == len(times) - 1):
            wrong.append({"n": n, "came": f"times that repeat or turn: {_short(times)}"})
        elif levels is not None and outside(levels, times):
            ends = f"{levels.times[0]:g} to {levels.times[-1]:g}"
            wrong.append({"n": n, "came": f"times outside of {ends}: {_short(times)}"})
    context.add(
        "timesteps of 1 to T steps",
        "fault" if wrong else "convention" if refused else "right",
        "n different times in order, within the training times, for n to 128 and n = T",
        "",
        "; ".join(f"n = {row['n']}: {row['came']}" for row in wrong[:3]) or refused,
        "steps are skipped, repeated, or read beyond the table",
        details=wrong,
    )
    if not wrong and levels is not None and T >= 10:
        _recognise_grid(context, T)


def outside(levels, times):
    ends = [*levels.times[[0, -1]], levels.clean]
    return times.min() < min(ends) or times.max() > max(ends) * (1 + 1e-6)  # sigmas are rounded


def _short(times):
    text = [f"{t:g}" for t in times]
    return " ".join(text if len(text) <= 6 else [*text[:3], "...", *text[-2:]])


def _recognise_grid(context, T):
    """leading, trailing or linspace, from a number of steps at which they differ."""
    n = next(n for n in (10, 8, 7, 6, 9) if n <= T)
    given = np.ravel(context.target.call("timesteps", n=n)).astype(np.float64)
    times = from_the_noise(given, context.levels)[:n]
    steps = T // n
    first, last = float(context.levels.times[0]), float(context.levels.times[-1])
    grids = {
        "leading": first + np.arange(n)[::-1] * steps,
        "trailing": last - np.arange(n) * (T / n),
        "linspace": np.linspace(last, first, n),
    }
    near = [name for name, grid in grids.items() if np.abs(times - grid).max() <= 1.0]
    if len(near) == 1:
        how = f"timesteps({n}) = {_short(times)}"
        context.recognise("grid of timesteps", near[0], "trailing", how, "grid")
    elif "grid" in context.target.claims:
        wanted = grids[context.target.claims["grid"]]
        context.add(
            "claimed grid",
            "fault" if not near else "right",
            "timesteps has the claimed spacing",
            _short(wanted),
            _short(times),
            "the sampler skips other noise levels than it is set to",
        )
