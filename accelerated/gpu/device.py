"""The device that this port computes on: its arrays (CuPy), the compiler of its kernels (Numba), and the copies between host and device.

``xp`` is the module of arrays, ``cuda`` compiles kernels, and ``math`` has their elementary functions.  Importing this file needs neither
CuPy nor a driver: ``missing`` returns the reason why the port can't work, and an op raises it as an error.  In Numba's CUDA simulator
(``NUMBA_ENABLE_CUDASIM=1``) all three come from accelerated/gpu/simulator/.
"""

import functools
import importlib.util
import inspect
import math as plain_math
from typing import Any

import numpy as np
from numba import config
from numba import cuda as numba_cuda

from reference.conformance.call import IN_PLACE_ARGUMENTS, bind_arguments
from reference.ops.checks import add_arrays, takes_out
from reference.ops.random import Key

SIMULATED = bool(getattr(config, "ENABLE_CUDASIM", False))
xp: Any = None
cuda: Any = numba_cuda
math: Any = plain_math

if SIMULATED:
    from accelerated.gpu.simulator import arrays
    from accelerated.gpu.simulator import numba_cuda as simulated_cuda

    xp, cuda, math = arrays, simulated_cuda.cuda, simulated_cuda.math
elif importlib.util.find_spec("cupy"):
    import cupy

    xp = cupy

if xp is not None:
    add_arrays(xp.ndarray)


@functools.cache
def missing():
    """The reason why this port can't be used on this machine, in one sentence; None if it can."""
    install = "pip install -e '.[gpu]'"
    if SIMULATED:
        return None
    if xp is None:
        return f"the package CuPy is missing: {install} (CUDA 13), or [gpu12] (CUDA 12)"
    if importlib.util.find_spec("numba_cuda") is None:
        return f"the package numba-cuda is missing: {install} (CUDA 13), or [gpu12] (CUDA 12)"
    try:
        devices = xp.cuda.runtime.getDeviceCount()
    except xp.cuda.runtime.CUDARuntimeError as error:
        return f"CUDA's driver is missing, or older than CuPy needs: {error}"
    if not devices:
        return "there is no CUDA device"
    return None if cuda.is_available() else "Numba finds no CUDA device"


def choose_device(rank):
    """Compute on device ``rank``, modulo their number, from now on."""
    if not SIMULATED:
        index = rank % xp.cuda.runtime.getDeviceCount()
        xp.cuda.Device(index).use()
        cuda.select_device(index)


def require():
    """ValueError where this port can't be used."""
    if reason := missing():
        raise ValueError(f"accelerated.gpu can't work here: {reason}")


def is_device_array(value):
    return isinstance(value, xp.ndarray)


def to_device(array):
    """The array on the device: itself if it is there, else a copy.  Ops on such arrays return such arrays and copy nothing to the host."""
    require()
    return xp.asarray(array)


def to_host(array):
    """The array as a NumPy array: itself, or a copy for which the device is waited for."""
    return array.get() if is_device_array(array) else array


def synchronize():
    """Wait until the device has finished all launches.  In the simulator a launch returns when it is finished."""
    if not SIMULATED:
        xp.cuda.get_current_stream().synchronize()


def op(function):
    """A decorator: an op on arrays of the device, with ``out=`` unless its name ends in ``_``.

    If any argument is a NumPy array, all arrays are copied to the device, and if all of them were NumPy arrays, the results are copied
    back: right for any program, but slow.
    """

    @functools.wraps(function)
    def on_any_arrays(*args, **kwargs):
        require()
        given = [*args, *kwargs.values()]
        if not _contains(given, np.ndarray):
            return function(*args, **kwargs)
        results = function(*map(_to_device, args), **{name: _to_device(value) for name, value in kwargs.items()})
        return results if _contains(given, xp.ndarray) else _to_host(results)

    @functools.wraps(function)
    def in_place(*args, **kwargs):
        require()
        arguments = bind_arguments(function.__name__, args, kwargs)
        if not _contains(arguments, np.ndarray):
            return function(*arguments)
        copies = [_to_device(argument) for argument in arguments]
        function(*copies)
        for position in IN_PLACE_ARGUMENTS[function.__name__]:
            if isinstance(arguments[position], np.ndarray):
                arguments[position][...] = to_host(copies[position])
        return None

    return in_place if function.__name__ in IN_PLACE_ARGUMENTS else takes_out(on_any_arrays)


def checks_values(check_arguments, word, *others):
    """A decorator of an op: an argument ``word`` in a NumPy array is checked by ``check_arguments`` before it is copied to the device.

    ``word`` and ``others`` name the arguments of the check.
    """

    def decorate(operation):
        names = tuple(inspect.signature(operation).parameters)

        @functools.wraps(operation)
        def checking(*args, **kwargs):
            given = dict(zip(names, args)) | kwargs
            if isinstance(given.get(word), np.ndarray) and {*others} <= {*given}:
                check_arguments(**{name: given[name] for name in (word, *others)})
            return operation(*args, **kwargs)

        return checking

    return decorate


def _contains(values, kind):
    """Whether a value, or an entry of a list among the values, is of type ``kind``.  Each call of an op asks: plain loops are fastest."""
    for value in values:
        if isinstance(value, kind):
            return True
        if isinstance(value, (list, tuple)):
            for leaf in value:
                if isinstance(leaf, kind):
                    return True
    return False


def _to_device(value):
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return xp.asarray(value)
    if isinstance(value, Key):
        return value._replace(sample=_to_device(value.sample))
    return [_to_device(leaf) for leaf in value] if isinstance(value, (list, tuple)) and _contains(value, np.ndarray) else value


def _to_host(results):
    if isinstance(results, tuple):
        return tuple(map(_to_host, results))
    return None if results is None else to_host(results)
