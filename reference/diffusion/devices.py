"""Where arrays lie.  A port on another device has ``to_device``, and arrays that know NumPy's
functions but never mix with NumPy's.

So what serves any port makes new arrays ``like=`` those at hand, and looks at no number of theirs.
"""

import numpy as np


def to_device(array, ops):
    """An array, or a dictionary of them, where the port works; None is none."""
    if isinstance(array, dict):
        return {name: to_device(one, ops) for name, one in array.items()}
    return array if array is None else getattr(ops, "to_device", lambda a: a)(array)


def to_host(array):
    """A NumPy array, or a dictionary of them, from wherever it lies: a device is waited for."""
    if isinstance(array, dict):
        return {name: to_host(one) for name, one in array.items()}
    return array if is_numpy(array) else array.get()


def is_numpy(x):
    """Is x a number or an array of NumPy's?"""
    return isinstance(x, np.ndarray) or not hasattr(x, "dtype") or isinstance(x, np.generic)


def table_like(table, x):
    """NumPy's ``table`` where x lies."""
    return table if is_numpy(x) else np.asarray(table, like=x)


def captured(function, ops):
    """A function of arrays and objects that is called again and again, as it is, or where a port
    can, recorded and replayed.

    It must do without the host, and depend on nothing but its arguments that changes; of an object,
    the arrays may be written to but not exchanged.  The arrays of a dictionary that it returns are
    overwritten by the next call.
    """
    return getattr(ops, "replayed", lambda function: function)(function)


def full_per_sample(x, value, dtype=None):
    """``value`` once for each sample of x[b,...], where x lies; in its own dtype unless another one
    is asked for.
    """
    return np.full_like(x, value, np.result_type(value) if dtype is None else dtype, shape=len(x))


def cast_like(value, x):
    """A number, or an array of one entry a sample, in x's dtype."""
    return x.dtype.type(value) if np.isscalar(value) else value.astype(x.dtype)
