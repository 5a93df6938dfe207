"""Every op of a port gives the results of the reference, within the tolerance of its row (reference/conformance/checks.py)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.conformance import checks, random_numbers, special_values
from reference.conformance.contract import OPS
from tests.ports import SIMULATED
from tests.strategies import SEED, arguments

DTYPES = (np.float32, np.float64)

many_threads = pytest.mark.skipif(SIMULATED, reason="too many threads for the simulator, whose blocks of 8 find the edges at fewer entries")
every_op = pytest.mark.parametrize("name", OPS)
every_product = pytest.mark.parametrize("name", checks.PRODUCTS)
of_ops = pytest.mark.of_ops
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


@every_op
def test_op_exists_with_the_argument_names_and_order_of_the_contract(port, name):
    checks.op_exists_with_the_argument_names_and_order_of_the_contract(port, name)


@both_dtypes
@every_op
@given(data=st.data())
def test_results_are_within_tolerance(port, name, dtype, data):
    checks.results_are_within_tolerance(port, name, data.draw(arguments(name, dtype)))


@every_product
@given(data=st.data())
def test_product_of_zero_mean_data_is_within_the_sharper_tolerance(port, name, data):
    args = data.draw(arguments(name, np.float32, scales=(1.0,), offsets=(0.0,)))
    checks.product_of_zero_mean_data_is_within_the_sharper_tolerance(port, name, args)


@every_product
@given(data=st.data())
def test_product_of_data_of_one_sign_is_within_the_textbook_bound(port, name, data):
    args = data.draw(arguments(name, np.float32, scales=(1.0,), offsets=(0.0,)))
    checks.product_of_data_of_one_sign_is_within_the_textbook_bound(port, name, args)


@both_dtypes
@every_product
@given(data=st.data())
def test_product_of_small_integers_is_exact(port, name, dtype, data):
    checks.product_of_small_integers_is_exact(port, name, data.draw(arguments(name, dtype, scales=(1.0,), offsets=(0.0,))))


# sizes with special cases in fast kernels: remainders of vectors and tiles, several blocks, one channel


@of_ops("linear", "linear_backward")
@many_threads
@both_dtypes
@pytest.mark.parametrize("n, i, o", checks.LINEAR_SIZES)
def test_linear_of_many_sizes(port, n, i, o, dtype):
    checks.linear_of_many_sizes(port, n, i, o, dtype)


@of_ops("conv2d", "conv2d_backward")
@both_dtypes
@pytest.mark.parametrize("pixels", checks.CONV_ADDS, ids=["", "per channel", "per pixel"])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("h, w", checks.CONV_SIDES)
def test_conv2d_with_unequal_sides_and_channels(port, h, w, stride, k, pixels, dtype):
    checks.conv2d_with_unequal_sides_and_channels(port, h, w, stride, k, pixels, dtype)


@of_ops("conv2d", "conv2d_backward")
@many_threads
@both_dtypes
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("b, h, w, i, o", checks.CONV_SIZES)
def test_conv2d_of_many_sizes(port, b, h, w, i, o, k, stride, dtype):
    checks.conv2d_of_many_sizes(port, b, h, w, i, o, k, stride, dtype)


@many_threads
@both_dtypes
@pytest.mark.parametrize("name", ["group_norm", "group_norm_silu"])
@pytest.mark.parametrize("b, h, w, c, groups", checks.NORM_SIZES)
def test_group_norm_of_many_sizes(port, name, b, h, w, c, groups, dtype):
    checks.group_norm_of_many_sizes(port, name, b, h, w, c, groups, dtype)


@of_ops("attention", "attention_backward")
@many_threads
@both_dtypes
@pytest.mark.parametrize("b, n, m, c, heads", checks.ATTENTION_SIZES)
def test_attention_of_many_sizes(port, b, n, m, c, heads, dtype):
    checks.attention_of_many_sizes(port, b, n, m, c, heads, dtype)


@many_threads
@both_dtypes
@pytest.mark.parametrize("name", checks.ELEMENTWISE)
def test_arrays_of_many_blocks(port, name, dtype):
    checks.arrays_of_many_blocks(port, name, dtype)


@many_threads
@both_dtypes
@pytest.mark.parametrize("name", ["mixture_log_density", "mixture_score"])
@pytest.mark.parametrize("n, k, d, scalar", checks.MIXTURE_SIZES)
def test_mixtures_of_many_sizes(port, name, n, k, d, scalar, dtype):
    checks.mixtures_of_many_sizes(port, name, n, k, d, scalar, dtype)


@of_ops("fokker_planck_step", "fokker_planck_step_2d")
@many_threads
@both_dtypes
@pytest.mark.parametrize("periodic", [False, True])
def test_fokker_planck_steps_of_many_cells_some_without_diffusion(port, periodic, dtype):
    checks.fokker_planck_steps_of_many_cells_some_without_diffusion(port, periodic, dtype)


# special values


@both_dtypes
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("name", special_values.WITH_LOGITS)
def test_logits_of_ten_thousand_in_one_row_or_in_all_rows(port, name, rows, dtype):
    special_values.logits_of_ten_thousand_in_one_row_or_in_all_rows(port, name, rows, dtype)


@of_ops("attention")
@both_dtypes
@pytest.mark.parametrize("keys", special_values.MASKS, ids=["padding", "in between", "one key"])
def test_masked_keys_may_hold_anything_and_attention_is_that_over_the_others(port, keys, dtype):
    special_values.masked_keys_may_hold_anything_and_attention_is_that_over_the_others(port, keys, dtype)


@both_dtypes
@pytest.mark.parametrize("name", special_values.SILUS)
@pytest.mark.parametrize("start", special_values.SILU_STARTS)
def test_silu_on_a_wide_grid(port, name, start, dtype):
    special_values.silu_on_a_wide_grid(port, name, start, dtype)


@of_ops("adam_step_")
@both_dtypes
@pytest.mark.parametrize("step", [1, 1000])
def test_adam_with_gradients_of_every_size(port, step, dtype):
    special_values.adam_with_gradients_of_every_size(port, step, dtype)


@of_ops("group_norm")
@both_dtypes
@pytest.mark.parametrize("value", special_values.CONSTANTS)
@pytest.mark.parametrize("n, width", special_values.CONSTANT_SIZES)
def test_group_norm_of_a_constant_group_is_its_shift_with_no_scale_gradient(port, n, width, value, dtype):
    special_values.group_norm_of_a_constant_group_is_its_shift_with_no_scale_gradient(port, n, width, value, dtype)


@pytest.mark.parametrize("name", ["group_norm", "group_norm_silu"])
@pytest.mark.parametrize("dtype, size", [(dtype, size) for dtype in DTYPES for size in special_values.LARGE[dtype]])
def test_group_norm_of_entries_up_to_half_the_largest_number(port, name, dtype, size):
    special_values.group_norm_of_entries_up_to_half_the_largest_number(port, name, dtype, size)


@both_dtypes
@pytest.mark.parametrize("name", special_values.SILUS)
def test_silu_of_the_largest_and_smallest_floats(port, name, dtype):
    special_values.silu_of_the_largest_and_smallest_floats(port, name, dtype)


@of_ops("softmax")
@both_dtypes
def test_softmax_of_the_largest_and_smallest_floats(port, dtype):
    special_values.softmax_of_the_largest_and_smallest_floats(port, dtype)


@both_dtypes
@pytest.mark.parametrize("name", ["cross_entropy", "cross_entropy_backward"])
def test_cross_entropy_of_the_largest_and_smallest_floats(port, name, dtype):
    special_values.cross_entropy_of_the_largest_and_smallest_floats(port, name, dtype)


@of_ops("mixture_log_density", "mixture_score")
@both_dtypes
@pytest.mark.parametrize("scalar", [True, False])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_mixture_at_overflowing_distance_has_density_0_and_nan_score(port, d, scalar, dtype):
    for name in ("mixture_log_density", "mixture_score"):
        if name not in port.missing_ops:
            special_values.mixture_at_overflowing_distance_has_density_0_and_nan_score(port, name, d, scalar, dtype)


# exact sums


@of_ops("linear")
@given(SEED)
def test_linear_is_the_sum_of_exact_products(port, seed):
    checks.linear_is_the_sum_of_exact_products(port, seed)


@of_ops("conv2d")
@given(SEED, st.sampled_from((1, 2)))
def test_conv2d_is_the_sum_of_exact_products(port, seed, stride):
    checks.conv2d_is_the_sum_of_exact_products(port, seed, stride)


# random numbers


@of_ops("philox_bits")
@pytest.mark.parametrize("seed, sample, step, purpose, block", random_numbers.PUBLISHED_BITS)
def test_philox_bits_equal_the_published_ones(port, seed, sample, step, purpose, block):
    random_numbers.philox_bits_equal_the_published_ones(port, seed, sample, step, purpose, block)


@of_ops("normal")
@given(st.integers(0, 2**64 - 1), SEED, SEED)
def test_float32_normals_are_within_one_rounding_of_the_exact_values(port, seed, sample, step):
    random_numbers.float32_normals_are_within_one_rounding_of_the_exact_values(port, seed, sample, step)


@of_ops("normal")
@given(st.integers(0, 2**64 - 1), SEED, SEED)
def test_float64_normals_are_within_four_roundings_of_the_radius(port, seed, sample, step):
    random_numbers.float64_normals_are_within_four_roundings_of_the_radius(port, seed, sample, step)


@of_ops(*random_numbers.NOISE_OPS)
@both_dtypes
@pytest.mark.parametrize("shape", random_numbers.NOISE_SHAPES)
def test_noise_has_the_same_bits_in_a_batch_of_eight_and_alone(port, shape, dtype):
    for name in random_numbers.NOISE_OPS:
        if name not in port.missing_ops:
            random_numbers.noise_has_the_same_bits_in_a_batch_of_eight_and_alone(port, name, shape, dtype)


@of_ops("normal")
@both_dtypes
def test_key_as_noise_gives_the_normals_of_the_port(port, dtype):
    for name in ("add_noise", "reverse_step"):
        if name not in port.missing_ops:
            random_numbers.key_as_noise_gives_the_normals_of_the_port(port, name, dtype)
