"""Operations, bytes and calls of a workload, by the contract's counts: a proxy of a port adds them up while the port computes."""

import time
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from reference import ops as reference_ops
from reference.conformance.call import IN_PLACE_ARGUMENTS, bind_arguments, shapes
from reference.conformance.contract import OPS
from reference.conformance.port import Proxy


class Recorder(Proxy):
    """Adds up ``operations``, ``bytes``, ``calls`` and ``seconds`` by op.  Noise that an op draws itself is not counted."""

    def __init__(self, port):
        super().__init__(port, self._record)
        self.clear()

    def clear(self):
        self.operations: Any = Counter()
        self.bytes: Any = Counter()
        self.calls: Any = Counter()
        self.seconds: Any = Counter()

    def _record(self, name, function, args, kwargs):
        begin = time.perf_counter()
        results = function(*args, **kwargs)
        self.seconds[name] += time.perf_counter() - begin
        arguments = bind_arguments(name, args, kwargs)
        self.operations[name] += operations(name, arguments, results)
        self.bytes[name] += bytes_moved(name, arguments, results)
        self.calls[name] += 1
        return results


class Counts(NamedTuple):
    """One call of a workload: calls, operations and bytes by op, and the seconds of all ops on the reference."""

    calls: dict
    operations: dict
    bytes: dict
    seconds: float


def counts(workload):
    """The Counts of a workload; of a workload with many equal steps, one step is run and multiplied."""
    one, times = workload.single_step()
    recorder = Recorder(reference_ops)
    call = one.call(recorder)
    recorder.clear()  # preparing a call is not counted
    call()
    scaled = lambda counter: {name: count * times for name, count in counter.items()}
    return Counts(scaled(recorder.calls), scaled(recorder.operations), scaled(recorder.bytes), sum(recorder.seconds.values()) * times)


def operations(name, arguments, results):
    """Floating-point operations of one call of an op."""
    if name == "global_norm":  # of a list of arrays
        return sum(OPS[name].flops(array.shape, ()) for array in arguments[0])
    return OPS[name].flops(*shapes(name, arguments, results if isinstance(results, tuple) else (results,)))


def bytes_moved(name, arguments, results):
    """The least number of bytes that one call of an op moves: each given array read once, each result or in-place argument written once."""
    read = [array for argument in arguments for array in (argument if isinstance(argument, list) else [argument])]
    written = results if isinstance(results, tuple) else [results]
    written = [arguments[position] for position in IN_PLACE_ARGUMENTS[name]] if name in IN_PLACE_ARGUMENTS else written
    return sum(array.nbytes for array in (*read, *written) if isinstance(array, (np.ndarray, np.generic)))
