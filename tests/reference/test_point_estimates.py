"""PnP-ADMM against the posterior mean of a Gaussian, and total variation against closed forms and its optimality conditions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.restoration.operators import Mask
from reference.restoration.point_estimates import differences, divergence, pnp_admm, total_variation
from reference.restoration.posterior import wiener
from reference.restoration.separable import block_mean, blur
from tests.oracle_tolerances import SVD, TV_CONVERGED, assert_close
from tests.restoration_examples import CHANNELS, SIDE, dense, every_operator, gaussian, without_pullback
from tests.strategies import SEED
from tests.tolerances import assert_adjoint

C, NOISE = 0.3, 0.2


def everything(*shape):
    return Mask(np.ones(shape, bool))


# PnP-ADMM

# an iteration at sigma^2 = c halves the distance in directions that are not measured
CONSTANT = [C**0.5] * 100


@every_operator
@pytest.mark.parametrize("sigmas", [CONSTANT, [*CONSTANT, 0.1], [*CONSTANT, 0.1, 0.05, 2.0]], ids=["constant", "fallen", "changed"])
def test_pnp_admm_ends_at_the_posterior_mean_of_a_gaussian_and_stays_there(operator, sigmas):
    """A change of sigma leaves the limit as it is: the multiplier is rescaled."""
    rng = np.random.default_rng(1)
    mean, y = rng.normal(size=operator.shape), rng.normal(size=(2, *operator.measured_shape))
    found = pnp_admm(without_pullback(gaussian(mean, C)), operator, y, NOISE, sigmas)
    expected = wiener(mean.ravel(), C * np.eye(mean.size), operator, y, NOISE)
    assert_close(found, expected, SVD, 10.0)


@every_operator
def test_pnp_admm_with_another_weight_ends_at_its_minimum(operator):
    rng = np.random.default_rng(2)
    mean, y = rng.normal(size=operator.shape), rng.normal(size=(2, *operator.measured_shape))
    found = pnp_admm(without_pullback(gaussian(mean, C)), operator, y, NOISE, CONSTANT, 3.0)
    A, ratio = dense(operator), 3.0 * NOISE**2 / C
    right = y.reshape(2, -1) @ A + ratio * mean.ravel()
    expected = np.linalg.solve(A.T @ A + ratio * np.eye(mean.size), right.T).T
    assert_close(found.reshape(2, -1), expected, SVD, 100.0)


def test_pnp_admm_takes_the_steps_of_its_formula():
    """Two iterations by hand, for one known pixel of two, y = 1 and D(v) = v / 2: rho = .04 / sigma^2."""
    operator = Mask(np.array([True, False]))
    halved = lambda x, alpha, sigma: x / 2
    found = pnp_admm(halved, operator, np.ones((1, 1)), 0.2, [0.4, 0.2])
    x = (1 + 0.25 * 1) / 1.25
    u, z = x - x / 2, x / 2
    u = u / 4
    x = (1 + 1.0 * (z - u)) / 2.0
    assert_close(found, np.array([[(x + u) / 2, 0.0]]), SVD, 1.0)


# total variation


@given(SIDE, SIDE, CHANNELS, SEED)
def test_divergence_is_minus_the_adjoint_of_the_differences(height, width, channels, seed):
    rng = np.random.default_rng(seed)
    x, p = rng.normal(size=(2, height, width, channels)), rng.normal(size=(2, 2, height, width, channels))
    assert_adjoint(differences(x) * p, -x * divergence(p))


def test_differences_go_to_the_next_pixel_below_and_on_the_right():
    x = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]]).reshape(1, 2, 3, 1)
    down, right = differences(x)[:, 0, :, :, 0]
    assert down.tolist() == [[7, 14, 28], [0, 0, 0]] and right.tolist() == [[1, 2, 0], [8, 16, 0]]


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.1, 1.0), st.booleans())
def test_total_variation_of_two_pixels_is_a_soft_threshold(a, b, weight, upright):
    y = np.array([[a, b]])
    found = total_variation(everything(2, 1, 1) if upright else everything(1, 2, 1), y, weight)
    half = np.sign(b - a) * max(abs(b - a) / 2 - weight, 0.0)
    assert_close(found.ravel(), (a + b) / 2 + half * np.array([-1, 1]), TV_CONVERGED, 4.0)


@pytest.mark.parametrize("axis", [1, 2])
def test_total_variation_moves_the_sides_of_an_edge_by_the_weight_over_their_width(axis):
    """-1 on two columns and 1 on three: w per row moves the sums of a row by w."""
    image = np.array([-1.0, -1.0, 1.0, 1.0, 1.0])
    image = np.broadcast_to(np.expand_dims(image, (0, 1, 3) if axis == 2 else (0, 2, 3)), (1, 4, 5, 1) if axis == 2 else (1, 5, 4, 1))
    found = total_variation(everything(*image.shape[1:]), image.reshape(1, -1), 0.3, 2000)
    assert_close(found, np.where(image < 0, -1 + 0.3 / 2, 1 - 0.3 / 3), TV_CONVERGED, 1.0)


def tv(x):
    return np.sqrt((differences(x) ** 2).sum(axis=0)).sum()


@pytest.mark.parametrize(
    "operator",
    [everything(4, 4, 1), Mask(np.arange(16).reshape(4, 4, 1) % 3 > 0), blur((4, 4, 1), 0.6), block_mean((4, 4, 1), 2)],
    ids=["everything", "mask", "blur", "block mean"],
)
def test_total_variation_satisfies_its_optimality_conditions(operator):
    """x minimises ‖y - A x‖^2 / 2 + w TV(x) just if g = Aᵀ(y - A x) has <g, x> = w TV(x) and <g, d> <= w TV(d) for all d.

    d are indicators of sets of pixels, and images near x.
    """
    rng, w = np.random.default_rng(3), 0.2
    y = rng.normal(size=(1, *operator.measured_shape))
    x = total_variation(operator, y, w, 3000)
    g = operator.adjoint(y - operator.forward(x))
    size = np.abs(g * x).sum() + w * tv(x)
    assert abs((g * x).sum() - w * tv(x)) <= TV_CONVERGED * size
    sets = (rng.random((300, 1, 4, 4, 1)) < rng.random((300, 1, 1, 1, 1))).astype(float)
    for d in (*sets, *np.eye(16).reshape(16, 1, 4, 4, 1), *(x + 0.3 * rng.normal(size=(30, *x.shape)))):
        assert (g * d).sum() <= w * tv(d) + TV_CONVERGED * size


def test_total_variation_of_a_large_weight_is_the_mean():
    y = np.random.default_rng(4).normal(size=(2, 12))
    found = total_variation(everything(3, 4, 1), y, 100.0, 2000)
    assert_close(found, np.broadcast_to(y.mean(axis=1).reshape(2, 1, 1, 1), found.shape), TV_CONVERGED, 1.0)


def test_each_channel_and_each_sample_has_a_total_variation_of_its_own():
    y = np.random.default_rng(5).normal(size=(2, 3, 4, 3))
    together = total_variation(everything(3, 4, 3), y.reshape(2, -1), 0.2, 20)
    for b in range(2):
        for c in range(3):
            alone = total_variation(everything(3, 4, 1), y[b, ..., c].reshape(1, -1), 0.2, 20)
            assert np.array_equal(together[b, ..., c], alone[0, ..., 0])


@pytest.mark.parametrize("weight", [0, -1.0, np.nan, np.inf])
def test_the_weight_of_the_total_variation_must_be_positive(weight):
    with pytest.raises(ValueError, match="the weight of the total variation must be positive"):
        total_variation(everything(2, 2, 1), np.zeros((1, 4)), weight)
