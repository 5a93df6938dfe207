"""A replacement of CuPy by NumPy: code that keeps arrays of the host and of the device apart here does so on a GPU, too.

An array of this module behaves as CuPy's: only ``get`` turns it into a NumPy array, and arithmetic with a NumPy array is refused.
``copies`` counts the copies to the host, single numbers included: on a device each copy waits for the device.
"""

import numpy as np

copies = 0  # from the device to the host, since the process began
launches = 0  # that a device would need for the functions called here, since the process began
capturing = False  # whether copies from and to the host are refused, as during the capture of a CUDA graph
fill_with_nan = True  # whether new arrays are filled with NaN instead of zeros
NO_LAUNCH = {"reshape", "ravel", "transpose", "swapaxes", "broadcast_to", "empty", "empty_like", "asarray", "view", "squeeze", "split"}


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):  # the name in CuPy
    def __init__(self, array):
        self.array = array

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **keywords):
        if any(isinstance(value, np.ndarray) and value.ndim for value in inputs):
            raise TypeError(f"{ufunc.__name__} of an array of the device and an array of the host")
        if out is not None:
            keywords["out"] = plain(out)
        _count(ufunc.__name__)
        with np.errstate(all="ignore"):  # a device gives no warnings
            return wrapped(getattr(ufunc, method)(*plain(inputs), **plain(keywords)))

    def __array_function__(self, function, types, args, kwargs):
        if function is np.copyto or function is np.array_equal:
            raise TypeError(f"{function.__name__} does not take arrays of the device")
        if "device" in kwargs:  # full, ones and eye with ``like=`` pass it on
            raise TypeError(f"{function.__name__} of CuPy has no argument device")
        if function is np.asarray:
            return asarray(*args, **kwargs)
        _count(function.__name__)
        return wrapped(function(*plain(args), **plain(kwargs)))

    def __array__(self, *args, **kwargs):
        raise TypeError("an array of the device becomes an array of the host only by its method get")

    def __getattr__(self, name):
        if name.startswith("__") or name in ("item", "tolist", "tobytes", "data"):  # each of them copies to the host
            raise AttributeError(f"arrays of the device have no {name} in the simulator")
        value = getattr(self.array, name)
        return _counted(name, value) if callable(value) else wrapped(value)

    def __getitem__(self, key):
        return wrapped(self.array[plain(key)])

    def __setitem__(self, key, value):
        if isinstance(value, np.ndarray) and value.ndim:
            raise TypeError("an array of the host can't be assigned to an array of the device")
        self.array[plain(key)] = plain(value)

    def __len__(self):
        return len(self.array)

    def __copy__(self):
        return ndarray(self.array.copy())

    def __deepcopy__(self, memo):
        return ndarray(self.array.copy())

    def __float__(self):
        return float(self.get())

    def __int__(self):
        return int(self.get())

    def __bool__(self):
        return bool(self.get())

    def get(self):
        global copies
        _refuse_while_capturing()
        copies += 1
        return self.array.copy()


def _refuse_while_capturing():
    if capturing:
        raise RuntimeError("copies from and to the host are refused during capture")


def _count(name):
    global launches
    launches += name not in NO_LAUNCH


def _counted(name, function):
    def call(*args, **kwargs):
        _count(name)
        return wrapped(function(*plain(args), **plain(kwargs)))

    return call


def plain(value):
    """``value``, an array or a collection, with NumPy arrays in the place of arrays of this module."""
    if isinstance(value, ndarray):
        return value.array
    if isinstance(value, (tuple, list)):
        parts = map(plain, value)
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return {name: plain(item) for name, item in value.items()} if isinstance(value, dict) else value


def wrapped(value):
    """The inverse of ``plain``."""
    if isinstance(value, (np.ndarray, np.generic)):
        return ndarray(np.asarray(value))
    return type(value)(map(wrapped, value)) if isinstance(value, (tuple, list)) and not _is_shape(value) else value


def _is_shape(value):
    return all(isinstance(n, int) for n in value)


def empty(shape, dtype):
    """Filled with NaN, or the largest integer, so that an entry that no kernel writes shows; with zeros where ``fill_with_nan`` is off."""
    unwritten = np.nan if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    return ndarray(np.full(shape, unwritten if fill_with_nan else 0, dtype))


def asarray(array, dtype=None):
    if isinstance(array, np.ndarray):
        _refuse_while_capturing()
    return array if isinstance(array, ndarray) and dtype in (None, array.dtype) else ndarray(np.array(plain(array), dtype))


def __getattr__(name):
    """Any other function of NumPy, on arrays of this module."""
    return _counted(name, getattr(np, name))
