"""The rules accept NumPy's own float32 and reject classic faults; the gradient check rejects a small error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import ops
from reference.contract import CONTRACT, OPS, RULES
from tests import tolerances
from tests.strategies import arguments, cast, outputs, replace

PRODUCTS = [op.name for op in CONTRACT if op.rule == "product"]
ZERO_MEAN = {"scales": (1.0,), "offsets": (0.0,)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", OPS)
@given(data=st.data())
def test_reference_satisfies_the_rule_of_each_op(name, dtype, data):
    args = data.draw(arguments(name, dtype))
    tolerances.accept(name, outputs(name, getattr(ops, name), args), args)


@pytest.mark.parametrize("name", PRODUCTS)
@given(data=st.data())
def test_reference_satisfies_the_sharper_checks_of_products(name, data):
    args = data.draw(arguments(name, np.float32, **ZERO_MEAN))
    tolerances.accept(name, outputs(name, getattr(ops, name), args), args, zero_mean=True)
    small = tolerances.ternary(args)
    tolerances.product_exactly(name, outputs(name, getattr(ops, name), small), small)


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def test_half_precision_inputs_of_a_product_are_rejected():
    args = numbers(8, 64), numbers(64, 8), numbers(8)
    result = ops.linear(*replace(args, lambda a: a.astype(np.float16).astype(np.float32)))
    with pytest.raises(AssertionError, match="rms error"):
        tolerances.product_statistically("linear", (result,), args)
    with pytest.raises(AssertionError, match="an error"):
        tolerances.product_grossly("linear", (result,), args)


def test_single_precision_inside_a_float64_product_is_rejected():
    args = cast((numbers(8, 64), numbers(64, 8), numbers(8)), np.float64)
    result = ops.linear(*cast(args, np.float32)).astype(np.float64)
    with pytest.raises(AssertionError, match="an error"):
        tolerances.accept("linear", (result,), args)


def test_a_term_dropped_from_a_product_is_rejected():
    x, w, b = tolerances.ternary((numbers(8, 64), numbers(64, 8), numbers(8)))
    with pytest.raises(AssertionError, match="small integers"):
        tolerances.product_exactly("linear", (ops.linear(x[:, :-1], w[:-1], b),), (x, w, b))


def test_an_unbiased_variance_is_rejected():
    args = numbers(2, 64, 8), numbers(8), numbers(8), 4, 1e-5
    y, mean, rstd = ops.group_norm(*args)
    n = 128
    with pytest.raises(AssertionError, match="rms error"):
        tolerances.accept("group_norm", (y, mean, rstd * np.float32(np.sqrt((n - 1) / n))), args)


def test_single_precision_inside_a_float64_softmax_is_rejected():
    args = (numbers(4, 9).astype(np.float64),)
    with pytest.raises(AssertionError, match="rms error"):
        tolerances.accept("softmax", (ops.softmax(*cast(args, np.float32)).astype(np.float64),), args)


def test_a_copy_that_is_off_by_one_rounding_is_rejected():
    args = (numbers(1, 2, 2, 1),)
    y = ops.upsample_nearest(*args)
    with pytest.raises(AssertionError, match="same bits"):
        tolerances.accept("upsample_nearest", (np.nextafter(y, np.float32(9)),), args)


def test_gradient_check_sees_an_error_in_the_ninth_digit():
    tolerances.gradient_agrees(np.cos(1.0), lambda t: np.sin(1 + t), 1.0)
    with pytest.raises(AssertionError, match="analytic"):
        tolerances.gradient_agrees(np.cos(1.0) * (1 + 1e-9), lambda t: np.sin(1 + t), 1.0)


def test_gradient_check_refuses_a_function_that_it_can_not_resolve():
    with pytest.raises(AssertionError, match="known to"):
        tolerances.gradient_agrees(0.0, lambda t: np.abs(t + 1e-7), 1.0)


def test_adjointness_sees_an_error_in_the_eleventh_digit():
    with pytest.raises(AssertionError, match="differ"):
        tolerances.adjoint([1.0, 2.0], [1.0, 2.0 * (1 + 1e-11)])


def test_every_rule_of_the_contract_is_known():
    assert {op.rule for op in CONTRACT} == set(RULES)
