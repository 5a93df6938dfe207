"""Linear measurements: adjoints, singular values, and the inverses that follow from them, against dense linear algebra."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from reference import ops
from reference.restoration.operators import Cropped, Mask, Matrix
from reference.restoration.separable import block_mean, blur
from tests.oracle_tolerances import EXACT, SVD, assert_close, assert_mean
from tests.restoration_examples import CHANNELS, SIDE, blurs, cropped, dense, every_operator, inside, operators, well_conditioned
from tests.strategies import SEED
from tests.tolerances import assert_adjoint, assert_equal_to_rounding

POSITIVE = st.floats(0.01, 100.0)


def pair(operator, seed, b=3):
    """Random x[b,*shape] and y[b,*measured_shape]."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(b, *operator.shape)), rng.normal(size=(b, *operator.measured_shape))


def columns(function, shape):
    """The matrix of a linear function of arrays of this shape."""
    n = int(np.prod(shape))
    return function(np.eye(n).reshape(n, *shape)).reshape(n, -1).T if n else np.zeros((function(np.zeros((1, *shape))).size, 0))


def flat(x):
    return x.reshape(len(x), -1)


def size(A):
    return np.abs(A).max(initial=1.0)


# A and its adjoint


@given(operators, SEED)
def test_forward_is_the_matrix_of_the_definition(operator, seed):
    x, _ = pair(operator, seed)
    A = dense(operator)
    assert_close(flat(operator.forward(x)), flat(x) @ A.T, EXACT, np.abs(flat(x)) @ np.abs(A.T))
    assert_close(operator.matrix(), A, EXACT, size(A))


@given(operators, SEED)
def test_adjoint_moves_the_operator_to_the_other_side_of_the_inner_product(operator, seed):
    """<A x, y> = <x, Aᵀ y>, to 1e-12 of the terms."""
    x, y = pair(operator, seed)
    assert_adjoint(operator.forward(x) * y, x * operator.adjoint(y))


@every_operator
def test_adjoint_is_the_transpose_and_no_identity_and_no_upsampling(operator):
    x, y = pair(operator, 0)
    assert operator.adjoint(y).shape == x.shape and operator.forward(x).shape == y.shape
    assert_close(flat(operator.adjoint(y)), flat(y) @ dense(operator), EXACT, np.abs(flat(y)) @ np.abs(dense(operator)))


# singular values


@given(operators)
def test_operator_equals_its_singular_value_decomposition(operator):
    n = int(np.prod(operator.shape))
    V, Vt = columns(operator.V, (n,)), columns(operator.Vt, operator.shape)
    Ut, s = columns(operator.Ut, operator.measured_shape), operator.singular_values
    measured = s > 0
    assert s.shape == (n,) and (s >= 0).all()
    assert_close(V @ Vt, np.eye(n), SVD, 1.0)
    assert_close(V.T, Vt, SVD, 1.0)
    assert_close((Ut @ Ut.T)[measured][:, measured], np.eye(measured.sum()), SVD, 1.0)
    assert_close(Ut.T * s @ Vt, dense(operator), SVD, size(s))


@given(well_conditioned)
def test_zero_singular_values_are_the_directions_that_are_not_measured(operator):
    assert (operator.singular_values > 0).sum() == (np.linalg.matrix_rank(dense(operator)) if operator.measured_shape != (0,) else 0)


def test_rounding_does_not_measure_a_direction():
    """Singular values that are 0 but for rounding are 0, also of many equal rows."""
    for A in (np.outer(np.arange(1, 4), np.ones(3)), np.outer(np.linspace(0, 1, 1000), [1.0, 3.0])):
        assert (Matrix(A).singular_values > 0).sum() == 1
    assert (blur((8, 8, 1), 6.0).singular_values > 0).sum() < 64


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), CHANNELS, SEED)
def test_block_mean_is_the_mean_of_blocks_with_singular_values_one_over_the_factor(factor, rows, cols, channels, seed):
    operator = block_mean((factor * rows, factor * cols, channels), factor)
    x, _ = pair(operator, seed)
    blocks = x.reshape(len(x), rows, factor, cols, factor, channels)
    assert_close(operator.forward(x), blocks.mean(axis=(2, 4)), EXACT, np.abs(x).max())
    values = operator.singular_values
    assert_close(values[values > 0], np.full(rows * cols * channels, 1 / factor), SVD)


@given(SIDE, SIDE, CHANNELS, st.floats(0.05, 50.0))
def test_singular_values_of_blur_are_the_fourier_transform_of_its_kernel(height, width, channels, deviation):
    """By Poisson's summation: the sum of the Gaussian's transform exp(-2 pi^2 d^2 f^2) over the frequencies f = k/n + j."""

    def transform(n):
        f = np.arange(n)[:, None] / n + np.arange(-60, 61)
        terms = np.exp(-2 * (np.pi * deviation * f) ** 2).sum(axis=1)
        return terms / terms[0]

    expected = np.outer(transform(height), transform(width)).repeat(channels)
    found = blur((height, width, channels), deviation).all_singular_values
    assert_close(np.sort(found), np.sort(expected), SVD, 1.0)


@given(blurs())
def test_blur_preserves_constants_and_is_symmetric(operator):
    ones = np.ones((1, *operator.shape))
    assert_close(operator.forward(ones), ones, EXACT)
    assert_close(operator.matrix(), operator.matrix().T, EXACT, 1.0)


@pytest.mark.parametrize("deviation", [0.3, 0.8, 1.5, 4.0])
def test_blur_equals_scipys_filter_with_a_periodic_edge(deviation):
    """SciPy's kernel ends at ten deviations, where e^-50 of it is left: below rounding."""
    operator = blur((7, 6, 3), deviation)
    x, _ = pair(operator, 1)
    expected = gaussian_filter(x, (0, deviation, deviation, 0), mode="wrap", truncate=10.0)
    assert_close(operator.forward(x), expected, EXACT, np.abs(x).max())


def test_blur_by_tiny_and_huge_deviations_is_the_identity_and_the_mean():
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 1))
    assert_equal_to_rounding(blur((5, 4, 1), 1e-300).forward(x), x)
    mean = x.mean(axis=(1, 2), keepdims=True)
    assert_close(blur((5, 4, 1), 1e300).forward(x), np.broadcast_to(mean, x.shape), EXACT, np.abs(x).max())


# inverses


@given(well_conditioned)
def test_pseudo_inverse_has_the_four_properties_of_moore_and_penrose(operator):
    """Its products with A are then projectors."""
    A, P = dense(operator), columns(operator.pseudo_inverse, operator.measured_shape)
    assert_close(A @ P @ A, A, SVD, size(A))
    assert_close(P @ A @ P, P, SVD, size(P))
    for projector in (A @ P, P @ A):
        assert_close(projector, projector.T, SVD, 1.0)
        assert_close(projector @ projector, projector, SVD, 1.0)


@given(operators, POSITIVE, POSITIVE, SEED)
def test_regularised_inverse_equals_dense_linear_algebra(operator, r, s, seed):
    A, (_, y) = dense(operator), pair(operator, seed)
    gram = r * A @ A.T + s * np.eye(len(A))
    solution = np.linalg.solve(gram, flat(y).T).T
    condition = (4 * r + s) / s  # at most: no singular value exceeds 2
    assert_close(flat(operator.regularised_inverse(y, r, s)), solution @ A, SVD, condition * size(A) * size(solution))


@given(well_conditioned, POSITIVE, SEED)
def test_regularised_inverse_without_noise_is_the_pseudo_inverse(operator, r, seed):
    A, (_, y) = dense(operator), pair(operator, seed)
    expected = flat(y) @ np.linalg.pinv(A).T / r
    assert_close(flat(operator.regularised_inverse(y, r, 0.0)), expected, SVD, size(expected))
    assert_close(flat(operator.pseudo_inverse(y)), r * expected, SVD, size(r * expected))


@given(operators, POSITIVE, SEED)
def test_proximal_equals_dense_linear_algebra_and_is_stationary(operator, rho, seed):
    A, (x, y) = dense(operator), pair(operator, seed)
    found = operator.proximal(y, x, rho)
    right = flat(y) @ A + rho * flat(x)
    expected = np.linalg.solve(A.T @ A + rho * np.eye(A.shape[1]), right.T).T
    assert_close(flat(found), expected, SVD, (4 + rho) / rho * size(expected))
    gradient = operator.adjoint(operator.forward(found) - y) + rho * (found - x)
    assert_close(gradient, np.zeros_like(x), SVD, (4 + rho) * (size(found) + size(x) + size(y)))


@given(well_conditioned, SEED)
def test_proximal_without_a_weight_keeps_the_directions_that_are_not_measured(operator, seed):
    A, (x, y) = dense(operator), pair(operator, seed)
    expected = flat(x) + (flat(y) - flat(x) @ A.T) @ np.linalg.pinv(A).T
    assert_close(flat(operator.proximal(y, x, 0.0)), expected, SVD, size(x) + size(expected))


# crops


@given(cropped(well_conditioned), SEED)
def test_a_cropped_operator_measures_the_crop_alone(operator, seed):
    x, y = pair(operator, seed)
    part = inside(operator)
    crop = x[:, *part]
    assert_equal_to_rounding(operator.forward(x), operator.operator.forward(crop))
    back = operator.adjoint(y)
    assert_equal_to_rounding(back[:, *part], operator.operator.adjoint(y))
    back[:, *part] = 0
    assert not back.any()
    values = operator.singular_values
    assert np.array_equal(np.sort(values)[values.size - crop[0].size :], np.sort(operator.operator.singular_values))
    assert (values > 0).sum() == (operator.operator.singular_values > 0).sum()


# measurements


def test_a_measurement_has_mean_ax_and_the_noise_that_was_asked_for_not_twice_it():
    operator, x, noise = block_mean((4, 4, 1), 2), np.full((20_000, 4, 4, 1), 0.5), 0.05
    errors = (operator.measure(x, noise, 7, np.arange(len(x)), ops) - 0.5) / noise
    assert_mean(errors, 0.0, 2)
    assert_mean(errors**2, 1.0, 2)


def test_noise_of_a_measurement_depends_on_seed_and_index_alone():
    operator = blur((3, 3, 1), 0.5)
    x = np.random.default_rng(0).normal(size=(4, 3, 3, 1))
    y = operator.measure(x, 0.3, 5, np.arange(4), ops)
    alone = operator.measure(x[2:3], 0.3, 5, np.array([2]), ops)
    assert np.array_equal(y[2:3], alone)
    assert_equal_to_rounding(y - operator.forward(x), operator.measure(0 * x, 0.3, 5, np.arange(4), ops))
    assert not np.array_equal(y, operator.measure(x, 0.3, 6, np.arange(4), ops))
    assert np.array_equal(operator.measure(x, 0.0, 5, np.arange(4), ops), operator.forward(x))


def test_a_mask_that_knows_nothing_measures_nothing():
    operator, x = Mask(np.zeros((2, 2, 1), bool)), np.ones((3, 2, 2, 1))
    y = operator.measure(x, 0.1, 0, np.arange(3), ops)
    assert y.shape == (3, 0) and not operator.adjoint(y).any() and not operator.singular_values.any()
    assert np.array_equal(operator.proximal(y, x, 0.7), x)


# errors


@pytest.mark.parametrize("known", [np.ones(3), np.array([0, 1]), [1.0]])
def test_a_mask_must_hold_booleans(known):
    with pytest.raises(ValueError, match=r"a mask must hold booleans, got (float|int)64"):
        Mask(known)


def test_a_mask_is_its_own_copy():
    known = np.ones(3, bool)
    operator = Mask(known)
    known[0] = False
    assert operator.known.all()


@pytest.mark.parametrize("A", [np.ones(3), np.ones((2, 2, 2)), [[np.nan]], [[1.0, np.inf]]])
def test_a_matrix_must_be_finite(A):
    with pytest.raises(ValueError, match="a matrix of finite numbers"):
        Matrix(A)


@pytest.mark.parametrize("deviation", [0, -1.0, np.nan, np.inf])
def test_a_deviation_must_be_positive(deviation):
    with pytest.raises(ValueError, match=f"deviation must be a positive number of pixels, got {deviation}"):
        blur((4, 4, 1), deviation)


@pytest.mark.parametrize("factor", [0, -2, 3, 4, 1.5, np.nan])
def test_a_factor_must_divide_height_and_width(factor):
    with pytest.raises(ValueError, match=f"divides height and width, 4 and 6, got {factor}"):
        block_mean((4, 6, 1), factor)


@pytest.mark.parametrize("whole", [(3, 4, 1), (4, 4), (4, 4, 0), (4, 4, 1, 1)])
def test_a_crop_must_fit(whole):
    with pytest.raises(ValueError, match="has no part of shape"):
        Cropped(blur((4, 4, 1), 1.0), whole)
    for corner in ((1, 0), (0, -1)):
        with pytest.raises(ValueError, match="has no part of shape"):
            Cropped(blur((4, 4, 1), 1.0), (4, 5, 1), corner)


@every_operator
def test_arrays_of_another_shape_are_refused(operator):
    for name, method, shape in (
        ("x", operator.forward, operator.shape),
        ("x", operator.Vt, operator.shape),
        ("y", operator.adjoint, operator.measured_shape),
        ("y", operator.Ut, operator.measured_shape),
    ):
        for wrong in ((shape[0] + 1, *shape[1:]), shape[:-1], (*shape, 1)):
            with pytest.raises(ValueError, match=rf"{name} must have shape \[b, "):
                method(np.zeros((2, *wrong)))
