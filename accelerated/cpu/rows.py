"""What is done to pieces of contiguous memory of one length, so that it is written once and becomes vector code everywhere."""

from numba import njit

SUM = {"reassoc", "contract"}  # for code that only sums: its terms may be added in any order, the same for the same number of them


@njit
def clear(x):
    for i in range(len(x)):
        x[i] = 0


@njit
def copy(x, y):
    for i in range(len(x)):
        y[i] = x[i]


@njit
def add_to(total, x):
    for i in range(len(x)):
        total[i] += x[i]


@njit(fastmath=SUM)
def dot(x, y):
    """sum x y, of a block at most."""
    total = x.dtype.type(0)
    for i in range(len(x)):
        total += x[i] * y[i]
    return total
