"""A target of the audit: the pieces that a module exposes, each called with care.

A call never sees the audit's own arrays, has a time limit, prints nothing, and ends in a result of
the right shape or in a ``TargetError``, one sentence that names the piece.
"""

import difflib
import importlib
import importlib.util
import inspect
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from reference.audit.arguments import named, positional_only
from reference.audit.arrays import LIBRARIES, library_of, to_library, to_numpy
from reference.audit.claims import check_claims
from reference.audit.guard import TargetError, TimeLimitError, guarded

TABLES = ("alpha_bar", "betas", "sigmas")
PIECES = {  # name -> the parameters, in the order of a call by position
    "marginal": ("t",),
    "add_noise": ("x0", "noise", "t"),
    "timesteps": ("n",),
    "step": ("prediction", "t", "x", "noise", "t_prev"),
    "predict_x0": ("prediction", "t", "x"),
    "velocity": ("x0", "noise", "t"),
    "sample": ("denoise", "x", "steps", "seed"),
    "loss": ("denoise", "x0", "t", "noise"),
    "denoise": ("x", "t"),
    "guided": ("conditional", "unconditional", "weight"),
}
DATA = ("data", "held_out")
TIMES = "times"  # of an adapter: the time of x_0 itself, then the training times, noise rising
LATE = 3  # calls that may not return in time before a piece that has answered is given up
KNOWN = (*TABLES, *PIECES, *DATA)


@dataclass
class Target:
    """``pieces``: name -> function, table or data.  ``limit``: seconds that one call may take.

    ``printed`` and ``changed``: the pieces that wrote to the terminal, and (piece, parameter) for
    each argument that a call changed.  ``calls``: piece -> number of calls.  ``answered``: the
    pieces that returned an array of numbers.  ``refused``: piece -> why it is left out.
    ``misspelled``: name of the module -> the piece that it resembles.  ``time_arrays``: the pieces
    that take one time for each sample, t[b], and no number.  ``notes``: rows (name, target, ours,
    how) of the report that an adapter knows, and ``facts`` its settings.  ``not_examined``: why the
    target can't be examined.
    """

    name: str
    pieces: dict
    claims: dict = field(default_factory=dict)
    limit: float = 60.0
    printed: set = field(default_factory=set)
    changed: set = field(default_factory=set)
    calls: dict = field(default_factory=dict)
    answered: set = field(default_factory=set)
    refused: dict = field(default_factory=dict)
    misspelled: dict = field(default_factory=dict)
    recognised: str = ""
    late: dict = field(default_factory=dict)
    time_arrays: set = field(default_factory=set)
    notes: list = field(default_factory=list)
    facts: dict = field(default_factory=dict)
    not_examined: str = ""

    def __post_init__(self):
        check_claims(self.claims)
        if self.library not in sys.modules:
            raise TargetError(
                f"CLAIMS['arrays'] is {self.library}, but the target does not import {self.library}"
            )
        if "arrays" not in self.claims:
            libraries = [library_of(self.pieces[name]) for name in TABLES if name in self.pieces]
            self.recognised = next((name for name in libraries if name != "numpy"), "")
        for piece, value in list(self.pieces.items()):
            if piece in PIECES and not callable(value):
                self.refused[piece] = f"{piece} must be a function, got {value!r:.60}"
                del self.pieces[piece]
        if not self.pieces and not self.not_examined:
            sentences = "; ".join(self.refused.values())
            raise TargetError(sentences or f"{self.name} exposes none of {', '.join(KNOWN)}")

    def __contains__(self, piece):
        return piece in self.pieces

    @property
    def shape(self):
        """The shape of a sample."""
        return tuple(self.claims.get("shape", (4,)))

    @property
    def library(self):
        """The library of the arrays that the target takes: claimed, or recognised."""
        return self.claims.get("arrays") or self.recognised or "numpy"

    @property
    def dtype(self):
        """Claimed, or that of networks in the recognised library."""
        return np.dtype(self.claims.get("dtype", "float32" if self.recognised else "float64"))

    def call(self, piece, shape=None, **arguments):
        """The result of a piece as a NumPy array, of ``shape`` if that is given.

        ``arguments`` have the names of ``PIECES``; those that the function does not take are left
        out.  Arrays become arrays of the target's library.  A function that refuses a number as the
        time gets one time for each sample; one that refuses arrays of NumPy gets those of another
        library that is loaded.  TargetError for anything else.
        """
        try:
            return self._call_at_times(piece, shape, arguments)
        except TargetError as error:
            known = self.recognised or "arrays" in self.claims or self.answered & set(PIECES)
            if known or isinstance(error, TimeLimitError):
                raise
            for self.recognised in (name for name in LIBRARIES[1:] if name in sys.modules):
                single = {
                    n: v.astype(self.dtype) if _is_double(v) else v for n, v in arguments.items()
                }
                try:
                    return self._call_at_times(piece, shape, single)
                except TargetError:
                    pass
            self.recognised = ""
            raise

    def _call_at_times(self, piece, shape, arguments):
        several = self._time_for_each_sample(arguments)
        if several is None:
            return self._call(piece, shape, arguments)
        if piece in self.time_arrays:
            return self._call(piece, shape, several)
        try:
            return self._call(piece, shape, arguments)
        except TargetError as error:
            if piece in self.answered or isinstance(error, TimeLimitError):
                raise
            try:
                result = self._call(piece, shape, several)
            except TargetError:
                raise error from None
            self.time_arrays.add(piece)
            return result

    def _time_for_each_sample(self, arguments):
        """The arguments with t[b] in place of a number t, None if there is no such number."""
        batch = [len(a) for a in arguments.values() if isinstance(a, np.ndarray) and a.ndim > 1]
        times = [name for name in ("t", "t_prev") if isinstance(arguments.get(name), (int, float))]
        if not (batch and times):
            return None
        return {**arguments, **{name: np.full(batch[0], arguments[name]) for name in times}}

    def _call(self, piece, shape, arguments):
        given = {
            name: to_library(value, self.library) if isinstance(value, np.ndarray) else value
            for name, value in arguments.items()
        }
        bound = self._bind(piece, given)
        result = self._guarded(piece, lambda: bound())
        for name, value in arguments.items():
            if isinstance(value, np.ndarray) and not np.array_equal(
                to_numpy(given[name]), value, equal_nan=value.dtype.kind == "f"
            ):
                self.changed.add((piece, name))
        try:
            array = to_numpy(result)
        except Exception as error:
            raise TargetError(f"{piece} returns no array: {error}") from error
        if shape is not None and array.shape != tuple(shape):
            raise TargetError(
                f"{piece} returns an array of shape {array.shape}, not {tuple(shape)}"
            )
        self.answered.add(piece)
        return array

    def table(self, piece, *arguments):
        """A table as a NumPy array in its own dtype.  A function is called, with ``arguments``."""
        value = self.pieces[piece]
        if callable(value):
            value = self._guarded(piece, lambda: value(*arguments))
        try:
            array = to_numpy(value)
        except Exception as error:
            raise TargetError(f"{piece} is no table of numbers: {error}") from error
        if array.dtype.kind not in "iuf":
            raise TargetError(f"{piece} is no table of numbers, its dtype is {array.dtype}")
        self.answered.add(piece)
        return array

    def parameters(self, piece):
        """The names of the parameters of a function, () where they can't be read."""
        try:
            return tuple(inspect.signature(self.pieces[piece]).parameters)
        except (TypeError, ValueError):
            return ()

    def named(self, piece):
        """Parameter of ``PIECES`` -> its name in the target (``arguments.named``)."""
        return named(self.pieces[piece], PIECES[piece])

    def argument_order(self, piece):
        """The parameters of ``PIECES`` in the order in which the target takes them."""
        names = self.named(piece)
        return PIECES[piece] if names is None else tuple(names)

    def _bind(self, piece, given):
        function, names = self.pieces[piece], self.named(piece)
        if names is None:
            return lambda: function(*(given[name] for name in PIECES[piece] if name in given))
        chosen = {names[name]: value for name, value in given.items() if name in names}
        first = [chosen.pop(name) for name in positional_only(function) if name in chosen]
        return lambda: function(*first, **chosen)

    def _guarded(self, piece, function):
        late = self.late.get(piece, [])
        if len(late) >= (LATE if piece in self.answered else 1):  # it is not waited for again
            raise late[-1]
        self.calls[piece] = self.calls.get(piece, 0) + 1
        try:
            result, printed = guarded(piece, function, self.limit)
        except TimeLimitError as error:
            self.late[piece] = [*late, error]
            raise
        if printed:
            self.printed.add(piece)
        return result


def _is_double(value):
    return isinstance(value, np.ndarray) and value.dtype == np.float64


class Denoiser:
    """The ``denoise`` that the audit hands to a target's ``sample`` and ``loss``.

    ``predict(x, t)``: x float64 [b,...], t a number -> [b,...].  The target may call it with
    (x, t) or (t, x), with t a number or an array of equal times, with arrays of any library, and
    gets an array like x.  ``calls``: (t, x) of each call; ``swapped``: it was called with (t, x).
    ``several``: the times of a batch may differ, and ``predict`` gets the array of them.
    """

    def __init__(self, predict, several=False):
        self.predict, self.calls, self.swapped = predict, [], False
        self.several = several

    def __call__(self, x, t, *_, **__):
        if np.ndim(to_numpy(t)) > np.ndim(to_numpy(x)):
            x, t, self.swapped = t, x, True
        times = np.ravel(np.asarray(to_numpy(t), np.float64))
        equal = times.size > 0 and bool((times == times[0]).all())
        if times.size == 0 or not (equal or self.several):
            raise TargetError("denoise is called with different times in one batch")
        array = to_numpy(x)
        values = array.astype(np.float64)
        time_now: Any = float(times[0]) if equal else times
        self.calls.append((time_now, values))
        result = np.asarray(self.predict(values, time_now))
        result = result.astype(array.dtype if array.dtype.kind == "f" else np.float64)
        library = library_of(x)
        return to_library(result, library)


def load_module(name, limit):
    """(the module of a path ``FILE.py`` or of a dotted name, did it print when it was imported?).
    TargetError if it can't be imported.
    """
    path = Path(name)
    if path.suffix == ".py" or path.exists():
        if not path.is_file():
            raise TargetError(f"{name} is {'a folder' if path.is_dir() else 'no file'}")
        spec = importlib.util.spec_from_file_location(f"audited_{path.stem}", path)
        if spec is None or spec.loader is None:
            raise TargetError(f"{name} is no Python file")
        module, loader = importlib.util.module_from_spec(spec), spec.loader
        sys.modules[spec.name] = module
        _, printed = guarded(f"the import of {name}", lambda: loader.exec_module(module), limit)
        return module, printed
    return guarded(f"the import of {name}", lambda: importlib.import_module(name), limit)


def load_target(name, limit):
    """The target of a Python file or module."""
    module, printed = load_module(name, limit)
    pieces = {piece: getattr(module, piece) for piece in KNOWN if hasattr(module, piece)}
    own = [other for other in vars(module) if other not in KNOWN and not other.startswith("_")]
    if not pieces:
        has = f"; it has {', '.join(own[:8])}" if own else ""
        raise TargetError(
            f"{name} exposes none of {', '.join(KNOWN)}{has};"
            " reference/audit/template.py is a file to copy"
        )
    missing = [piece for piece in KNOWN if piece not in pieces]
    misspelled = {}
    for other in own:
        near = difflib.get_close_matches(other, missing, 1, cutoff=0.88)
        if near and callable(getattr(module, other)) >= (near[0] in PIECES):
            misspelled[other] = near[0]
    claims = getattr(module, "CLAIMS", {})
    target = Target(name, pieces, claims, limit, misspelled=misspelled)
    if printed:
        target.printed.add("the import")
    return target
