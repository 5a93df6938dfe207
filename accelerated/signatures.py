"""The argument types of kernels, as the decorators of the ports spell them.

``r2`` is an array of two axes that is read, ``w2`` one that is written, ``r*`` and ``w*`` arrays of any shape laid out as one axis; ``s`` a
number of the same dtype, ``d`` a float64, ``i`` an int64, ``b`` a bool; ``rI1`` and ``wU*`` are arrays of int64 and uint32.
"""

import numpy as np
from numba import types

DTYPES = {np.dtype(np.float32): types.float32, np.dtype(np.float64): types.float64}
NUMBERS = {"i": types.int64, "b": types.boolean, "d": types.float64}
ELEMENTS = {"I": types.int64, "U": types.uint32}


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
    """The position of an array that says the dtype; None if there is none."""
    return next((position for position, word in enumerate(words) if word[0] in "rw" and word[1] not in ELEMENTS), None)
