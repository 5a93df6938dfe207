"""What work costs by the contract's counts: a port that computes as another does and adds up its calls."""

import time
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from reference import ops as reference_ops
from reference.conformance.call import IN_PLACE_ARGUMENTS, bind_arguments, shapes
from reference.conformance.contract import OPS


class Recorder:
    """``operations``, ``bytes``, ``calls`` and ``seconds``, by op.  Noise that an op draws inside is not counted, in no implementation."""

    def __init__(self, port):
        self.port = port
        self.clear()

    def clear(self):
        self.operations: Any = Counter()
        self.bytes: Any = Counter()
        self.calls: Any = Counter()
        self.seconds: Any = Counter()

    def __getattr__(self, name):
        function = getattr(self.port, name)
        if name not in OPS:
            return function

        def op(*args, **kwargs):
            begin = time.perf_counter()
            results = function(*args, **kwargs)
            self.seconds[name] += time.perf_counter() - begin
            arguments = bind_arguments(name, args, kwargs)
            self.operations[name] += operations(name, arguments, results)
            self.bytes[name] += moved(name, arguments, results)
            self.calls[name] += 1
            return results

        return op


class Counts(NamedTuple):
    """Of one call of a workload: calls, operations and bytes by op, and the seconds of all ops on the reference."""

    calls: dict
    operations: dict
    bytes: dict
    seconds: float


def counts(workload):
    one, times = workload.one()
    recorder = Recorder(reference_ops)
    call = one.call(recorder)
    recorder.clear()  # what prepares a call is no part of it
    call()
    scaled = lambda counter: {name: count * times for name, count in counter.items()}
    return Counts(scaled(recorder.calls), scaled(recorder.operations), scaled(recorder.bytes), sum(recorder.seconds.values()) * times)


def operations(name, arguments, results):
    """Of one call."""
    if name == "global_norm":  # of a list of arrays
        return sum(OPS[name].flops(array.shape, ()) for array in arguments[0])
    return OPS[name].flops(*shapes(name, arguments, results if isinstance(results, tuple) else (results,)))


def moved(name, arguments, results):
    """Bytes that one call has to move at least: every array that is there read once, every result, or target, written once."""
    read = [array for argument in arguments for array in (argument if isinstance(argument, list) else [argument])]
    written = results if isinstance(results, tuple) else [results]
    written = [arguments[position] for position in IN_PLACE_ARGUMENTS[name]] if name in IN_PLACE_ARGUMENTS else written
    return sum(array.nbytes for array in (*read, *written) if isinstance(array, (np.ndarray, np.generic)))
