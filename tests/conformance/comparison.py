"""A computation of many ops, on a port and on the reference."""

import numpy as np

from accelerated.trace import Tracer
from reference import ops
from reference.conformance.tolerances import network_mismatches, worst

DTYPES = (np.float32, np.float64)


def within_budget(port, name, dtype, compute):
    """``compute(ops, dtype)`` returns tensors by name; ops that the port lacks are taken from the reference.

    A failure names the tensor, and the first op that exceeds its own tolerance.
    """
    error = worst(network_mismatches(name, compute(port.whole, dtype), compute(ops, np.float32), compute(ops, np.float64)))
    if error.ratio > 1:
        tracer = Tracer(port.whole)
        compute(tracer, dtype)
        first = tracer.first_over()
        raise AssertionError(f"{first.error}; {first.shapes}; so {error}" if first else f"{error}; no op is over its own budget")


def in_dtype(dtype):
    """Arrays of floats, and dictionaries of them, in a dtype; every number is exact in float32."""

    def wrap(value):
        if isinstance(value, dict):
            return {name: wrap(array) for name, array in value.items()}
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return value.astype(np.float32).astype(dtype)
        return value

    return wrap
