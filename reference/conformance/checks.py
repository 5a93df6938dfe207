"""Checks of the numbers of every op of a port: drawn inputs, sizes with special cases in fast
kernels, special values, exact sums, random numbers.

A check takes a port (reference/conformance/port.py), the name of an op and its inputs, or the sizes
that they are made of.  It returns the worst mismatch of every op that it calls, and raises
AssertionError with a message that begins with the name of the op.  A check that calls a second op
skips it if the port lacks it.
"""

import inspect
from fractions import Fraction

import numpy as np

from reference import ops
from reference.conformance import op_inputs
from reference.conformance.call import (
    SeededArguments,
    argument_names,
    backward_arguments,
    call_op,
    cast,
)
from reference.conformance.contract import CONTRACT, OPS
from reference.conformance.op_inputs import RandomArrays
from reference.conformance.tolerances import (
    UNIT_ROUNDOFF,
    assert_entries_within,
    assert_small_integers_exact,
    assert_within_tolerance,
    max_abs,
    ternary,
)
from reference.ops import Key, Purpose

Sizes = tuple[tuple, ...]
PRODUCTS = tuple(op.name for op in CONTRACT if op.rule == "product")


def _roundoff(dtype):
    return UNIT_ROUNDOFF[np.dtype(dtype)]


def op_exists_with_the_argument_names_and_order_of_the_contract(port, name):
    """The names and the order are required of built-in ports only."""
    parameters = [*inspect.signature(getattr(port, name)).parameters]
    same = not port.builtin or parameters == argument_names(name)
    assert same, f"{name}: the arguments are {parameters} instead of {argument_names(name)}"
    return []


# drawn inputs


def results_are_within_tolerance(port, name, arguments, zero_mean=False):
    if name in port.missing_ops:
        return []
    results = call_op(name, getattr(port, name), arguments)
    return [assert_within_tolerance(name, results, arguments, zero_mean)]


def product_of_zero_mean_data_is_within_the_sharper_tolerance(port, name, arguments):
    return results_are_within_tolerance(port, name, arguments, zero_mean=True)


def product_of_data_of_one_sign_is_within_the_textbook_bound(port, name, arguments):
    positive = [np.abs(a) if isinstance(a, np.ndarray) else a for a in arguments]
    seeded = SeededArguments(positive, name, getattr(arguments, "seed", None))
    return results_are_within_tolerance(port, name, seeded)


def product_of_small_integers_is_exact(port, name, arguments):
    small = ternary(arguments)
    results = call_op(name, getattr(port, name), small)
    return [assert_small_integers_exact(name, results, small)]


# sizes with special cases in fast kernels: remainders of vectors and tiles, several blocks, one
# channel


def _with_backward(port, name, arguments, seed):
    """Check the op and its backward with a random upstream gradient; products also on small
    integers.
    """
    dtype = arguments[0].dtype
    single = cast(arguments, np.float32)
    shape = call_op(name, getattr(ops, name), single)[0].shape
    dy = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found = []
    for called, drawn in (
        (name, single),
        (f"{name}_backward", backward_arguments(name, single, dy)),
    ):
        if called not in port.missing_ops:
            drawn = SeededArguments(cast(drawn, dtype), called, seed)
            found += results_are_within_tolerance(port, called, drawn)
            if OPS[called].rule == "product":
                found += product_of_small_integers_is_exact(port, called, drawn)
    return found


LINEAR_SIZES: Sizes = (  # n, i, o
    (1, 1, 1),
    (33, 70, 59),
    (64, 16, 48),
    (200, 66, 128),
    (512, 128, 2),
    (7, 257, 31),
    (600, 100, 270),
)
CONV_SIDES: Sizes = ((5, 7), (7, 5))
CONV_ADDS = (None, "per channel", "per pixel")
CONV_SIZES: Sizes = (  # b, h, w, i, o
    (3, 8, 8, 32, 32),
    (2, 9, 6, 16, 48),
    (5, 1, 2, 16, 16),
    (25, 8, 8, 16, 16),  # many pixels
    (1, 5, 5, 64, 144),  # many channels
    (1, 13, 11, 33, 17),
    (2, 8, 8, 1, 32),
    (2, 8, 8, 32, 1),
)
NORM_SIZES: Sizes = (  # b, h, w, c, groups
    (3, 8, 8, 32, 8),
    (2, 5, 3, 48, 4),
    (1, 16, 16, 24, 1),
    (9, 1, 1, 70, 35),
    (2, 3, 3, 7, 7),
)
ATTENTION_SIZES: Sizes = (  # b, n, m, c, heads
    (2, 64, 64, 64, 8),
    (3, 16, 16, 32, 4),
    (1, 33, 70, 30, 3),
    (2, 5, 1, 17, 1),
)
ELEMENTWISE = (
    "silu",
    "mse",
    "gaussian_kl",
    "concat",
    "upsample_nearest",
    "adam_step_",
    "ema_step_",
    "global_norm",
)
MIXTURE_SIZES: Sizes = (
    (1000, 8, 2, False),
    (300, 3, 5, False),
    (33, 40, 64, True),
)  # n, k, d, scalar


def linear_of_many_sizes(port, n, i, o, dtype):
    numbers = RandomArrays(n, 1.0, 0.0, dtype)
    return _with_backward(port, "linear", (numbers(n, i), numbers(i, o), numbers(o)), n)


def conv2d_with_unequal_sides_and_channels(port, h, w, stride, k, add, dtype):
    numbers = RandomArrays(h, 1.0, 0.0, dtype)
    arguments = op_inputs.conv2d(numbers, 2, h, w, 2, 3, k, stride, add)
    return _with_backward(port, "conv2d", arguments, h)


def conv2d_of_many_sizes(port, b, h, w, i, o, k, stride, dtype):
    numbers = RandomArrays(h, 1.0, 0.0, dtype)
    arguments = op_inputs.conv2d(numbers, b, h, w, i, o, k, stride, "per pixel")
    return _with_backward(port, "conv2d", arguments, h)


def group_norm_of_many_sizes(port, name, b, h, w, c, groups, dtype):
    numbers = RandomArrays(c, 10.0, 30.0, dtype)
    arguments = numbers(b, h, w, c), numbers.unit(c), numbers.unit(c), groups, 1e-5
    return _with_backward(port, name, arguments, c)


def attention_of_many_sizes(port, b, n, m, c, heads, dtype):
    numbers = RandomArrays(n, 1.0, 0.0, dtype)
    arguments = numbers(b, n, c), numbers(b, m, c), numbers(b, m, c), heads
    return _with_backward(port, "attention", arguments, n)


def arrays_of_many_blocks(port, name, dtype):
    numbers = RandomArrays(0, 1.0, 0.0, dtype)
    image = lambda: numbers(3, 20, 20, 37)
    count = {"silu": 1, "upsample_nearest": 1, "adam_step_": 3}.get(name, 2)
    images = tuple(image() for _ in range(count))
    if name == "adam_step_":
        arguments = (*images, np.square(image()), 3, 1e-3, 0.9, 0.999, 1e-8)
    elif name == "ema_step_":
        arguments = (*images, 0.999)
    else:
        arguments = (list(images),) if name == "global_norm" else images
    return results_are_within_tolerance(port, name, SeededArguments(arguments, name, 0))


def mixtures_of_many_sizes(port, name, n, k, d, scalar, dtype):
    numbers = RandomArrays(n, 1.0, 0.0, dtype)
    arguments = op_inputs.mixture_log_density(numbers, n, k, d, scalar)
    return results_are_within_tolerance(port, name, SeededArguments(arguments, name, n))


def fokker_planck_steps_of_many_cells_some_without_diffusion(port, periodic, dtype):
    numbers = RandomArrays(0, 1.0, 0.0, dtype)
    n, m = 300, 70
    diffusion = numbers.between(0.5, 2, n + 1)
    diffusion[100:150] = 0
    p, drift = numbers.between(0.1, 1, n), numbers.between(-5, 5, n + 1)
    found = results_are_within_tolerance(
        port, "fokker_planck_step", (p, drift, diffusion, 0.1, 0.01, periodic)
    )
    faces = lambda low, high: (
        numbers.between(low, high, n + 1, m),
        numbers.between(low, high, n, m + 1),
    )
    arguments = numbers.between(0.1, 1, n, m), *faces(-5, 5), *faces(0.5, 2), 0.1, 0.2, 0.01
    return found + results_are_within_tolerance(
        port, "fokker_planck_step_2d", (*arguments, periodic)
    )


# special values

WITH_LOGITS = ("softmax", "attention", "mixture_log_density", "mixture_score")
SILUS = ("silu", "silu_backward", "silu_second")
SILU_STARTS = tuple(range(-120, 104, 4))
CONSTANTS = (0.0, 1 / 3, 1e4, 12345.678, -1e30)
CONSTANT_SIZES: Sizes = ((1, 1), (7, 1), (64, 4), (5, 3))  # n, width
LARGE = {np.float32: (1e15, 1.8e19, 1e25, 1.6e38), np.float64: (1e15, 1.3e154, 1e200, 8e307)}


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
    else:
        x[:rows, 0] += 141  # 141^2 / 2 is about 1e4
        arguments = x, numbers.cast([0.25, 0.75]), numbers(2, 4), numbers.cast([1.0, 1.0])
    return results_are_within_tolerance(port, name, arguments)


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


# exact sums


def _sum_is_exact(port, name, arguments, exact):
    """A float64 result against sums of fractions: the error is at most n roundings of products and
    sums.
    """
    (result,) = call_op(name, getattr(port, name), arguments)[:1]
    x, w = arguments[0], arguments[1]
    terms = w[..., 0].size + 2
    scale = float(np.abs(x).max() * np.abs(w).max() * terms)
    pairs = zip(result.flat, exact, strict=True)
    error = max(abs(Fraction(float(r)) - e) for r, e in pairs)
    bound = terms * 2.0**-53 * scale
    check = "the sum of exact products"
    return [assert_entries_within(name, "y", check, float(error), 0.0, bound, arguments)]


def linear_is_the_sum_of_exact_products(port, seed):
    rng = np.random.default_rng(seed)
    x, w, b = (rng.standard_normal(shape) for shape in ((2, 5), (5, 3), (3,)))
    F = np.vectorize(Fraction, otypes=[object])
    arguments = SeededArguments((x, w, b), "linear", seed)
    return _sum_is_exact(port, "linear", arguments, (F(x) @ F(w) + F(b)).flat)


def conv2d_is_the_sum_of_exact_products(port, seed, stride):
    rng = np.random.default_rng(seed)
    x, w, b = (rng.standard_normal(shape) for shape in ((1, 3, 4, 2), (3, 3, 2, 2), (2,)))
    F = np.vectorize(Fraction, otypes=[object])
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    windows = windows[:, ::stride, ::stride]  # [b,m,n,i,u,v]
    exact = np.tensordot(F(windows), F(w), axes=((3, 4, 5), (2, 0, 1))) + F(b)
    arguments = SeededArguments((x, w, b, stride), "conv2d", seed)
    return _sum_is_exact(port, "conv2d", arguments, exact.flat)


# random numbers

PUBLISHED_BITS = (  # seed, sample, step, purpose, block
    (0, 0, 0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
)
NOISE_OPS = ("philox_bits", "uniform", "normal", "add_noise", "reverse_step")
NOISE_SHAPES = ((3, 3, 2), (37,), ())


def philox_bits_equal_the_published_ones(port, seed, sample, step, purpose, block):
    arguments = seed, np.array([sample]), step, purpose, 4
    bits, exact = port.philox_bits(*arguments), [[int(word, 16) for word in block.split()]]
    check = "the published bits"
    return [assert_entries_within("philox_bits", "bits", check, bits, exact, 0.0, arguments)]


def float32_normals_are_within_one_rounding_of_the_exact_values(port, seed, sample, step):
    arguments = seed, np.array([sample, 1]), step, Purpose.STEP_NOISE, (1001,), np.dtype(np.float32)
    got, exact = port.normal(*arguments), ops.normal(*arguments)
    bound = np.spacing(np.abs(exact)).astype(np.float64)
    return [assert_entries_within("normal", "z", "one rounding", got, exact, bound, arguments)]


def float64_normals_are_within_four_roundings_of_the_radius(port, seed, sample, step):
    arguments = seed, np.array([sample, 1]), step, Purpose.STEP_NOISE, (1000,), np.dtype(np.float64)
    got, exact = port.normal(*arguments), ops.normal(*arguments)
    radius = np.sqrt((exact.reshape(-1, 2) ** 2).sum(axis=1)).repeat(2).reshape(got.shape)
    bound, check = 4 * np.spacing(radius), "four roundings of the radius"
    return [assert_entries_within("normal", "z", check, got, exact, bound, arguments)]


def noise_has_the_same_bits_in_a_batch_of_eight_and_alone(port, name, shape, dtype):
    rng = np.random.default_rng(0)
    sample = rng.integers(0, 2**32, 8)
    x = rng.standard_normal((8, *shape)).astype(dtype)
    prediction = rng.standard_normal((8, *shape)).astype(dtype)
    c, dtype = rng.random(8).astype(dtype), np.dtype(dtype)
    key = lambda s, purpose: Key(5, sample[s], 3, purpose)
    arguments = {
        "philox_bits": lambda s: (5, sample[s], 3, Purpose.PRIOR, 7),
        "uniform": lambda s: (5, sample[s], 3, Purpose.PRIOR, shape, dtype),
        "normal": lambda s: (5, sample[s], 3, Purpose.PRIOR, shape, dtype),
        "add_noise": lambda s: (x[s], c[s], 0.5, key(s, Purpose.TRAINING_NOISE)),
        "reverse_step": lambda s: (
            *(x[s], prediction[s], 0.9, c[s], 0.3),
            key(s, Purpose.STEP_NOISE),
        ),
    }[name]
    draw = lambda s: getattr(port, name)(*arguments(s))
    together = draw(slice(None))
    alone = np.concatenate([draw(slice(n, n + 1)) for n in range(8)])
    message = f"{name}: the noise of a sample depends on its batch; {shape}, {dtype}"
    assert np.array_equal(together, alone), message
    return []


def key_as_noise_gives_the_normals_of_the_port(port, name, dtype):
    if "normal" in port.missing_ops:
        return []
    rng, key = np.random.default_rng(0), Key(2**40 + 7, np.arange(4) + 9, 3, Purpose.STEP_NOISE)
    x, prediction = rng.standard_normal((2, 4, 5, 7)).astype(dtype)
    noise = port.normal(*key, (5, 7), np.dtype(dtype))
    before = (x, 0.8, 0.6) if name == "add_noise" else (x, prediction, 0.9, 0.1, 0.3)
    by_key, by_noise = getattr(port, name)(*before, key), getattr(port, name)(*before, noise)
    arguments = (*before, noise)
    check = "a key in place of noise"
    return [assert_entries_within(name, "x", check, by_key, by_noise, 0.0, arguments)]
