"""Rules for every op of a port: dtypes, memory layouts, memory, ``out=``, errors, empty batches, non-finite samples."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.conformance import calling_rules
from reference.conformance.call import IN_PLACE_ARGUMENTS
from reference.conformance.calling_rules import LAYOUTS, OUT_LAYOUTS
from reference.conformance.contract import OPS
from tests.strategies import arguments

few = settings(max_examples=max(5, settings.default.max_examples // 4))
of_every_op = pytest.mark.parametrize("name", OPS)
of_returning_ops = pytest.mark.parametrize("name", calling_rules.RETURNING)


def arrays(args):
    return [(position, a) for position, a in enumerate(args) if isinstance(a, np.ndarray)]


def required(name, args):
    """(position, array) without coefficients, which may be numbers."""
    return [(position, a) for position, a in arrays(args) if argument_names(name)[position] in axes(OPS[name].arguments)]


def leaves(args):
    return [a for argument in args for a in (argument if isinstance(argument, list) else [argument]) if isinstance(a, np.ndarray)]


def substitute(args, position, value):
    return (*args[:position], value, *args[position + 1 :])


def names(name):
    """The names that an error message may use for an argument."""
    return {*argument_names(name), "variances"}


def says(port, pattern):
    """The pattern of an error message: required of shipped ports only; the error's type is required of all."""
    return pattern if port.shipped else None


def same(one, other):
    return one is other is None or np.array_equal(one, other, equal_nan=True)


# dtypes and layouts


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@of_every_op
@few
@given(data=st.data())
def test_dtype_in_is_dtype_out(port, name, dtype, data):
    calling_rules.dtype_in_is_dtype_out(port, name, unit_arguments(data, name, dtype))


def strided(a):
    """The same values as every second entry of a larger array."""
    buffer = np.zeros([2 * n for n in a.shape], a.dtype)
    view = buffer[(*[slice(None, None, 2)] * a.ndim, ...)]
    view[...] = a
    return view


def reversed_in_memory(a):
    everywhere = (*[slice(None, None, -1)] * a.ndim, ...)
    return a[everywhere].copy()[everywhere]


def fortran(a):
    return np.asarray(a, order="F")


def read_only(a):
    a = a.copy()
    a.setflags(write=False)
    return a


@pytest.mark.parametrize("layout", [strided, reversed_in_memory, fortran, read_only])
@every_op
@few
@given(data=st.data())
def test_memory_layout_of_any_argument_does_not_matter(port, name, layout, data):
    calling_rules.memory_layout_of_any_argument_does_not_matter(port, name, unit_arguments(data, name), layout)


# memory


@of_every_op
@few
@given(data=st.data())
def test_arguments_are_not_modified(port, name, data):
    calling_rules.arguments_are_not_modified(port, name, unit_arguments(data, name))


@of_returning_ops
@few
@given(data=st.data())
def test_two_calls_return_separate_memory(port, name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    if OPS[name].family == "random":
        others = substitute(args, argument_names(name).index("step"), 7)
    elif OPS[name].family == "mixture":
        others = map_float_arrays(args, lambda a: a[::-1])
    else:
        others = map_float_arrays(args, lambda a: np.asarray(a / 2))
    first = call_op(name, getattr(port, name), args)
    kept = [None if result is None else result.copy() for result in first]
    second = call_op(name, getattr(port, name), others)
    assert all(map(same, first, kept))
    held = [a for a in (*first, *second, *leaves(args), *leaves(others)) if isinstance(a, np.ndarray)]
    results = [result for result in (*first, *second) if isinstance(result, np.ndarray)]
    assert not any(np.shares_memory(result, other) for result in results for other in held if result is not other)


@pytest.mark.parametrize("layout", OUT_LAYOUTS)
@of_returning_ops
@few
@given(data=st.data())
def test_out_is_filled_and_returned(port, name, layout, data):
    calling_rules.out_is_filled_and_returned(port, name, unit_arguments(data, name), layout)


@of_returning_ops
@few
@given(data=st.data())
def test_out_with_another_dtype_or_shape_is_refused(port, name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    expected = call_op(name, getattr(port, name), args)
    right = out_for(expected, np.asarray)
    for position, array in arrays(right):
        for wrong, error in ((array.astype(np.float16), TypeError), (array.tolist(), TypeError), (array[None], ValueError)):
            with pytest.raises(error, match=says(port, "out must")):
                call_with_out(port, name, args, substitute(right, position, wrong))


@pytest.mark.parametrize("name", calling_rules.SEVERAL_RESULTS)
@few
@given(data=st.data())
def test_out_for_several_results_must_be_a_tuple_of_that_length(port, name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    right = out_for(call_op(name, getattr(port, name), args))
    for wrong in (right[0], right[:-1]):
        with pytest.raises(ValueError, match=says(port, "out must be a tuple")):
            getattr(port, name)(*args, out=wrong)


# errors


@of_every_op
@few
@given(data=st.data())
def test_wrong_type_of_any_array_is_a_type_error(port, name, data):
    calling_rules.wrong_type_of_any_array_is_a_type_error(port, name, unit_arguments(data, name))


@pytest.mark.parametrize("name", IN_PLACE_ARGUMENTS)
@few
@given(data=st.data())
def test_read_only_target_is_a_value_error(port, name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    for position in IN_PLACE_ARGUMENTS[name]:
        with pytest.raises(ValueError):
            getattr(port, name)(*substitute(map_float_arrays(args, np.copy), position, read_only(args[position])))


@of_every_op
@few
@given(data=st.data())
def test_list_for_an_array_is_a_type_error_that_names_the_argument(port, name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    for position, array in required(name, args):
        with pytest.raises(TypeError, match=says(port, rf"^{argument_names(name)[position]} must be .*, got (list|float)")):
            getattr(port, name)(*substitute(args, position, array.tolist()))


@of_every_op
@few
@given(data=st.data())
def test_wrong_number_of_axes_is_a_value_error_that_names_the_argument(port, name, data):
    calling_rules.wrong_number_of_axes_is_a_value_error_that_names_the_argument(port, name, unit_arguments(data, name))


@of_every_op
@few
@given(data=st.data())
def test_mismatched_sizes_are_a_value_error(port, name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    signature = axes(OPS[name].arguments)
    letters = [letter for position, _ in required(name, args) for letter in signature[argument_names(name)[position]]]
    for position, array in required(name, args):
        word = argument_names(name)[position]
        for axis, letter in enumerate(signature[word]):
            if "..." in signature[word][: axis + 1] or letters.count(letter) < 2:
                continue
            larger = np.pad(array, [(0, int(axis == other)) for other in range(array.ndim)])
            with pytest.raises(ValueError) as error:
                getattr(port, name)(*substitute(args, position, larger))
            assert not port.shipped or re.match(r"(\w+) must", error.value.args[0]).group(1) in names(name)


@pytest.mark.parametrize("name, word", [("add_noise", "signal"), ("add_noise", "noise_scale"), *(("reverse_step", word) for word in "abc")])
def test_wrong_number_of_coefficients_is_a_value_error_that_names_them(port, name, word):
    x = np.ones((3, 2))
    args = [x] + [1.0 if argument not in ("noise", "prediction") else x for argument in argument_names(name)[1:]]
    for wrong in (np.ones(2), np.ones((3, 1))):
        with pytest.raises(ValueError, match=says(port, f"^{word} must")):
            getattr(port, name)(*substitute(args, argument_names(name).index(word), wrong))
    for wrong in ("1", True, None, 1j):
        with pytest.raises(TypeError, match=says(port, f"^{word} must")):
            getattr(port, name)(*substitute(args, argument_names(name).index(word), wrong))


@pytest.mark.parametrize("name", [name for name in OPS if sum("..." in a for a in axes(OPS[name].arguments).values()) > 1])
def test_axes_written_as_dots_must_agree_between_arguments(port, name):
    args = arguments_like(name)
    for position, array in arrays(args):
        if "..." in axes(OPS[name].arguments).get(argument_names(name)[position], ()):
            with pytest.raises(ValueError, match=says(port, "must have shape")):
                getattr(port, name)(*substitute(args, position, np.repeat(array, 2, axis=1)))


def arguments_like(name):
    """A call with two samples, three inner axes for dots, and size 2 for every other axis."""
    shape = lambda a: [n for letter in a for n in ((2, 3, 4) if letter == "..." and a[0] != "b" else (3, 4) if letter == "..." else (2,))]
    drawn = {word: np.ones(shape(a)) for word, a in axes(OPS[name].arguments).items()}
    plain = {"groups": 2, "step": 1, "eps": 1e-5}
    return tuple(drawn[word] if word in drawn else plain.get(word, 0.5) for word in argument_names(name))


# samples


def cut(name, args, samples):
    """The arguments with only their first samples."""
    signature = axes(OPS[name].arguments)
    for position, argument in enumerate(args):
        word = argument_names(name)[position]
        if isinstance(argument, Key):
            args = substitute(args, position, argument._replace(sample=argument.sample[:samples]))
        elif isinstance(argument, np.ndarray) and signature.get(word, (sample_axis(name),))[0] == sample_axis(name):
            args = substitute(args, position, argument[:samples])
    return args


@pytest.mark.parametrize("name", [name for name in BATCHED if name not in LOSSES])
@few
@given(data=st.data())
def test_empty_batch_has_empty_results_and_no_gradient(port, name, data):
    calling_rules.empty_batch_has_empty_results_and_no_gradient(port, name, unit_arguments(data, name))


@pytest.mark.parametrize("name", calling_rules.LOSSES)
@few
@given(data=st.data())
def test_losses_refuse_an_empty_batch(port, name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    with pytest.raises(ValueError, match=says(port, "at least one sample")):
        getattr(port, name)(*cut(name, args, 0))


@pytest.mark.parametrize("name", calling_rules.BATCHED)
@few
@given(data=st.data())
def test_the_first_sample_alone_has_the_same_result_as_in_a_batch(port, name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    if OPS[name].family == "activation" or not len(next(a for _, a in arrays(args))):
        return
    first = cut(name, args, 1)
    results = call_op(name, getattr(port, name), args)
    if all(a[:1] == (sample_axis(name),) for a in axes(OPS[name].results).values()):
        assert_within_tolerance(name, tuple(result[:1] for result in results), first)


SHAPE_ALONE = {("conv2d_backward", "add"), ("concat_backward", "x"), ("concat_backward", "y")}  # the values do not matter


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("name", calling_rules.BATCHED)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore:(invalid|overflow|divide).* encountered:RuntimeWarning")
def test_non_finite_input_makes_only_its_own_sample_non_finite(port, name, poison, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    signature = axes(OPS[name].arguments)
    results = call_op(name, getattr(port, name), args)
    for position, array in arrays(args):
        per_sample = signature.get(argument_names(name)[position], (sample_axis(name),))[0] == sample_axis(name)
        if not (per_sample and array.dtype.kind == "f" and array.size) or (name, argument_names(name)[position]) in SHAPE_ALONE:
            continue
        spoiled = array.copy()
        spoiled.flat[0] = poison
        spoiled_results = call_op(name, getattr(port, name), substitute(args, position, spoiled))
        if np.isnan(poison):
            assert not all(result is None or np.isfinite(result).all() for result in spoiled_results)
        for result_axes, before, after in zip(axes(OPS[name].results).values(), results, spoiled_results, strict=True):
            if before is not None and result_axes[:1] == (sample_axis(name),):
                assert same(before[1:], after[1:])
