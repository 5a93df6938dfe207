"""The tolerance rules reject classic faults and report the size and place of the error."""

import numpy as np
import pytest

from reference import ops
from reference.conformance.call import cast, map_float_arrays
from reference.conformance.contract import CONTRACT, RULES
from reference.conformance.tolerances import (
    assert_network_within_tolerance,
    assert_small_integers_exact,
    assert_within_tolerance,
    mismatches,
    ternary,
    worst,
)


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def test_half_precision_inputs_of_a_product_are_rejected():
    args = numbers(8, 64), numbers(64, 8), numbers(8)
    result = ops.linear(*map_float_arrays(args, lambda a: a.astype(np.float16).astype(np.float32)))
    over = {error.check: error.ratio for error in mismatches("linear", (result,), args, zero_mean=True)}
    assert over["rms"] > 10 and over["largest entry"] > 1
    with pytest.raises(AssertionError, match="largest entry"):
        assert_within_tolerance("linear", (result,), args)


def test_single_precision_inside_a_float64_product_is_rejected():
    args = cast((numbers(8, 64), numbers(64, 8), numbers(8)), np.float64)
    result = ops.linear(*cast(args, np.float32)).astype(np.float64)
    with pytest.raises(AssertionError, match="largest entry"):
        assert_within_tolerance("linear", (result,), args)


def test_a_product_that_lacks_a_term_is_rejected():
    x, w, b = ternary((numbers(8, 64), numbers(64, 8), numbers(8)))
    with pytest.raises(AssertionError, match="small integers"):
        assert_small_integers_exact("linear", (ops.linear(x[:, :-1], w[:-1], b),), (x, w, b))


def test_an_unbiased_variance_is_rejected():
    args = numbers(2, 64, 8), numbers(8), numbers(8), 4, 1e-5
    y, mean, rstd = ops.group_norm(*args)
    n = 128
    with pytest.raises(AssertionError, match="rms"):
        assert_within_tolerance("group_norm", (y, mean, rstd * np.float32(np.sqrt((n - 1) / n))), args)


def test_single_precision_inside_a_float64_softmax_is_rejected():
    args = (numbers(4, 9).astype(np.float64),)
    with pytest.raises(AssertionError, match="rms"):
        assert_within_tolerance("softmax", (ops.softmax(*cast(args, np.float32)).astype(np.float64),), args)


def test_a_copy_that_is_off_by_one_rounding_is_rejected():
    args = (numbers(1, 2, 2, 1),)
    y = ops.upsample_nearest(*args)
    with pytest.raises(AssertionError, match="same bits"):
        assert_within_tolerance("upsample_nearest", (np.nextafter(y, np.float32(9)),), args)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_nan_is_reported_with_its_index_and_the_shapes(value):
    args = numbers(2, 3), numbers(3, 4), None
    y = ops.linear(*args)
    y[1, 2] = value
    with pytest.raises(
        AssertionError, match=rf"linear: y\[1,2\] is {value} instead of .*: inf times .* x float32\[2,3\], w float32\[3,4\], b None"
    ):
        assert_within_tolerance("linear", (y,), args)


@pytest.mark.parametrize(
    "results, message",
    [
        (lambda y: (), "results is 0 instead of 1"),
        (lambda y: (None,), r"y is None instead of float32\[2, 4\]"),
        (lambda y: (y.astype(np.float64),), r"y is float64\[2, 4\] instead of float32\[2, 4\]"),
        (lambda y: (y.T,), r"y is float32\[4, 2\] instead of float32\[2, 4\]"),
    ],
)
def test_results_of_wrong_type_shape_or_dtype_are_rejected(results, message):
    args = numbers(2, 3), numbers(3, 4), None
    with pytest.raises(AssertionError, match=message):
        assert_within_tolerance("linear", results(ops.linear(*args)), args)


def test_reference_errors_are_within_tolerance_and_not_zero():
    args = numbers(8, 64), numbers(64, 8), numbers(8)
    assert 0 < worst(mismatches("linear", (ops.linear(*args),), args, zero_mean=True)).ratio < 0.5


def test_small_tensors_and_zero_gradients_use_the_scale_of_all_tensors():
    exact = {"w": np.ones(100), "b": np.zeros(100), "s": np.ones(1)}
    single = {name: e + 1e-7 for name, e in exact.items()}
    assert_network_within_tolerance("net", {name: s.astype(np.float32) for name, s in single.items()}, single, exact)
    for name, error in (("w", 2e-6), ("b", 3e-6), ("s", 3e-6)):
        spoiled = {n: e.astype(np.float32) for n, e in exact.items()}
        spoiled[name] = (exact[name] + error).astype(np.float32)
        with pytest.raises(AssertionError, match=f"net: {name}"):
            assert_network_within_tolerance("net", spoiled, single, exact)


def test_every_tolerance_rule_of_the_contract_exists():
    assert {op.rule for op in CONTRACT} == set(RULES)
