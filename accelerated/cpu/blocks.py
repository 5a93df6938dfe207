"""The blocks into which kernels divide their work.  Their number depends on sizes alone, never on the number of threads."""

from numba import njit

BLOCK_ENTRIES = 8192  # of a block of elementwise work: some microseconds, and small enough for the L1 cache


@njit
def block_count(n, size=BLOCK_ENTRIES):
    """Number of blocks of ``size`` items that hold n items: n / size rounded up."""
    return (n + size - 1) // size


@njit
def span(block, n, size=BLOCK_ENTRIES):
    """(begin, end) of a block of n items."""
    return block * size, min(n, (block + 1) * size)


@njit
def items_per_block(entries):
    """Number of items of ``entries`` entries each that make a block: at least 1."""
    return max(1, BLOCK_ENTRIES // max(1, entries))
