"""The ops of network layers against other definitions of them: loops over the equation, SciPy, a textbook."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal
from scipy.special import logsumexp

from reference import ops
from tests.example_networks import numbers
from tests.strategies import arguments
from tests.tolerances import assert_equal_to_rounding

# linear and conv2d


def test_linear_is_the_sum_over_inputs_plus_bias():
    x, w, b = numbers(0, 3, 4), numbers(1, 4, 2), numbers(2, 2)
    expected = [[sum(x[n, i] * w[i, o] for i in range(4)) + b[o] for o in range(2)] for n in range(3)]
    assert_equal_to_rounding(ops.linear(x, w, b), expected)


def test_linear_without_bias_is_linear_with_zero_bias():
    x, w = numbers(0, 3, 4), numbers(1, 4, 2)
    assert_equal_to_rounding(ops.linear(x, w), ops.linear(x, w, np.zeros(2)))


def convolution(x, w, bias, stride):
    """The equation of conv2d, term by term."""
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
def test_conv2d_equals_its_equation(h, w, stride, k):
    x, weights, b = numbers(0, 2, h, w, 2), numbers(1, k, k, 2, 3), numbers(2, 3)
    assert_equal_to_rounding(ops.conv2d(x, weights, b, stride), convolution(x, weights, b, stride))


@pytest.mark.parametrize("h, w", [(5, 7), (7, 5)])
def test_conv2d_equals_scipys_correlation(h, w):
    x, weights = numbers(0, h, w), numbers(1, 3, 3)
    expected = signal.correlate2d(x, weights, mode="same")
    for stride in (1, 2):
        y = ops.conv2d(x[None, :, :, None], weights[:, :, None, None], np.zeros(1), stride)
        assert_equal_to_rounding(y[0, :, :, 0], expected[::stride, ::stride])


@pytest.mark.parametrize("pixels", [(1, 1), (3, 4)])
def test_conv2d_adds_its_add_argument(pixels):
    x, w, b, add = numbers(0, 2, 5, 7, 2), numbers(1, 3, 3, 2, 3), numbers(2, 3), numbers(3, 2, *pixels, 3)
    assert_equal_to_rounding(ops.conv2d(x, w, b, 2, add), ops.conv2d(x, w, b, 2) + add)


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
def test_group_norm_equals_a_loop_over_groups(groups, eps):
    x, scale, shift = 2 * numbers(0, 2, 5, 3, 6) + 1, numbers(1, 6), numbers(2, 6)
    xhat, mean, rstd = normalised(x, groups, eps)
    for result, expected in zip(ops.group_norm(x, scale, shift, groups, eps), (scale * xhat + shift, mean, rstd), strict=True):
        assert_equal_to_rounding(result, expected)


def test_group_norm_has_an_epsilon_of_1e_5_by_default():
    x = 1e-2 * numbers(0, 1, 4, 4, 2)
    assert_equal_to_rounding(ops.group_norm(x, np.ones(2), np.zeros(2), 1)[0], normalised(x, 1, 1e-5)[0])


@given(args=arguments("group_norm", np.float64, scales=(1.0,)), factor=st.sampled_from((0.25, 4.0)))
def test_group_norm_is_invariant_to_scale_and_shift_of_its_input(args, factor):
    x, scale, shift, groups, eps = args
    moved = factor * (x - np.float64(3))
    y, _, rstd = ops.group_norm(x, scale, shift, groups, eps)
    entries = (
        (np.abs(x).max(initial=0) + 3) * rstd.max(initial=0) * np.abs(scale).max()
    )  # size of the entries before the mean is subtracted
    assert_equal_to_rounding(ops.group_norm(moved, scale, shift, groups, factor**2 * eps)[0], y, scale=entries + np.abs(shift).max())


def test_group_norm_of_a_constant_group_equals_its_shift():
    x, shift = np.full((2, 3, 3, 4), 7.0), numbers(0, 4)
    y, mean, rstd = ops.group_norm(x, np.ones(4), shift, 2)
    assert_equal_to_rounding(y, np.broadcast_to(shift, x.shape))
    assert_equal_to_rounding(mean, np.full((2, 2), 7.0))
    assert_equal_to_rounding(rstd, np.full((2, 2), 1e-5**-0.5))


def test_group_norm_silu_equals_group_norm_then_silu():
    x, scale, shift = numbers(0, 2, 3, 5, 4), numbers(1, 4), numbers(2, 4)
    y, mean, rstd = ops.group_norm(x, scale, shift, 2, 1e-3)
    for result, expected in zip(ops.group_norm_silu(x, scale, shift, 2, 1e-3), (ops.silu(y), mean, rstd), strict=True):
        assert_equal_to_rounding(result, expected)


@pytest.mark.parametrize("groups", [0, -1, 3])
@pytest.mark.parametrize("name", ["group_norm", "group_norm_silu"])
def test_group_norm_refuses_groups_that_do_not_divide_the_channels(name, groups):
    with pytest.raises(ValueError, match="groups must be a whole number that divides the 4 channels"):
        getattr(ops, name)(numbers(0, 2, 4), np.ones(4), np.ones(4), groups)


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
    for low in range(0, 1000, 25):  # windows of width 4: the small values would not matter beside the large ones
        window = slice(low, low + 26)
        assert_equal_to_rounding(ops.silu(x[window]), expected[window])


def test_silu_gradient_on_a_wide_grid():
    x = np.linspace(-80, 80, 1001)
    g = np.where(x < 0, np.exp(-np.abs(x)), 1) / (1 + np.exp(-np.abs(x)))
    other = np.where(x < 0, 1, np.exp(-np.abs(x))) / (1 + np.exp(-np.abs(x)))  # 1 - g without cancellation
    for low in range(0, 1000, 25):
        window = slice(low, low + 26)
        assert_equal_to_rounding(ops.silu_backward(np.ones(1001), x)[window], (g + x * g * other)[window])
        second = (g * other * (2 + x * (other - g)))[window]
        assert_equal_to_rounding(
            ops.silu_second(np.ones(1001), np.ones(1001), x)[window], second, scale=np.abs(x * g)[window].max()
        )  # 1 - g cancels


def test_softmax_is_positive_sums_to_one_and_has_the_logits_ratios():
    x = numbers(0, 3, 2, 5)
    y = ops.softmax(x)
    assert_equal_to_rounding(y.sum(axis=-1), np.ones((3, 2)))
    assert_equal_to_rounding(np.log(y[..., 1:] / y[..., :1]), x[..., 1:] - x[..., :1])


@pytest.mark.parametrize("rows", [[1], [0, 1, 2]])
@pytest.mark.parametrize("logit", [1e4, -1e4])
def test_softmax_of_large_logits_is_exact(rows, logit):
    x = numbers(0, 3, 4)
    x[rows, 2] = logit
    expected = np.stack([np.exp(row - logsumexp(row)) for row in x])
    assert_equal_to_rounding(ops.softmax(x), expected)
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
def test_attention_equals_a_loop_over_heads_and_rows(heads):
    q, k, v = numbers(0, 2, 3, 6), numbers(1, 2, 5, 6), numbers(2, 2, 5, 6)
    for result, expected in zip(ops.attention(q, k, v, heads), attention_by_head(q, k, v, heads), strict=True):
        assert_equal_to_rounding(result, expected)


@pytest.mark.parametrize("rows", [[1], [0, 1, 2]])
@pytest.mark.parametrize("sign", [1, -1])
def test_attention_with_large_logits_is_finite_and_correct(rows, sign):
    q, k, v = np.zeros((1, 3, 4)), numbers(1, 1, 5, 4), numbers(2, 1, 5, 4)
    q[:, :] = numbers(0, 1, 3, 4)
    k[0, 2] = [1, 0, 0, 0]
    q[0, rows] = [2e4 * sign, 0, 0, 0]  # logits of 1e4 and the like
    y, total = ops.attention(q, k, v, 1)
    expected, expected_total = attention_by_head(q, k, v, 1)
    assert np.abs(total[0, 0, rows]).min() > 1e3
    assert_equal_to_rounding(total, expected_total)
    assert_equal_to_rounding(y, expected)
    assert all(np.isfinite(d).all() for d in ops.attention_backward(numbers(3, 1, 3, 4), q, k, v, 1, y, total))


def test_attention_does_not_depend_on_the_order_of_keys():
    q, k, v, order = numbers(0, 2, 3, 4), numbers(1, 2, 5, 4), numbers(2, 2, 5, 4), [3, 1, 4, 0, 2]
    assert_equal_to_rounding(ops.attention(q, k[:, order], v[:, order], 2)[0], ops.attention(q, k, v, 2)[0])


@pytest.mark.parametrize("heads", [0, 3, -2])
def test_attention_refuses_heads_that_do_not_divide_the_channels(heads):
    q = numbers(0, 1, 3, 4)
    with pytest.raises(ValueError, match="heads must be a whole number that divides the 4 channels"):
        ops.attention(q, q, q, heads)


def test_attention_refuses_zero_keys():
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
    assert_equal_to_rounding(ops.average_pool(x), expected)


def test_average_pool_undoes_upsample():
    x = numbers(0, 2, 3, 5, 2)
    assert_equal_to_rounding(ops.average_pool(ops.upsample_nearest(x)), x)


@pytest.mark.parametrize("h, w", [(3, 4), (4, 3), (1, 1)])
@pytest.mark.parametrize("name", ["average_pool", "upsample_nearest_backward"])
def test_odd_sizes_can_not_be_halved(name, h, w):
    with pytest.raises(ValueError, match="even height and width"):
        getattr(ops, name)(np.ones((1, h, w, 2)))


def test_concat_puts_x_first_and_its_backward_splits_there():
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
        assert_equal_to_rounding(y[b, j], np.cos(angle), scale=max(angle, 1))
        assert_equal_to_rounding(y[b, 4 + j], np.sin(angle), scale=max(angle, 1))


def test_a_shift_of_one_ends_the_frequencies_at_exactly_1e_4():
    c, width = np.array([0.5, 37.25, 1000.0]), 8
    y = ops.timestep_embedding(c, width, 1)
    for b, j in np.ndindex(3, 4):
        angle = c[b] / 10000 ** (j / 3)
        assert_equal_to_rounding(y[b, j], np.cos(angle), scale=max(angle, 1))
        assert_equal_to_rounding(y[b, 4 + j], np.sin(angle), scale=max(angle, 1))
    assert np.array_equal(ops.timestep_embedding(c, width), ops.timestep_embedding(c, width, 0))


@pytest.mark.parametrize("shift", [-1, 4])
def test_timestep_embedding_refuses_a_shift_of_half_the_width(shift):
    with pytest.raises(ValueError, match=r"shift must lie in 0 \.\. 3 for width 8, got"):
        ops.timestep_embedding(np.ones(2), 8, shift)


def test_timestep_embedding_of_time_zero_is_one_and_zero():
    assert np.array_equal(ops.timestep_embedding(np.zeros(1), 6), [[1, 1, 1, 0, 0, 0]])


@pytest.mark.parametrize("width", [0, 1, 7, -2])
def test_timestep_embedding_refuses_odd_widths(width):
    with pytest.raises(ValueError, match="width must be an even number"):
        ops.timestep_embedding(np.ones(2), width)


def test_embedding_takes_rows_and_its_backward_sums_repeated_rows():
    table, labels, dy = numbers(0, 4, 3), np.array([2, 0, 2, 2]), numbers(1, 4, 3)
    assert np.array_equal(ops.embedding(labels, table), [table[2], table[0], table[2], table[2]])
    assert_equal_to_rounding(ops.embedding_backward(dy, labels, table), [dy[1], np.zeros(3), dy[0] + dy[2] + dy[3], np.zeros(3)])


@pytest.mark.parametrize("labels", [[0, 4], [-1, 0]])
@pytest.mark.parametrize("backward", [False, True])
def test_embedding_refuses_labels_outside_of_the_table(labels, backward):
    args = np.array(labels), np.ones((4, 3))
    with pytest.raises(ValueError, match=r"labels must lie in 0 \.\. 3"):
        ops.embedding_backward(np.ones((2, 3)), *args) if backward else ops.embedding(*args)
