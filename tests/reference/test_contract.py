"""The contract: its rows match the signatures of the reference, and its operation counts match calls."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import ops
from reference.conformance.call import argument_names, call_op, shapes
from reference.conformance.contract import CONTRACT, OPS
from tests.strategies import arguments

UNIT = {"scales": (1.0,), "offsets": (0.0,)}

few = settings(max_examples=max(5, settings.default.max_examples // 4))
every_op = pytest.mark.parametrize("name", OPS)


@every_op
def test_op_parameters_have_the_names_and_order_of_the_contract(name):
    assert list(inspect.signature(getattr(ops, name)).parameters) == argument_names(name)


@pytest.mark.parametrize("name", [name for name in OPS if name != "global_norm"])
@few
@given(data=st.data())
def test_operation_counts_follow_from_the_shapes_of_a_call(name, data):
    args = data.draw(arguments(name, np.float64, **UNIT))
    all_shapes = shapes(name, args, call_op(name, getattr(ops, name), args))
    flops, read_and_written = OPS[name].flops(*all_shapes), OPS[name].bytes(*all_shapes)
    sizes = [np.prod(shape, dtype=int) for shape in all_shapes]
    assert sum(sizes) <= read_and_written <= 8 * sum(sizes)
    assert flops == 0 if OPS[name].rule == "copy" or not min(sizes) else 0 < flops <= 100 * max(sizes) ** 2


def test_operation_counts_of_linear_are_exact():
    n, i, o = 3, 4, 5
    multiplications = additions = 0
    for _ in np.ndindex(n, o):
        multiplications += i
        additions += (i - 1) + 1  # the sum, and the bias
    op = OPS["linear"]
    assert op.flops((n, i), (i, o), (o,), (n, o)) == multiplications + additions
    assert op.bytes((n, i), (i, o), (o,), (n, o), itemsize=8) == 8 * (n * i + i * o + o + n * o)


def test_operation_counts_of_conv2d_are_exact():
    b, h, w, i, o, k = 2, 5, 4, 3, 2, 3
    m, n = 3, 2  # stride 2
    operations = 0
    for _ in np.ndindex(b, m, n, o):
        products = k * k * i
        operations += products + (products - 1) + 2  # the sum, the bias, and add
    shape = (b, h, w, i), (k, k, i, o), (o,), (b, m, n, o), (b, m, n, o)
    assert OPS["conv2d"].flops(*shape) == operations
    assert OPS["conv2d"].bytes(*shape) == 4 * (b * h * w * i + k * k * i * o + o + 2 * b * m * n * o)


def test_labels_count_as_eight_bytes():
    assert OPS["embedding"].bytes((3,), (5, 2), (3, 2)) == 3 * 8 + 4 * (10 + 6)


def test_truth_values_count_as_one_byte():
    shapes = (2, 3, 4), (2, 5, 4), (2, 5, 4), (2, 5), (2, 3, 4), (2, 1, 3)
    assert OPS["attention"].bytes(*shapes) == 4 * (24 + 40 + 40 + 24 + 6) + 10


def test_every_backward_row_follows_its_forward_row():
    for op in CONTRACT:
        if op.backward:
            assert OPS[op.backward].family == op.family


@every_op
def test_port_exports_every_op(name):
    assert callable(getattr(ops, name))
