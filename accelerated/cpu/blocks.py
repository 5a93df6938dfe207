"""The parts into which kernels cut their work: as many as the sizes say, whatever the number of threads."""

from numba import njit

SUM = {"reassoc", "contract"}  # for code that only sums: its terms may be added in any order, the same for the same number of them
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


@njit(fastmath=SUM)
def dot(x, y):
    """sum x y, of a block at most."""
    total = x.dtype.type(0)
    for i in range(len(x)):
        total += x[i] * y[i]
    return total
