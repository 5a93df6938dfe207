"""Checks of arguments that several ops share."""

import numpy as np
import pytest

from reference import ops
from tests.example_networks import numbers


@pytest.mark.parametrize("value", [2.0, "2", None, True])
def test_non_integer_counts_are_a_type_error_that_names_them(value):
    x, one = numbers(0, 2, 4), np.ones(4)
    for name, call in {
        "groups": lambda: ops.group_norm(x, one, one, value),
        "heads": lambda: ops.attention(x[None], x[None], x[None], value),
        "width": lambda: ops.timestep_embedding(one, value),
        "shift": lambda: ops.timestep_embedding(one, 4, value),
        "stride": lambda: ops.conv2d(numbers(0, 1, 3, 3, 1), np.ones((1, 1, 1, 1)), np.ones(1), value),
        "step": lambda: ops.adam_step_(x.copy(), x, x.copy(), x * x, value, 0.1),
        "seed": lambda: ops.uniform(value, np.arange(2), 0, 0, ()),
    }.items():
        with pytest.raises(TypeError, match=f"{name} must be a whole number"):
            call()


@pytest.mark.parametrize("shape", [3, (-1,), [2]])
def test_the_shape_of_random_numbers_is_a_tuple_of_sizes(shape):
    with pytest.raises(ValueError, match="shape must be a tuple of sizes"):
        ops.normal(0, np.arange(2), 0, 0, shape)
