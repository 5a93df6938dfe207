"""Rules for calling every op of a port, with drawn arguments (reference/conformance/calling_rules.py)."""

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


def unit_arguments(data, name, dtype=np.float64):
    return data.draw(arguments(name, dtype, scales=(1.0,), offsets=(0.0,)))


# dtypes and layouts


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@of_every_op
@few
@given(data=st.data())
def test_dtype_in_is_dtype_out(port, name, dtype, data):
    calling_rules.dtype_in_is_dtype_out(port, name, unit_arguments(data, name, dtype))


@pytest.mark.parametrize("layout", LAYOUTS)
@of_every_op
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
    calling_rules.two_calls_return_separate_memory(port, name, unit_arguments(data, name))


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
    calling_rules.out_with_another_dtype_or_shape_is_refused(port, name, unit_arguments(data, name))


@pytest.mark.parametrize("name", calling_rules.SEVERAL_RESULTS)
@few
@given(data=st.data())
def test_out_for_several_results_must_be_a_tuple_of_that_length(port, name, data):
    calling_rules.out_for_several_results_must_be_a_tuple_of_that_length(port, name, unit_arguments(data, name))


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
    calling_rules.read_only_target_is_a_value_error(port, name, unit_arguments(data, name))


@of_every_op
@few
@given(data=st.data())
def test_list_for_an_array_is_a_type_error_that_names_the_argument(port, name, data):
    calling_rules.list_for_an_array_is_a_type_error_that_names_the_argument(port, name, unit_arguments(data, name))


@of_every_op
@few
@given(data=st.data())
def test_wrong_number_of_axes_is_a_value_error_that_names_the_argument(port, name, data):
    calling_rules.wrong_number_of_axes_is_a_value_error_that_names_the_argument(port, name, unit_arguments(data, name))


@of_every_op
@few
@given(data=st.data())
def test_mismatched_sizes_are_a_value_error(port, name, data):
    calling_rules.mismatched_sizes_are_a_value_error(port, name, unit_arguments(data, name))


@pytest.mark.parametrize("name, word", calling_rules.COEFFICIENTS)
def test_wrong_number_of_coefficients_is_a_value_error_that_names_them(port, name, word):
    calling_rules.wrong_number_of_coefficients_is_a_value_error_that_names_them(port, name, word)


@pytest.mark.parametrize("name", calling_rules.SEVERAL_DOTS)
def test_axes_written_as_dots_must_agree_between_arguments(port, name):
    calling_rules.axes_written_as_dots_must_agree_between_arguments(port, name)


# samples


@pytest.mark.parametrize("name", calling_rules.BATCHED_BUT_LOSSES)
@few
@given(data=st.data())
def test_empty_batch_has_empty_results_and_no_gradient(port, name, data):
    calling_rules.empty_batch_has_empty_results_and_no_gradient(port, name, unit_arguments(data, name))


@pytest.mark.parametrize("name", calling_rules.LOSSES)
@few
@given(data=st.data())
def test_losses_refuse_an_empty_batch(port, name, data):
    calling_rules.losses_refuse_an_empty_batch(port, name, unit_arguments(data, name))


@pytest.mark.parametrize("name", calling_rules.BATCHED)
@few
@given(data=st.data())
def test_the_first_sample_alone_has_the_same_result_as_in_a_batch(port, name, data):
    calling_rules.the_first_sample_alone_has_the_same_result_as_in_a_batch(port, name, unit_arguments(data, name))


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("name", calling_rules.BATCHED)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore:(invalid|overflow|divide).* encountered:RuntimeWarning")
def test_non_finite_input_makes_only_its_own_sample_non_finite(port, name, poison, data):
    calling_rules.non_finite_input_makes_only_its_own_sample_non_finite(port, name, unit_arguments(data, name), poison)
