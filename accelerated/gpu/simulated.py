"""NumPy in CuPy's place, for Numba's CUDA simulator: what works here without mistakes about where arrays lie works there.

An array of this kind behaves as one of CuPy's: it refuses to become a NumPy array unless ``get`` is asked for, and to meet one in
arithmetic.  ``copies`` counts how often numbers were brought to the host, a single one included: a device would have to be waited for.
"""

import numpy as np

copies = 0
recording = False  # meanwhile numbers neither reach the host nor come from there
poisoned = True
launches = 0  # of what a device would do for the functions called here; which of these only look at shapes is said below
SHAPES = {"reshape", "ravel", "transpose", "swapaxes", "broadcast_to", "empty", "empty_like", "asarray", "view", "squeeze", "split"}


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):  # CuPy's name
    def __init__(self, array):
        self.array = array

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **keywords):
        if any(isinstance(value, np.ndarray) and value.ndim for value in inputs):
            raise TypeError(f"{ufunc.__name__} of an array of the device and one of the host")
        if out is not None:
            keywords["out"] = plain(out)
        _count(ufunc.__name__)
        with np.errstate(all="ignore"):  # a device warns of nothing
            return wrapped(getattr(ufunc, method)(*plain(inputs), **plain(keywords)))

    def __array_function__(self, function, types, args, kwargs):
        if function is np.copyto or function is np.array_equal:
            raise TypeError(f"{function.__name__} is not for arrays of the device")
        if "device" in kwargs:  # as NumPy asks for on the way from ``like=`` in full, ones and eye
            raise TypeError(f"{function.__name__} of CuPy knows no device")
        if function is np.asarray:
            return asarray(*args, **kwargs)
        _count(function.__name__)
        return wrapped(function(*plain(args), **plain(kwargs)))

    def __array__(self, *args, **kwargs):
        raise TypeError("an array of the device does not become one of the host by itself: use get")

    def __getattr__(self, name):
        if name.startswith("__") or name in ("item", "tolist", "tobytes", "data"):  # ways for its numbers to reach the host
            raise AttributeError(f"an array of the device has no {name} here")
        value = getattr(self.array, name)
        return _counted(name, value) if callable(value) else wrapped(value)

    def __getitem__(self, key):
        return wrapped(self.array[plain(key)])

    def __setitem__(self, key, value):
        if isinstance(value, np.ndarray) and value.ndim:
            raise TypeError("an array of the host can't be assigned to one of the device")
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
        _refuse_while_recording()
        copies += 1
        return self.array.copy()


def _refuse_while_recording():
    if recording:
        raise RuntimeError("a recording neither takes from the host nor tells it")


def _count(name):
    global launches
    launches += name not in SHAPES


def _counted(name, function):
    def call(*args, **kwargs):
        _count(name)
        return wrapped(function(*plain(args), **plain(kwargs)))

    return call


def plain(value):
    """What holds arrays of this kind, with NumPy's in their place."""
    if isinstance(value, ndarray):
        return value.array
    if isinstance(value, (tuple, list)):
        parts = map(plain, value)
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return {name: plain(item) for name, item in value.items()} if isinstance(value, dict) else value


def wrapped(value):
    """The other way."""
    if isinstance(value, (np.ndarray, np.generic)):
        return ndarray(np.asarray(value))
    return type(value)(map(wrapped, value)) if isinstance(value, (tuple, list)) and not _is_shape(value) else value


def _is_shape(value):
    return all(isinstance(n, int) for n in value)


def empty(shape, dtype):
    """Full of NaN, or the largest number: an element that is never written shows.  Of zeros where no kernel runs."""
    poison = np.nan if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    return ndarray(np.full(shape, poison if poisoned else 0, dtype))


def asarray(array, dtype=None):
    if isinstance(array, np.ndarray):
        _refuse_while_recording()
    return array if isinstance(array, ndarray) and dtype in (None, array.dtype) else ndarray(np.array(plain(array), dtype))


def __getattr__(name):
    """Any other function of NumPy, on arrays of this kind."""
    return _counted(name, getattr(np, name))
