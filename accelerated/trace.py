"""The first op that differs: a port held against the reference at every call of a computation, each on the reference's own numbers.

    tracer = Tracer(port)
    network.forward(params, x, c, ops=tracer)      # computed by the reference
    for call in tracer.calls: ...

Since no call sees another's error, the calls over their budgets are those of ops that differ, not of those behind them.  Which of the
two sides is wrong, port or reference, no trace can tell.
"""

import time
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

import reference.ops
from accelerated import Completed
from reference.conformance.call import IN_PLACE_ARGUMENTS, bind_arguments, call_op, describe
from reference.conformance.contract import OPS
from reference.conformance.tolerances import Mismatch, mismatches, worst
from reference.diffusion.training import train
from reference.runs.run import training_model


@dataclass(frozen=True)
class Call:
    """One call of an op: its error over budget, and the seconds that it took on reference and port; ``error`` None if the port lacks it."""

    name: str
    shapes: str
    error: Mismatch | None
    reference: float
    port: float

    @property
    def ratio(self):
        return 0.0 if self.error is None else self.error.ratio

    def __str__(self):
        """The worst element, in a sentence that blames neither side."""
        error: Any = self.error
        where = f"{error.result}[{','.join(map(str, error.place))}]" if error.place else error.result
        by = f"{error.ratio:.3g} times the budget ({error.check}); {self.shapes}"
        return f"port and reference differ in {self.name}: {where}: port {error.got}, reference {error.exact}, {by}"


class Tracer:
    """A port that computes as the reference does, and keeps in ``calls`` what another port made of every call."""

    def __init__(self, port):
        self.port = port.port if isinstance(port, Completed) else port  # its own ops alone
        self.calls, self._warm = [], set()

    def __getattr__(self, name):
        function = getattr(reference.ops, name)
        if name not in OPS:
            return function

        def op(*args, **kwargs):
            arguments = bind_arguments(name, args, kwargs)
            self.calls.append(self._call(name, function, arguments))
            return function(*arguments)

        return op

    def _call(self, name, function, arguments):
        shapes = describe(name, arguments)
        _, seconds = _timed(name, function, arguments)
        mine = getattr(self.port, name, None)
        if mine is None:
            return Call(name, shapes, None, seconds, float("nan"))
        try:
            if (name, arrays := tuple(a.dtype for a in arguments if isinstance(a, np.ndarray))) not in self._warm:
                call_op(name, mine, arguments)  # the first call may compile
                self._warm.add((name, arrays))
            results, own_seconds = _timed(name, mine, arguments)
        except Exception as error:  # whatever a port in the making raises
            raised = f"{type(error).__name__}: {error}"
            return Call(name, shapes, Mismatch(np.inf, name, "call", "it raises", (), raised, "a result"), seconds, float("nan"))
        return Call(name, shapes, worst(mismatches(name, results, arguments)), seconds, own_seconds)

    def first_over(self):
        """The first call over its budget; None if there is none."""
        return next((call for call in self.calls if call.ratio > 1), None)

    def untried(self):
        """The port's ops that were never called."""
        return [name for name in OPS if callable(getattr(self.port, name, None)) and name not in {call.name for call in self.calls}]


def _timed(name, function, arguments):
    """(results, seconds); an op that works in place does so on copies, which are made before the clock runs."""
    if name in IN_PLACE_ARGUMENTS:
        arguments = [np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments]
    begin = time.perf_counter()
    results = function(*arguments)
    seconds = time.perf_counter() - begin
    if name in IN_PLACE_ARGUMENTS:
        return tuple(arguments[position] for position in IN_PLACE_ARGUMENTS[name]), seconds
    return results if isinstance(results, tuple) else (results,), seconds


def trace(run, port, data):
    """The calls of one training step of the run on ``data``, from where it stands; the run is left as it is."""
    tracer, state = Tracer(port), deepcopy(run.state)
    next(train(training_model(run, data), data.train, data.train_labels, run.settings, state, state.step + 1, tracer))
    return tracer
