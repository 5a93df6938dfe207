"""The parts into which kernels cut their work: as many as the sizes say, whatever the number of threads."""

from numba import njit

ENTRIES = 8192  # of a block of elementwise work: some microseconds, and small enough for the nearest cache


@njit
def blocks(n, size=ENTRIES):
    """How many blocks of ``size`` hold n things."""
    return (n + size - 1) // size


@njit
def span(block, n, size=ENTRIES):
    """(begin, end) of a block among n things."""
    return block * size, min(n, (block + 1) * size)


@njit
def count(entries):
    """How many things of so many entries make a block."""
    return max(1, ENTRIES // max(1, entries))
