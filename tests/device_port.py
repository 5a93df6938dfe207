"""The reference on arrays that behave like those of a device (accelerated/gpu/simulated.py).

Code that mixes them with NumPy arrays fails, and ``simulated.copies`` counts the copies to the host.
"""

from accelerated.gpu import simulated
from reference import ops
from reference.conformance.contract import OPS
from reference.ops.checks import add_arrays

add_arrays(simulated.ndarray)
to_device = simulated.asarray


def __getattr__(name):
    function = getattr(ops, name)
    if name not in OPS:
        return function

    def op(*args, **kwargs):
        results = function(*simulated.plain(args), **simulated.plain(kwargs))
        return simulated.wrapped(results) if any(map(_on_device, (*args, *kwargs.values()))) else results

    return op


def _on_device(value):
    return any(map(_on_device, value)) if isinstance(value, (list, tuple)) else isinstance(value, simulated.ndarray)
