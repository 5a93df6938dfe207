"""The ops of mixtures and of diffusion steps against SciPy and their formulas."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from reference import ops
from reference.ops import Key, Purpose
from tests.example_networks import numbers
from tests.tolerances import assert_equal_to_rounding

KEY = Key(3, np.arange(4), 2, Purpose.STEP_NOISE)


# mixtures


WEIGHTS, MEANS = np.array([0.625, 0.25, 0.125]), numbers(0, 3, 2)
COVARIANCES = np.array([[[1.0, 0.3], [0.3, 0.5]], [[0.2, 0.0], [0.0, 2.0]], [[1.5, -0.7], [-0.7, 0.8]]])
VARIANCES = np.array([0.5, 1.0, 2.5])
CONDITION = np.linalg.cond(COVARIANCES).max()


def log_density(x, weights, means, covariances):
    full = [c if np.ndim(c) else c * np.eye(len(means[0])) for c in covariances]
    parts = [stats.multivariate_normal(m, c).logpdf(x) for m, c in zip(means, full)]
    return logsumexp(np.reshape(parts, (len(weights), -1)), b=np.reshape(weights, (-1, 1)), axis=0)


@pytest.mark.parametrize("covariances", [COVARIANCES, VARIANCES])
@pytest.mark.parametrize("weights", [WEIGHTS, np.array([0.25, 0.0, 0.75])])
@pytest.mark.parametrize("far", [1.0, 1e4])
def test_mixture_log_density_equals_scipys(covariances, weights, far):
    x = far * numbers(1, 7, 2)
    expected = log_density(x, weights, MEANS, covariances)
    assert_equal_to_rounding(ops.mixture_log_density(x, weights, MEANS, covariances), expected, scale=CONDITION * np.abs(expected).max())


@pytest.mark.parametrize("covariances", [COVARIANCES, VARIANCES])
@pytest.mark.parametrize("weights", [WEIGHTS, np.array([0.25, 0.0, 0.75])])
@pytest.mark.parametrize("far", [1.0, 1e4])
def test_mixture_score_is_the_responsibility_weighted_mean_of_scores(covariances, weights, far):
    x = far * numbers(1, 7, 2)
    full = [c if np.ndim(c) else c * np.eye(2) for c in covariances]
    expected = np.zeros_like(x)
    with np.errstate(divide="ignore"):
        logs = np.log(weights)[:, None] + [stats.multivariate_normal(m, c).logpdf(x) for m, c in zip(MEANS, full)]
    for responsibility, m, c in zip(np.exp(logs - logsumexp(logs, axis=0)), MEANS, full):
        expected += responsibility[:, None] * np.linalg.solve(c, (m - x).T).T
    assert_equal_to_rounding(ops.mixture_score(x, weights, MEANS, covariances), expected, scale=CONDITION * np.abs(expected).max())


def test_mixture_density_integrates_to_one():
    x = np.linspace(-30, 30, 3001)[:, None]
    density = np.exp(ops.mixture_log_density(x, WEIGHTS, MEANS[:, :1], VARIANCES))
    assert_equal_to_rounding(density.sum() * 0.02, 1.0)  # the rectangle rule is exact beyond the peak's bandwidth


@pytest.mark.parametrize("name", ["mixture_log_density", "mixture_score"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [[1], [0, 1, 2, 3]])
def test_mixture_is_finite_far_from_its_components(name, dtype, rows):
    x = numbers(1, 4, 2).astype(dtype)
    x[rows] *= 1e4
    args = [a.astype(dtype) for a in (x, WEIGHTS, MEANS, VARIANCES)]
    assert np.isfinite(getattr(ops, name)(*args)).all()


@pytest.mark.parametrize("weights", [[0.5, 0.25, 0.125], [1.5, -0.25, -0.25], [0.5, 0.5, np.nan]])
def test_mixture_weights_must_be_a_distribution(weights):
    with pytest.raises(ValueError, match="weights must not be negative and must sum to 1"):
        ops.mixture_score(numbers(1, 4, 2), np.array(weights), MEANS, VARIANCES)


@pytest.mark.parametrize("name", ["mixture_log_density", "mixture_score"])
def test_mixture_covariances_must_be_positive(name):
    with pytest.raises(ValueError, match="variances must be positive"):
        getattr(ops, name)(numbers(1, 4, 2), WEIGHTS, MEANS, np.array([1.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match="covariances must be symmetric and positive definite"):
        getattr(ops, name)(numbers(1, 4, 2), WEIGHTS, MEANS, -COVARIANCES)
    with pytest.raises(ValueError, match="covariances must have shape"):
        getattr(ops, name)(numbers(1, 4, 2), WEIGHTS, MEANS, COVARIANCES[:, :1])


# diffusion


def coefficients(array):
    return np.array([0.5, -1.0, 2.0, 0.25]) if array else 0.75


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize("noise", ["array", "key"])
def test_add_noise_equals_its_formula_for_every_sample(array, noise):
    x0, signal_, scale = numbers(0, 4, 3, 2), coefficients(array), -0.5 * coefficients(array)
    z = numbers(1, 4, 3, 2) if noise == "array" else ops.normal(*KEY, (3, 2))
    x = ops.add_noise(x0, signal_, scale, z if noise == "array" else KEY)
    for b in range(4):
        assert_equal_to_rounding(x[b], np.broadcast_to(signal_, 4)[b] * x0[b] + np.broadcast_to(scale, 4)[b] * z[b])


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize("noise", ["array", "key"])
def test_reverse_step_equals_its_formula_for_every_sample(array, noise):
    x, prediction, a, b, c = numbers(0, 4, 3), numbers(1, 4, 3), coefficients(array), 0.5, 0.25 * coefficients(array)
    z = numbers(2, 4, 3) if noise == "array" else ops.normal(*KEY, (3,))
    y = ops.reverse_step(x, prediction, a, b, c, z if noise == "array" else KEY)
    for n in range(4):
        assert_equal_to_rounding(y[n], np.broadcast_to(a, 4)[n] * x[n] + b * prediction[n] + np.broadcast_to(c, 4)[n] * z[n])


def test_reverse_step_without_noise_adds_no_noise():
    x, prediction = numbers(0, 4, 3), numbers(1, 4, 3)
    assert_equal_to_rounding(ops.reverse_step(x, prediction, 0.5, -2.0, 0.0, None), 0.5 * x - 2 * prediction)


def test_reverse_step_without_noise_refuses_a_noise_coefficient():
    with pytest.raises(ValueError, match="c must be 0 where noise is None"):
        ops.reverse_step(numbers(0, 4, 3), numbers(1, 4, 3), 0.5, -2.0, 0.1, None)


def test_python_numbers_do_not_promote_float32():
    x, z = np.ones((2, 3), np.float32), np.ones((2, 3), np.float32)
    assert ops.add_noise(x, np.float64(0.1), 0.1, z).dtype == np.float32
    assert ops.reverse_step(x, x, np.float64(0.1), 1, np.float32(0.1), z).dtype == np.float32
