"""The noise levels of a target: which alpha and sigma belong to its time t, x_t = alpha x_0 + sigma
eps.

They come from the first of these that the target has: ``marginal(t)``; a table beside
``add_noise``, which decides between the time bases; ``add_noise`` alone, which is linear and so
gives alpha and sigma; a table alone, or a schedule that the target claims.  Where there
is no ``add_noise``, the x that ``loss`` hands to its network takes its place.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from reference.audit.tables import DEFAULT_T, read_table
from reference.audit.target import TIMES, Denoiser, TargetError
from reference.diffusion.conversions import prediction_coefficients
from reference.diffusion.schedules import SCHEDULES, ContinuousVP

NOISE = 0.02  # alpha^2 / (alpha^2 + sigma^2) of schedule.LARGEST_PRIOR_TERM
LONGEST = 2**20  # more levels than any table has
# name -> (alpha, sigma) -> (r0, r1) with prediction = r0 x_0 + r1 eps
PREDICTIONS: dict[str, Callable] = {
    **{
        name: partial(prediction_coefficients, name)
        for name in ("noise", "x0", "v", "score", "velocity")
    },
    "reversed velocity": lambda alpha, sigma: (1.0, -1.0),
}


@dataclass(frozen=True)
class Levels:
    """``at(t)`` -> (alpha, sigma).

    ``time``: 0-based, 1-based, real or sigma.  ``times``: the training times, or 1,000 real ones,
    rising with the noise.  ``clean``: the time of x_0 itself.  ``how``: what determined the time
    base, "" if nothing did.  ``epsilon``: the rounding unit of the numbers behind ``at``.
    ``measured``: they are the coefficients of ``add_noise``.
    """

    at: Callable
    time: str
    times: np.ndarray
    clean: float
    how: str
    epsilon: float
    measured: bool = False

    @property
    def data_at_one(self):
        """Does the noise fall with t, as in some texts of flow matching?"""
        return bool(self.times[0] > self.times[-1])

    @cached_property
    def curve(self):
        """(the clean time and the training times [n+1], their alpha and sigma [n+1,2])."""
        times = [self.clean, *self.times.tolist()]
        return np.array(times), np.array([self.at(t) for t in times])

    @property
    def form(self):
        """variance preserving, variance exploding, flow, or other."""
        alpha, sigma = self.curve[1].T
        slack = 100 * self.epsilon
        if abs(alpha**2 + sigma**2 - 1).max() < slack:
            return "variance preserving"
        if abs(alpha - 1).max() < slack:
            return "variance exploding"
        if abs(alpha + sigma - 1).max() < slack:
            return "flow"
        return "other"


def recognise(target):
    """The ``Levels`` of a target, None if nothing determines them."""
    claimed = target.claims.get("time")
    if "marginal" in target:
        return _from_marginal(target, claimed)
    table = read_table(target)
    if table is not None and np.isfinite([table.alpha, table.sigma]).all():
        return _from_table(target, table, claimed)
    for name in ("alpha_bar", "sigmas"):
        if name in target and table is None:  # a function of a real time
            return _from_function(target, name)
    if "add_noise" in target:
        return _from_add_noise(target, claimed)
    found = from_claims(target, claimed)
    if found is None and "loss" in target:
        try:
            return _from_add_noise(target, claimed)
        except TargetError:  # the checks of the loss say why
            return None
    return found


def adds_noise(target):
    """Does the target build an x_t that can be seen?"""
    return "add_noise" in target or "loss" in target


def noising_coefficients(target, t, size=1.0):
    """(alpha, sigma) of ``add_noise``, or of ``loss``, at t, from x0 alone and noise alone."""
    shape = (1, *target.shape)
    one, zero = np.full(shape, size, target.dtype), np.zeros(shape, target.dtype)
    noised = _noised_by_add_noise if "add_noise" in target else noised_by_loss
    return tuple(
        float(noised(target, x0, noise, t).flat[0]) / size
        for x0, noise in ((one, zero), (zero, one))
    )


def _noised_by_add_noise(target, x0, noise, t):
    return target.call("add_noise", x0.shape, x0=x0, noise=noise, t=t)


def noised_by_loss(target, x0, noise, t):
    """The x_t that ``loss`` hands to its network."""
    denoise = Denoiser(lambda x, _: np.zeros_like(x), several=True)
    target.call("loss", denoise=denoise, x0=x0, t=t, noise=noise)
    if not denoise.calls:
        raise TargetError("loss does not call denoise")
    return denoise.calls[0][1]


def _from_marginal(target, claimed):
    at = lambda t: tuple(float(value) for value in target.call("marginal", (2,), t=t))
    levels = _from_coefficients(target, at, claimed, "marginal")
    if TIMES not in target:
        return levels
    clean, *known = target.table(TIMES).tolist()
    return replace(levels, times=np.array(known), clean=clean)


def _from_add_noise(target, claimed):
    at = lambda t: noising_coefficients(target, t)
    levels = _from_coefficients(
        target, at, claimed, "add_noise" if "add_noise" in target else "loss"
    )
    return replace(levels, epsilon=float(np.finfo(target.dtype).eps), measured=True)


def _from_coefficients(target, at, claimed, piece):
    """The levels of a function of the time, whose base it must show."""
    if not any(_accepts(at, t) for t in (1, 0, 0.3)):
        at(1)  # raises, if the target does
        raise TargetError(f"{piece} returns NaN or infinity")
    fractions = _accepts(at, 0.3) and _accepts(at, 0.7)
    if claimed:
        time, how = claimed, "declared"
    elif fractions and np.allclose([at(0.3), at(0.7)], [(1, 0.3), (1, 0.7)]):
        time, how = "sigma", f"{piece} adds t times the noise"
    elif fractions and at(0.3) != at(0.7) and at(0.3) != at(0):  # not truncated
        time, how = "real", f"{piece} takes fractions"
    else:
        clean = np.allclose(at(0), (1, 0), atol=1e-12)
        time, how = ("1-based" if clean else "0-based"), f"{piece} at t = 0"
    last = None if "T" in target.claims or time not in ("0-based", "1-based") else _last_time(at)
    T = target.claims.get("T", DEFAULT_T) if last is None else last + (time == "0-based")
    if time != "0-based":
        levels = _directed(Levels(at, time, times_of(time, T), 0, how, 1e-12))
        return _to_the_end(levels, T) if time == "real" else levels
    with_clean = lambda t: (1.0, 0.0) if t == -1 else at(t)  # not the last entry of a table
    return Levels(with_clean, time, times_of(time, T), -1, how, 1e-12)


def _to_the_end(levels, T):
    """Real times may end at 1, at pi / 2 (alpha = cos t), or at T: the first end that is noise."""
    for end in (1.0, np.pi / 2, float(T)):
        scaled = levels.times * end
        ends = [levels.at(t) for t in (scaled[-1].item(), scaled[len(scaled) // 2].item())]
        (alpha, sigma), (before, noise) = ends
        falls = 0 <= alpha * noise < before * sigma
        if np.isfinite(ends).all() and falls and alpha**2 / (alpha**2 + sigma**2) <= NOISE:
            return levels if end == 1 else replace(levels, times=scaled, clean=levels.clean * end)
    return levels


def _last_time(at):
    """The last time that is not refused, None if there is no end."""
    first, refused = 1, 2
    while refused < LONGEST and _accepts(at, refused):
        first, refused = refused, 2 * refused
    if refused >= LONGEST:
        return None
    while refused - first > 1:
        middle = (first + refused) // 2
        first, refused = (middle, refused) if _accepts(at, middle) else (first, middle)
    return first


def _directed(levels):
    """The levels with ``times`` from little to much noise, if the time is real."""
    if levels.time != "real":
        return levels
    (alpha_0, sigma_0), (alpha_1, sigma_1) = levels.at(0.01), levels.at(0.99)
    if sigma_0 * alpha_1 <= sigma_1 * alpha_0:
        return levels
    return replace(levels, times=np.arange(999, -1, -1) / 1000, clean=1.0)


def times_of(time, T):
    match time:
        case "0-based":
            return np.arange(T)
        case "1-based":
            return np.arange(1, T + 1)
        case "sigma":
            return np.geomspace(0.002, 80, 1000)
    return np.arange(1, 1001) / 1000


def _from_table(target, table, claimed):
    first = 1 if table.starts_clean else 0
    steps = len(table.alpha) - first
    forms = [(table.alpha, table.sigma)]
    if table.alpha.all():  # alpha is 0 at the end of zero terminal SNR
        forms.append((np.ones(len(table.alpha)), table.sigma / table.alpha))
    flow = (1 - table.sigma, table.sigma)
    if table.name == "sigmas" and table.sigma.max() <= 1:
        forms.insert(0, flow)
    bases: Any = {
        "0-based": lambda form: _indexed(form, 0),
        "1-based": lambda form: _indexed(form, 0 if first else 1),
        "sigma": lambda form: lambda t: (1.0 - float(t) * (form is flow), float(t)),
        "real": lambda form: _indexed(form, 0, scale=len(table.alpha) - 1),
    }
    if table.falls:  # t is an index into the entries as they stand, the last has the least noise
        last = len(table.alpha) - 1
        bases["0-based"] = lambda form: _from_the_end(_indexed(form, 0), last)
        bases["1-based"] = lambda form: _from_the_end(_indexed(form, 0), last + 1)
    names = [claimed] if claimed else ["0-based", "1-based", "sigma", "real"]
    if claimed is None and table.starts_clean:
        names = ["1-based", "0-based", "sigma", "real"]
    times = {
        "0-based": np.arange(first, len(table.alpha)),
        "1-based": np.arange(1, steps + 1),
        "sigma": table.sigma[first:],
        "real": np.arange(1, len(table.alpha)) / (len(table.alpha) - 1),
    }
    if table.falls:
        times["0-based"] = np.arange(last - first, -1, -1)
        times["1-based"] = times["0-based"] + 1
    how, chosen, form = "declared" if claimed else "", names[0], forms[0]
    if adds_noise(target):
        errors = {}
        for name in names:
            for index, candidate in enumerate(forms):
                at = bases[name](candidate)
                probes = times[name][np.linspace(0, len(times[name]) - 1, 7).astype(int)]
                errors[name, index] = _misfit(target, at, probes)
        (chosen, index), least = min(errors.items(), key=lambda entry: entry[1])
        form = forms[index]
        if least > 0.05:  # no candidate agrees: the check of add_noise says so
            form, chosen = forms[0], names[0]
        elif not claimed:
            piece = "add_noise" if "add_noise" in target else "loss"
            how = f"{piece} agrees with {table.name}"
    if not how:
        chosen, how = _by_timesteps(target, table, names, chosen)
    clean = {"0-based": first - 1}.get(chosen, 0)
    if table.falls and chosen.endswith("based"):
        clean = times[chosen][0].item() + 1
    return Levels(bases[chosen](form), chosen, times[chosen], clean, how, max(table.epsilon, 1e-15))


def _by_timesteps(target, table, names, chosen):
    """The time base from the largest time of ``timesteps``, or from a table that starts clean."""
    steps, sigmas = len(table.sigma) - int(table.starts_clean), table.name == "sigmas"
    if "timesteps" in target:
        try:
            largest = float(np.max(target.call("timesteps", n=steps)))
        except (TargetError, ValueError):  # refused, or no times at all
            return chosen, ""
        for name, end in (("0-based", steps - 1), ("1-based", steps)):
            if largest == end and name in names:
                return name, "the largest of timesteps"
        if "sigma" in names and sigmas and np.isclose(largest, table.sigma[-1], rtol=1e-5):
            return "sigma", "the largest of timesteps"
    if names[0] == "1-based" and not sigmas:
        return "1-based", "the table begins with x_0 itself"
    return (chosen, "") if len(names) > 1 else (names[0], "declared")


def _misfit(target, at, times):
    """The largest difference of ``add_noise``'s coefficients from those of ``at``, relative to the
    largest; infinite where a time is refused.
    """
    worst = 0.0
    for t in times:
        try:
            came = noising_coefficients(target, t.item())
        except TargetError:
            return np.inf
        wanted = at(t)
        scale = max(1.0, *np.abs(wanted))
        worst = max(worst, *(abs(a - b) / scale for a, b in zip(came, wanted)))
    return worst if np.isfinite(worst) else np.inf


def _indexed(form, shift, scale=1):
    """``at`` for a table (alpha[n], sigma[n]): t is an index plus ``shift``, x_0 comes before the
    first entry.  Between two entries, alpha^2 and sigma^2 are interpolated linearly.
    """
    alpha, sigma = form

    def at(t):
        position = float(t) * scale - shift
        if position < 0:
            return 1.0, 0.0
        index = min(int(position), len(alpha) - 1)
        after, share = min(index + 1, len(alpha) - 1), position - index
        mix = lambda values: float(
            np.sqrt((1 - share) * values[index] ** 2 + share * values[after] ** 2)
        )
        return mix(alpha), mix(sigma)

    return at


def _from_the_end(at, last):
    """``at`` of an index that is counted from the other end of a table."""
    return lambda t: at(last - t)


def _from_function(target, name):
    value = lambda t: float(target.table(name, float(t)))
    if name == "sigmas":
        at = lambda t: (1.0, value(t))
    else:
        at = lambda t: (value(t) ** 0.5, (1 - value(t)) ** 0.5)
    return Levels(at, "real", times_of("real", 0), 0, f"{name} is a function of time", 1e-12)


def _accepts(at, t):
    try:
        return bool(np.isfinite(at(t)).all())
    except TargetError:
        return False


def from_claims(target, claimed):
    """Levels of a claimed schedule; of sigma itself; of alpha = 1 - t for real times."""
    schedule, T = target.claims.get("schedule"), target.claims.get("T", DEFAULT_T)
    if claimed == "sigma":
        at: Any = lambda t: (1.0, float(t))
    elif claimed == "real" and schedule == "vp":
        log = ContinuousVP().log_alpha_bar
        at = lambda t: (float(np.exp(log(t) / 2)), float(np.sqrt(-np.expm1(log(t)))))
    elif claimed == "real" and schedule in (None, "flow"):
        at = lambda t: (1.0 - float(t), float(t))
    elif claimed in ("0-based", "1-based") and schedule in SCHEDULES:
        table = SCHEDULES[schedule](T)
        shift = 0 if claimed == "1-based" else -1
        times = np.arange(T + 1)
        at = _indexed((table.signal(times), table.noise_scale(times)), shift)
    else:
        return None
    clean = -1 if claimed == "0-based" else 0
    return Levels(at, claimed, times_of(claimed, T), clean, "declared", 1e-12)
