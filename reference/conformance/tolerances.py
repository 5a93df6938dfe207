"""Tolerances for the results of a port, by the rules of the contract, and errors measured in units
of them.

u is the unit roundoff, 2^-24 in float32 and 2^-53 in float64; n is the length of a reduction;
"exact" is the reference in float64.

product   A sum of n products in any order has a rounding error that behaves like a random walk of n
          steps of size u times the partial sums.  Hence the tolerance is 8 (sqrt(n) + 8) u times
          the root of the sum of squares.  The factor 8 leaves room for blocked sums and fused
          instructions; inputs rounded to half precision exceed the tolerance about
          600 / (sqrt(n) + 8) times.  The error of one entry is measured by the sum S of absolute
          values.  If all terms have one sign, the walk drifts, and n u S is the textbook bound.
general   The condition number of an op at x is unknown.  It is estimated from NumPy's float32
          error N: the largest error of eight runs.  In seven of them every entry is moved by one
          rounding, so that one lucky run can't make N too small.
copy      Nothing is computed: the same bits.
bits      Integers, or numbers that need no rounding: equal.
network   Many ops in a row: 16 times the reference's own float32 error, since a port may round as
          often in other places.

The tolerance in float64 is that in float32 times 2^-28.  2^-29 is the ratio of the two unit
roundoffs, and the reference has an error, too.
"""

from typing import Any, NamedTuple

import numpy as np

import reference.ops
from reference.conformance.call import (
    axes,
    call_op,
    cast,
    describe,
    map_float_arrays,
    result_names,
    sample_axis,
)
from reference.conformance.contract import OPS

UNIT_ROUNDOFF = {np.dtype(np.float32): 2.0**-24, np.dtype(np.float64): 2.0**-53}
FLOAT64_FROM_FLOAT32 = 2.0**-28
FEW_ENTRIES = 64  # entries: the rms of fewer is itself a matter of chance


class Mismatch(NamedTuple):
    """One result compared by one check.  It passes if ``ratio``, its error over its tolerance, is
    at most 1.
    """

    ratio: float
    op: str
    result: str
    check: str
    element: tuple  # the index of the worst element
    got: Any
    exact: Any

    def __str__(self):
        where = (
            f"{self.result}[{','.join(map(str, self.element))}]" if self.element else self.result
        )
        by = f"{self.ratio:.3g} times its tolerance ({self.check})"
        return f"{self.op}: {where} is {self.got} instead of {self.exact}: {by}"


def rms(array):
    array = np.asarray(array, np.float64)
    return float(np.sqrt(np.mean(array * array))) if array.size else 0.0


def max_abs(array):
    return float(np.abs(np.asarray(array, np.float64)).max(initial=0))


class Tolerance(NamedTuple):
    """The largest allowed error of a result: ``bound`` for every entry (one number, or one a
    sample), or with ``overall`` for the rms over the tensor.
    """

    result: str
    check: str
    exact: Any
    bound: Any
    overall: bool = False


def tolerances(name, arguments, zero_mean=False):
    """Every check of the op's rule, for results in the arguments' dtype.

    ``zero_mean``: the data have mean 0, and products are checked more sharply.
    """
    exact, dtype = _exact(name, arguments), _dtype(name, arguments)
    if OPS[name].rule == "product":
        return _entrywise_bound(name, exact, arguments, dtype) + (
            _statistical(name, exact, arguments, dtype) if zero_mean else []
        )
    if OPS[name].rule == "general":
        return _general(name, exact, arguments, dtype)
    expected = call_op(name, getattr(reference.ops, name), arguments)
    return [Tolerance(word, "the same bits", e, 0.0) for word, e in _given(name, expected)]


def mismatches(name, results, arguments, zero_mean=False):
    """The results compared by every check of the op's rule."""
    wrong = _shape_mismatches(name, results, arguments)
    if wrong:
        return wrong
    by_name = dict(zip(result_names(name), results))
    found = []
    for word, check, exact, bound, overall in tolerances(name, arguments, zero_mean):
        compare = _overall if overall else _entrywise
        found.append(compare(name, word, check, by_name[word], exact, bound))
    return found


def worst(found):
    """The largest of several errors; None of none."""
    return max(found, default=None, key=lambda error: error.ratio)


def assert_within_tolerance(name, results, arguments, zero_mean=False):
    """The worst mismatch, None without results.  AssertionError, with the worst element and the
    call, if it exceeds its tolerance.
    """
    return _accepted(worst(mismatches(name, results, arguments, zero_mean)), name, arguments)


def assert_small_integers_exact(name, results, arguments):
    """As ``assert_within_tolerance``, for data in {-1, 0, 1}.  Every partial sum is a small
    integer, so that a term that is dropped or counted twice changes the result by 1 at least.
    """
    exact, absolute = _exact(name, arguments), _exact(name, arguments, np.abs)
    assert max(max_abs(s) for _, s in _given(name, absolute)) < 2**12
    found = [
        _entrywise(name, word, "small integers", np.rint(r), e, 0.0)
        for word, e, r in _given(name, exact, results)
    ]
    return _accepted(worst(found), name, arguments)


def assert_entries_within(name, result, check, got, exact, bound, arguments):
    """As ``assert_within_tolerance``, for one result and a bound of its own: a number, or one for
    every entry.
    """
    return _accepted(_entrywise(name, result, check, got, exact, bound), name, arguments)


def _accepted(mismatch, name, arguments):
    if mismatch is not None and not mismatch.ratio <= 1:
        error: Any = AssertionError(f"{mismatch}; {describe_call(name, arguments)}")
        error.mismatch = mismatch  # for reports
        raise error
    return mismatch


def describe_call(name, arguments):
    """The shapes of the arguments, and their seed if it is known."""
    seed = getattr(arguments, "seed", None)
    return describe(name, arguments) + ("" if seed is None else f"; seed {seed}")


def ternary(arguments):
    """The arguments with every entry of an array replaced by its sign, or by 0 if it lies within
    1/2 of 0.
    """
    return map_float_arrays(arguments, lambda a: np.sign(np.rint(a)))


def _exact(name, arguments, change=lambda a: a):
    return call_op(
        name, getattr(reference.ops, name), map_float_arrays(cast(arguments, np.float64), change)
    )


def _given(name, results, *more):
    """(name, result, ...) of the results that are not None."""
    return [
        row for row in zip(result_names(name), results, *more, strict=True) if row[1] is not None
    ]


def _shape_mismatches(name, results, arguments):
    """Mismatches of results that are missing, or have a wrong dtype or shape."""
    expected, dtype = _exact(name, arguments), _dtype(name, arguments)
    if len(results) != len(expected):
        return [
            Mismatch(np.inf, name, "results", "number of results", (), len(results), len(expected))
        ]
    found = []
    for word, result, e in zip(result_names(name), results, expected):
        form = None if e is None else f"{dtype or e.dtype}{list(e.shape)}"
        if _dtype_and_shape(result) != form:
            found.append(
                Mismatch(np.inf, name, word, "dtype and shape", (), _dtype_and_shape(result), form)
            )
    return found


def _dtype_and_shape(result):
    if result is None:
        return None
    return f"{getattr(result, 'dtype', type(result).__name__)}{list(np.shape(result))}"


def _dtype(name, arguments):
    """The dtype of the results: the dtype argument, else the dtype of the arrays of floats; None
    for bits.
    """
    each = [a for one in arguments for a in (one if isinstance(one, list) else [one])]
    dtypes = [a for a in each if isinstance(a, np.dtype)]
    dtypes += [a.dtype for a in each if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    return dtypes[0] if dtypes else None


def _difference(got, exact):
    """|got - exact|; 0 where both are the same infinity or both NaN; infinite where only one is
    finite.
    """
    got, exact = np.asarray(got, np.float64), np.asarray(exact, np.float64)
    with np.errstate(invalid="ignore"):
        difference = np.abs(got - exact)
    same = (got == exact) | (np.isnan(got) & np.isnan(exact))
    return np.where(same, 0, np.where(np.isnan(difference), np.inf, difference))


def _entrywise(name, word, check, got, exact, bound):
    """The entry with the largest ratio of error to bound."""
    difference = _difference(got, exact)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(difference == 0, 0, difference / bound)
    if not ratios.size:
        return Mismatch(0.0, name, word, check, (), None, None)
    index = np.unravel_index(np.argmax(ratios), ratios.shape)
    return Mismatch(
        float(ratios[index]),
        name,
        word,
        check,
        tuple(map(int, index)),
        np.asarray(got)[index],
        np.asarray(exact)[index],
    )


def _overall(name, word, check, got, exact, bound):
    """The rms error of a tensor, and its worst entry."""
    entry = _entrywise(name, word, check, got, exact, 1)
    error = rms(_difference(got, exact))
    return entry._replace(ratio=0.0 if error == 0 else error / bound if bound else np.inf)


# Products and sums.


def reduction_lengths(name, arguments):
    """The number of terms of the sum in an entry of each result."""
    if name == "linear":
        x, w, b = arguments
        return (w.shape[0] + (b is not None),)
    if name == "linear_backward":
        dy, x, w = arguments
        return w.shape[1], len(x), len(x)
    if name == "conv2d":
        k, _, i, _ = arguments[1].shape
        return (k * k * i + 2,)  # and the bias, and add
    if name == "conv2d_backward":
        dy, (k, _, _, o) = arguments[0], arguments[2].shape
        pixels = dy.shape[1] * dy.shape[2]
        return k * k * o, len(dy) * pixels, len(dy) * pixels, pixels
    assert name == "embedding_backward"
    return (len(arguments[0]),)


def _factor(n, dtype):
    """The factor of the root of the sum of squares, or of the sum of absolute values.

    It is doubled in float64, where the reference rounds as much as the port.
    """
    return 8 * UNIT_ROUNDOFF[dtype] * (np.sqrt(n) + 8) * (2 if dtype == np.float64 else 1)


def _from_float32(dtype):
    """The factor from a tolerance in float32 to that in ``dtype``."""
    return FLOAT64_FROM_FLOAT32 if dtype == np.float64 else 1


def _have_one_sign(arguments):
    arrays = [a for a in arguments if isinstance(a, np.ndarray)]
    return all((a >= 0).all() or (a <= 0).all() for a in arrays)


def _statistical(name, exact, arguments, dtype):
    """For random data of mean 0: the rms error of a tensor."""
    rows = _given(
        name, exact, _exact(name, arguments, np.square), reduction_lengths(name, arguments)
    )
    return [
        Tolerance(word, "rms", e, _factor(n, dtype) * rms(np.sqrt(s)), overall=True)
        for word, e, s, n in rows
    ]


def _entrywise_bound(name, exact, arguments, dtype):
    """For any data: the error of an entry, by the largest sum of absolute values in its sample."""
    found = []
    by_sample = [
        result_axes[:1] == (sample_axis(name),) for result_axes in axes(OPS[name].results).values()
    ]
    for word, e, s, n, of_samples in _given(
        name, exact, _exact(name, arguments, np.abs), reduction_lengths(name, arguments), by_sample
    ):
        factor = _factor(n, dtype)
        if _have_one_sign(arguments):
            factor = max(1, dtype.itemsize // 4) * UNIT_ROUNDOFF[dtype] * (n + 64)
        over = tuple(range(1, e.ndim)) if of_samples else None
        found.append(
            Tolerance(word, "largest entry", e, factor * s.max(axis=over, keepdims=True, initial=0))
        )
    return found


# All other ops.


def _perturbed(rng):
    """A function that moves every entry but 0 to the next number above or below, at random."""

    def move(array):
        ways = np.where(rng.random(array.shape) < 0.5, np.inf, -np.inf).astype(array.dtype)
        return np.where(array == 0, array, np.nextafter(array, ways))

    return move


def _general(name, exact, arguments, dtype):
    function, single = getattr(reference.ops, name), cast(arguments, np.float32)
    rng = np.random.default_rng(0)
    with np.errstate(over="ignore", invalid="ignore"):
        moved = [map_float_arrays(single, _perturbed(rng)) for _ in range(7)]
        runs = [call_op(name, function, arguments) for arguments in (single, *moved)]
    found, u, scale = [], UNIT_ROUNDOFF[np.dtype(np.float32)], _from_float32(dtype)
    for word, e, *by_run in _given(name, exact, *runs):
        noise = [_difference(run, e) for run in by_run]
        in_rms = scale * (8 * max(map(rms, noise)) + 4 * u * rms(e))
        at_most = scale * (16 * max(map(max_abs, noise)) + 4 * u * max_abs(e))
        found += [
            Tolerance(word, "rms", e, in_rms, overall=True),
            Tolerance(word, "largest entry", e, at_most),
        ]
    return found


# Networks, training steps, trajectories.


def network_tolerances(single, exact, dtype=np.float32):
    """Tolerances for a port's tensors in ``dtype``, from the reference's in float32 and the exact
    ones, all by name.

    Small tensors, and gradients that are 0 but for rounding (of an attention key's bias), have the
    scale of all tensors together, and no tensor less than its own rounding: losses are larger than
    weights.
    """
    u = UNIT_ROUNDOFF[np.dtype(np.float32)]
    joined = lambda tensors: np.concatenate(
        [np.ravel(tensors[word]).astype(np.float64) for word in exact]
    )
    overall, size = rms(joined(single) - joined(exact)), rms(joined(exact))
    found = []
    for word, e in exact.items():
        on_its_own = e.size >= FEW_ENTRIES and rms(e) > u * size
        error = rms(single[word] - e) if on_its_own else max(overall, u * size)
        bound = max(error, u * rms(e))
        found.append(Tolerance(word, "rms", e, 16 * _from_float32(dtype) * bound, overall=True))
    return found


def network_mismatches(name, results, single, exact):
    """A port's tensors, by name, compared by their tolerances."""
    found = []
    for word, check, e, bound, _ in network_tolerances(single, exact):
        scale = _from_float32(results[word].dtype)
        found.append(_overall(name, word, check, results[word], e, scale * bound))
    return found


def assert_network_within_tolerance(name, results, single, exact):
    """AssertionError, with the worst tensor, if a tensor exceeds its tolerance."""
    error = worst(network_mismatches(name, results, single, exact))
    assert error.ratio <= 1, str(error)
