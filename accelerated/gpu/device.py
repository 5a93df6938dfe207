"""Where the arrays of this port lie: CuPy on a device, or in Numba's CUDA simulator (``NUMBA_ENABLE_CUDASIM=1``) simulated.py in its place.

``xp`` is the module of arrays, ``cuda`` what kernels are made with, ``math`` their elementary functions.  Importing this needs neither CuPy
nor a driver: what is missing is said when an op is called.
"""

import functools
import importlib.util
import math as plain_math
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import config
from numba import cuda as numba_cuda

from reference.conformance.call import IN_PLACE_ARGUMENTS, bind_arguments
from reference.diffusion.devices import to_host
from reference.ops.checks import add_arrays, takes_out
from reference.ops.random import Key

SIMULATED = bool(getattr(config, "ENABLE_CUDASIM", False))
xp: Any = None
cuda: Any = numba_cuda
math: Any = plain_math

if SIMULATED:
    from numba.cuda.simulator import kernel as simulator

    from accelerated.gpu import simulated

    class Cuda:
        """Inside of a kernel that kernel's own thread and block; the simulator exchanges a module's ``cuda``, but not those of helpers."""

        def __getattr__(self, name):
            return getattr(simulator._get_kernel_context() or numba_cuda, name)

    class PoisonedBlock(simulator.BlockManager):
        """A block begins with shared memory full of NaN: what is read before it is written shows."""

        def run(self, grid_point, *args):
            simulator._get_kernel_context().shared._dynshared[...] = -1
            for array in simulator._get_kernel_context().shared._allocations.values():
                array.fill(np.nan)
            super().run(grid_point, *args)

    vars(simulator)["BlockManager"] = PoisonedBlock

    # of NumPy, elementary functions keep float32 and know infinities, as a device's do
    functions = ("exp", "expm1", "log", "log1p", "sqrt", "cos", "sin", "floor", "fabs")
    xp, cuda, math = simulated, Cuda(), SimpleNamespace(**{name: getattr(np, name) for name in functions})
    sys.setswitchinterval(1e-4)  # the thread that waits for the others at barriers would hold Python for 5 ms at a time
elif importlib.util.find_spec("cupy"):
    import cupy

    xp = cupy

if xp is not None:
    add_arrays(xp.ndarray)


@functools.cache
def missing():
    """Why this port can't work here, in a sentence; None if it can."""
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


def is_device(value):
    return isinstance(value, xp.ndarray)


def to_device(array):
    """An array on the device, as this port's ops return them: those given such ones leave all where it is."""
    require()
    return xp.asarray(array)


def synchronize():
    """Wait for all that was launched; the simulator has done it."""
    if not SIMULATED:
        xp.cuda.get_current_stream().synchronize()


def require():
    """ValueError where this port can't work."""
    if reason := missing():
        raise ValueError(f"accelerated.gpu can't work here: {reason}")


def op(function):
    """An op on arrays of the device, with ``out=`` unless its name ends in ``_``.

    NumPy arrays, if all arrays are, are brought there and the results back: right for any program, and slow.
    """

    @functools.wraps(function)
    def anywhere(*args, **kwargs):
        require()
        given = [*args, *kwargs.values()]
        if not _hold(given, np.ndarray):
            return function(*args, **kwargs)
        moved = function(*map(_moved, args), **{name: _moved(value) for name, value in kwargs.items()})
        return moved if _hold(given, xp.ndarray) else _back(moved)

    @functools.wraps(function)
    def in_place(*args, **kwargs):
        require()
        arguments = bind_arguments(function.__name__, args, kwargs)
        if not _hold(arguments, np.ndarray):
            return function(*arguments)
        moved = [_moved(argument) for argument in arguments]
        function(*moved)
        for position in IN_PLACE_ARGUMENTS[function.__name__]:
            if isinstance(arguments[position], np.ndarray):
                arguments[position][...] = to_host(moved[position])
        return None

    return in_place if function.__name__ in IN_PLACE_ARGUMENTS else takes_out(anywhere)


def _hold(values, kind):
    """Is one of them, or of those in lists among them, an array of that kind?  In plain loops: it is asked at every call."""
    for value in values:
        if isinstance(value, kind):
            return True
        if isinstance(value, (list, tuple)):
            for leaf in value:
                if isinstance(leaf, kind):
                    return True
    return False


def _moved(value):
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
        return xp.asarray(value)
    if isinstance(value, Key):
        return value._replace(sample=_moved(value.sample))
    return [_moved(leaf) for leaf in value] if isinstance(value, (list, tuple)) and _hold(value, np.ndarray) else value


def _back(results):
    if isinstance(results, tuple):
        return tuple(map(_back, results))
    return None if results is None else to_host(results)
