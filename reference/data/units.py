"""The units of a file's numbers, and those that the network sees.

Images are scaled by one range for all pixels and channels, to [-1, 1].  Points are scaled
coordinate by coordinate, to mean 0 and deviation 1.  A model knows one variance v per entry: it
divides its input by sqrt(alpha^2 v + sigma^2) and the noise it meets reaches from well below to
well above sqrt(v).  Both are right for every coordinate at every noise if each has the variance v.
Scaling by ranges would not do that: one far outlier makes a coordinate a constant to the network.
"""

from dataclasses import dataclass

import numpy as np

LARGEST_WHOLE = 2**53  # float64 holds every whole number up to there


@dataclass(frozen=True, eq=False)
class Units:
    """A value x that the network sees is offset + factor x in the file's numbers; both have shape
    [d] for points and [1] for images.

    factor is 0 for a coordinate that is constant: samples come back as exactly that constant.
    """

    offset: np.ndarray
    factor: np.ndarray

    def own(self, x):
        """x[n,...] in the file's numbers, float64."""
        return self.offset + self.factor * np.asarray(x, np.float64)


def scale_points(x, name):
    """(points [n,d] of mean 0 and deviation 1 in every coordinate that is not constant, their
    Units, a note).
    """
    low, width = _extent(x.min(axis=0), x.max(axis=0), name)
    if not width.any():
        raise ValueError(
            f"{name} holds {x.size} values that are all alike in every coordinate: there is nothing to learn"
        )
    share, exponent = _shares(x, low, width, np.float64)
    mean, deviation = share.mean(axis=0), share.std(axis=0)  # both exactly 0 where the width is
    units = Units(low + np.ldexp(mean, exponent), np.ldexp(deviation, exponent))
    varying = int((width > 0).sum())
    which = (
        "each coordinate"
        if varying == x.shape[1]
        else f"each of the {varying} coordinates of {x.shape[1]} that vary"
    )
    return (
        (share - mean) / np.where(width > 0, deviation, 1.0),
        units,
        f"{which} is scaled to mean 0 and deviation 1",
    )


def scale_images(x, name):
    """(images [n,h,w,c] in [-1, 1], their Units, the spacing of their values there or 0, a note)."""
    if x.dtype.kind == "b":
        x = x.astype(np.uint8)
    smallest, largest = float(x.min()), float(x.max())
    _extent(smallest, largest, name)
    if smallest == largest:
        raise ValueError(
            f"{name} holds {x.size} values that are all alike: there is nothing to learn"
        )
    whole = (
        largest <= LARGEST_WHOLE
        and smallest >= -LARGEST_WHOLE
        and (x.dtype.kind in "ui" or bool((x == np.rint(x)).all()))
    )
    low, high = whole_range(smallest, largest) if whole else (smallest, largest)
    scaled, exponent = _shares(
        x, low, high - low, np.float32 if x.dtype == np.uint8 else np.float64
    )
    scaled *= 2 / float(np.ldexp(high - low, -exponent))
    scaled -= 1
    held = (
        ""
        if (smallest, largest) == (low, high)
        else f" (those in the file lie between {smallest:g} and {largest:g})"
    )
    units = Units(np.array([low / 2 + high / 2]), np.array([high / 2 - low / 2]))
    return (
        scaled,
        units,
        spacing(x, low, high) if whole else 0.0,
        f"values {low:g} to {high:g} are scaled to [-1, 1]{held}",
    )


def whole_range(smallest, largest):
    """The range (low, high) that whole numbers stand in.

    A largest value of 128 to 255 needs all 8 bits of a byte, one of 32,768 to 65,535 all 16 of a
    word: if no value is below 0, the range is that of the byte or word, of which the values fill
    more than half.  All others stand in the range that they fill, such as 0 to 1 or 0 to 16.
    """
    for bits in (8, 16):
        if smallest >= 0 and 2 ** (bits - 1) <= largest < 2**bits:
            return 0.0, 2.0**bits - 1
    return smallest, largest


def spacing(x, low, high):
    """The spacing in [-1, 1] of the coarsest lattice from low to high that holds the whole numbers
    x: 2 for black and white alone.
    """
    values = x if x.dtype.kind == "u" else x.astype(np.int64)
    divisor = np.gcd(
        np.gcd.reduce(values - values.dtype.type(low), axis=None), values.dtype.type(high - low)
    )
    return 2 * int(divisor) / (high - low)


def _extent(low, high, name):
    """(low, high - low) of each coordinate in float64.  ValueError where that is no number."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        width = high - low
    if not np.isfinite(width).all():
        raise ValueError(f"{name} holds values that are not finite, or too far apart")
    return low, width


def _shares(x, low, width, dtype):
    """(x - low) / 2^exponent, within [0, 1], and the exponent: a power of two rounds nothing,
    whatever the size of the width.
    """
    _, exponent = np.frexp(width)
    x = np.subtract(x, low, dtype=dtype)
    return np.ldexp(x, -exponent, out=x), exponent
