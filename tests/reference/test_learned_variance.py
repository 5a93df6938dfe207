"""Variances as logs, learned variances, and the two losses that train them."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reference.ddpm.ddpm import elbo_terms, interpolated_log_variance, log_variance_range, posterior, reverse_log_variance
from reference.ddpm.learned import HYBRID_WEIGHT, LearnedVariance
from reference.diffusion.denoiser import TRAINABLE, Denoiser, split_prediction
from reference.diffusion.forward_process import forward
from reference.diffusion.schedules import linear, vp
from reference.networks import MLP, UNet
from reference.ops import normal
from reference.ops.random import Key, Purpose
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral
from reference.samplers.ddim import ddim, ddim_invert
from tests.example_networks import numbers, random_parameters
from tests.oracle_tolerances import EXACT, EXACT32, QUADRATURE, assert_close
from tests.oracles import gaussian_mmse, grids, normal_data
from tests.reference.test_networks import gradient_of_each

NETWORK = MLP(size=(2,), width=6, depth=2, embedding=4, outputs=2)
T = np.array([1, 1, 2, 7, 30, 50])
X0, NOISE = numbers(1, 6, 2), numbers(2, 6, 2)
each_prediction = pytest.mark.parametrize("prediction", TRAINABLE)


def model(prediction="noise", objective="variational", network=NETWORK):
    return LearnedVariance(network, linear(50), prediction, 1.3, objective)


# Variances as logs


@given(grids(200))
def test_v_of_one_and_minus_one_give_the_ends_of_the_variance_range(case):
    schedule, grid = case
    for t, t_prev in pairwise(grid):
        low, high = (reverse_log_variance(schedule, t, t_prev, choice) for choice in ("posterior", "beta"))
        for v, expected in ((-1.0, low), (1.0, high), (0.0, (low + high) / 2)):
            actual = interpolated_log_variance(schedule, t, t_prev, np.full((1, 1), v))
            assert_close(actual, np.full((1, 1), expected), EXACT, 1 + abs(low) + abs(high))
        if t_prev:
            assert_close(np.exp(low), posterior(schedule, t, t_prev)[2], EXACT, (1 + abs(low)) * np.exp(low))


def test_last_step_uses_the_posterior_variance_of_the_step_before():
    schedule = linear(50)
    assert_close(reverse_log_variance(schedule, 1, 0), np.log(posterior(schedule, 2, 1)[2]), EXACT)
    assert_close(reverse_log_variance(schedule, 20, 0), np.log(posterior(schedule, 20, 1)[2]), EXACT)
    assert reverse_log_variance(linear(1), 1, 0) == np.log(linear(1).beta(1, 0))
    both = reverse_log_variance(schedule, np.array([1, 9]), np.array([0, 8]))
    assert_close(both, [reverse_log_variance(schedule, 1, 0), reverse_log_variance(schedule, 9, 8)], EXACT)


@given(grids(200), st.floats(0, 1))
def test_exact_variance_lies_in_the_range_for_data_up_to_unit_variance(case, data_variance):
    schedule, grid = case
    for t, t_prev in pairwise(grid[:-1]):
        low, high = (reverse_log_variance(schedule, t, t_prev, choice) for choice in ("posterior", "beta"))
        exact = reverse_log_variance(schedule, t, t_prev, "exact", gaussian_mmse(schedule, data_variance))
        assert low - EXACT * (1 + abs(low)) <= exact <= high + EXACT * (1 + abs(high))


def test_python_numbers_do_not_change_the_dtype_of_arrays():
    v = np.zeros((3, 2), np.float32)
    assert interpolated_log_variance(linear(50), 7, 6, v).dtype == np.float32
    assert isinstance(reverse_log_variance(linear(50), 7, 6, "exact", lambda t: 0.1), float)


# The variational loss


class Fixed:
    """A network with a constant output: first half prediction, second half v."""

    outputs, classes = 2, 0

    def __init__(self, function):
        self.function = function

    def forward(self, params, x, c, ops=None, labels=None, keep=True):
        return self.function(x, c), None

    def backward(self, params, dy, saved, ops=None):
        self.given = dy
        return dy, {}


@each_prediction
def test_gradient_of_the_variational_loss_in_every_parameter(prediction):
    params = random_parameters(NETWORK)
    mean, per_sample, gradients = model(prediction).loss(params, X0, T, NOISE)
    assert_close(mean, per_sample.mean(), EXACT)
    magnitude = np.abs(per_sample).sum() + 50 * np.log(2 * np.pi) * 2
    gradient_of_each(lambda p: float(model(prediction).loss(p, X0, T, NOISE)[0]), params, gradients, magnitude)


@each_prediction
def test_the_variational_part_of_the_hybrid_loss_trains_v_only(prediction):
    """Gradient at the network's output: for the prediction from the simple loss; for v the weight times the variational one."""
    y = numbers(5, 6, 4)
    given = {}
    for objective in ("variational", "hybrid"):
        network = Fixed(lambda x, c: y)
        _, per_sample, _ = model(prediction, objective, network).loss({}, X0, T, NOISE)
        given[objective] = network.given, per_sample
    network = Fixed(lambda x, c: y[:, :2])
    _, simple, _ = Denoiser(network, linear(50), prediction, 1.3).loss({}, X0, T, NOISE)
    np.testing.assert_array_equal(given["hybrid"][0][:, :2], network.given)
    assert_close(given["hybrid"][0][:, 2:], HYBRID_WEIGHT * given["variational"][0][:, 2:], EXACT)
    assert_close(given["hybrid"][1], simple + HYBRID_WEIGHT * given["variational"][1], EXACT, 1 + np.abs(given["variational"][1]))
    assert (given["variational"][0][:, :2] != 0).all() and (given["hybrid"][0][:, 2:] != 0).all()


@each_prediction
def test_hybrid_loss_gradient_in_every_parameter_of_v_alone(prediction):
    """The last layer's columns of v, where no gradient is stopped."""
    params, last_layer = random_parameters(NETWORK), f"layers.{NETWORK.depth}"
    hybrid = model(prediction, "hybrid")
    _, per_sample, gradients = hybrid.loss(params, X0, T, NOISE)

    def value(columns):
        join = lambda name, leaf: np.concatenate((params[name][..., :2], columns[leaf]), axis=-1)
        moved = {f"{last_layer}.{leaf}": join(f"{last_layer}.{leaf}", leaf) for leaf in "wb"}
        return float(hybrid.loss(params | moved, X0, T, NOISE)[0])

    columns, expected = ({leaf: arrays[f"{last_layer}.{leaf}"][..., 2:] for leaf in "wb"} for arrays in (params, gradients))
    gradient_of_each(value, columns, expected, np.abs(per_sample).sum() + 1)


def test_the_mean_over_all_times_plus_the_prior_is_the_full_bound():
    """T L_t averaged over t = 1 .. T is the sum of L_t: with the draws of ``elbo_terms``, term by term."""
    schedule = linear(12)
    function = lambda x, c: np.concatenate((0.3 * x, np.tanh(x)), axis=-1)
    learned = LearnedVariance(Fixed(function), schedule, "noise", 1.3)
    x0 = numbers(3, 4, 2)
    terms = elbo_terms(learned.noise_predictor({}), schedule, x0, 7)
    total = np.zeros(4)
    for index, t in enumerate(range(12, 0, -1)):
        noise = normal(*Key(7, np.arange(4), index, Purpose.PROBE), (2,))
        x = forward(schedule, x0, t, noise)
        prediction, v = np.split(learned.predict({}, x, np.full(4, t))[0], 2, axis=-1)
        nats, _, _ = learned.variational(x0, x, np.full(4, t), prediction, v)
        total += nats / 12
    expected = terms["consistency"].sum(axis=1) + terms["reconstruction"]
    assert_close(total, expected, EXACT, np.abs(terms["consistency"]).sum(axis=1) + np.abs(terms["reconstruction"]) + 12)


def test_each_term_is_a_gaussian_kl_and_the_first_a_log_density():
    output = np.concatenate((numbers(8, 6, 2), np.tanh(numbers(9, 6, 2))), axis=-1)
    learned = model("x0", network=Fixed(lambda x, c: output))
    x = forward(learned.schedule, X0, T, NOISE)
    nats, _, _ = learned.variational(X0, x, T, output[:, :2], output[:, 2:])
    log_variance = interpolated_log_variance(learned.schedule, T, T - 1, output[:, 2:])
    z = np.linspace(-12, 12, 4001)
    for i, t in enumerate(T.tolist()):
        c_x, c_x0, variance = posterior(learned.schedule, t, t - 1)
        total = 0.0
        for j in range(2):
            mean, deviation = c_x * x[i, j] + c_x0 * output[i, j], np.exp(log_variance[i, j] / 2)
            if t == 1:
                total -= stats.norm.logpdf(X0[i, j], output[i, j], deviation)
            else:
                true = stats.norm(c_x * x[i, j] + c_x0 * X0[i, j], variance**0.5)
                at = true.mean() + z * variance**0.5
                total += np.trapezoid(stats.norm.pdf(z) * (true.logpdf(at) - stats.norm.logpdf(at, mean, deviation)), z)
        assert_close(nats[i], 50 * total, QUADRATURE, 50 * (abs(total) + 50))


@pytest.mark.parametrize("network", [NETWORK, UNet(size=(4, 4), channels=(4, 4), groups=2, head_width=4, outputs=2)], ids=["mlp", "unet"])
@pytest.mark.parametrize("objective", ["variational", "hybrid"])
def test_single_precision_stays_single(network, objective):
    learned, params = model("noise", objective, network), network.init(0)
    x0 = numbers(1, 6, *network.sample_shape).astype(np.float32)
    mean, per_sample, gradients = learned.loss(params, x0, T, x0[::-1].copy())
    assert mean.dtype == per_sample.dtype == np.float32 and {g.dtype for g in gradients.values()} == {np.dtype(np.float32)}
    assert gradients.keys() == params.keys()
    for parts in learned.noise_predictor(params)(x0, 7):
        assert parts.dtype == np.float32 and parts.shape == x0.shape


# Sampling


@pytest.mark.parametrize("v, choice", [(-1.0, "posterior"), (1.0, "beta")])
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, EXACT), (np.float32, EXACT32)])
def test_samples_with_v_at_an_end_match_the_fixed_variance(v, choice, dtype, tolerance):
    distribution, schedule, sample = normal_data(0.5, 0.3), vp(30), np.arange(9)
    predict_noise = lambda x, t: distribution.expected_noise(x.astype(np.float64), schedule.signal(t), schedule.noise_scale(t)).astype(
        dtype
    )
    both = lambda x, t: (predict_noise(x, t), np.full_like(x, v))
    x, grid = numbers(0, 9, 1).astype(dtype), schedule.timesteps(10)
    learned = final_sample(ancestral(both, schedule, grid, x, 1, sample, "learned"))
    assert learned.dtype == dtype
    assert_close(learned, final_sample(ancestral(predict_noise, schedule, grid, x, 1, sample, choice)), 10 * 64 * tolerance, 1.0)


def test_samplers_without_a_variance_ignore_v():
    distribution, schedule, sample, x = normal_data(0.5, 0.3), vp(30), np.arange(9), numbers(0, 9, 1)
    predict_noise = lambda x, t: distribution.expected_noise(x, schedule.signal(t), schedule.noise_scale(t))
    both = lambda x, t: (predict_noise(x, t), x)
    grid = schedule.timesteps(6)
    np.testing.assert_array_equal(
        final_sample(ddim(both, schedule, grid, x, 0, sample)), final_sample(ddim(predict_noise, schedule, grid, x, 0, sample))
    )
    np.testing.assert_array_equal(
        final_sample(ddim_invert(both, schedule, grid, x)), final_sample(ddim_invert(predict_noise, schedule, grid, x))
    )
    assert split_prediction(x)[1] is None


def test_the_best_v_gives_the_bound_of_the_exact_variance():
    """For Gaussian data the exact variance is in the range, at one v per step; the learned chain then has the bound of the exact chain."""
    distribution, schedule, c = normal_data(0.0, 0.3), vp(20), 0.3
    predict_noise = lambda x, t: distribution.expected_noise(x, schedule.signal(t), schedule.noise_scale(t))
    x0, mmse = numbers(4, 5, 1), gaussian_mmse(schedule, c)

    def both(x, t):
        low, high = log_variance_range(schedule, t, t - 1, x)
        exact = reverse_log_variance(schedule, t, t - 1, "exact", mmse)
        return predict_noise(x, t), np.full_like(x, (2 * exact - high - low) / (high - low))

    learned, exact = elbo_terms(both, schedule, x0, 0), elbo_terms(predict_noise, schedule, x0, 0, variance="exact", mmse=mmse)
    for name in learned:
        assert_close(learned[name], exact[name], EXACT, np.abs(exact[name]) + 10)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((NETWORK, linear(50), "noise", 1.0, "simple"), "objective must be variational or hybrid, got 'simple'"),
        ((MLP(), linear(50), "noise", 1.0, "hybrid"), "2 outputs and T at least 2, got 1 and 50"),
        ((NETWORK, linear(1), "noise", 1.0, "hybrid"), "2 outputs and T at least 2, got 2 and 1"),
        ((NETWORK, linear(50), "score", 1.0, "hybrid"), "prediction must be one of noise, x0, v"),
    ],
)
def test_an_invalid_model_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        LearnedVariance(*arguments)
