"""``attention`` with a mask of its keys: the same as attention over the keys that count."""

import numpy as np
import pytest

from reference import ops
from tests.example_networks import numbers
from tests.tolerances import assert_equal_to_rounding, assert_gradient

MASK = np.array([[True, False, True, True, False], [False, True, False, False, False]])
Q, K, V, DY = numbers(0, 2, 3, 6), numbers(1, 2, 5, 6), numbers(2, 2, 5, 6), numbers(3, 2, 3, 6)


def masked_attention(q, k, v, heads, mask, dy):
    """y, logsumexp, dq, dk and dv of the equations, one query and one key that counts at a time."""
    e = q.shape[2] // heads
    y, total, dq, dk, dv = np.zeros(q.shape), np.zeros((len(q), heads, q.shape[1])), *map(np.zeros, (q.shape, k.shape, v.shape))
    for b, h, i in np.ndindex(total.shape):
        own = slice(h * e, (h + 1) * e)
        keys = [j for j in range(k.shape[1]) if mask[b, j]]
        weights = {j: np.exp(q[b, i, own] @ k[b, j, own] / np.sqrt(e)) for j in keys}
        z = sum(weights.values())
        total[b, h, i] = np.log(z)
        y[b, i, own] = sum(weights[j] / z * v[b, j, own] for j in keys)
        for j in keys:
            p = weights[j] / z
            ds = p * (dy[b, i, own] @ (v[b, j, own] - y[b, i, own])) / np.sqrt(e)
            dv[b, j, own] += p * dy[b, i, own]
            dq[b, i, own] += ds * k[b, j, own]
            dk[b, j, own] += ds * q[b, i, own]
    return y, total, dq, dk, dv


@pytest.mark.parametrize("heads", [1, 2, 6])
def test_masked_attention_and_its_gradients_equal_loops_over_the_keys_that_count(heads):
    y, total = ops.attention(Q, K, V, heads, MASK)
    gradients = ops.attention_backward(DY, Q, K, V, heads, y, total, MASK)
    for result, expected in zip((y, total, *gradients), masked_attention(Q, K, V, heads, MASK, DY), strict=True):
        assert_equal_to_rounding(result, expected)


@pytest.mark.parametrize("position", range(3), ids=["q", "k", "v"])
def test_gradients_of_masked_attention_in_every_coordinate(position):
    arrays = Q, K, V
    y, total = ops.attention(*arrays, 2, MASK)
    gradient = ops.attention_backward(DY, *arrays, 2, y, total, MASK)[position]
    for index in np.ndindex(gradient.shape):

        def f(t, index=index):
            moved = [array.copy() for array in arrays]
            moved[position][index] += t
            return float(np.vdot(DY, ops.attention(*moved, 2, MASK)[0]))

        assert_gradient(gradient[index], f, np.abs(DY * y).sum())


def test_padded_keys_change_nothing():
    pad = lambda x: np.concatenate((x, numbers(4, 2, 3, 6)), axis=1)
    mask = np.arange(8) < np.array([[5], [5]])
    y, total = ops.attention(Q, K, V, 2)
    expected = y, total, *ops.attention_backward(DY, Q, K, V, 2, y, total)
    y, total = ops.attention(Q, pad(K), pad(V), 2, mask)
    dq, dk, dv = ops.attention_backward(DY, Q, pad(K), pad(V), 2, y, total, mask)
    assert not dk[:, 5:].any() and not dv[:, 5:].any()
    for result, one in zip((y, total, dq, dk[:, :5], dv[:, :5]), expected, strict=True):
        assert_equal_to_rounding(result, one)


def test_a_mask_of_all_keys_changes_no_bit():
    everything = np.ones((2, 5), bool)
    y, total = ops.attention(Q, K, V, 2)
    plain = y, total, *ops.attention_backward(DY, Q, K, V, 2, y, total)
    masked = *ops.attention(Q, K, V, 2, everything), *ops.attention_backward(DY, Q, K, V, 2, y, total, everything)
    assert all(map(np.array_equal, plain, masked))


def test_each_sample_has_a_mask_of_its_own():
    other = MASK.copy()
    other[1] = ~other[1]
    y, changed = ops.attention(Q, K, V, 2, MASK)[0], ops.attention(Q, K, V, 2, other)[0]
    assert np.array_equal(y[0], changed[0]) and not np.isclose(y[1], changed[1]).any()


def test_masked_attention_does_not_depend_on_the_order_of_keys():
    order = [3, 1, 4, 0, 2]
    y, total = ops.attention(Q, K, V, 2, MASK)
    moved = ops.attention(Q, K[:, order], V[:, order], 2, MASK[:, order])
    for result, expected in zip(moved, (y, total), strict=True):
        assert_equal_to_rounding(result, expected)


@pytest.mark.parametrize("keyless, message", [(0, "sample 0 has none"), (1, "sample 1 has none")])
def test_a_sample_without_a_key_that_counts_is_refused(keyless, message):
    mask = MASK.copy()
    mask[keyless] = False
    y, total = ops.attention(Q, K, V, 2)
    with pytest.raises(ValueError, match=f"^mask must have a True for every sample, .* {message}$"):
        ops.attention(Q, K, V, 2, mask)
    with pytest.raises(ValueError, match=message):
        ops.attention_backward(DY, Q, K, V, 2, y, total, mask)


def test_a_mask_is_an_array_of_booleans_with_a_row_for_each_sample_and_an_entry_for_each_key():
    for wrong in (MASK.astype(int), MASK.astype(float), MASK.tolist()):
        with pytest.raises(TypeError, match=r"^mask must"):
            ops.attention(Q, K, V, 2, wrong)
    for wrong in (MASK[:1], MASK[:, :4], MASK[0], MASK[:, None, None]):
        with pytest.raises(ValueError, match=r"^mask must have shape"):
            ops.attention(Q, K, V, 2, wrong)
