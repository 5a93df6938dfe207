"""What every op does first and last: check its arguments, and honour ``out=``.

    check("x[n,i] w[i,o] b[o]", x, w, b)

reads a specification, one word an argument: a name and its axes.  A letter stands for a size,
``...`` for any number of axes, both the same wherever they occur; a number stands for itself.
``name:int[...]`` is an array of integers, any other one of floats; all float arrays of a call have
one dtype, float32 or float64.
"""

import functools
import re

import numpy as np

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
ARRAYS: tuple = (np.ndarray,)


def add_arrays(kind):
    """Let ``check`` accept another type of arrays beside NumPy's: those of a port whose numbers lie
    elsewhere.
    """
    global ARRAYS
    ARRAYS += (kind,)


@functools.cache
def parse(spec):
    """``"x[b,...,c] labels:int[b]"`` -> ``(("x", False, ("b", "...", "c")), ("labels", True,
    ("b",)))``.
    """
    words = re.findall(r"(\w+)(:int)?\[([^\]]*)\]", spec)
    return tuple(
        (name, bool(integer), tuple(filter(None, axes.split(",")))) for name, integer, axes in words
    )


def check(spec, *arrays):
    """Sizes of the axes named in ``spec``.  TypeError for a wrong type or dtype, ValueError for a
    wrong shape.
    """
    return dict(
        _check(
            spec, tuple([(a.shape, a.dtype) if isinstance(a, ARRAYS) else type(a) for a in arrays])
        )
    )


@functools.lru_cache(maxsize=4096)
def _check(spec, forms):
    """``check`` of arrays of these shapes and dtypes: a network asks the same thing again and
    again.
    """
    sizes: dict = {}
    dtype = None
    for (name, integer, axes), form in zip(parse(spec), forms, strict=True):
        if isinstance(form, type):
            raise TypeError(f"{name} must be a NumPy array, got {form.__name__}")
        shape, of_array = form
        if integer:
            if of_array.kind not in "iu":
                raise TypeError(f"{name} must hold integers, got {of_array}")
        elif of_array not in FLOATS:
            raise TypeError(f"{name} must be float32 or float64, got {of_array}")
        elif of_array != (dtype := dtype or of_array):
            raise TypeError(f"{name} must be {dtype} like the other arrays, got {of_array}")
        match(name, axes, shape, sizes)
    return sizes


def match(name, axes, shape, sizes):
    """Hold a shape against axes, and add the sizes that it brings to ``sizes``.  ValueError where
    the two don't fit.
    """
    if "..." in axes:  # the dots stand for as many axes as are left
        dots, behind = axes.index("..."), len(axes) - axes.index("...") - 1
        middle = shape[dots : max(dots, len(shape) - behind)]
        shape_by_axis = (*shape[:dots], middle, *shape[dots + len(middle) :])
    else:
        shape_by_axis = shape
    expected = [sizes.get(axis, int(axis) if axis.isdigit() else None) for axis in axes]
    if len(shape_by_axis) != len(axes) or any(
        e not in (None, n) for e, n in zip(expected, shape_by_axis)
    ):
        wanted = ", ".join(filter(None, (str(sizes.get(axis, axis)).strip("(),") for axis in axes)))
        raise ValueError(f"{name} must have shape ({wanted}), got {tuple(shape)}")
    for axis, n in zip(axes, shape_by_axis):
        if sizes.setdefault(axis, n) != n:  # one letter twice in one argument: w[k,k,i,o]
            raise ValueError(
                f"{name} must have equal sizes on its axes {axis}, got shape {tuple(shape)}"
            )


def is_whole(n):
    """Is n a whole number?  True and False are not."""
    return isinstance(n, (int, np.integer)) and not isinstance(n, bool)


def whole(name, value):
    """``value`` as an int.  TypeError if it is not a whole number."""
    if not is_whole(value):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    return int(value)


def per_sample(name, value, x):
    """A coefficient in ``x``'s dtype: a scalar as it is, an array ``[b]`` of one entry a sample
    shaped to broadcast against ``x``.
    """
    if not isinstance(value, ARRAYS):
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"{name} must be a number or an array, got {type(value).__name__}")
        return x.dtype.type(value)
    if value.dtype != x.dtype:
        raise TypeError(f"{name} must be {x.dtype} like the other arrays, got {value.dtype}")
    if value.shape == ():
        return value
    if value.shape != x.shape[:1]:
        raise ValueError(
            f"{name} must be a number or have one entry a sample, shape {x.shape[:1]}, got {value.shape}"
        )
    return value.reshape(-1, *[1] * (x.ndim - 1))


def takes_out(function):
    """Give an op ``out=``, an array or a tuple in the order of its outputs: the results are copied
    there and returned.
    """

    @functools.wraps(function)
    def op(*args, out=None, **kwargs):
        results = function(*args, **kwargs)
        if out is None:
            return results
        several = isinstance(results, tuple)
        if several and not (isinstance(out, tuple) and len(out) == len(results)):
            raise ValueError(
                f"out must be a tuple of {len(results)}, one for each output of {function.__name__}"
            )
        pairs = [
            (r, target)
            for r, target in (zip(results, out) if several else [(results, out)])
            if r is not None
        ]
        for result, target in pairs:
            _check_out(result, target)
        for result, target in pairs:
            target[...] = result
        return out

    return op


def _check_out(result, target):
    if not isinstance(target, ARRAYS) or target.dtype != result.dtype:
        got = getattr(target, "dtype", type(target).__name__)
        raise TypeError(f"out must be an array of {result.dtype}, got {got}")
    if target.shape != result.shape:
        raise ValueError(f"out must have shape {result.shape}, got {target.shape}")
