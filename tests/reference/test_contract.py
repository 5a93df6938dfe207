"""What holds of every op alike: dtypes, memory layouts, memory, ``out=``, errors, empty batches, non-finite samples, counts."""

import inspect
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import ops
from reference.contract import CONTRACT, OPS
from reference.ops import Key
from tests.strategies import TARGETS, arguments, axes, outputs, replace, sample_axis, words
from tests.tolerances import accept

UNIT = {"scales": (1.0,), "offsets": (0.0,)}
RETURNING = [name for name in OPS if name not in TARGETS]
LOSSES = [op.name for op in CONTRACT if op.family == "loss"]
BATCHED = [name for name in OPS if sample_axis(name)]

few = settings(max_examples=max(5, settings.default.max_examples // 4))
every_op = pytest.mark.parametrize("name", OPS)


def arrays(args):
    return [(position, a) for position, a in enumerate(args) if isinstance(a, np.ndarray)]


def required(name, args):
    """Position and array, without coefficients: there a number would do."""
    return [(position, a) for position, a in arrays(args) if words(name)[position] in axes(OPS[name].arguments)]


def leaves(args):
    return [a for argument in args for a in (argument if isinstance(argument, list) else [argument]) if isinstance(a, np.ndarray)]


def substitute(args, position, value):
    return (*args[:position], value, *args[position + 1 :])


def names(name):
    """The words by which an error may call an argument."""
    return {*words(name), "variances"}


def same(one, other):
    return one is other is None or np.array_equal(one, other, equal_nan=True)


# dtypes and layouts


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_op
@few
@given(data=st.data())
def test_dtype_in_is_dtype_out(name, dtype, data):
    args = data.draw(arguments(name, dtype, **UNIT))
    expected = np.uint32 if name == "philox_bits" else dtype
    assert all(result is None or result.dtype == expected for result in outputs(name, getattr(ops, name), args))


def strided(a):
    """The same values, every second one of a larger array."""
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
def test_memory_layout_of_any_argument_does_not_matter(name, layout, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    function = getattr(ops, name)
    for position, array in arrays(args):
        if name in TARGETS:
            if layout is read_only and position in TARGETS[name]:
                continue
            changed = [*replace(substitute(args, position, None), np.copy)]
            changed[position] = layout(array.copy())
            function(*changed)
            results = tuple(changed[target] for target in TARGETS[name])
        else:
            results = outputs(name, function, substitute(args, position, layout(array)))
        accept(name, results, args)


@pytest.mark.parametrize("layout", [strided, reversed_in_memory, fortran, read_only])
def test_memory_layout_of_any_array_does_not_matter_to_the_global_norm(layout):
    list_of_arrays = [np.arange(6.0).reshape(2, 3), np.arange(4.0)]
    assert ops.global_norm([layout(a) for a in list_of_arrays]) == ops.global_norm(list_of_arrays)


# memory


@every_op
@few
@given(data=st.data())
def test_arguments_are_not_modified(name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    before = [a.copy() for a in leaves(args)]
    getattr(ops, name)(*args)
    targets = [id(args[position]) for position in TARGETS.get(name, ())]
    for array, copy in zip(leaves(args), before, strict=True):
        assert id(array) in targets or same(array, copy)


@pytest.mark.parametrize("name", RETURNING)
@few
@given(data=st.data())
def test_results_of_two_calls_are_memory_of_their_own(name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    if OPS[name].family == "random":
        others = substitute(args, words(name).index("step"), 7)
    elif OPS[name].family == "mixture":
        others = replace(args, lambda a: a[::-1])
    else:
        others = replace(args, lambda a: np.asarray(a / 2))
    first = outputs(name, getattr(ops, name), args)
    kept = [None if result is None else result.copy() for result in first]
    second = outputs(name, getattr(ops, name), others)
    assert all(map(same, first, kept))
    held = [a for a in (*first, *second, *leaves(args), *leaves(others)) if isinstance(a, np.ndarray)]
    results = [result for result in (*first, *second) if isinstance(result, np.ndarray)]
    assert not any(np.shares_memory(result, other) for result in results for other in held if result is not other)


def out_for(results, change=lambda a: a):
    return tuple(None if result is None else change(np.full_like(result, 7)) for result in results)


def call_with_out(name, args, out):
    return getattr(ops, name)(*args, out=out if len(out) > 1 else out[0])


@pytest.mark.parametrize("layout", [np.asarray, strided, fortran])
@pytest.mark.parametrize("name", RETURNING)
@few
@given(data=st.data())
def test_out_is_filled_and_returned(name, layout, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    expected = outputs(name, getattr(ops, name), args)
    out = out_for(expected, layout)
    returned = call_with_out(name, args, out)
    assert returned is out or returned is out[0]
    assert all(map(same, out, expected))


@pytest.mark.parametrize("name", RETURNING)
@few
@given(data=st.data())
def test_out_of_another_dtype_or_shape_is_refused(name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    expected = outputs(name, getattr(ops, name), args)
    right = out_for(expected, np.asarray)
    for position, array in arrays(right):
        for wrong, error in ((array.astype(np.float16), TypeError), (array.tolist(), TypeError), (array[None], ValueError)):
            with pytest.raises(error, match="out must"):
                call_with_out(name, args, substitute(right, position, wrong))


@pytest.mark.parametrize("name", [name for name in RETURNING if len(axes(OPS[name].results)) > 1])
@few
@given(data=st.data())
def test_out_of_several_results_must_be_a_tuple_of_as_many(name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    right = out_for(outputs(name, getattr(ops, name), args))
    for wrong in (right[0], right[:-1]):
        with pytest.raises(ValueError, match="out must be a tuple"):
            getattr(ops, name)(*args, out=wrong)


# errors


def wrong_types(array, alone):
    yield array.tolist()
    if array.dtype.kind == "f":
        yield from (array.astype(np.int64), array.astype(np.float16), array.astype(complex))
        if not alone:
            yield array.astype(np.float32)
    else:
        yield from (array.astype(np.float64), array.astype(bool))


@every_op
@few
@given(data=st.data())
def test_wrong_type_of_any_array_is_a_type_error(name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    alone = sum(a.dtype.kind == "f" for _, a in arrays(args)) == 1
    for position, array in required(name, args):
        for wrong in wrong_types(array, alone):
            with pytest.raises(TypeError) as error:
                getattr(ops, name)(*substitute(args, position, wrong))
            assert error.value.args[0].split()[0] in names(name)


@every_op
@few
@given(data=st.data())
def test_list_for_an_array_is_a_type_error_that_names_it(name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    for position, array in required(name, args):
        with pytest.raises(TypeError, match=rf"^{words(name)[position]} must be .*, got (list|float)"):
            getattr(ops, name)(*substitute(args, position, array.tolist()))


@every_op
@few
@given(data=st.data())
def test_wrong_number_of_axes_is_a_value_error_that_names_the_argument(name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    signature = axes(OPS[name].arguments)
    for position, array in required(name, args):
        word = words(name)[position]
        if "..." not in signature[word]:
            for wrong in (array[None], array.reshape(-1)) if array.ndim > 1 else (array[None],):
                with pytest.raises(ValueError, match=rf"^{word} must have shape"):
                    getattr(ops, name)(*substitute(args, position, wrong))


@every_op
@few
@given(data=st.data())
def test_sizes_that_do_not_match_are_a_value_error(name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    signature = axes(OPS[name].arguments)
    letters = [letter for position, _ in required(name, args) for letter in signature[words(name)[position]]]
    for position, array in required(name, args):
        word = words(name)[position]
        for axis, letter in enumerate(signature[word]):
            if "..." in signature[word][: axis + 1] or letters.count(letter) < 2:
                continue
            larger = np.pad(array, [(0, int(axis == other)) for other in range(array.ndim)])
            with pytest.raises(ValueError) as error:
                getattr(ops, name)(*substitute(args, position, larger))
            assert re.match(r"(\w+) must", error.value.args[0]).group(1) in names(name)


@pytest.mark.parametrize("name, word", [("add_noise", "signal"), ("add_noise", "noise_scale"), *(("reverse_step", word) for word in "abc")])
def test_coefficients_of_another_number_of_samples_are_a_value_error_that_names_them(name, word):
    x = np.ones((3, 2))
    args = [x] + [1.0 if argument not in ("noise", "prediction") else x for argument in words(name)[1:]]
    for wrong in (np.ones(2), np.ones((3, 1))):
        with pytest.raises(ValueError, match=f"^{word} must"):
            getattr(ops, name)(*substitute(args, words(name).index(word), wrong))
    for wrong in ("1", True, None, 1j):
        with pytest.raises(TypeError, match=f"^{word} must"):
            getattr(ops, name)(*substitute(args, words(name).index(word), wrong))


@pytest.mark.parametrize("name", [name for name in OPS if sum("..." in a for a in axes(OPS[name].arguments).values()) > 1])
def test_dots_stand_for_the_same_axes_everywhere(name):
    args = arguments_like(name)
    for position, array in arrays(args):
        if "..." in axes(OPS[name].arguments).get(words(name)[position], ()):
            with pytest.raises(ValueError, match="must have shape"):
                getattr(ops, name)(*substitute(args, position, np.repeat(array, 2, axis=1)))


def arguments_like(name):
    """One call with two samples, three inner axes wherever there are dots, and two of everything else."""
    shape = lambda a: [n for letter in a for n in ((2, 3, 4) if letter == "..." and a[0] != "b" else (3, 4) if letter == "..." else (2,))]
    drawn = {word: np.ones(shape(a)) for word, a in axes(OPS[name].arguments).items()}
    plain = {"groups": 2, "step": 1, "eps": 1e-5}
    return tuple(drawn[word] if word in drawn else plain.get(word, 0.5) for word in words(name))


# samples


def cut(name, args, samples):
    """The arguments with their first few samples only."""
    signature = axes(OPS[name].arguments)
    for position, argument in enumerate(args):
        word = words(name)[position]
        if isinstance(argument, Key):
            args = substitute(args, position, argument._replace(sample=argument.sample[:samples]))
        elif isinstance(argument, np.ndarray) and signature.get(word, (sample_axis(name),))[0] == sample_axis(name):
            args = substitute(args, position, argument[:samples])
    return args


@pytest.mark.parametrize("name", [name for name in BATCHED if name not in LOSSES])
@few
@given(data=st.data())
def test_empty_batch_has_empty_results_and_no_gradient(name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    whole = outputs(name, getattr(ops, name), args)
    empty = outputs(name, getattr(ops, name), cut(name, args, 0))
    for result_axes, one, other in zip(axes(OPS[name].results).values(), whole, empty, strict=True):
        if one is not None and result_axes[0] == sample_axis(name):
            assert other.shape == (0, *one.shape[1:])
        elif one is not None:
            assert other.shape == one.shape and not other.any()


@pytest.mark.parametrize("name", LOSSES)
@few
@given(data=st.data())
def test_empty_batch_is_a_value_error_of_a_loss(name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    with pytest.raises(ValueError, match="at least one sample"):
        getattr(ops, name)(*cut(name, args, 0))


@pytest.mark.parametrize("name", BATCHED)
@few
@given(data=st.data())
def test_first_sample_alone_gives_its_own_result(name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    if OPS[name].family == "activation" or not len(next(a for _, a in arrays(args))):
        return
    first = cut(name, args, 1)
    results = outputs(name, getattr(ops, name), args)
    if all(a[:1] == (sample_axis(name),) for a in axes(OPS[name].results).values()):
        accept(name, tuple(result[:1] for result in results), first)


SHAPE_ALONE = {("conv2d_backward", "add"), ("concat_backward", "x"), ("concat_backward", "y")}  # the values play no part


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("name", BATCHED)
@few
@given(data=st.data())
@pytest.mark.filterwarnings("ignore:(invalid|overflow|divide).* encountered:RuntimeWarning")
def test_non_finite_sample_shows_and_leaves_other_samples_alone(name, poison, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    signature = axes(OPS[name].arguments)
    results = outputs(name, getattr(ops, name), args)
    for position, array in arrays(args):
        per_sample = signature.get(words(name)[position], (sample_axis(name),))[0] == sample_axis(name)
        if not (per_sample and array.dtype.kind == "f" and array.size) or (name, words(name)[position]) in SHAPE_ALONE:
            continue
        spoiled = array.copy()
        spoiled.flat[0] = poison
        spoiled_results = outputs(name, getattr(ops, name), substitute(args, position, spoiled))
        if np.isnan(poison):
            assert not all(result is None or np.isfinite(result).all() for result in spoiled_results)
        for result_axes, before, after in zip(axes(OPS[name].results).values(), results, spoiled_results, strict=True):
            if before is not None and result_axes[:1] == (sample_axis(name),):
                assert same(before[1:], after[1:])


# the contract itself


@every_op
def test_parameters_have_the_names_and_the_order_of_the_contract(name):
    assert list(inspect.signature(getattr(ops, name)).parameters) == words(name)


def shapes(name, args):
    """The shapes of all arrays in the signature; where nothing was given, of what could have been."""
    results = outputs(name, getattr(ops, name), args)
    image = results[0] if name == "conv2d" else args[0]
    instead = {"b": lambda: args[1].shape[1:], "noise": lambda: image.shape}
    instead |= dict.fromkeys(("add", "dadd"), lambda: (len(image), 1, 1, image.shape[-1]))
    arrays_of = dict(zip(words(name), args)) | dict(zip(axes(OPS[name].results), results))
    if name == "concat_backward":  # two of its arrays are called dy
        return [a.shape for a in (*args, *results)]
    return [
        np.shape(arrays_of[word]) if isinstance(arrays_of[word], (np.ndarray, np.floating)) else instead[word]()
        for word in axes(OPS[name].signature)
    ]


@pytest.mark.parametrize("name", [name for name in OPS if name != "global_norm"])
@few
@given(data=st.data())
def test_counts_follow_from_the_shapes_of_a_call(name, data):
    all_shapes = shapes(name, data.draw(arguments(name, np.float64, **UNIT)))
    flops, read_and_written = OPS[name].flops(*all_shapes), OPS[name].bytes(*all_shapes)
    sizes = [np.prod(shape, dtype=int) for shape in all_shapes]
    assert 4 * sum(sizes) <= read_and_written <= 8 * sum(sizes)
    assert flops == 0 if OPS[name].rule == "copy" or not min(sizes) else 0 < flops <= 100 * max(sizes) ** 2


def test_counts_of_linear_are_exact():
    n, i, o = 3, 4, 5
    multiplications = additions = 0
    for _ in np.ndindex(n, o):
        multiplications += i
        additions += (i - 1) + 1  # the sum, and the bias
    op = OPS["linear"]
    assert op.flops((n, i), (i, o), (o,), (n, o)) == multiplications + additions
    assert op.bytes((n, i), (i, o), (o,), (n, o), itemsize=8) == 8 * (n * i + i * o + o + n * o)


def test_counts_of_conv2d_are_exact():
    b, h, w, i, o, k = 2, 5, 4, 3, 2, 3
    m, n = 3, 2  # stride 2
    operations = 0
    for _ in np.ndindex(b, m, n, o):
        products = k * k * i
        operations += products + (products - 1) + 2  # the sum, the bias, and add
    shape = (b, h, w, i), (k, k, i, o), (o,), (b, m, n, o), (b, m, n, o)
    assert OPS["conv2d"].flops(*shape) == operations
    assert OPS["conv2d"].bytes(*shape) == 4 * (b * h * w * i + k * k * i * o + o + 2 * b * m * n * o)


def test_labels_count_eight_bytes():
    assert OPS["embedding"].bytes((3,), (5, 2), (3, 2)) == 3 * 8 + 4 * (10 + 6)


def test_a_backward_follows_its_forward():
    for op in CONTRACT:
        if op.backward:
            assert OPS[op.backward].family == op.family


@every_op
def test_port_exports_every_op(name):
    assert callable(getattr(ops, name))
