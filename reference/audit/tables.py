"""The tables of a target: alpha_bar, betas or sigmas over its training times."""

import inspect
from dataclasses import dataclass

import numpy as np

from reference.audit.target import TABLES, TargetError
from reference.diffusion.conversions import log_alpha_bar_of_betas

DEFAULT_T = 1000


@dataclass(frozen=True)
class Table:
    """A table of the target, from little to much noise: ``alpha``[n] and ``sigma``[n] in float64.

    ``starts_clean``: its first entry is x_0 itself.  ``values`` are the target's own numbers.
    """

    name: str
    values: np.ndarray
    alpha: np.ndarray
    sigma: np.ndarray

    @property
    def falls(self):
        """Do its own entries go from much noise to little, unlike ``alpha`` and ``sigma``?"""
        return self.name == "sigmas" and bool(self.values[0] > self.values[-1])

    @property
    def starts_clean(self):
        return bool(self.sigma[0] == 0) and len(self.sigma) > 1

    @property
    def epsilon(self):
        kind = self.values.dtype
        return float(np.finfo(kind).eps) if kind.kind == "f" else 0.0


def read_table(target):
    """The first of alpha_bar, betas and sigmas as a ``Table``; None if the target has none of them,
    or a function of a real time.
    """
    for name in TABLES:
        if name in target:
            try:
                values = table_values(target, name)
            except TargetError:
                if not _takes_real_time(target, name):
                    raise
                return None
            real = values.ndim == 0 and callable(target.pieces[name])
            return None if real else as_table(name, values)
    return None


def table_values(target, name, T=None):
    """The numbers of a table.  A function of T is called with ``T``, by default the claimed one."""
    function = target.pieces[name]
    needs = (
        [] if not callable(function) else [p for p in _parameters(function) if p.default is p.empty]
    )
    if callable(function) and (needs or (T is not None and takes_T(target, name))):
        return target.table(name, int(T or target.claims.get("T", DEFAULT_T)))
    return target.table(name)


def _takes_real_time(target, name):
    """Does a function refuse T only because it overflows beyond t = 1?"""
    try:
        return callable(target.pieces[name]) and target.table(name, 0.5).ndim == 0
    except TargetError:
        return False


def takes_T(target, name):
    """Is a table a function of the number of its times?"""
    function = target.pieces.get(name)
    if not callable(function) or not _parameters(function):
        return False
    return target.table(name, 10).ndim == 1 and len(target.table(name, 10)) in (10, 11)


def _parameters(function):
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def as_table(name, values):
    """TargetError unless ``values`` is a line of numbers with at least two entries."""
    if values.ndim != 1 or len(values) < 2:
        raise TargetError(
            f"{name} must be a table of two or more numbers, its shape is {values.shape}"
        )
    numbers = values.astype(np.float64)
    with np.errstate(all="ignore"):
        if name == "sigmas":
            order = np.argsort(numbers, kind="stable")
            rising = numbers[order] if numbers[0] > numbers[-1] else numbers
            return Table(name, values, np.ones_like(rising), rising)
        log = log_alpha_bar_of_betas(numbers)[1:] if name == "betas" else np.log(numbers)
        return Table(name, values, np.exp(log / 2), np.sqrt(-np.expm1(log)))
