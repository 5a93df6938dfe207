"""Compare a port with the reference at every op call of a computation, each time on the reference's own numbers.

    tracer = Tracer(port)
    network.forward(params, x, c, ops=tracer)      # computed by the reference
    for call in tracer.calls: ...

No call receives the error of another one.  So a call that exceeds its tolerance is a call of an op that differs.  The trace can't tell
which of the two is wrong, the port or the reference.
"""

import time
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

import reference.ops
from accelerated import PortWithReferenceOps
from reference.conformance.call import IN_PLACE_ARGUMENTS, bind_arguments, call_op, describe
from reference.conformance.contract import OPS
from reference.conformance.port import Proxy
from reference.conformance.tolerances import Mismatch, mismatches, worst
from reference.diffusion.training import train
from reference.runs.run import training_model


@dataclass(frozen=True)
class Call:
    """One call of an op: its worst mismatch, None if the port lacks the op, and the seconds that reference and port took."""

    name: str
    shapes: str
    error: Mismatch | None
    reference: float
    port: float

    @property
    def ratio(self):
        """Error over tolerance."""
        return 0.0 if self.error is None else self.error.ratio

    def __str__(self):
        """The worst element, in a sentence that blames neither side."""
        error: Any = self.error
        where = f"{error.result}[{','.join(map(str, error.element))}]" if error.element else error.result
        by = f"{error.ratio:.3g} times the tolerance ({error.check}); {self.shapes}"
        return f"port and reference differ in {self.name}: {where}: port {error.got}, reference {error.exact}, {by}"


class Tracer(Proxy):
    """The reference's ops; ``calls`` lists the comparison of every call with the same call of ``traced``."""

    def __init__(self, port):
        super().__init__(reference.ops, self._compare)
        self.traced = port.port if isinstance(port, PortWithReferenceOps) else port  # its own ops alone
        self.calls, self._warm = [], set()

    def _compare(self, name, function, args, kwargs):
        arguments = bind_arguments(name, args, kwargs)
        self.calls.append(self._call(name, function, arguments))
        return function(*arguments)

    def _call(self, name, function, arguments):
        shapes = describe(name, arguments)
        _, seconds = _timed(name, function, arguments)
        mine = getattr(self.traced, name, None)
        if mine is None:
            return Call(name, shapes, None, seconds, float("nan"))
        try:
            if (name, arrays := tuple(a.dtype for a in arguments if isinstance(a, np.ndarray))) not in self._warm:
                call_op(name, mine, arguments)  # the first call may compile
                self._warm.add((name, arrays))
            results, own_seconds = _timed(name, mine, arguments)
        except Exception as error:  # a port under development may raise any
            raised = f"{type(error).__name__}: {error}"
            return Call(name, shapes, Mismatch(np.inf, name, "call", "it raises", (), raised, "a result"), seconds, float("nan"))
        return Call(name, shapes, worst(mismatches(name, results, arguments)), seconds, own_seconds)

    def first_mismatch(self):
        """The first call that exceeds its tolerance; None if there is none."""
        return next((call for call in self.calls if call.ratio > 1), None)

    def uncalled_ops(self):
        """The port's ops that were never called."""
        return [name for name in OPS if callable(getattr(self.traced, name, None)) and name not in {call.name for call in self.calls}]


def _timed(name, function, arguments):
    """(results, seconds); for an op that works in place, the copies that it works on are made before the clock starts."""
    if name in IN_PLACE_ARGUMENTS:
        arguments = [np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments]
    begin = time.perf_counter()
    results = function(*arguments)
    seconds = time.perf_counter() - begin
    if name in IN_PLACE_ARGUMENTS:
        return tuple(arguments[position] for position in IN_PLACE_ARGUMENTS[name]), seconds
    return results if isinstance(results, tuple) else (results,), seconds


def trace(run, port, data):
    """A Tracer with the calls of the run's next training step on ``data``; the run is not changed."""
    tracer, state = Tracer(port), deepcopy(run.state)
    next(train(training_model(run, data), data.train, data.train_labels, run.settings, state, state.step + 1, tracer))
    return tracer
