"""A replacement of ``numba.cuda`` and ``math`` inside of kernels.  Importing this changes Numba's simulator and the interpreter:

- blocks begin with their shared memory filled with NaN (all bits 1 for integers), so that a read before a write shows in the result;
- Python threads take turns every 0.1 ms instead of 5 ms: the thread that waits for the others at a barrier would hold Python that long.
"""

import sys
from types import SimpleNamespace

import numpy as np
from numba import cuda as numba_cuda
from numba.cuda.simulator import kernel as numba_simulator


class SimulatedCuda:
    """Inside of a kernel the names of its own thread and block.

    Numba's simulator replaces ``cuda`` in the module of the kernel, but not in the modules of functions that the kernel calls.
    """

    def __getattr__(self, name):
        return getattr(numba_simulator._get_kernel_context() or numba_cuda, name)

    def jit(self, function=None, device=False):
        """As ``numba.cuda.jit``; a device function stays the Python function."""
        return (lambda function: function) if device else numba_cuda.jit(function)


class BlockOfNaN(numba_simulator.BlockManager):
    def run(self, grid_point, *args):
        memory = numba_simulator._get_kernel_context().shared
        memory._dynshared[...] = -1
        for array in memory._allocations.values():
            array.fill(np.nan)
        super().run(grid_point, *args)


vars(numba_simulator)["BlockManager"] = BlockOfNaN
sys.setswitchinterval(1e-4)

# NumPy's elementary functions keep float32 and return infinities, as a device's do
NAMES = ("exp", "expm1", "log", "log1p", "sqrt", "cos", "sin", "floor", "fabs")
cuda, math = SimulatedCuda(), SimpleNamespace(**{name: getattr(np, name) for name in NAMES})
