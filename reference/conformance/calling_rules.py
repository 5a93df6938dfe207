"""Checks of the calling rules of every op of a port: dtypes, memory layouts, memory, ``out=``,
errors, empty batches, non-finite samples.

A check takes a port (reference/conformance/port.py), the name of an op and its arguments: float64,
unless the check's docstring names another dtype.  It raises AssertionError with a message that
begins with the name of the op.  Every port must raise errors of the required types; the words of
the messages are checked for built-in ports only.
"""

import re

import numpy as np

from reference.conformance.call import (
    IN_PLACE_ARGUMENTS,
    argument_names,
    axes,
    call_op,
    map_float_arrays,
    sample_axis,
)
from reference.conformance.contract import CONTRACT, OPS
from reference.conformance.tolerances import assert_within_tolerance, describe_call
from reference.ops import Key

RETURNING = tuple(name for name in OPS if name not in IN_PLACE_ARGUMENTS)
SEVERAL_RESULTS = tuple(name for name in RETURNING if len(axes(OPS[name].results)) > 1)
LOSSES = tuple(op.name for op in CONTRACT if op.family == "loss")
BATCHED = tuple(name for name in OPS if sample_axis(name))
BATCHED_BUT_LOSSES = tuple(name for name in BATCHED if name not in LOSSES)
SEVERAL_DOTS = tuple(
    name for name in OPS if sum("..." in a for a in axes(OPS[name].arguments).values()) > 1
)
COEFFICIENTS = (
    ("add_noise", "signal"),
    ("add_noise", "noise_scale"),
    ("reverse_step", "a"),
    ("reverse_step", "b"),
    ("reverse_step", "c"),
)
# the values of these arguments do not matter
SHAPE_ALONE = {("conv2d_backward", "add"), ("concat_backward", "x"), ("concat_backward", "y")}


def arrays(arguments):
    """(position, array) of every array."""
    return [(position, a) for position, a in enumerate(arguments) if isinstance(a, np.ndarray)]


def required(name, arguments):
    """(position, array) without coefficients, which may be numbers."""
    signature, words = axes(OPS[name].arguments), argument_names(name)
    return [(position, a) for position, a in arrays(arguments) if words[position] in signature]


def leaves(arguments):
    """All arrays, also those inside a list."""
    each = [a for one in arguments for a in (one if isinstance(one, list) else [one])]
    return [a for a in each if isinstance(a, np.ndarray)]


def substitute(arguments, position, value):
    return (*arguments[:position], value, *arguments[position + 1 :])


def same(one, other):
    """Equal, with NaN equal to NaN?"""
    return one is other is None or np.array_equal(one, other, equal_nan=True)


def require(condition, name, arguments, message):
    assert condition, f"{name}: {message}; {describe_call(name, arguments)}"


def assert_refused(port, name, arguments, error, pattern="", given=None, **kwargs):
    """The call must raise ``error``; a built-in port with a message that matches ``pattern``.

    ``given`` names the wrong argument.  Returns the message.
    """
    call = f"{given}; {describe_call(name, arguments)}" if given else describe_call(name, arguments)
    try:
        getattr(port, name)(*arguments, **kwargs)
    except error as raised:
        message = str(raised.args[0]) if raised.args else ""
        matches = not port.builtin or re.search(pattern, message)
        assert matches, f"{name}: the message {message!r} does not match {pattern!r}; {call}"
        return message
    except Exception as raised:
        wrong = f"{type(raised).__name__} instead of {error.__name__}"
        raise AssertionError(f"{name}: raises {wrong}: {raised}; {call}") from raised
    raise AssertionError(f"{name}: accepts arguments that need a {error.__name__}; {call}")


def possible_names(name):
    """A pattern for the names that an error message may use for an argument."""
    return rf"^({'|'.join([*argument_names(name), 'variances'])})\b"


# dtypes and layouts


def dtype_in_is_dtype_out(port, name, arguments):
    """For arguments of either dtype."""
    dtypes = [a.dtype for a in leaves(arguments) if a.dtype.kind == "f"]
    dtypes += [a for a in arguments if isinstance(a, np.dtype)]
    expected = np.uint32 if name == "philox_bits" else dtypes[0]
    for result in call_op(name, getattr(port, name), arguments):
        right = result is None or result.dtype == expected
        require(right, name, arguments, f"a result is {getattr(result, 'dtype', type(result))}")


def strided(a):
    """The same values as every second entry of a larger array."""
    buffer = np.zeros([2 * n for n in a.shape], a.dtype)
    every_second: tuple = (*[slice(None, None, 2)] * a.ndim, ...)
    view = buffer[every_second]
    view[...] = a
    return view


def reversed_in_memory(a):
    everywhere: tuple = (*[slice(None, None, -1)] * a.ndim, ...)
    return a[everywhere].copy()[everywhere]


def fortran(a):
    return np.asarray(a, order="F")


def read_only(a):
    a = a.copy()
    a.setflags(write=False)
    return a


LAYOUTS = (strided, reversed_in_memory, fortran, read_only)
OUT_LAYOUTS = (np.asarray, strided, fortran)


def memory_layout_of_any_argument_does_not_matter(port, name, arguments, layout):
    function = getattr(port, name)
    for position, array in arrays(arguments):
        if name in IN_PLACE_ARGUMENTS:
            if layout is read_only and position in IN_PLACE_ARGUMENTS[name]:
                continue
            changed = [*map_float_arrays(substitute(arguments, position, None), np.copy)]
            changed[position] = layout(array.copy())
            function(*changed)
            results = tuple(changed[target] for target in IN_PLACE_ARGUMENTS[name])
        else:
            results = call_op(name, function, substitute(arguments, position, layout(array)))
        assert_within_tolerance(name, results, arguments)
    if name == "global_norm":
        results = call_op(name, function, ([layout(a) for a in arguments[0]],))
        assert_within_tolerance(name, results, arguments)


# memory


def arguments_are_not_modified(port, name, arguments):
    before = [a.copy() for a in leaves(arguments)]
    getattr(port, name)(*arguments)
    targets = [id(arguments[position]) for position in IN_PLACE_ARGUMENTS.get(name, ())]
    for array, copy in zip(leaves(arguments), before, strict=True):
        kept = id(array) in targets or same(array, copy)
        require(kept, name, arguments, "an argument is modified")


def _other_call(name, arguments):
    """Arguments of the same shapes with other results."""
    if OPS[name].family == "random":
        return substitute(arguments, argument_names(name).index("step"), 7)
    if OPS[name].family == "mixture":
        return map_float_arrays(arguments, lambda a: a[::-1])
    return map_float_arrays(arguments, lambda a: np.asarray(a / 2))


def two_calls_return_separate_memory(port, name, arguments):
    others = _other_call(name, arguments)
    first = call_op(name, getattr(port, name), arguments)
    kept = [None if result is None else result.copy() for result in first]
    second = call_op(name, getattr(port, name), others)
    unchanged = all(map(same, first, kept))
    require(unchanged, name, arguments, "the second call changes the result of the first one")
    results = [result for result in (*first, *second) if isinstance(result, np.ndarray)]
    for result in results:
        for other in (*results, *leaves(arguments), *leaves(others)):
            apart = result is other or not np.shares_memory(result, other)
            require(apart, name, arguments, "a result shares memory with another array")


def out_for(results, change=lambda a: a):
    """Arrays for ``out=``, filled with 7."""
    return tuple(None if result is None else change(np.full_like(result, 7)) for result in results)


def _as_out(out):
    return out if len(out) > 1 else out[0]


def out_is_filled_and_returned(port, name, arguments, layout):
    expected = call_op(name, getattr(port, name), arguments)
    out = out_for(expected, layout)
    try:
        returned = getattr(port, name)(*arguments, out=_as_out(out))
    except Exception as error:
        message = f"{name}: out= raises {type(error).__name__}: {error}"
        raise AssertionError(f"{message}; {describe_call(name, arguments)}") from error
    is_out = returned is out or returned is out[0]
    require(is_out, name, arguments, "out= is not returned")
    require(all(map(same, out, expected)), name, arguments, "out= does not hold the results")


def out_with_another_dtype_or_shape_is_refused(port, name, arguments):
    right = out_for(call_op(name, getattr(port, name), arguments), np.asarray)
    for position, array in arrays(right):
        for wrong, error in (
            (array.astype(np.float16), TypeError),
            (array.tolist(), TypeError),
            (array[None], ValueError),
        ):
            out = _as_out(substitute(right, position, wrong))
            assert_refused(port, name, arguments, error, "out must", "wrong out=", out=out)


def out_for_several_results_must_be_a_tuple_of_that_length(port, name, arguments):
    right = out_for(call_op(name, getattr(port, name), arguments))
    for wrong in (right[0], right[:-1]):
        pattern = "out must be a tuple"
        assert_refused(port, name, arguments, ValueError, pattern, "wrong out=", out=wrong)


# errors


def wrong_types(array, alone):
    """Values that an op must refuse in place of an array.  ``alone``: no other array has floats."""
    yield array.tolist()
    if array.dtype.kind == "f":
        yield from (array.astype(np.int64), array.astype(np.float16), array.astype(complex))
        if not alone:
            yield array.astype(np.float32)
    else:
        yield from (
            array.astype(np.float64),
            array.astype(np.int64 if array.dtype == bool else bool),
        )


def wrong_type_of_any_array_is_a_type_error(port, name, arguments):
    alone = sum(a.dtype.kind == "f" for _, a in arrays(arguments)) == 1
    for position, array in required(name, arguments):
        word = argument_names(name)[position]
        for wrong in wrong_types(array, alone):
            changed = substitute(arguments, position, wrong)
            assert_refused(port, name, changed, TypeError, possible_names(name), f"wrong {word}")


def read_only_target_is_a_value_error(port, name, arguments):
    for position in IN_PLACE_ARGUMENTS[name]:
        copies = map_float_arrays(arguments, np.copy)
        changed = substitute(copies, position, read_only(arguments[position]))
        assert_refused(port, name, changed, ValueError)


def list_for_an_array_is_a_type_error_that_names_the_argument(port, name, arguments):
    for position, array in required(name, arguments):
        word = argument_names(name)[position]
        changed = substitute(arguments, position, array.tolist())
        pattern = rf"^{word} must be .*, got (list|float)"
        assert_refused(port, name, changed, TypeError, pattern, f"{word} is a list")


def wrong_number_of_axes_is_a_value_error_that_names_the_argument(port, name, arguments):
    signature = axes(OPS[name].arguments)
    for position, array in required(name, arguments):
        word = argument_names(name)[position]
        if "..." in signature[word]:
            continue
        for wrong in (array[None], array.reshape(-1)) if array.ndim > 1 else (array[None],):
            changed = substitute(arguments, position, wrong)
            assert_refused(port, name, changed, ValueError, rf"^{word} must have shape")


def mismatched_sizes_are_a_value_error(port, name, arguments):
    signature, words = axes(OPS[name].arguments), argument_names(name)
    letters = [
        letter for position, _ in required(name, arguments) for letter in signature[words[position]]
    ]
    for position, array in required(name, arguments):
        of_array = signature[words[position]]
        for axis, letter in enumerate(of_array):
            if "..." in of_array[: axis + 1] or letters.count(letter) < 2:
                continue
            larger = np.pad(array, [(0, int(axis == other)) for other in range(array.ndim)])
            changed = substitute(arguments, position, larger)
            assert_refused(port, name, changed, ValueError, possible_names(name) + " must")


def wrong_number_of_coefficients_is_a_value_error_that_names_them(port, name, word):
    """And anything that is no number a TypeError."""
    x = np.ones((3, 2))
    words = argument_names(name)
    arguments = [x] + [x if one in ("noise", "prediction") else 1.0 for one in words[1:]]
    for wrong in (np.ones(2), np.ones((3, 1))):
        changed = substitute(arguments, words.index(word), wrong)
        assert_refused(port, name, changed, ValueError, f"^{word} must")
    for no_number in ("1", True, None, 1j):
        changed = substitute(arguments, words.index(word), no_number)
        assert_refused(port, name, changed, TypeError, f"^{word} must")


def _arguments_with_dots(name):
    """A call with two samples, three inner axes for dots, and size 2 for every other axis."""
    signature = axes(OPS[name].arguments)
    dots = lambda a: (3, 4) if a[0] == "b" else (2, 3, 4)
    shape = lambda a: [n for letter in a for n in (dots(a) if letter == "..." else (2,))]
    plain = {"groups": 2, "step": 1, "eps": 1e-5}
    return tuple(
        np.ones(shape(signature[word])) if word in signature else plain.get(word, 0.5)
        for word in argument_names(name)
    )


def axes_written_as_dots_must_agree_between_arguments(port, name):
    arguments, signature = _arguments_with_dots(name), axes(OPS[name].arguments)
    for position, array in arrays(arguments):
        if "..." in signature.get(argument_names(name)[position], ()):
            changed = substitute(arguments, position, np.repeat(array, 2, axis=1))
            assert_refused(port, name, changed, ValueError, "must have shape")


# samples


def _first_samples(name, arguments, samples):
    """The arguments with only their first samples."""
    for position, argument in enumerate(arguments):
        if isinstance(argument, Key):
            cut = argument._replace(sample=argument.sample[:samples])
            arguments = substitute(arguments, position, cut)
        elif isinstance(argument, np.ndarray) and _is_per_sample(name, position):
            arguments = substitute(arguments, position, argument[:samples])
    return arguments


def _is_per_sample(name, position):
    """Is the first axis of an argument the axis of samples?  Coefficients have no other axis."""
    of_argument = axes(OPS[name].arguments).get(argument_names(name)[position])
    return of_argument is None or of_argument[0] == sample_axis(name)


def empty_batch_has_empty_results_and_no_gradient(port, name, arguments):
    whole = call_op(name, getattr(port, name), arguments)
    empty = call_op(name, getattr(port, name), _first_samples(name, arguments, 0))
    for of_result, one, other in zip(axes(OPS[name].results).values(), whole, empty, strict=True):
        if one is None:
            continue
        per_sample = of_result[0] == sample_axis(name)
        shape = (0, *one.shape[1:]) if per_sample else one.shape
        right = other.shape == shape and (per_sample or not other.any())
        message = f"an empty batch gives shape {other.shape} instead of {shape}, or a gradient"
        require(right, name, arguments, message)


def losses_refuse_an_empty_batch(port, name, arguments):
    empty = _first_samples(name, arguments, 0)
    assert_refused(port, name, empty, ValueError, "at least one sample")


def the_first_sample_alone_has_the_same_result_as_in_a_batch(port, name, arguments):
    if OPS[name].family == "activation" or not len(next(a for _, a in arrays(arguments))):
        return
    first = _first_samples(name, arguments, 1)
    results = call_op(name, getattr(port, name), arguments)
    if all(a[:1] == (sample_axis(name),) for a in axes(OPS[name].results).values()):
        assert_within_tolerance(name, tuple(result[:1] for result in results), first)


def non_finite_input_makes_only_its_own_sample_non_finite(port, name, arguments, poison):
    results = call_op(name, getattr(port, name), arguments)
    for position, array in arrays(arguments):
        word = argument_names(name)[position]
        floats = array.dtype.kind == "f" and array.size
        if not (floats and _is_per_sample(name, position)) or (name, word) in SHAPE_ALONE:
            continue
        spoiled = array.copy()
        spoiled.flat[0] = poison
        changed = substitute(arguments, position, spoiled)
        spoiled_results = call_op(name, getattr(port, name), changed)
        if np.isnan(poison):
            finite = all(result is None or np.isfinite(result).all() for result in spoiled_results)
            require(not finite, name, arguments, f"a NaN in {word} gives finite results")
        signature = axes(OPS[name].results).values()
        for of_result, before, after in zip(signature, results, spoiled_results, strict=True):
            if before is not None and of_result[:1] == (sample_axis(name),):
                message = f"a {poison} in the first sample of {word} changes other samples"
                require(same(before[1:], after[1:]), name, arguments, message)
