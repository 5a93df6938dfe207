"""The units of a file's numbers, and the units of the network.

Images are scaled to [-1, 1], by one range for all pixels and channels.  Points are scaled to mean 0
and deviation 1, coordinate by coordinate.

The reason: a model has one variance v for all entries.  It divides its input by
sqrt(alpha^2 v + sigma^2), and its noise levels reach from far below to far above sqrt(v).  Both fit
every coordinate at every noise level if each coordinate has the variance v.  Scaling by ranges does
not ensure that: one far outlier makes a coordinate nearly constant for the network.
"""

from dataclasses import dataclass

import numpy as np

MAX_EXACT_INTEGER = 2**53  # float64 represents every integer up to here


@dataclass(frozen=True, eq=False)
class Units:
    """A value x of the network is offset + factor x in the file's numbers.  Both have shape [d] for
    points and [1] for images.

    factor is 0 for a constant coordinate: samples get exactly that constant.
    """

    offset: np.ndarray
    factor: np.ndarray

    def to_file_units(self, x):
        """Samples x[n,...] of the network in the file's numbers, float64."""
        return self.offset + self.factor * np.asarray(x, np.float64)


def scale_points(x, name):
    """(points [n,d] with mean 0 and deviation 1 in every coordinate that varies, their Units, a
    note).  ValueError if no coordinate varies.
    """
    low, width = _extent(x.min(axis=0), x.max(axis=0), name)
    if not width.any():
        raise ValueError(
            f"{name} holds {x.size} values that are all equal in every coordinate: "
            "there is nothing to learn"
        )
    share, exponent = _shares(x, low, width, np.float64)
    mean = share.mean(axis=0)
    deviation = share.std(axis=0)  # exactly 0 where the width is, and so is the mean
    units = Units(low + np.ldexp(mean, exponent), np.ldexp(deviation, exponent))
    varying = int((width > 0).sum())
    which = "each coordinate"
    if varying < x.shape[1]:
        which = f"each of the {varying} coordinates of {x.shape[1]} that vary"
    scaled = (share - mean) / np.where(width > 0, deviation, 1.0)
    return scaled, units, f"{which} is scaled to mean 0 and deviation 1"


def scale_images(x, name):
    """(images [n,h,w,c] in [-1, 1], their Units, the spacing of integer values there or 0, a note).
    ValueError if all values are equal.
    """
    if x.dtype.kind == "b":
        x = x.astype(np.uint8)
    smallest, largest = float(x.min()), float(x.max())
    _extent(smallest, largest, name)
    if smallest == largest:
        raise ValueError(
            f"{name} holds {x.size} values that are all equal: there is nothing to learn"
        )
    whole = (
        largest <= MAX_EXACT_INTEGER
        and smallest >= -MAX_EXACT_INTEGER
        and (x.dtype.kind in "ui" or bool((x == np.rint(x)).all()))
    )
    low, high = integer_range(smallest, largest) if whole else (smallest, largest)
    dtype = np.float32 if x.dtype == np.uint8 else np.float64
    scaled, exponent = _shares(x, low, high - low, dtype)
    scaled *= 2 / float(np.ldexp(high - low, -exponent))
    scaled -= 1
    note = f"values {low:g} to {high:g} are scaled to [-1, 1]"
    if (smallest, largest) != (low, high):
        note += f" (those in the file lie between {smallest:g} and {largest:g})"
    units = Units(np.array([low / 2 + high / 2]), np.array([high / 2 - low / 2]))
    return scaled, units, spacing(x, low, high) if whole else 0.0, note


def integer_range(smallest, largest):
    """The range (low, high) from which integers are scaled.

    A largest value of 128 to 255 needs all 8 bits of a byte, one of 32,768 to 65,535 all 16 of a
    word.  Then, if no value is below 0, the range is that of the byte or word; the values fill more
    than half of it.  For other integers it is the range that they fill, such as 0 to 1 or 0 to 16.
    """
    for bits in (8, 16):
        if smallest >= 0 and 2 ** (bits - 1) <= largest < 2**bits:
            return 0.0, 2.0**bits - 1
    return smallest, largest


def spacing(x, low, high):
    """The spacing, after scaling to [-1, 1], of the coarsest lattice from low to high that contains
    the integers x: 2 for black and white only.
    """
    values = x if x.dtype.kind == "u" else x.astype(np.int64)
    divisor = np.gcd.reduce(values - values.dtype.type(low), axis=None)
    divisor = np.gcd(divisor, values.dtype.type(high - low))
    return 2 * int(divisor) / (high - low)


def _extent(low, high, name):
    """(low, high - low) of each coordinate in float64.  ValueError if one is not finite."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        width = high - low
    if not np.isfinite(width).all():
        raise ValueError(f"{name} holds values that are not finite, or too far apart")
    return low, width


def _shares(x, low, width, dtype):
    """(x - low) / 2^exponent, within [0, 1], and the exponent.  Division by a power of two does not
    round, for any width.
    """
    _, exponent = np.frexp(width)
    x = np.subtract(x, low, dtype=dtype)
    return np.ldexp(x, -exponent, out=x), exponent
