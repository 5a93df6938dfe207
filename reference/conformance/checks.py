"""Checks of the numbers of every op of a port: drawn inputs, sizes with special cases in fast
kernels, exact sums.  Special values and random numbers have files of their own.

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
    assert_entries_within,
    assert_small_integers_exact,
    assert_within_tolerance,
    ternary,
)

Sizes = tuple[tuple, ...]
PRODUCTS = tuple(op.name for op in CONTRACT if op.rule == "product")


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
