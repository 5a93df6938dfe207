"""The first and the last step of every op: it checks its arguments, and it writes to ``out=``.

    check("x[n,i] w[i,o] b[o]", x, w, b)

reads a specification with one word per argument: a name and its axes.  A letter stands for a size
and ``...`` for any number of axes; both mean the same wherever they occur in the specification.  A
number stands for itself.  ``name:int[...]`` is an array of integers, ``name:bool[...]`` one of True
and False; every other array holds floats.  All float arrays of a call have the same dtype, float32
or float64.

The annotations of the ops use four types: ``Array`` (floats of either dtype), ``Integers``,
``Booleans``, and ``Coefficient`` (a number, or an array with one entry per sample).  Shapes stand
in the docstrings.  An op with several results returns a plain tuple, as every port does.
"""

import functools
import re
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.floating[Any]]
Integers: TypeAlias = NDArray[np.integer[Any]]
Booleans: TypeAlias = NDArray[np.bool_]
Coefficient: TypeAlias = float | Array

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
ARRAYS: tuple[Any, ...] = (np.ndarray,)
KINDS = {"int": ("iu", "integers"), "bool": ("b", "True and False")}  # word -> NumPy's kinds, name

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


def add_arrays(kind: type) -> None:
    """Let ``check`` accept another array type beside NumPy's, such as a port's device arrays."""
    global ARRAYS
    ARRAYS += (kind,)


@functools.cache
def parse(spec: str) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """``"x[b,...,c] labels:int[b]"`` -> ``(("x", "", ("b", "...", "c")), ("labels", "int",
    ("b",)))``.
    """
    words = re.findall(r"(\w+)(?::(int|bool))?\[([^\]]*)\]", spec)
    return tuple((name, kind, tuple(filter(None, axes.split(",")))) for name, kind, axes in words)


def check(spec: str, *arrays: Any) -> dict[str, Any]:
    """Sizes of the axes named in ``spec``.  TypeError for a wrong type or dtype, ValueError for a
    wrong shape.
    """
    forms = [(a.shape, a.dtype) if isinstance(a, ARRAYS) else type(a) for a in arrays]
    return dict(_check(spec, tuple(forms)))


@functools.lru_cache(maxsize=4096)
def _check(spec: str, forms: tuple[Any, ...]) -> dict[str, Any]:
    """``check`` of arrays of these shapes and dtypes.  It is cached because a network repeats the
    same checks in every step.
    """
    sizes: dict[str, Any] = {}
    dtype = None
    for (name, kind, axes), form in zip(parse(spec), forms, strict=True):
        if isinstance(form, type):
            raise TypeError(f"{name} must be a NumPy array, got {form.__name__}")
        shape, of_array = form
        if kind:
            kinds, held = KINDS[kind]
            if of_array.kind not in kinds:
                raise TypeError(f"{name} must hold {held}, got {of_array}")
        elif of_array not in FLOATS:
            raise TypeError(f"{name} must be float32 or float64, got {of_array}")
        elif of_array != (dtype := dtype or of_array):
            raise TypeError(f"{name} must be {dtype} like the other arrays, got {of_array}")
        match(name, axes, shape, sizes)
    return sizes


def match(name: str, axes: tuple[str, ...], shape: tuple[Any, ...], sizes: dict[str, Any]) -> None:
    """Compare a shape with its axes, and add the new sizes to ``sizes``.  ValueError if they
    differ.
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


def outliers(values: Any, low: Any, high: Any) -> Array:
    """Those of ``values``, a number or an array, that are not in [low, high]."""
    inside = (low <= values) & (values <= high)
    return np.ravel(values)[~np.ravel(inside)]


def is_whole(n: object) -> bool:
    """Is n a whole number?  True and False are not."""
    return isinstance(n, (int, np.integer)) and not isinstance(n, bool)


def whole(name: str, value: Any) -> int:
    """``value`` as an int.  TypeError if it is not a whole number."""
    if not is_whole(value):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    return int(value)


def check_label_range(labels: Integers, classes: int) -> None:
    """ValueError unless all labels lie in 0 .. classes - 1."""
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(
            f"labels must lie in 0 .. {classes - 1}, got {labels.min()} .. {labels.max()}"
        )


def per_sample(name: str, value: Any, x: Array) -> Array:
    """A coefficient in the dtype of ``x``: a number as a scalar, an array ``[b]`` with one entry
    per sample in a shape that broadcasts against ``x``.
    """
    if not isinstance(value, ARRAYS):
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"{name} must be a number or an array, got {type(value).__name__}")
        scalar: Any = x.dtype.type(value)
        return scalar  # type: ignore[no-any-return]
    if value.dtype != x.dtype:
        raise TypeError(f"{name} must be {x.dtype} like the other arrays, got {value.dtype}")
    column: Array = value
    if value.shape == ():
        return column
    if value.shape != x.shape[:1]:
        raise ValueError(
            f"{name} must be a number or have one entry per sample, shape {x.shape[:1]},"
            f" got {value.shape}"
        )
    return column.reshape(-1, *[1] * (x.ndim - 1))


class Op(Protocol[P, R_co]):
    """An op with ``out=``: otherwise it takes the arguments of its function."""

    __name__: str

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, *args: Any, out: Any, **kwargs: Any) -> R_co: ...


def takes_out(function: Callable[P, R_co]) -> Op[P, R_co]:
    """Give an op ``out=``, an array or a tuple in the order of its results: they are copied there
    and returned.
    """

    @functools.wraps(function)
    def op(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        results: Any = function(*args, **kwargs)
        if out is None:
            return results
        several = isinstance(results, tuple)
        if several and not (isinstance(out, tuple) and len(out) == len(results)):
            raise ValueError(
                f"out must be a tuple of {len(results)}, one for each output of {function.__name__}"
            )
        pairs = zip(results, out) if several else [(results, out)]
        pairs = [(result, target) for result, target in pairs if result is not None]
        for result, target in pairs:
            _check_out(result, target)
        for result, target in pairs:
            target[...] = result
        return out

    return op


def _check_out(result: Any, target: Any) -> None:
    if not isinstance(target, ARRAYS) or target.dtype != result.dtype:
        got = getattr(target, "dtype", type(target).__name__)
        raise TypeError(f"out must be an array of {result.dtype}, got {got}")
    if target.shape != result.shape:
        raise ValueError(f"out must have shape {result.shape}, got {target.shape}")
