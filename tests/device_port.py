"""The reference on arrays that behave as a device's do (accelerated/gpu/simulated.py).

What trains or samples with it never mixes such arrays with NumPy's, and ``simulated.copies`` counts how often it waited for a number.
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
        if not any(map(_on_device, (*args, *kwargs.values()))):
            return function(*args, **kwargs)
        return simulated.wrapped(function(*simulated.plain(args), **simulated.plain(kwargs)))

    return op


def _on_device(value):
    return any(map(_on_device, value)) if isinstance(value, (list, tuple)) else isinstance(value, simulated.ndarray)
