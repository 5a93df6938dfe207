"""Loops over contiguous arrays of one axis, which LLVM turns into vector code: clear, copy, add, dot product."""

from numba import njit

SUM = {"reassoc", "contract"}  # fast-math flags for sums: terms may be reordered, in the same way for the same number of terms


@njit
def clear(x):
    for i in range(len(x)):
        x[i] = 0


@njit
def copy(x, y):
    """y = x."""
    for i in range(len(x)):
        y[i] = x[i]


@njit
def add_to(total, x):
    """total += x."""
    for i in range(len(x)):
        total[i] += x[i]


@njit(fastmath=SUM)
def dot(x, y):
    """sum_i x_i y_i.  Callers pass a block at most: rounding errors grow with the length."""
    total = x.dtype.type(0)
    for i in range(len(x)):
        total += x[i] * y[i]
    return total
