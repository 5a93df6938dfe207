"""Freed memory stays with the process.

What an op returns is new memory.  The C library gives large pieces back to the system as soon as they are free, and the system clears each
page of them when it is taken again: without this, that was a fifth of a U-Net's training step.  The peak of memory is the same.
"""

import ctypes
from contextlib import suppress

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of mallopt(3), which glibc alone has
LARGEST = 2**28  # bytes: what is larger comes from the system and goes back to it


def keep():
    """From here on, for all of the process.  Where the C library has no such option nothing happens."""
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, LARGEST)
        mallopt(TRIM_THRESHOLD, 2 * LARGEST)
