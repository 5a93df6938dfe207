"""Predictions and levels that may be those of the network that a target's ``sample`` calls."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from reference.audit.levels import PREDICTIONS, Levels, from_claims, times_of
from reference.audit.target import Target


@dataclass(frozen=True)
class Candidate:
    """``change``: how the network's input differs from the x of the target's levels, "" if not."""

    prediction: str
    at: Any
    change: str
    levels: Levels


def candidates_of(context):
    """Predictions and levels of the network's input that may be the target's."""
    known = context.levels
    for levels in [known] if known is not None else _possible_levels(context.target):
        shifts = (0,) if levels.how else (0, 1, -1)
        for shift in shifts:
            for change, at in _inputs(levels, shift):
                for prediction in PREDICTIONS:
                    yield Candidate(prediction, at, change, _shifted(levels, shift))


def _shifted(levels, shift):
    """Levels of a table whose time base nothing else determines, moved by one time."""
    how = levels.how or "sample passes through these levels"
    if shift == 0:
        return Levels(levels.at, levels.time, levels.times, levels.clean, how, levels.epsilon)
    time = {1: "1-based", -1: "0-based"}[shift]
    return Levels(
        lambda t: levels.at(t - shift),
        time,
        levels.times + shift,
        levels.clean + shift,
        how,
        levels.epsilon,
    )


def _inputs(levels, shift):
    """(change, at) of the network's input: x itself, or x in the other form."""
    exact = lru_cache(maxsize=None)(lambda t: levels.at(t - shift))

    def preserving(t):
        alpha, sigma = exact(t)
        size = np.hypot(alpha, sigma)
        return alpha / size, sigma / size

    def exploding(t):
        alpha, sigma = exact(t)
        return 1.0, sigma / max(alpha, 1e-12)

    yield "", exact
    if levels.form == "variance exploding":
        yield "x / sqrt(1 + sigma^2)", preserving
    if levels.form == "variance preserving":
        yield "x / alpha", exploding


def _possible_levels(target):
    """Levels where nothing else tells them: sigma itself, flows, and the known schedules."""
    for time, schedule in (
        ("sigma", None),
        ("real", "flow"),
        ("real", "vp"),
        ("0-based", "linear"),
        ("1-based", "linear"),
        ("0-based", "cosine"),
        ("1-based", "cosine"),
    ):
        claims = {**target.claims, "time": time, "schedule": schedule}
        found = from_claims(Target(target.name, target.pieces, _valid(claims)), time)
        if found is not None:
            yield Levels(found.at, time, found.times, found.clean, "", found.epsilon)
    yield Levels(
        lambda t: (float(t), 1 - float(t)), "real", times_of("real", 0)[::-1], 1, "", 1e-12
    )


def _valid(claims):
    return {name: value for name, value in claims.items() if value is not None}
