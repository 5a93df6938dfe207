"""The types of a kernel's arguments, as one short word for each in the decorators of the ports.

    r  an array that is read         r2: two axes, float32 or float64; r*: any shape, laid out as one axis
    w  an array that is written      w1: one axis; w*: any shape, laid out as one axis
    I  in an array's word, int64     rI1: an array of int64 that is read, one axis
    U  in an array's word, uint32    wU*: an array of uint32 that is written, any shape
    B  in an array's word, bool      rB2: an array of bools that is read, two axes
    s  a number of the arrays' dtype, as the eps of group_norm
    d  a float64, for any dtype of the arrays
    i  an int64, as the channels of an image
    b  a bool, as periodic

So ``@kernel("r* r* w* i s")`` decorates a kernel (x, y, z, n, eps) that reads x and y, writes z, and takes an integer and a number.
"""

import numpy as np
from numba import types

DTYPES = {np.dtype(np.float32): types.float32, np.dtype(np.float64): types.float64}
NUMBERS = {"i": types.int64, "b": types.boolean, "d": types.float64}
ELEMENTS = {"I": types.int64, "U": types.uint32, "B": types.boolean}


def type_of(word, dtype):
    """Numba's type for a word, where arrays and ``s`` are of ``dtype``."""
    if word[0] in NUMBERS:
        return NUMBERS[word]
    if word == "s":
        return DTYPES[dtype]
    element = ELEMENTS[word[1]] if word[1] in ELEMENTS else DTYPES[dtype]
    return types.Array(element, 1 if word[-1] == "*" else int(word[-1]), "C", readonly=word[0] == "r")


def read(words):
    """Positions of the arrays that are read."""
    return [position for position, word in enumerate(words) if word[0] == "r"]


def flat(words):
    """Positions of the arrays that are laid out as one axis."""
    return [position for position, word in enumerate(words) if word[-1] == "*"]


def of_dtype(words):
    """The position of an array that has the kernel's dtype; None if there is none."""
    return next((position for position, word in enumerate(words) if word[0] in "rw" and word[1] not in ELEMENTS), None)
