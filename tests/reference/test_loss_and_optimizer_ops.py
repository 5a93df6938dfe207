"""Losses, Adam, weight averages and the global norm against sums, quadrature and textbook algorithms."""

import numpy as np
import pytest
from hypothesis import example, given
from scipy import integrate, special, stats

from reference import ops
from tests.example_networks import numbers
from tests.strategies import arguments
from tests.tolerances import assert_equal_to_rounding


@pytest.mark.parametrize("rates", [{"beta1": 1.0}, {"beta2": 1.5}, {"eps": -1e-8}, {"beta1": float("nan")}])
def test_adam_refuses_rates_out_of_range(rates):
    x = numbers(0, 2)
    with pytest.raises(ValueError, match="beta1 and beta2 must lie in"):
        ops.adam_step_(x.copy(), x, x.copy(), x * x, 1, 0.1, **rates)


# losses


def test_mse_is_the_mean_of_squares_per_sample_and_over_samples():
    y, target = numbers(0, 3, 2, 4), numbers(1, 3, 2, 4)
    mean, per_sample = ops.mse(y, target)
    expected = [sum((a - b) ** 2 for a, b in zip(y[n].flat, target[n].flat)) / 8 for n in range(3)]
    assert_equal_to_rounding(per_sample, expected)
    assert_equal_to_rounding(mean, sum(expected) / 3)


@pytest.mark.parametrize("mean, log_var", [(0.0, 0.0), (1.5, -2.0), (-0.3, 1.0)])
def test_gaussian_kl_is_the_integral_of_the_log_ratio(mean, log_var):
    p, q = stats.norm(mean, np.exp(log_var / 2)), stats.norm()
    reach = 12 * p.std()
    integral, error = integrate.quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), mean - reach, mean + reach, limit=200)
    result = ops.gaussian_kl(np.array([[mean]]), np.array([[log_var]]))
    assert abs(result[0] - integral) <= error
    assert error < abs(integral) or integral == result[0] == 0


def test_gaussian_kl_is_summed_over_a_sample():
    mean, log_var = numbers(0, 2, 3, 2), numbers(1, 2, 3, 2)
    by_entry = [ops.gaussian_kl(mean[..., i, j].reshape(2, 1), log_var[..., i, j].reshape(2, 1)) for i, j in np.ndindex(3, 2)]
    assert_equal_to_rounding(ops.gaussian_kl(mean, log_var), sum(by_entry))


@example(args=(np.zeros((1, 2)), np.zeros((1, 2))))
@given(args=arguments("gaussian_kl", np.float64))
def test_gaussian_kl_is_never_negative_and_zero_at_the_standard_normal(args):
    assert (ops.gaussian_kl(*args) >= 0).all()
    assert not ops.gaussian_kl(*map(np.zeros_like, args)).any()


@pytest.mark.parametrize("offset", [0.0, 1e4, -1e4])
def test_cross_entropy_is_minus_the_log_softmax_at_the_label(offset):
    logits, labels = 3 * numbers(0, 5, 7) + offset, np.array([6, 0, 3, 3, 1])
    mean, per_sample = ops.cross_entropy(logits, labels)
    expected = [-special.log_softmax(logits[n])[labels[n]] for n in range(5)]
    assert_equal_to_rounding(per_sample, expected)
    assert_equal_to_rounding(mean, sum(expected) / 5)


def test_cross_entropy_of_equal_logits_is_the_log_of_the_number_of_classes():
    for classes in (1, 2, 10):
        assert_equal_to_rounding(ops.cross_entropy(np.full((2, classes), 0.3), np.array([0, classes - 1]))[1], np.log([classes] * 2))


def test_cross_entropy_of_logits_of_ten_thousand_is_their_difference():
    logits, labels = np.array([[1e4, -1e4, 0.0]] * 3), np.arange(3)
    with np.errstate(all="ignore"):  # an overflow shows in the numbers
        assert ops.cross_entropy(logits, labels)[1].tolist() == [0.0, 2e4, 1e4]
    expected = [[0, 0, 0], [1, -1, 0], [1, 0, -1]]
    assert ops.cross_entropy_backward(np.ones(3), logits, labels).tolist() == expected


def test_cross_entropy_of_logits_far_apart_in_two_samples():
    """Each sample has its own largest logit."""
    logits = np.array([[1e4, 1e4], [0.0, 0.0]])
    with np.errstate(all="ignore"):  # an overflow shows in the numbers
        assert_equal_to_rounding(ops.cross_entropy(logits, np.array([0, 1]))[1], np.log([2.0, 2.0]))


@given(args=arguments("cross_entropy_backward", np.float64))
def test_gradients_of_cross_entropy_sum_to_0_in_each_sample(args):
    dlogits = ops.cross_entropy_backward(*args)
    assert (np.abs(dlogits.sum(axis=1)) <= 4 * dlogits.shape[1] * 2.0**-53 * np.abs(args[0])).all()


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0]])
def test_cross_entropy_refuses_labels_out_of_range(labels):
    logits, labels, errors = numbers(0, 2, 3), np.array(labels), []
    for call in (lambda: ops.cross_entropy(logits, labels), lambda: ops.cross_entropy_backward(np.ones(2), logits, labels)):
        try:
            call()
        except ValueError as error:
            errors.append(str(error))
    assert errors == [f"labels must lie in 0 .. 2, got {min(labels)} .. {max(labels)}"] * 2


@pytest.mark.parametrize("name", ["mse", "gaussian_kl", "cross_entropy"])
@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_losses_need_at_least_one_sample_and_one_entry(name, shape):
    second = np.zeros(shape[0], int) if name == "cross_entropy" else np.ones(shape)
    with pytest.raises(ValueError, match="at least one sample and one entry"):
        getattr(ops, name)(np.ones(shape), second)


# optimizer


def adam(p, gradients, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """Algorithm 1 of Kingma and Ba 2015, for one number."""
    m = v = 0.0
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        p = p - lr * (m / (1 - beta1**t)) / ((v / (1 - beta2**t)) ** 0.5 + eps)
    return p, m, v


@pytest.mark.parametrize("options", [{}, {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3}])
def test_adam_equals_the_textbook_algorithm(options):
    sizes = np.logspace(-12, 0, 13)
    gradients = sizes * numbers(0, 10, 13)
    p, m, v = np.zeros(13), np.zeros(13), np.zeros(13)
    for step, g in enumerate(gradients, 1):
        ops.adam_step_(p, g, m, v, step, 0.01, **options)
    expected = [adam(0.0, gradients[:, i], 0.01, **options) for i in range(13)]
    for i in range(13):
        for result, number in zip((p[i], m[i], v[i]), expected[i], strict=True):
            assert_equal_to_rounding(result, number)


def test_first_step_of_adam_has_the_length_of_the_learning_rate():
    p, g = np.zeros(3), np.array([1e3, -1.0, 1e-3])
    ops.adam_step_(p, g, np.zeros(3), np.zeros(3), 1, 0.1)
    assert_equal_to_rounding(p / (1 - 1e-8 / (np.abs(g) + 1e-8)), -0.1 * np.sign(g))


def test_in_place_ops_return_nothing():
    p = np.zeros(2)
    assert ops.adam_step_(p, p.copy(), p.copy(), p.copy(), 1, 0.1) is None
    assert ops.ema_step_(p, p.copy(), 0.5) is None


@pytest.mark.parametrize("step", [0, -1])
def test_adam_counts_steps_from_one(step):
    with pytest.raises(ValueError, match="step must be at least 1"):
        ops.adam_step_(*np.zeros((4, 2)), step, 0.1)


def test_learning_rate_and_decay_are_numbers():
    with pytest.raises(ValueError, match="lr must be a number"):
        ops.adam_step_(*np.zeros((4, 2)), 1, np.ones(2))
    with pytest.raises(ValueError, match="decay must be a number"):
        ops.ema_step_(*np.zeros((2, 2)), np.ones(2))


@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_ema_equals_the_geometric_sum(decay):
    average, values = np.ones(2), numbers(0, 5, 2)
    for p in values:
        ops.ema_step_(average, p, decay)
    assert_equal_to_rounding(average, decay**5 + sum((1 - decay) * decay ** (4 - i) * values[i] for i in range(5)))


def test_global_norm_is_the_norm_of_all_entries_together():
    arrays = [numbers(0, 3, 2), np.array(numbers(1)), numbers(2, 5), np.zeros((0, 2))]
    assert_equal_to_rounding(ops.global_norm(arrays), np.linalg.norm(np.concatenate([a.ravel() for a in arrays])))
    assert ops.global_norm([a.astype(np.float32) for a in arrays]).dtype == np.float32


def test_global_norm_needs_an_array_and_one_dtype():
    with pytest.raises(ValueError, match="arrays must hold at least one"):
        ops.global_norm([])
    with pytest.raises(TypeError, match="arrays must be float64"):
        ops.global_norm([np.ones(2), np.ones(2, np.float32)])
