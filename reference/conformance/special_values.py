"""Checks of ops at special values: large logits, constant groups, extreme floats."""

import numpy as np

from reference import ops
from reference.conformance.call import argument_names, backward_arguments, call_op
from reference.conformance.checks import results_are_within_tolerance
from reference.conformance.op_inputs import RandomArrays
from reference.conformance.tolerances import (
    UNIT_ROUNDOFF,
    assert_entries_within,
    assert_within_tolerance,
    max_abs,
)

WITH_LOGITS = (
    *("softmax", "attention", "cross_entropy", "cross_entropy_backward"),
    *("mixture_log_density", "mixture_score"),
)
SILUS = ("silu", "silu_backward", "silu_second")
SILU_STARTS = tuple(range(-120, 104, 4))
CONSTANTS = (0.0, 1 / 3, 1e4, 12345.678, -1e30)
CONSTANT_SIZES: tuple[tuple, ...] = ((1, 1), (7, 1), (64, 4), (5, 3))  # n, width
LARGE = {np.float32: (1e15, 1.8e19, 1e25, 1.6e38), np.float64: (1e15, 1.3e154, 1e200, 8e307)}


def _roundoff(dtype):
    return UNIT_ROUNDOFF[np.dtype(dtype)]


def logits_of_ten_thousand_in_one_row_or_in_all_rows(port, name, rows, dtype):
    numbers = RandomArrays(rows, 1.0, 0.0, dtype)
    x = numbers(3, 4)
    if name == "softmax":
        x[:rows, 0], x[:rows, 1] = 1e4, -1e4
        arguments: tuple = (x,)
    elif name == "attention":
        q, k = x[None], numbers(1, 5, 4)
        q[:, :rows] = 0
        q[:, :rows, 0], k[0, 0, 0], k[0, 1, 0] = 200, 100, -100  # scaled by 1/2
        arguments = q, k, numbers(1, 5, 4), 1
    elif name.startswith("cross_entropy"):
        x[:rows, 0], x[:rows, 1] = 1e4, -1e4
        arguments = x, np.array([1, 0, 2])
        arguments = arguments if name == "cross_entropy" else (numbers.unit(3), *arguments)
    else:
        x[:rows, 0] += 141  # 141^2 / 2 is about 1e4
        arguments = x, numbers.cast([0.25, 0.75]), numbers(2, 4), numbers.cast([1.0, 1.0])
    return results_are_within_tolerance(port, name, arguments)


MASKS: tuple[tuple, ...] = (  # keys that count of six, for each of two samples
    ((0, 1, 2), (0, 1, 2)),  # padding
    ((1, 4, 5), (0, 2, 3)),
    ((5,), (0,)),
)


def masked_keys_may_hold_anything_and_attention_is_that_over_the_others(port, keys, dtype):
    """The same bits for zeros and for NaN and infinity in the keys that a mask leaves out; results
    within the tolerance of attention over the other keys alone; gradients exactly 0.
    """
    numbers = RandomArrays(len(keys[0]), 1.0, 0.0, dtype)
    q, k, v, dy = numbers(2, 4, 6), numbers(2, 6, 6), numbers(2, 6, 6), numbers(2, 4, 6)
    mask = np.zeros((2, 6), bool)
    np.put_along_axis(mask, np.array(keys), True, axis=1)
    few = [np.stack([x[own] for x, own in zip(array, mask)]) for array in (k, v)]
    alone = q, *few, 2, None
    found, runs = [], []
    for fill in (0, np.nan, np.inf):
        for array in (k, v):
            array[~mask] = fill
        results = call_op("attention", port.attention, (q, k, v, 2, mask))
        found.append(assert_within_tolerance("attention", results, alone))
        if "attention_backward" not in port.missing_ops:
            arguments = dy, q, k, v, 2, *results, mask
            dq, *gradients = call_op("attention_backward", port.attention_backward, arguments)
            zero = not any(gradient[~mask].any() for gradient in gradients)
            assert zero, "attention_backward: a key that the mask leaves out has a gradient"
            own = [gradient[mask].reshape(few[0].shape) for gradient in gradients]
            backward = backward_arguments("attention", alone, dy)
            found.append(assert_within_tolerance("attention_backward", (dq, *own), backward))
            results = *results, dq, *gradients
        runs.append(results)
    same = all(map(np.array_equal, runs[0] * 2, runs[1] + runs[2]))
    assert same, "attention: what a key holds that the mask leaves out changes a result"
    return found


def silu_on_a_wide_grid(port, name, start, dtype):
    x = np.linspace(start, start + 4, 101).astype(np.float32).astype(dtype)
    before = [RandomArrays(0, 1.0, 0.0, dtype)(101)] * (len(argument_names(name)) - 1)
    return results_are_within_tolerance(port, name, (*before, x))


def adam_with_gradients_of_every_size(port, step, dtype):
    g = np.geomspace(1e-12, 1, 49).astype(np.float32).astype(dtype)
    arguments = (np.zeros_like(g), g, np.zeros_like(g), np.zeros_like(g), step, 1e-3, 0.9, 0.999)
    return results_are_within_tolerance(port, "adam_step_", (*arguments, 1e-8))


def group_norm_of_a_constant_group_is_its_shift_with_no_scale_gradient(
    port, n, width, value, dtype
):
    """Differences from the group's first entry are exactly 0; only dx = rstd (d - mean(d)),
    d = scale dy, is rounded.
    """
    numbers, u = RandomArrays(n, 1.0, 0.0, dtype), _roundoff(dtype)
    x, dy = np.full((2, n, 2 * width), value, dtype), numbers(2, n, 2 * width)
    scale, shift = numbers(2 * width), numbers(2 * width)
    arguments = x, scale, shift, 2, 1e-5
    y, mean, rstd = port.group_norm(*arguments)

    def within(word, got, exact, bound):
        check = "a group of one constant"
        return assert_entries_within("group_norm", word, check, got, exact, bound, arguments)

    found = [
        within("mean", mean, x[:, 0, :1] + np.zeros_like(mean), 0.0),
        within("rstd", rstd, np.full(rstd.shape, 1e-5**-0.5), 4 * u * 1e-5**-0.5),
        within("y", y, shift + np.zeros_like(y), 0.0),
    ]
    if "group_norm_backward" in port.missing_ops:
        return found
    backward = dy, x, scale, shift, 2, mean, rstd
    dx, dscale, _ = port.group_norm_backward(*backward)
    d = (dy.astype(np.float64) * scale).reshape(2, n, 2, width)
    exact = ((d - d.mean(axis=(1, 3), keepdims=True)) / 1e-5**0.5).reshape(x.shape)
    bound = u * (n * width + 8) * max_abs(d) / 1e-5**0.5
    for word, got, e, b in (("dscale", dscale, np.zeros(2 * width), 0.0), ("dx", dx, exact, bound)):
        name, check = "group_norm_backward", "a group of one constant"
        found.append(assert_entries_within(name, word, check, got, e, b, backward))
    return found


def group_norm_of_entries_up_to_half_the_largest_number(port, name, dtype, size):
    """The result equals the result for x / 2^k and eps = 0, up to a few roundings per entry."""
    exponent = int(np.frexp(size)[1])
    small = RandomArrays(0, 1.0, 0.0, np.float64).between(-0.5, 0.5, 2, 5, 3, 6)
    small[0, ..., :3] = 0.25  # one group of a constant value
    scale, shift = RandomArrays(1, 1.0, 0.0, dtype)(2, 6)
    arguments = np.ldexp(small, exponent).astype(dtype), scale, shift, 2, 1e-5
    y, mean, rstd = getattr(port, name)(*arguments)
    wide_scale, wide_shift = scale.astype(np.float64), shift.astype(np.float64)
    exact_y, exact_mean, exact_rstd = getattr(ops, name)(
        small, wide_scale, wide_shift, 2, 1e-5 * 2.0**-100
    )
    exact_rstd = np.ldexp(exact_rstd, -exponent)
    exact_rstd[0, 0] = 1e-5**-0.5
    bound = 8 * _roundoff(dtype) * 45
    rescaled = np.ldexp(mean.astype(np.float64), -exponent)
    return [
        assert_entries_within(name, word, "large entries", got, exact, b, arguments)
        for word, got, exact, b in (
            ("mean", rescaled, exact_mean, bound),
            ("rstd", rstd, exact_rstd, bound * exact_rstd),
            ("y", y, exact_y, bound * (1 + max_abs(scale))),
        )
    ]


def extremes(dtype):
    """The largest numbers, the smallest normal numbers, and the smallest subnormal number."""
    form = np.finfo(dtype)
    found = form.max, form.max / 4, form.tiny, form.tiny / 8, form.smallest_subnormal
    return np.array(found, dtype)


def silu_of_the_largest_and_smallest_floats(port, name, dtype):
    """For x below -800, e^x is 0 in either precision, and so are silu and its derivatives; from 800
    on 1 - e^{-x} is 1.
    """
    large = np.array([*extremes(dtype)[:2], 1e4, 1e3], dtype)
    small = np.array([*extremes(dtype)[2:], 0], dtype)
    limits = {"silu": large, "silu_backward": np.ones(4), "silu_second": np.zeros(4)}
    half, least = 4 * _roundoff(dtype), np.finfo(dtype).smallest_subnormal
    found = []
    for x, exact, bound in (
        (-large, np.zeros(4), 0.0),
        (large, limits[name], 0.0),
        *[(x, x / 2 if name == "silu" else 0.5 + 0 * x, None) for x in (small, -small)],
    ):
        bound = bound if bound is not None else float(least) if name == "silu" else half
        arguments = (*[np.ones_like(x)] * (len(argument_names(name)) - 1), x)
        (got,) = call_op(name, getattr(port, name), arguments)
        word, check = "y" if name == "silu" else "dx", "the largest and smallest floats"
        found.append(assert_entries_within(name, word, check, got, exact, bound, arguments))
    return found


def softmax_of_the_largest_and_smallest_floats(port, dtype):
    most, least = np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal
    x = np.array(
        [[most, -most, 0, 1], [most, most, -most, -most], [-most] * 4, [least, 0, -least, 0]],
        dtype,
    )
    y = np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4, [0.25] * 4], dtype)
    check = "the largest and smallest floats"
    with np.errstate(over="ignore"):  # a port may warn here
        got = port.softmax(x)
    return [assert_entries_within("softmax", "y", check, got, y, 0.0, (x,))]


def cross_entropy_of_the_largest_and_smallest_floats(port, name, dtype):
    """Logits further apart than the largest number have an infinite loss, and finite gradients."""
    most, least = np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal
    equal, two = np.log(4.0), np.log(2.0)
    logits = np.array([[most, -most, 0, 1]] * 2 + [[most, most, -most, -most]] + [[-most] * 4] * 2)
    logits[4] = least, 0, -least, 0
    arguments: tuple = logits.astype(dtype), np.array([0, 1, 1, 3, 2])
    per_sample = np.array([0, np.inf, two, equal, equal])
    p = np.array([[1, 0, 0, 0]] * 2 + [[0.5, 0.5, 0, 0]] + [[0.25] * 4] * 2)
    if name == "cross_entropy":
        word, exact, bound = "per_sample", per_sample, 4 * _roundoff(dtype) * equal
    else:
        d = np.array([1, -2, 4, 0.5, -0.25], dtype)
        word, exact, bound = "dlogits", d[:, None] * (p - np.eye(4)[arguments[1]]), 0.0
        arguments = d, *arguments
    with np.errstate(over="ignore"):  # a port may warn here
        got = call_op(name, getattr(port, name), arguments)[-1]
    check = "the largest and smallest floats"
    return [assert_entries_within(name, word, check, got, exact, bound, arguments)]


def mixture_at_overflowing_distance_has_density_0_and_nan_score(port, name, d, scalar, dtype):
    """Without overflow, log-density and score equal those of the nearest component."""
    numbers, u = RandomArrays(d, 1.0, 0.0, dtype), _roundoff(dtype)
    variances = numbers.cast([1.0, 0.25])
    weights, means = numbers.cast([0.25, 0.75]), np.zeros((2, d), dtype)
    covariances = variances if scalar else variances[:, None, None] * np.eye(d, dtype=dtype)
    square = np.finfo(dtype).max ** dtype(0.5)
    factors = np.array([square * 4, square * dtype(2.0**20), square / 4], dtype)
    x = factors[:, None] * np.eye(d, dtype=dtype)[0]
    arguments = x, weights, means, covariances
    with np.errstate(invalid="ignore"):
        (got,) = call_op(name, getattr(port, name), arguments)
    check = "overflowing squares"
    if name == "mixture_log_density":
        nearest = np.finfo(dtype).max / -32
        exact, bound = np.array([-np.inf, -np.inf, nearest]), 16 * u * abs(nearest)
        return [assert_entries_within(name, "y", check, got, exact, bound, arguments)]
    without_score = np.isnan(got[:2]).any(axis=1).all()
    assert without_score, f"{name}: y[:2] is {got[:2].tolist()} instead of NaN ({check})"
    bound = float(16 * u * square)
    return [assert_entries_within(name, "y", check, got[2:], -x[2:], bound, arguments)]
