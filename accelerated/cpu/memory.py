"""Where arrays lie, and when their numbers come.

What an op returns is new memory, and so is a kernel's scratch.  Both begin at a cache line: a vector of LANES numbers that lies across two
lines takes twice as long to read, and elsewhere three of four would.

A kernel that multiplies what it has, then reads what comes next, waits in between.  A processor guesses what will be read, but not beyond
a page, nor across the rows of an image: such kernels ask in time, with ``fetch``.

Freed memory stays with the process.  The C library gives large pieces back to the system as soon as they are free, and the system clears
each page of them when it is taken again: without this, that was a fifth of a U-Net's training step.  The peak of memory is the same.
"""

import ctypes
import math
from contextlib import suppress

import numpy as np
from numba import njit

from accelerated.cpu.simd import prefetch

LINE = 64  # bytes
SMALL = 2**12  # bytes for which looking where they lie would take longer than it saves
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of mallopt(3), which glibc alone has
LARGEST = 2**28  # bytes: what is larger comes from the system and goes back to it


def empty(shape, dtype):
    """``np.empty``, from a cache line on."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < SMALL:
        return np.empty(shape, dtype)
    whole = np.empty(size + LINE, np.uint8)
    return np.ndarray(shape, dtype, whole, -whole.__array_interface__["data"][0] % LINE)


@njit
def scratch(entries, dtype):
    """So many numbers for a kernel, from a cache line on."""
    whole = np.empty(entries + LINE, dtype)
    begin = -np.int64(whole.ctypes.data) % LINE // whole.itemsize
    return whole[begin : begin + entries]


@njit
def fetch(x, begin, end):
    """Ask for x[begin:end], soon to be read or written; ``end`` may lie beyond x, which has one axis."""
    for at in range(begin, min(end, len(x)), LINE // x.itemsize):
        prefetch(x, at)


def keep():
    """From here on freed memory stays, for all of the process.  Where the C library has no such option nothing happens."""
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, LARGEST)
        mallopt(TRIM_THRESHOLD, 2 * LARGEST)
