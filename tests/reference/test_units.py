"""Units: scaling is invertible for numbers of any size, and the range of integers is detected."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reference.conformance.tolerances import UNIT_ROUNDOFF
from reference.data import units

U64, U32 = (UNIT_ROUNDOFF[np.dtype(dtype)] for dtype in (np.float64, np.float32))
SMALLEST = 5e-324  # the spacing of the smallest numbers


def draws(seed, shape):
    return np.random.default_rng(seed).standard_normal(shape)


@given(st.integers(0, 99), st.lists(st.tuples(st.floats(-320, 305), st.floats(-1e3, 1e3)), min_size=1, max_size=4))
@example(0, [(-310.0, 0.0)])
@example(0, [(-323.0, 0.0)])
@example(1, [(-3.0, 0.0), (3.0, 1.0)])
def test_every_coordinate_is_standardised_and_the_scaling_is_invertible(seed, columns):
    n, (exponents, centres) = 20, zip(*columns)
    size = 10.0 ** np.array(exponents)
    x = (draws(seed, (n, len(columns))) + centres) * size
    scaled, own_units, _ = units.scale_points(x, "x")
    # a mean of n fractions of the range errs by at most n u, and the deviation of n numbers is at least the range / (3 sqrt(n))
    assert (abs(scaled.mean(axis=0)) <= 3 * n**1.5 * U64).all()
    varying = np.ptp(x, axis=0) > 0
    assert (abs(scaled.std(axis=0) - varying) <= 12 * n**1.5 * U64).all()
    bound = 16 * n * U64 * abs(x).max(axis=0) + 8 * n * SMALLEST  # a fraction of at most 3 sqrt(n) deviations, rounded a few times
    assert (abs(own_units.to_file_units(scaled) - x) <= bound).all()


def test_a_constant_coordinate_is_scaled_to_0_and_restored_exactly():
    x = draws(0, (9, 3))
    x[:, 1] = 12345.678
    scaled, own_units, note = units.scale_points(x, "x")
    assert (scaled[:, 1] == 0).all() and (own_units.to_file_units(draws(1, (5, 3)))[:, 1] == 12345.678).all()
    assert note == "each of the 2 coordinates of 3 that vary is scaled to mean 0 and deviation 1"


@pytest.mark.parametrize(
    "smallest, largest, expected",
    [
        (0, 1, (0, 1)),
        (0, 16, (0, 16)),
        (3, 127, (3, 127)),
        (0, 128, (0, 255)),
        (7, 254, (0, 255)),
        (0, 255, (0, 255)),
        (0, 256, (0, 256)),
        (-1, 200, (-1, 200)),
        (-128, 127, (-128, 127)),
        (0, 4095, (0, 4095)),
        (9, 32768, (0, 65535)),
        (0, 65535, (0, 65535)),
        (0, 65536, (0, 65536)),
    ],
)
def test_integer_range_is_the_types_range_if_all_bits_are_used(smallest, largest, expected):
    assert units.integer_range(float(smallest), float(largest)) == expected


@given(st.integers(0, 99), st.integers(1, 12), st.integers(1, 20), st.sampled_from([np.uint8, np.int16, np.int64, np.uint64, np.float64]))
def test_integers_lie_on_the_coarsest_lattice_and_are_restored(seed, most, step, dtype):
    x = np.random.default_rng(seed).integers(0, most + 1, (6, 2, 3, 1)) * step
    x.flat[:2] = 0, most * step
    scaled, own_units, width, _ = units.scale_images(x.astype(dtype), "x")
    low, high = units.integer_range(0.0, float(most * step))
    assert (abs(own_units.to_file_units(scaled) - x) <= 4 * U32 * high).all()
    places = (scaled.astype(np.float64) + 1) / width
    assert (abs(places - np.rint(places)) <= 4 * U32 / width).all()
    assert width == pytest.approx(2 / (high - low) * np.gcd(np.gcd.reduce(x, axis=None), int(high)), rel=4 * U64)


def test_scaled_bytes_are_bit_equal_to_x_times_2_over_255_minus_1():  # a run identifies its data by these bits
    x = np.random.default_rng(0).integers(0, 255, (5, 4, 4, 1), dtype=np.uint8)
    expected = x.astype(np.float32) * np.float32(2 / 255) - np.float32(1)
    np.testing.assert_array_equal(units.scale_images(x, "x")[0], expected)


@pytest.mark.parametrize("values, width", [((0, 1), 2), ((0, 255), 2), ((0, 51, 255), 0.4), ((0, 16, 3), 0.125), ((0, 0.5, 1), 0)])
def test_spacing_is_the_coarsest_lattices_and_0_for_real_numbers(values, width):
    x = np.resize(np.array(values, np.float64), (6, 2, 2, 1))
    assert units.scale_images(x, "x")[2] == pytest.approx(width, rel=4 * U64)


def test_black_and_white_are_minus_one_and_one_in_any_type():
    x = draws(0, (6, 3, 3, 1)) > 0
    for images in (x, x.astype(np.uint8), x * np.uint8(255), x.astype(np.float32), x * 1e-310):
        np.testing.assert_array_equal(units.scale_images(images, "x")[0], np.where(x, 1, -1))


@given(st.integers(0, 99), st.floats(-320, 305))
@example(0, -310.0)
def test_real_valued_images_are_scaled_to_minus_one_to_one(seed, exponent):
    x = draws(seed, (6, 3, 3, 1)) * 10.0**exponent
    with np.errstate(all="ignore"):  # a mistake is visible in the result
        scaled, own_units, _, _ = units.scale_images(x, "x")
    assert abs(scaled.min() + 1) <= 4 * U64 and abs(scaled.max() - 1) <= 4 * U64
    assert (abs(own_units.to_file_units(scaled) - x) <= 8 * U64 * abs(x).max() + 4 * SMALLEST).all()


def test_the_range_in_use_is_reported():
    x = np.resize(np.array([0, 3, 254], np.uint8), (6, 2, 2, 1))
    assert units.scale_images(x, "x")[3] == "values 0 to 255 are scaled to [-1, 1] (those in the file lie between 0 and 254)"
    assert units.scale_images(x % 8, "x")[3] == "values 0 to 6 are scaled to [-1, 1]"


@pytest.mark.parametrize("value, message", [(np.nan, "not finite"), (np.inf, "not finite"), (1.5e308, "too far apart")])
def test_data_that_can_not_be_scaled_are_refused(value, message):
    x = draws(0, (6, 2))
    x[0], x[1] = value, -value
    for scale, values in ((units.scale_points, x), (units.scale_images, x.reshape(6, 2, 1, 1))):
        with pytest.raises(ValueError, match=message):
            scale(values, "x")
