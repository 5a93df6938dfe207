"""The strategies cover the contract and draw arguments that the ops accept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import ops
from reference.conformance import op_sizes
from reference.conformance.call import argument_names, axes, call_op, cast
from reference.conformance.contract import OPS
from tests import strategies

few = settings(max_examples=max(5, settings.default.max_examples // 4))


@pytest.mark.parametrize("name", OPS)
def test_every_op_has_a_strategy_of_its_name(name):
    assert callable(getattr(op_sizes, name.removesuffix("_backward")))


@pytest.mark.parametrize("name", OPS)
@few
@given(data=st.data())
def test_drawn_arguments_have_the_axes_of_the_contract(name, data):
    arguments = data.draw(strategies.arguments(name, np.float64))
    signature = axes(OPS[name].arguments)
    assert len(arguments) == len(argument_names(name))
    for word, argument in zip(argument_names(name), arguments):
        if word in signature and isinstance(argument, np.ndarray) and "..." not in signature[word]:
            assert argument.ndim == len(signature[word])


@pytest.mark.parametrize("name", OPS)
@few
@given(data=st.data())
def test_drawn_numbers_are_the_same_in_both_precisions(name, data):
    arguments = data.draw(strategies.arguments(name, np.float64))
    again = cast(cast(arguments, np.float32), np.float64)
    for one, other in zip(arguments, again):
        if isinstance(one, np.ndarray):
            assert np.array_equal(one, other)


@pytest.mark.parametrize("name", OPS)
@few
@given(data=st.data())
def test_the_reference_accepts_drawn_arguments_and_stays_finite(name, data):
    arguments = data.draw(strategies.arguments(name, np.float32))
    for result in call_op(name, getattr(ops, name), arguments):
        assert result is None or np.isfinite(result).all()
