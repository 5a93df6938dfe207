"""Networks only call ops, slice, reshape, add, sum over samples, and compare tokens with the padding."""

import numpy as np
import pytest

from reference import ops
from tests.example_networks import CONVNET, CONVNETS, LABELS, MLPS, SMALL, UNETS, numbers, run


class Guarded(np.ndarray):
    """An array that supports only slicing, reshaping, its shape, sums over its first axis, addition to another array, and for integers the
    comparison with 0.
    """

    def sum(self, axis=None):
        assert axis == 0, f"the network sums over axis {axis}"
        return guarded(plain(self).sum(axis=0))

    def __getattribute__(self, name):
        assert name in ("shape", "dtype", "reshape", "sum") or name.startswith("__"), f"the network uses .{name}"
        return super().__getattribute__(name)

    def __array_function__(self, function, types, args, kwargs):
        raise AssertionError(f"the network uses {function.__name__}")

    def __array_ufunc__(self, ufunc, method, *arrays, out=()):
        if ufunc is np.not_equal and plain(arrays[0]).dtype.kind == "i" and arrays[1] == 0:
            return guarded(plain(arrays[0]) != 0)
        only_arrays = all(isinstance(a, Guarded) for a in (*arrays, *out))
        assert ufunc is np.add and method == "__call__" and only_arrays, f"the network uses {ufunc.__name__}"
        if not out:
            return guarded(np.add(*map(plain, arrays)))
        np.add(*map(plain, arrays), out=plain(out[0]))
        return out[0]

    def __getitem__(self, key):
        assert all(isinstance(part, slice) for part in (key if isinstance(key, tuple) else (key,))), f"the network indexes with {key}"
        return super().__getitem__(key)

    def __setitem__(self, key, value):
        assert np.shares_memory(plain(self[key]), plain(value)), "the network assigns to a slice"  # but x[key] += y is allowed

    def __iter__(self, *_):
        raise AssertionError("the network looks at the numbers in an array")

    __bool__ = __float__ = __int__ = __contains__ = __iter__


def plain(value):
    return np.ndarray.view(value, np.ndarray) if isinstance(value, Guarded) else value


def guarded(value):
    if isinstance(value, dict):
        return {name: guarded(array) for name, array in value.items()}
    return value.view(Guarded) if isinstance(value, np.ndarray) else value


class RecordingPort:
    """The reference's ops on guarded arrays, with a record of the called names."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        def op(*args, **kwargs):
            self.calls.append(name)
            results = getattr(ops, name)(*map(plain, args), **{key: plain(value) for key, value in kwargs.items()})
            return tuple(map(guarded, results)) if isinstance(results, tuple) else guarded(results)

        return op


@pytest.mark.parametrize(
    "operation",
    [
        lambda a: a * a,
        lambda a: a + 1,
        lambda a: a - a,
        lambda a: -a,
        lambda a: a @ a,
        lambda a: a.T,
        lambda a: a.sum(),
        lambda a: a.sum(axis=1),
        lambda a: a != 0,
        lambda a: guarded(np.arange(3)) != 1,
        lambda a: a.copy(),
        lambda a: a.astype(np.float32),
        lambda a: a[0],
        lambda a: a[a > 0],
        lambda a: a[[0]],
        lambda a: list(a),
        lambda a: bool(a[:1, :1]),
        lambda a: np.concatenate((a, a)),
        lambda a: np.zeros_like(a),
        lambda a: np.exp(a),
        lambda a: np.add.reduce(a),
        lambda a: a.__setitem__(slice(1), np.zeros((1, 3))),
    ],
)
def test_guarded_arrays_refuse_all_other_operations(operation):
    with pytest.raises(AssertionError, match="the network"):
        operation(guarded(numbers(0, 3, 3)))


def test_guarded_arrays_allow_slices_shapes_and_sums():
    array = numbers(0, 4, 3)
    a = guarded(array.copy())
    assert len(a) == 4 and a.shape == (4, 3)
    a[:2] += a[2:]
    assert np.array_equal(plain(guarded(np.arange(3)) != 0), [False, True, True])
    assert np.array_equal(plain(guarded(array).sum(axis=0)), array.sum(axis=0))
    assert np.array_equal(plain((a + a).reshape(12)), (2 * np.concatenate((array[:2] + array[2:], array[2:]))).ravel())


@pytest.mark.parametrize("network", [*MLPS, SMALL, *UNETS, *CONVNETS], ids=LABELS.get)
def test_networks_only_call_ops_slice_reshape_and_add(network):
    port = RecordingPort()
    results, expected = run(network, port, guarded), run(network, ops)
    assert results.keys() == expected.keys()
    assert all(np.array_equal(plain(results[name]), expected[name]) for name in expected)
    assert {"linear", "linear_backward"} <= set(port.calls)
    assert ("timestep_embedding" in port.calls) == (network is not CONVNET)
