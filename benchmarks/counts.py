"""What work costs by the contract's counts: a port that computes as another does and adds up its calls."""

import time
from collections import Counter
from typing import Any

from reference.calls import positional, shapes
from reference.contract import OPS


class Recorder:
    """``operations`` and ``seconds`` of all calls, by op.  Noise that an op draws inside is not counted, in none of the implementations."""

    def __init__(self, port):
        self.port = port
        self.operations: Any = Counter()
        self.seconds: Any = Counter()

    def __getattr__(self, name):
        function = getattr(self.port, name)
        if name not in OPS:
            return function

        def op(*args, **kwargs):
            begin = time.perf_counter()
            results = function(*args, **kwargs)
            self.seconds[name] += time.perf_counter() - begin
            self.operations[name] += operations(name, positional(name, args, kwargs), results)
            return results

        return op


def operations(name, arguments, results):
    """Of one call."""
    if name == "global_norm":  # of a list of arrays
        return sum(OPS[name].flops(array.shape, ()) for array in arguments[0])
    return OPS[name].flops(*shapes(name, arguments, results if isinstance(results, tuple) else (results,)))
