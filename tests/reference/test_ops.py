"""Each op of the reference against another definition of it: loops over the equation, SciPy, quadrature, a textbook."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import integrate, signal, stats
from scipy.special import logsumexp

from reference import ops
from reference.ops import Key, Purpose
from tests.strategies import arguments
from tests.tolerances import close

KEY = Key(3, np.arange(4), 2, Purpose.STEP_NOISE)


def numbers(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


# linear and conv2d


def test_linear_is_the_sum_over_inputs_plus_bias():
    x, w, b = numbers(0, 3, 4), numbers(1, 4, 2), numbers(2, 2)
    expected = [[sum(x[n, i] * w[i, o] for i in range(4)) + b[o] for o in range(2)] for n in range(3)]
    close(ops.linear(x, w, b), expected)


def test_linear_without_bias_is_linear_with_zero_bias():
    x, w = numbers(0, 3, 4), numbers(1, 4, 2)
    close(ops.linear(x, w), ops.linear(x, w, np.zeros(2)))


def convolution(x, w, bias, stride):
    """Equation (1), term by term."""
    (b, h, width, _), k, o = x.shape, w.shape[0], w.shape[3]
    p = k // 2
    y = np.zeros((b, -(-h // stride), -(-width // stride), o)) + bias
    for sample, m, n, out in np.ndindex(y.shape):
        for u, v in np.ndindex(k, k):
            row, column = stride * m + u - p, stride * n + v - p
            if 0 <= row < h and 0 <= column < width:
                y[sample, m, n, out] += x[sample, row, column] @ w[u, v, :, out]
    return y


@pytest.mark.parametrize("h, w", [(5, 7), (7, 5), (1, 1), (1, 6), (2, 4)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("k", [1, 3])
def test_conv2d_is_its_equation(h, w, stride, k):
    x, weights, b = numbers(0, 2, h, w, 2), numbers(1, k, k, 2, 3), numbers(2, 3)
    close(ops.conv2d(x, weights, b, stride), convolution(x, weights, b, stride))


@pytest.mark.parametrize("h, w", [(5, 7), (7, 5)])
def test_conv2d_is_scipys_correlation(h, w):
    x, weights = numbers(0, h, w), numbers(1, 3, 3)
    expected = signal.correlate2d(x, weights, mode="same")
    for stride in (1, 2):
        y = ops.conv2d(x[None, :, :, None], weights[:, :, None, None], np.zeros(1), stride)
        close(y[0, :, :, 0], expected[::stride, ::stride])


@pytest.mark.parametrize("pixels", [(1, 1), (3, 4)])
def test_conv2d_sums_in_what_it_is_given(pixels):
    x, w, b, add = numbers(0, 2, 5, 7, 2), numbers(1, 3, 3, 2, 3), numbers(2, 3), numbers(3, 2, *pixels, 3)
    close(ops.conv2d(x, w, b, 2, add), ops.conv2d(x, w, b, 2) + add)


@pytest.mark.parametrize("size", [2, 4, 5])
def test_conv2d_refuses_other_kernel_sizes(size):
    with pytest.raises(ValueError, match="w must be 1x1 or 3x3"):
        ops.conv2d(numbers(0, 1, 5, 5, 1), numbers(1, size, size, 1, 1), np.zeros(1))


@pytest.mark.parametrize("stride", [0, 3, -1])
def test_conv2d_refuses_other_strides(stride):
    with pytest.raises(ValueError, match="stride must be 1 or 2"):
        ops.conv2d(numbers(0, 1, 5, 5, 1), numbers(1, 3, 3, 1, 1), np.zeros(1), stride)


@pytest.mark.parametrize("shape", [(1, 5, 1, 1), (1, 1, 5, 1), (2, 1, 1, 1), (1, 4, 5, 1)])
def test_conv2d_refuses_an_add_that_is_neither_per_pixel_nor_per_channel(shape):
    with pytest.raises(ValueError, match="add must have shape"):
        ops.conv2d(numbers(0, 1, 5, 5, 1), numbers(1, 3, 3, 1, 1), np.zeros(1), 1, np.zeros(shape))


# group norm


def normalised(x, groups, eps):
    """Group by group, for x[b,h,w,c]."""
    y, width = np.empty_like(x), x.shape[3] // groups
    means, rstds = np.empty((len(x), groups)), np.empty((len(x), groups))
    for b, g in np.ndindex(len(x), groups):
        channels = slice(g * width, (g + 1) * width)
        entries = x[b, :, :, channels]
        means[b, g], rstds[b, g] = entries.sum() / entries.size, 0
        rstds[b, g] = (((entries - means[b, g]) ** 2).sum() / entries.size + eps) ** -0.5
        y[b, :, :, channels] = (entries - means[b, g]) * rstds[b, g]
    return y, means, rstds


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_group_norm_is_a_loop_over_groups(groups, eps):
    x, scale, shift = 2 * numbers(0, 2, 5, 3, 6) + 1, numbers(1, 6), numbers(2, 6)
    xhat, mean, rstd = normalised(x, groups, eps)
    for result, expected in zip(ops.group_norm(x, scale, shift, groups, eps), (scale * xhat + shift, mean, rstd), strict=True):
        close(result, expected)


def test_group_norm_has_an_epsilon_of_1e_5_by_default():
    x = 1e-2 * numbers(0, 1, 4, 4, 2)
    close(ops.group_norm(x, np.ones(2), np.zeros(2), 1)[0], normalised(x, 1, 1e-5)[0])


@given(args=arguments("group_norm", np.float64, scales=(1.0,)), factor=st.sampled_from((0.25, 4.0)))
def test_group_norm_is_invariant_to_scale_and_shift_of_its_input(args, factor):
    x, scale, shift, groups, eps = args
    moved = factor * (x - np.float64(3))
    y, _, rstd = ops.group_norm(x, scale, shift, groups, eps)
    entries = (np.abs(x).max(initial=0) + 3) * rstd.max(initial=0) * np.abs(scale).max()  # what the mean is subtracted from
    close(ops.group_norm(moved, scale, shift, groups, factor**2 * eps)[0], y, scale=entries + np.abs(shift).max())


def test_group_norm_of_a_constant_group_is_its_shift():
    x, shift = np.full((2, 3, 3, 4), 7.0), numbers(0, 4)
    y, mean, rstd = ops.group_norm(x, np.ones(4), shift, 2)
    close(y, np.broadcast_to(shift, x.shape))
    close(mean, np.full((2, 2), 7.0))
    close(rstd, np.full((2, 2), 1e-5**-0.5))


def test_group_norm_silu_is_its_two_line_composition():
    x, scale, shift = numbers(0, 2, 3, 5, 4), numbers(1, 4), numbers(2, 4)
    y, mean, rstd = ops.group_norm(x, scale, shift, 2, 1e-3)
    for result, expected in zip(ops.group_norm_silu(x, scale, shift, 2, 1e-3), (ops.silu(y), mean, rstd), strict=True):
        close(result, expected)


@pytest.mark.parametrize("groups", [0, -1, 3])
@pytest.mark.parametrize("name", ["group_norm", "group_norm_silu"])
def test_group_norm_refuses_groups_that_do_not_divide_the_channels(name, groups):
    with pytest.raises(ValueError, match="groups must be a whole number that divides the 4 channels"):
        getattr(ops, name)(numbers(0, 2, 4), np.ones(4), np.ones(4), groups)


@pytest.mark.parametrize("value", [2.0, "2", None, True])
def test_numbers_that_count_something_are_whole_or_a_type_error_that_names_them(value):
    x, one = numbers(0, 2, 4), np.ones(4)
    for name, call in {
        "groups": lambda: ops.group_norm(x, one, one, value),
        "heads": lambda: ops.attention(x[None], x[None], x[None], value),
        "width": lambda: ops.timestep_embedding(one, value),
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


@pytest.mark.parametrize("rates", [{"beta1": 1.0}, {"beta2": 1.5}, {"eps": -1e-8}, {"beta1": float("nan")}])
def test_adam_refuses_rates_out_of_range(rates):
    x = numbers(0, 2)
    with pytest.raises(ValueError, match="beta1 and beta2 must lie in"):
        ops.adam_step_(x.copy(), x, x.copy(), x * x, 1, 0.1, **rates)


def test_group_norm_refuses_a_negative_eps():
    with pytest.raises(ValueError, match="eps must not be negative"):
        ops.group_norm(numbers(0, 2, 4), np.ones(4), np.ones(4), 2, -1e-5)


def test_group_norm_backward_refuses_statistics_of_other_groups():
    x, s = numbers(0, 2, 4), np.ones(4)
    with pytest.raises(ValueError, match="mean must have shape"):
        ops.group_norm_backward(x, x, s, s, 2, np.ones((2, 4)), np.ones((2, 4)))


# activations


def test_silu_is_x_times_the_logistic_on_a_wide_grid():
    x = np.linspace(-80, 80, 1001)
    expected = np.where(x < 0, x * np.exp(x) / (1 + np.exp(x)), x / (1 + np.exp(-np.abs(x))))
    for low in range(0, 1000, 25):  # windows of width 4: beside the large values the small ones would not count
        window = slice(low, low + 26)
        close(ops.silu(x[window]), expected[window])


def test_silu_gradient_on_a_wide_grid():
    x = np.linspace(-80, 80, 1001)
    g = np.where(x < 0, np.exp(-np.abs(x)), 1) / (1 + np.exp(-np.abs(x)))
    other = np.where(x < 0, 1, np.exp(-np.abs(x))) / (1 + np.exp(-np.abs(x)))  # 1 - g without cancellation
    for low in range(0, 1000, 25):
        window = slice(low, low + 26)
        close(ops.silu_backward(np.ones(1001), x)[window], (g + x * g * other)[window])
        second = (g * other * (2 + x * (other - g)))[window]
        close(ops.silu_second(np.ones(1001), np.ones(1001), x)[window], second, scale=np.abs(x * g)[window].max())  # 1 - g cancels


def test_softmax_is_positive_sums_to_one_and_has_the_logits_ratios():
    x = numbers(0, 3, 2, 5)
    y = ops.softmax(x)
    close(y.sum(axis=-1), np.ones((3, 2)))
    close(np.log(y[..., 1:] / y[..., :1]), x[..., 1:] - x[..., :1])


@pytest.mark.parametrize("rows", [[1], [0, 1, 2]])
@pytest.mark.parametrize("logit", [1e4, -1e4])
def test_softmax_of_large_logits_is_exact(rows, logit):
    x = numbers(0, 3, 4)
    x[rows, 2] = logit
    expected = np.stack([np.exp(row - logsumexp(row)) for row in x])
    close(ops.softmax(x), expected)
    assert np.array_equal(ops.softmax(x)[rows, 2], np.full(len(rows), float(logit > 0)))


def test_softmax_refuses_an_empty_last_axis():
    with pytest.raises(ValueError, match="x must have at least one entry"):
        ops.softmax(np.ones((2, 0)))


# attention


def attention_by_head(q, k, v, heads):
    """Row by row: the mean of v under the softmax of scaled products."""
    (b, n, _), e = q.shape, q.shape[2] // heads
    y, total = np.empty(q.shape), np.empty((b, heads, n))
    for sample, j, row in np.ndindex(b, heads, n):
        own = slice(j * e, (j + 1) * e)
        logits = k[sample, :, own] @ q[sample, row, own] / np.sqrt(e)
        total[sample, j, row] = logsumexp(logits)
        y[sample, row, own] = np.exp(logits - total[sample, j, row]) @ v[sample, :, own]
    return y, total


@pytest.mark.parametrize("heads", [1, 2, 6])
def test_attention_is_a_loop_over_heads_and_rows(heads):
    q, k, v = numbers(0, 2, 3, 6), numbers(1, 2, 5, 6), numbers(2, 2, 5, 6)
    for result, expected in zip(ops.attention(q, k, v, heads), attention_by_head(q, k, v, heads), strict=True):
        close(result, expected)


@pytest.mark.parametrize("rows", [[1], [0, 1, 2]])
@pytest.mark.parametrize("sign", [1, -1])
def test_attention_with_large_logits_is_finite_and_right(rows, sign):
    q, k, v = np.zeros((1, 3, 4)), numbers(1, 1, 5, 4), numbers(2, 1, 5, 4)
    q[:, :] = numbers(0, 1, 3, 4)
    k[0, 2] = [1, 0, 0, 0]
    q[0, rows] = [2e4 * sign, 0, 0, 0]  # logits of 1e4 and the like
    y, total = ops.attention(q, k, v, 1)
    expected, expected_total = attention_by_head(q, k, v, 1)
    assert np.abs(total[0, 0, rows]).min() > 1e3
    close(total, expected_total)
    close(y, expected)
    assert all(np.isfinite(d).all() for d in ops.attention_backward(numbers(3, 1, 3, 4), q, k, v, 1, y, total))


def test_attention_does_not_depend_on_the_order_of_keys():
    q, k, v, order = numbers(0, 2, 3, 4), numbers(1, 2, 5, 4), numbers(2, 2, 5, 4), [3, 1, 4, 0, 2]
    close(ops.attention(q, k[:, order], v[:, order], 2)[0], ops.attention(q, k, v, 2)[0])


@pytest.mark.parametrize("heads", [0, 3, -2])
def test_attention_refuses_heads_that_do_not_divide_the_channels(heads):
    q = numbers(0, 1, 3, 4)
    with pytest.raises(ValueError, match="heads must be a whole number that divides the 4 channels"):
        ops.attention(q, q, q, heads)


def test_attention_refuses_to_look_at_nothing():
    with pytest.raises(ValueError, match="k must have at least one row"):
        ops.attention(np.ones((1, 3, 4)), np.ones((1, 0, 4)), np.ones((1, 0, 4)), 2)


def test_attention_backward_refuses_statistics_of_other_heads():
    q = numbers(0, 1, 3, 4)
    with pytest.raises(ValueError, match="logsumexp must have 2 heads"):
        ops.attention_backward(q, q, q, q, 2, q, np.ones((1, 4, 3)))


# resample and embedding


def test_upsample_repeats_every_pixel_four_times():
    x = numbers(0, 2, 3, 4, 2)
    assert np.array_equal(ops.upsample_nearest(x), np.kron(x, np.ones((1, 2, 2, 1))))


def test_average_pool_is_the_mean_of_four_pixels():
    x = numbers(0, 2, 4, 6, 3)
    expected = (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
    close(ops.average_pool(x), expected)


def test_average_pool_undoes_upsample():
    x = numbers(0, 2, 3, 5, 2)
    close(ops.average_pool(ops.upsample_nearest(x)), x)


@pytest.mark.parametrize("h, w", [(3, 4), (4, 3), (1, 1)])
@pytest.mark.parametrize("name", ["average_pool", "upsample_nearest_backward"])
def test_odd_sizes_can_not_be_halved(name, h, w):
    with pytest.raises(ValueError, match="even height and width"):
        getattr(ops, name)(np.ones((1, h, w, 2)))


def test_concat_puts_the_channels_of_x_first_and_its_backward_cuts_there():
    x, y = numbers(0, 2, 3, 2), numbers(1, 2, 3, 5)
    z = ops.concat(x, y)
    assert np.array_equal(z[..., :2], x) and np.array_equal(z[..., 2:], y)
    dx, dy = ops.concat_backward(z, x, y)
    assert np.array_equal(dx, x) and np.array_equal(dy, y)


def test_concat_backward_refuses_another_number_of_channels():
    with pytest.raises(ValueError, match="dy must have 5 channels"):
        ops.concat_backward(np.ones((2, 4)), np.ones((2, 2)), np.ones((2, 3)))


def test_timestep_embedding_has_cosines_first_and_geometric_frequencies():
    c, width = np.array([0.0, 0.5, 37.25, 1000.0]), 8
    y = ops.timestep_embedding(c, width)
    for b, j in np.ndindex(4, 4):
        angle = c[b] / 10000 ** (j / 4)
        close(y[b, j], np.cos(angle), scale=max(angle, 1))
        close(y[b, 4 + j], np.sin(angle), scale=max(angle, 1))


def test_timestep_embedding_of_time_zero_is_one_and_zero():
    assert np.array_equal(ops.timestep_embedding(np.zeros(1), 6), [[1, 1, 1, 0, 0, 0]])


@pytest.mark.parametrize("width", [0, 1, 7, -2])
def test_timestep_embedding_refuses_odd_widths(width):
    with pytest.raises(ValueError, match="width must be an even number"):
        ops.timestep_embedding(np.ones(2), width)


def test_embedding_takes_rows_and_its_backward_adds_up_repeated_ones():
    table, labels, dy = numbers(0, 4, 3), np.array([2, 0, 2, 2]), numbers(1, 4, 3)
    assert np.array_equal(ops.embedding(labels, table), [table[2], table[0], table[2], table[2]])
    close(ops.embedding_backward(dy, labels, table), [dy[1], np.zeros(3), dy[0] + dy[2] + dy[3], np.zeros(3)])


@pytest.mark.parametrize("labels", [[0, 4], [-1, 0]])
@pytest.mark.parametrize("backward", [False, True])
def test_embedding_refuses_labels_outside_of_the_table(labels, backward):
    args = np.array(labels), np.ones((4, 3))
    with pytest.raises(ValueError, match=r"labels must lie in 0 \.\. 3"):
        ops.embedding_backward(np.ones((2, 3)), *args) if backward else ops.embedding(*args)


# losses


def test_mse_is_the_mean_of_squares_per_sample_and_over_samples():
    y, target = numbers(0, 3, 2, 4), numbers(1, 3, 2, 4)
    mean, per_sample = ops.mse(y, target)
    expected = [sum((a - b) ** 2 for a, b in zip(y[n].flat, target[n].flat)) / 8 for n in range(3)]
    close(per_sample, expected)
    close(mean, sum(expected) / 3)


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
    close(ops.gaussian_kl(mean, log_var), sum(by_entry))


@example(args=(np.zeros((1, 2)), np.zeros((1, 2))))
@given(args=arguments("gaussian_kl", np.float64))
def test_gaussian_kl_is_never_negative_and_zero_at_the_standard_normal(args):
    assert (ops.gaussian_kl(*args) >= 0).all()
    assert not ops.gaussian_kl(*map(np.zeros_like, args)).any()


@pytest.mark.parametrize("name", ["mse", "gaussian_kl"])
@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_losses_need_a_sample_and_an_entry(name, shape):
    with pytest.raises(ValueError, match="at least one sample and one entry"):
        getattr(ops, name)(np.ones(shape), np.ones(shape))


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
def test_adam_is_the_textbook_algorithm(options):
    sizes = np.logspace(-12, 0, 13)
    gradients = sizes * numbers(0, 10, 13)
    p, m, v = np.zeros(13), np.zeros(13), np.zeros(13)
    for step, g in enumerate(gradients, 1):
        ops.adam_step_(p, g, m, v, step, 0.01, **options)
    expected = [adam(0.0, gradients[:, i], 0.01, **options) for i in range(13)]
    for i in range(13):
        for result, number in zip((p[i], m[i], v[i]), expected[i], strict=True):
            close(result, number)


def test_first_step_of_adam_has_the_length_of_the_learning_rate():
    p, g = np.zeros(3), np.array([1e3, -1.0, 1e-3])
    ops.adam_step_(p, g, np.zeros(3), np.zeros(3), 1, 0.1)
    close(p / (1 - 1e-8 / (np.abs(g) + 1e-8)), -0.1 * np.sign(g))


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
def test_ema_is_the_geometric_sum(decay):
    average, values = np.ones(2), numbers(0, 5, 2)
    for p in values:
        ops.ema_step_(average, p, decay)
    close(average, decay**5 + sum((1 - decay) * decay ** (4 - i) * values[i] for i in range(5)))


def test_global_norm_is_the_norm_of_all_entries_together():
    arrays = [numbers(0, 3, 2), np.array(numbers(1)), numbers(2, 5), np.zeros((0, 2))]
    close(ops.global_norm(arrays), np.linalg.norm(np.concatenate([a.ravel() for a in arrays])))
    assert ops.global_norm([a.astype(np.float32) for a in arrays]).dtype == np.float32


def test_global_norm_needs_an_array_and_one_dtype():
    with pytest.raises(ValueError, match="arrays must hold at least one"):
        ops.global_norm([])
    with pytest.raises(TypeError, match="arrays must be float64"):
        ops.global_norm([np.ones(2), np.ones(2, np.float32)])


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
def test_mixture_log_density_is_scipys(covariances, weights, far):
    x = far * numbers(1, 7, 2)
    expected = log_density(x, weights, MEANS, covariances)
    close(ops.mixture_log_density(x, weights, MEANS, covariances), expected, scale=CONDITION * np.abs(expected).max())


@pytest.mark.parametrize("covariances", [COVARIANCES, VARIANCES])
@pytest.mark.parametrize("weights", [WEIGHTS, np.array([0.25, 0.0, 0.75])])
@pytest.mark.parametrize("far", [1.0, 1e4])
def test_mixture_score_is_the_mean_of_the_components_scores_under_their_responsibilities(covariances, weights, far):
    x = far * numbers(1, 7, 2)
    full = [c if np.ndim(c) else c * np.eye(2) for c in covariances]
    expected = np.zeros_like(x)
    with np.errstate(divide="ignore"):
        logs = np.log(weights)[:, None] + [stats.multivariate_normal(m, c).logpdf(x) for m, c in zip(MEANS, full)]
    for responsibility, m, c in zip(np.exp(logs - logsumexp(logs, axis=0)), MEANS, full):
        expected += responsibility[:, None] * np.linalg.solve(c, (m - x).T).T
    close(ops.mixture_score(x, weights, MEANS, covariances), expected, scale=CONDITION * np.abs(expected).max())


def test_mixture_density_integrates_to_one():
    x = np.linspace(-30, 30, 3001)[:, None]
    density = np.exp(ops.mixture_log_density(x, WEIGHTS, MEANS[:, :1], VARIANCES))
    close(density.sum() * 0.02, 1.0)  # the rectangle rule is exact beyond the peak's bandwidth


@pytest.mark.parametrize("name", ["mixture_log_density", "mixture_score"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [[1], [0, 1, 2, 3]])
def test_mixture_is_finite_far_out(name, dtype, rows):
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
def test_add_noise_is_its_formula_sample_by_sample(array, noise):
    x0, signal_, scale = numbers(0, 4, 3, 2), coefficients(array), -0.5 * coefficients(array)
    z = numbers(1, 4, 3, 2) if noise == "array" else ops.normal(*KEY, (3, 2))
    x = ops.add_noise(x0, signal_, scale, z if noise == "array" else KEY)
    for b in range(4):
        close(x[b], np.broadcast_to(signal_, 4)[b] * x0[b] + np.broadcast_to(scale, 4)[b] * z[b])


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize("noise", ["array", "key"])
def test_reverse_step_is_its_formula_sample_by_sample(array, noise):
    x, prediction, a, b, c = numbers(0, 4, 3), numbers(1, 4, 3), coefficients(array), 0.5, 0.25 * coefficients(array)
    z = numbers(2, 4, 3) if noise == "array" else ops.normal(*KEY, (3,))
    y = ops.reverse_step(x, prediction, a, b, c, z if noise == "array" else KEY)
    for n in range(4):
        close(y[n], np.broadcast_to(a, 4)[n] * x[n] + b * prediction[n] + np.broadcast_to(c, 4)[n] * z[n])


def test_reverse_step_without_noise_adds_none():
    x, prediction = numbers(0, 4, 3), numbers(1, 4, 3)
    close(ops.reverse_step(x, prediction, 0.5, -2.0, 0.0, None), 0.5 * x - 2 * prediction)


def test_reverse_step_without_noise_refuses_a_coefficient_for_it():
    with pytest.raises(ValueError, match="c must be 0 where noise is None"):
        ops.reverse_step(numbers(0, 4, 3), numbers(1, 4, 3), 0.5, -2.0, 0.1, None)


def test_numbers_do_not_promote_float32():
    x, z = np.ones((2, 3), np.float32), np.ones((2, 3), np.float32)
    assert ops.add_noise(x, np.float64(0.1), 0.1, z).dtype == np.float32
    assert ops.reverse_step(x, x, np.float64(0.1), 1, np.float32(0.1), z).dtype == np.float32
