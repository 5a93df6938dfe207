"""Checks of what a loss hands to its network: x_t, with the level of the time that it tells."""

from dataclasses import replace

import numpy as np

from reference.audit.checks import loss_probes as probes
from reference.audit.checks import noising
from reference.audit.checks.noising import tolerance, tolerance_of_type
from reference.audit.target import TABLES, TargetError


def calls_of(context, draws, t):
    _, calls = probes.run(context.target, draws, t, np.zeros(draws.x0.shape))
    if not calls:
        raise TargetError("loss does not call denoise")
    return calls


def with_range_of_network(context, draws, times):
    """The context for a loss in the range of its network.  Some losses take x_0 in [0, 1] and train
    on k x_0 + b, such as 2 x_0 - 1; they are then called with (x_0 - b) / k.
    """
    target, levels = context.target, context.levels
    zero, one = np.zeros_like(draws.x0), np.ones_like(draws.x0)

    def at(x0, t):
        return calls_of(context, probes.Draw(x0, zero), t)[0][1].flat[0]

    signal = [(t, levels.at(t)[0]) for t in times if levels.at(t)[0] > 1e-3]
    maps = np.array([((at(one, t) - at(zero, t)) / a, at(zero, t) / a) for t, a in signal])
    k, b = np.median(maps, axis=0)
    # one map at all times; ranges in use have k and b of order 1 to 255
    if not (abs(b) > 1e-3 and k != 0 and np.abs(maps - (k, b)).max() <= 1e-3 * abs(b)):
        return context
    sign = "+" if b > 0 else "-"
    context.recognise("x_0 of the network", f"{k:.4g} x_0 {sign} {abs(b):.4g}", "x_0", "the loss")

    def loss(denoise, x0, t, noise):
        arguments = {"denoise": denoise, "x0": (x0 - float(b)) / float(k), "t": t, "noise": noise}
        return target._bind("loss", arguments)()

    pieces = {**target.pieces, "loss": loss}
    return replace(context, target=replace(target, pieces=pieces))


def check_input(context, draws, times):
    """The ``Levels`` that the loss trains at, None if the rest can't be judged."""
    target, seen = context.target, []
    first, second = (calls_of(context, draws, times[0])[0][0] for _ in range(2))
    if np.ndim(first) or first != second:
        context.add("loss x", "not decidable", came="the loss draws times of its own")
        return None
    for t in times:
        told, x = calls_of(context, draws, t)[0]
        if np.ndim(told):
            context.add("loss x", "not decidable", came="the samples get several times")
            return None
        parts = (draws.x0.ravel(), draws.noise.ravel(), np.ones(x.size))
        columns = np.stack(parts, axis=1).astype(np.float64)
        row, *_ = np.linalg.lstsq(columns, x.ravel(), rcond=None)
        pair, size = row[:2], max(1e-300, np.abs(x).max())
        rest = np.abs(columns @ row - x.ravel()).max() / size
        if abs(row[2]) > 64 * tolerance_of_type(target) * size >= rest * size:
            context.add("loss x", "not decidable", came=f"x has a constant part, {row[2]:.4g}")
            return None
        if not rest <= 64 * tolerance_of_type(target):
            context.add(
                "loss x",
                "fault",
                "x = alpha x_0 + sigma eps with the given x_0 and eps",
                "",
                f"a rest of {rest:.2g} of its size at t = {t:g}",
                "the noise that the loss asks for is not the noise in x",
            )
            return None
        seen.append((t, told, pair))
    return _Input(context, seen).judge()


class _Input:
    """The input of the network at several times: (t, the time that it is told, (a, s)) with
    x = a x_0 + s eps.
    """

    def __init__(self, context, seen):
        self.context, self.seen, self.levels = context, seen, context.levels

    def judge(self):
        if self._all(lambda t, told: t):
            return self._judge_time()
        whole = self.levels.time in ("0-based", "1-based")
        if self._all(lambda t, told: told):
            shifts = {told - t for t, told, _ in self.seen}
            how = f"t + ({min(shifts):g})" if len(shifts) == 1 else "another time than t"
            self.context.recognise("time of the loss", how, "t", "x and t of the network's call")
            self._right()
            return self._shifted(min(shifts)) if len(shifts) == 1 else None
        if whole and self._all(lambda t, told: t - 1):
            return self._time_fault("x has the level of t - 1", "t", -1)
        if whole and self._all(lambda t, told: t + 1):
            return self._time_fault("x has the level of t + 1", "t", 1)
        return self._wrong_level()

    def _all(self, time):
        """Does x have the level of ``time(t, told)`` in every call, up to a factor of its own?
        Times outside of the schedule say nothing.
        """
        levels = self.levels
        found = [(time(t, told), pair) for t, told, pair in self.seen]
        low, high = min(levels.clean, levels.times.min()), max(levels.clean, levels.times.max())
        inside = [(t, pair) for t, pair in found if low <= t <= high]
        most = len(inside) >= len(found) - 1
        return most and all(self._has_level(t, pair) for t, pair in inside)

    def _has_level(self, time, pair):
        levels, target = self.levels, self.context.target
        alpha, sigma = levels.at(time)
        # x / factor must have both coefficients; the factor is 1 unless the input is scaled
        factor = np.hypot(*pair) / np.hypot(alpha, sigma)
        bound = tolerance(levels, sigma) + tolerance_of_type(target)
        scale = max(1.0, alpha, sigma)
        return bool(np.abs(pair / factor - (alpha, sigma)).max() <= bound * scale)

    def _right(self):
        context = self.context
        known = any(name in context.target for name in (*TABLES, "marginal", "add_noise"))
        declared = context.levels.how == "declared"
        context.add(
            "loss x",
            "right" if known or declared else "not decidable",
            "x = alpha x_0 + sigma eps with the levels of the schedule",
            came="" if known or declared else "there is no table to compare with",
        )
        scales = [np.hypot(*pair) / np.hypot(*context.levels.at(t)) for t, _, pair in self.seen]
        if max(abs(s - 1) for s in scales) > 1e-3:
            text = f"x times {scales[0]:.4g} to {scales[-1]:.4g}"
            context.recognise("input of the network in the loss", text, "x", "its call")

    def _judge_time(self):
        """x has the level of t.  Is the network told t?"""
        self._right()
        pairs = [(t, told) for t, told, _ in self.seen]
        if all(abs(told - t) <= 1e-6 * max(1.0, abs(t)) for t, told in pairs):
            self.context.add("loss time", "right", "the network is told the time of x")
            return self.levels
        steps = np.diff([told for _, told in pairs])
        shifts = {told - t for t, told in pairs}
        whole = self.levels.time in ("0-based", "1-based")
        if whole and len(shifts) == 1 and shifts <= {-1.0, 1.0}:
            told = "t + 1" if shifts == {1.0} else "t - 1"
            return self._time_fault("x has the level of t", told)
        levels_of_sample = [c for c in self.context.report.checks if c.name == "sample levels"]
        if levels_of_sample and levels_of_sample[0].verdict == "right":
            t, told = pairs[-1]
            return self._time_fault("t, as in sample", f"{told:g} for t = {t:g}")
        if (steps > 0).all() or (steps < 0).all():
            t, told = pairs[len(pairs) // 2]
            text = f"{told:.6g} for t = {t:g}"
            self.context.recognise("time of the network in the loss", text, "t", "its call")
            return self.levels
        t, told = pairs[-1]
        return self._time_fault(
            "x has the level of t", f"{told:g} for t = {t:g}, as for other times"
        )

    def _time_fault(self, level, told, shift=0):
        """The levels, ``shift`` times on: the prediction can still be judged."""
        self.context.add(
            "loss time",
            "fault",
            "the network is told the time of x",
            level,
            f"the network is told {told}",
            "samplers, which tell the time of x, get predictions for another noise level",
        )
        return self._shifted(shift)

    def _shifted(self, shift):
        low, high = sorted((self.levels.clean, self.levels.times[-1].item()))
        at = lambda t: self.levels.at(min(max(t + shift, low), high))
        return replace(self.levels, at=at) if shift else self.levels

    def _wrong_level(self):
        t, _, pair = self.seen[len(self.seen) // 2]
        wanted = self.levels.at(t)
        if "add_noise coefficients" in [check.name for check in self.context.report.faults]:
            self.context.add("loss x", "not decidable", came="because of add_noise coefficients")
            return self.levels
        self.context.add(
            "loss x",
            "fault" if self.levels.how else "not decidable",
            "x = alpha x_0 + sigma eps with the levels of the schedule",
            f"alpha, sigma = {wanted[0]:.6g}, {wanted[1]:.6g} at t = {t:g}",
            f"{pair[0]:.6g}, {pair[1]:.6g}" + noising._guess(pair, wanted),
            noising.EFFECT,
            details=[
                {"t": t, "expected": list(self.levels.at(t)), "came": pair.tolist()}
                for t, _, pair in self.seen
            ],
        )
        return self.levels
