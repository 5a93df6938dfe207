"""A port: the reference's ops on arrays that behave as CuPy's (accelerated/gpu/simulator/arrays.py).

Code that mixes them with NumPy arrays raises, and ``arrays.copies`` counts the copies to the host.
"""

from accelerated.gpu.models import with_schedule_on_device
from accelerated.gpu.simulator import arrays
from reference import ops
from reference.conformance.contract import OPS
from reference.ops.checks import add_arrays

add_arrays(arrays.ndarray)
to_device = arrays.asarray


def to_host(array):
    return array.get() if isinstance(array, arrays.ndarray) else array


def prepare(model):
    return with_schedule_on_device(model, to_device)


def __getattr__(name):
    function = getattr(ops, name)
    if name not in OPS:
        return function

    def op(*args, **kwargs):
        if not any(map(_on_device, (*args, *kwargs.values()))):
            return function(*args, **kwargs)
        return arrays.wrapped(function(*arrays.plain(args), **arrays.plain(kwargs)))

    return op


def _on_device(value):
    return any(map(_on_device, value)) if isinstance(value, (list, tuple)) else isinstance(value, arrays.ndarray)
