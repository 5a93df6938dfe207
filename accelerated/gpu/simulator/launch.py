"""A replacement of launches on a device: Numba's simulator runs the kernels, and launches are counted."""

import warnings

from accelerated.gpu.device import cuda
from accelerated.gpu.kernel import SCALARS, contiguous

launches = 0  # of kernels, since the process began
dry_run = False  # whether kernels are counted and not run


def launcher(kernel, dtype):
    """The function (blocks, threads of a block, bytes of shared memory, arguments) that launches ``kernel`` for ``dtype``."""
    jitted = cuda.jit(kernel.function)

    def launch(blocks, threads, shared, args):
        global launches
        launches += 1
        if dry_run:
            return
        given = [
            contiguous(letter, arg).array.reshape(-1) if letter[0] in "rw" else SCALARS[letter](dtype, arg)
            for letter, arg in zip(kernel.signature, args, strict=True)
        ]
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # a device does not warn of overflows
            jitted[blocks, threads, 0, shared](*given)

    return launch
