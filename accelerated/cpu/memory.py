"""Memory: alignment, prefetching, and what the C library does with freed memory.

Alignment.  The results of ops and the scratch of kernels are new memory that begins at a cache line.  A vector that crosses a cache line
takes twice as long to load.  With 16-byte alignment, three of four vectors of 64 bytes would cross one.

Prefetching.  A processor's own prefetcher doesn't look beyond a page, nor across the rows of an image.  Kernels that would wait for memory
there call ``prefetch_range`` ahead of use.

Freed memory.  By default the C library returns large blocks to the system as soon as they are freed, and the system clears each page when
it is allocated again.  That took a fifth of a training step of a U-Net.  ``retain_freed_memory`` keeps the blocks in the process; the peak
of memory is the same.
"""

import ctypes
import math
import os
from contextlib import suppress

import numpy as np
from numba import njit

from accelerated.cpu.simd import prefetch

CACHE_LINE = 64  # bytes
MIN_ALIGNED_BYTES = 2**12  # for smaller arrays alignment costs more time than it saves
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of mallopt(3), which only glibc has
MAX_RETAINED_BYTES = 2**28  # larger blocks still come from the system and return to it
MALLOC_VARIABLES = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"}  # glibc's; a user who sets one keeps glibc's own behaviour


def aligned_empty(shape, dtype):
    """``np.empty``, beginning at a cache line."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < MIN_ALIGNED_BYTES:
        return np.empty(shape, dtype)
    whole = np.empty(size + CACHE_LINE, np.uint8)
    return np.ndarray(shape, dtype, whole, -whole.__array_interface__["data"][0] % CACHE_LINE)


@njit
def aligned_scratch(entries, dtype):
    """An uninitialised array [entries] for a kernel, beginning at a cache line."""
    whole = np.empty(entries + CACHE_LINE, dtype)
    begin = -np.int64(whole.ctypes.data) % CACHE_LINE // whole.itemsize
    return whole[begin : begin + entries]


@njit
def prefetch_range(x, begin, end):
    """Prefetch x[begin:end], soon to be read or written.  x has one axis; ``end`` may lie beyond x."""
    for at in range(begin, min(end, len(x)), CACHE_LINE // x.itemsize):
        prefetch(x, at)


def retain_freed_memory():
    """From now on freed memory stays in the process, for all of its code.

    Does nothing if one of MALLOC_VARIABLES is set, or where the C library has no ``mallopt``.
    """
    if MALLOC_VARIABLES & {*os.environ}:
        return
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, MAX_RETAINED_BYTES)
        mallopt(TRIM_THRESHOLD, 2 * MAX_RETAINED_BYTES)
