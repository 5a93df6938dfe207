"""How the kernels of this port are compiled, kept and run.

A kernel is a function that Numba compiles at its first use, once for each dtype, and keeps on disk for later processes: in a folder whose
name holds a hash of this package's source, since Numba does not notice that a helper in another file was edited.  ``NUMBA_CACHE_DIR``
moves it.  ``prange`` runs on ``numba.get_num_threads()`` threads (``NUMBA_NUM_THREADS``, ``numba.set_num_threads``), and no result
depends on their number: every entry is computed by one iteration, and sums over iterations are sums of a fixed number of parts, in order.
"""

import hashlib
import os
import sys
import time
from pathlib import Path

import numba
import numpy as np
from numba.core import event


def cache_folder():
    source = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source.update(path.read_bytes())
    home = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "diffusion-from-scratch" / source.hexdigest()[:16]


CACHE = str(cache_folder())


def kernel(function):
    """The function, compiled: it may use ``prange``, and divides by zero as NumPy does."""
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, CACHE  # Numba asks when a function is decorated, and no later
    try:
        return numba.njit(parallel=True, cache=True, error_model="numpy", nogil=True)(function)
    finally:
        numba.config.CACHE_DIR = before


def device(function):
    """A function that kernels call: it is compiled into them."""
    return numba.njit(inline="never", error_model="numpy")(function)


def inputs(*arrays):
    """The arrays as kernels take them: C-contiguous and read-only, so that a layout costs no compilation.  None stays None."""
    return tuple(map(_input, arrays))


def _input(array):
    if array is None:
        return None
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


class Notice(event.Listener):
    """Says on stderr, once a process, that kernels are being compiled, and counts them."""

    def __init__(self):
        self.depth, self.count, self.begun = 0, 0, 0.0

    def on_start(self, occasion):
        self.depth += _ours(occasion)
        if _ours(occasion) and self.depth == 1:
            self.begun = time.perf_counter()
            if self.count == 0:
                print("compiling the kernels that are needed, once for this processor:", file=sys.stderr, flush=True)

    def on_end(self, occasion):
        self.depth -= _ours(occasion)
        if _ours(occasion) and self.depth == 0:
            self.count += 1
            name, seconds = occasion.data["dispatcher"].py_func.__name__.strip("_"), time.perf_counter() - self.begun
            print(f"  {self.count:2d} {name}, {seconds:.1f} s", file=sys.stderr, flush=True)


def _ours(occasion):
    return occasion.data["dispatcher"].py_func.__module__.startswith("accelerated.")


event.register("numba:compile", Notice())
