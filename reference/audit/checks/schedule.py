"""Checks of the tables: do they fall, where do they begin and end, how precise are they, and what
becomes of them at another T?
"""

import numpy as np

from reference.audit.claims import nearest
from reference.audit.tables import as_table, read_table, table_values, takes_T
from reference.audit.target import TABLES
from reference.diffusion.conversions import log_alpha_bar_of_betas
from reference.diffusion.schedules import SCHEDULES

# The prior term of the ELBO, in nats an entry, for data of size 1: alpha_T^2 / 2 for a schedule
# that preserves the variance.  Samples that begin with pure noise miss that much: more is a fault.
LARGEST_PRIOR_TERM = 0.01
OTHER_T = 200


def check_schedule(context):
    target, table = context.target, None
    if any(name in target for name in TABLES):
        table = read_table(target)
    if table is None:
        context.add("schedule", "not there")
        if context.levels is not None:
            _check_end_of_time(context)
        return
    log_alpha_bar = _log_alpha_bar(table)
    if not _check_order(context, table):
        return
    _check_precision(context, table)
    count = len(table.alpha) - int(table.starts_clean)
    context.recognise("T", count, "any", f"{table.name} has {count} levels with noise")
    if context.levels is not None and context.levels.how:
        _check_end(context, "schedule end", _last_signal(context.levels))
    elif table.name == "sigmas" and table.sigma[-1] <= 1:
        text = "sigma ends at 1 or less: of x_0 + sigma eps, or of (1 - sigma) x_0 + sigma eps?"
        context.add("schedule end", "not decidable", came=text)
    else:
        _check_end(context, "schedule end", float(np.exp(log_alpha_bar[-1] / 2)))
    _check_name(context, table, log_alpha_bar)
    if "alpha_bar" in target and "betas" in target:
        _check_agreement(context, table_values(target, "alpha_bar"), table_values(target, "betas"))
    if takes_T(target, table.name):
        other = as_table(table.name, table_values(target, table.name, OTHER_T))
        signal = float(np.exp(_log_alpha_bar(other)[-1] / 2))
        _check_end(context, f"schedule end at T = {OTHER_T}", signal)


def _check_end_of_time(context):
    """Real times of ``add_noise`` alone may go on where not all of x is noise."""
    levels, signal = context.levels, _last_signal(context.levels)
    if levels.measured and levels.time == "real" and signal**2 / 2 > LARGEST_PRIOR_TERM:
        text = f"sqrt(alpha_bar) = {signal:.4g} at t = 1, and nothing tells where the times end"
        context.add("schedule end", "not decidable", came=text)
    else:
        _check_end(context, "schedule end", signal)


def _last_signal(levels):
    """alpha of the noisiest level, of x of unit variance."""
    alpha, sigma = levels.at(levels.times[-1].item())
    return float(alpha / np.hypot(alpha, sigma))


def _log_alpha_bar(table):
    """log(alpha_bar) of a table in its variance-preserving form."""
    with np.errstate(all="ignore"):
        return -np.log1p((table.sigma / table.alpha) ** 2)


def _check_order(context, table):
    """Does the table hold numbers in range that rise with the noise?  False if it does not."""
    values = table.values.astype(np.float64)
    first = 1 if table.starts_clean else 0
    equation = {
        "alpha_bar": "1 > alpha_bar_1 > alpha_bar_2 > ... >= 0",
        "betas": "0 < beta_t < 1",
        "sigmas": "0 < sigma_1 < sigma_2 < ...",
    }[table.name]
    ordered = values[first:]
    if table.name == "sigmas":
        ordered = ordered if ordered[0] < ordered[-1] else ordered[::-1]
        wrong = ~(np.isfinite(ordered) & (ordered >= 0))
        wrong[1:] |= np.diff(ordered) <= 0
    elif table.name == "betas":
        wrong = ~((ordered > 0) & (ordered <= 1))
        wrong[:-1] |= ordered[:-1] == 1
    else:
        wrong = ~((ordered >= 0) & (ordered < 1))
        wrong[1:] |= ~(np.diff(ordered) < 0)
    if not wrong.any():
        context.add("schedule order", "right", equation, "", f"{len(ordered)} levels")
        return True
    where = int(np.flatnonzero(wrong)[0])
    context.add(
        "schedule order",
        "fault",
        equation,
        "",
        f"{table.name}[{where + first}] = {ordered[where]:.6g}"
        + (f" after {ordered[where - 1]:.6g}" if where else ""),
        "a step between such levels divides by 0, or takes the root of a negative number",
        details=[
            {"index": int(i) + first, "value": float(ordered[i])} for i in np.flatnonzero(wrong)
        ],
    )
    return False


def _check_precision(context, table):
    """1 - alpha_bar_1, computed by subtraction in the table's own dtype."""
    if table.name != "alpha_bar" or table.epsilon == 0.0:
        return
    smallest = float(1 - table.values.astype(np.float64)[1 if table.starts_clean else 0])
    error = table.epsilon / 2 / smallest
    verdict = "right" if error < 1e-9 else "convention" if error < 0.01 else "fault"
    context.add(
        "precision of 1 - alpha_bar",
        verdict,
        "a table in float64, and 1 - alpha_bar by expm1, keep all digits",
        "a relative error of less than 1 %",
        f"{error:.2g} by rounding alpha_bar to {table.values.dtype}",
        "the first noise levels are wrong by this share, and 0 if they round to 0",
    )


def _check_end(context, name, signal):
    """Do samples that begin with pure noise begin where the forward process ends?"""
    cost = signal**2 / 2
    rest = f"x_T keeps {100 * signal:.3g} % of the signal: sampling from pure noise loses it"
    context.add(
        name,
        "fault" if cost > LARGEST_PRIOR_TERM else "right" if signal < 0.01 else "convention",
        "sqrt(alpha_bar_T) is near 0: samples begin with pure noise",
        f"at most {np.sqrt(2 * LARGEST_PRIOR_TERM):.3f}, {LARGEST_PRIOR_TERM} nats an entry",
        f"sqrt(alpha_bar_T) = {signal:.4g}",
        rest + ", the mean brightness of images above all",
    )


def _check_name(context, table, log_alpha_bar):
    """Which known schedule is it?  And is it the claimed one?"""
    first = 1 if table.starts_clean else 0
    T, levels = len(log_alpha_bar) - first, log_alpha_bar[first:]
    claim = context.target.claims.get("schedule")
    if claim in SCHEDULES:
        forms = [log for name, log in _known_schedules(T) if name == claim]
        wanted = min(forms, key=lambda log: np.median(_distance(levels, log)))
        error = _distance(levels, wanted)
        worst = int(np.argmax(error))
        slack = _slack(table, wanted)
        wrong = error > slack
        context.add(
            "claimed schedule",
            "fault" if wrong.any() else "right",
            f"alpha_bar is that of {claim}, T = {T}",
            f"alpha_bar_{worst + 1} = {np.exp(wanted[worst]):.8g}",
            f"{np.exp(levels[worst]):.8g}, {int(wrong.sum())} of {T} levels differ",
            "a network trained with the claimed schedule is told other levels than it sees",
            details=[
                {
                    "t": int(i) + 1,
                    "expected": float(np.exp(wanted[i])),
                    "came": float(np.exp(levels[i])),
                }
                for i in np.flatnonzero(wrong)
            ],
        )
        return
    if claim:
        text = f"{claim!r} is none of {', '.join(SCHEDULES)}{nearest(claim, SCHEDULES)}"
        context.add("claimed schedule", "not decidable", came=text)
    for name, wanted in _known_schedules(T):
        if name != "constant" and (_distance(levels, wanted) <= _slack(table, wanted)).all():
            context.report_convention("schedule", name, name, f"{table.name} agrees")
            context.known["schedule"] = name
            return


def _known_schedules(T):
    """(name, log(alpha_bar)): ours, and those that keep the first and the last beta at every T."""
    for name, make in SCHEDULES.items():
        yield name, make(T).log_alpha_bar[1:]
    for name, first, last, power in (
        ("linear", 1e-4, 0.02, 1),
        ("scaled-linear", 0.00085, 0.012, 2),
    ):
        betas = np.linspace(first ** (1 / power), last ** (1 / power), T) ** power
        yield name, log_alpha_bar_of_betas(betas)[1:]


def _distance(levels, wanted):
    """The difference in log-SNR, which counts at both ends of a schedule."""
    with np.errstate(all="ignore"):
        snr = lambda log: log - np.log(-np.expm1(log))
        difference = np.abs(snr(levels) - snr(wanted))
    return np.where(np.isnan(difference), np.inf, difference)


def _slack(table, wanted):
    """The log-SNR's error by rounding: T factors of alpha_bar, then 1 - alpha_bar."""
    epsilon = max(table.epsilon, 1e-13)
    return 4 * epsilon * np.sqrt(np.arange(1, len(wanted) + 1)) / -np.expm1(wanted) + 1e-9


def _check_agreement(context, alpha_bar, betas):
    """alpha_bar is the product of 1 - beta."""
    T = len(betas)
    table = alpha_bar.astype(np.float64)[-T:]
    kinds = [array.dtype for array in (alpha_bar, betas) if array.dtype.kind == "f"]
    epsilon = max((float(np.finfo(kind).eps) for kind in kinds), default=1e-15)
    came = f"{len(alpha_bar)} entries for {T} betas"
    wrong, expected = len(alpha_bar) not in (T, T + 1), "as many entries, or one more"
    if not wrong:
        product = np.exp(log_alpha_bar_of_betas(betas)[1:])
        error = np.abs(table - product)
        worst = int(np.argmax(error))
        wrong = not error[worst] <= epsilon * T  # each of T factors is rounded once
        expected = f"{product[worst]:.8g} at entry {worst}"
        came = f"{table[worst]:.8g}" if wrong else f"the same up to {error[worst]:.1g}"
    context.add(
        "alpha_bar is the product of 1 - beta",
        "fault" if wrong else "right",
        "alpha_bar_t = prod_{i <= t} (1 - beta_i)",
        expected,
        came,
        "training and sampling use two schedules",
    )
