"""Every op of a port gives the results of the reference within the tolerance of its row (reference/conformance/tolerances.py)."""

import inspect
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import ops
from reference.conformance import op_inputs
from reference.conformance.call import argument_names, backward_arguments, call_op, cast
from reference.conformance.contract import CONTRACT, OPS
from reference.conformance.op_inputs import RandomArrays
from reference.conformance.tolerances import UNIT_ROUNDOFF, assert_small_integers_exact, assert_within_tolerance, max_abs, ternary
from reference.ops import Key, Purpose
from tests.ports import SIMULATED
from tests.strategies import SEED, arguments

DTYPES = (np.float32, np.float64)
PRODUCTS = [op.name for op in CONTRACT if op.rule == "product"]

many_threads = pytest.mark.skipif(SIMULATED, reason="too many threads for the simulator, whose blocks of 8 find the edges at fewer entries")
every_op = pytest.mark.parametrize("name", OPS)
of_ops = pytest.mark.of_ops
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def check(port, name, args, zero_mean=False):
    if name not in port.lacks:
        assert_within_tolerance(name, call_op(name, getattr(port, name), args), args, zero_mean)


def check_with_backward(port, name, args, seed=0):
    """Check the op and its backward with a random upstream gradient; products also on small integers."""
    dtype = args[0].dtype
    args = cast(args, np.float32)
    dy = np.random.default_rng(seed).standard_normal(call_op(name, getattr(ops, name), args)[0].shape).astype(np.float32)
    for called, drawn in ((name, args), (f"{name}_backward", backward_arguments(name, args, dy))):
        drawn = cast(drawn, dtype)
        check(port, called, drawn)
        if OPS[called].rule == "product" and called not in port.lacks:
            small = ternary(drawn)
            assert_small_integers_exact(called, call_op(called, getattr(port, called), small), small)


@every_op
def test_op_exists_with_the_argument_names_and_order_of_the_contract(port, name):
    parameters = inspect.signature(getattr(port, name)).parameters
    assert not port.shipped or list(parameters) == argument_names(name)


@both_dtypes
@every_op
@given(data=st.data())
def test_results_are_within_tolerance(port, name, dtype, data):
    check(port, name, data.draw(arguments(name, dtype)))


@pytest.mark.parametrize("name", PRODUCTS)
@given(data=st.data())
def test_product_of_zero_mean_data_is_within_the_sharper_tolerance(port, name, data):
    args = data.draw(arguments(name, np.float32, scales=(1.0,), offsets=(0.0,)))
    check(port, name, args, zero_mean=True)


@pytest.mark.parametrize("name", PRODUCTS)
@given(data=st.data())
def test_product_of_data_of_one_sign_is_within_the_textbook_bound(port, name, data):
    args = data.draw(arguments(name, np.float32, scales=(1.0,), offsets=(0.0,)))
    check(port, name, tuple(np.abs(a) if isinstance(a, np.ndarray) else a for a in args))


@both_dtypes
@pytest.mark.parametrize("name", PRODUCTS)
@given(data=st.data())
def test_product_of_small_integers_is_exact(port, name, dtype, data):
    args = ternary(data.draw(arguments(name, dtype, scales=(1.0,), offsets=(0.0,))))
    assert_small_integers_exact(name, call_op(name, getattr(port, name), args), args)


# sizes with special cases in fast kernels: remainders of vectors and tiles, several blocks, one channel


@of_ops("linear", "linear_backward")
@many_threads
@both_dtypes
@pytest.mark.parametrize("n, i, o", [(1, 1, 1), (33, 70, 59), (64, 16, 48), (200, 66, 128), (512, 128, 2), (7, 257, 31), (600, 100, 270)])
def test_linear_of_many_sizes(port, n, i, o, dtype):
    numbers = RandomArrays(n, 1.0, 0.0, dtype)
    check_with_backward(port, "linear", (numbers(n, i), numbers(i, o), numbers(o)))


@of_ops("conv2d", "conv2d_backward")
@both_dtypes
@pytest.mark.parametrize("pixels", [None, "per channel", "per pixel"], ids=["", "per channel", "per pixel"])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("h, w", [(5, 7), (7, 5)])
def test_conv2d_with_unequal_sides_and_channels(port, h, w, stride, k, pixels, dtype):
    check_with_backward(port, "conv2d", op_inputs.conv2d(RandomArrays(h, 1.0, 0.0, dtype), 2, h, w, 2, 3, k, stride, pixels))


@of_ops("conv2d", "conv2d_backward")
@many_threads
@both_dtypes
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize(
    "b, h, w, i, o",
    [
        *[(3, 8, 8, 32, 32), (2, 9, 6, 16, 48), (5, 1, 2, 16, 16)],
        *[(25, 8, 8, 16, 16), (1, 5, 5, 64, 144)],  # many pixels, many channels
        *[(1, 13, 11, 33, 17), (2, 8, 8, 1, 32), (2, 8, 8, 32, 1)],
    ],
)
def test_conv2d_of_many_sizes(port, b, h, w, i, o, k, stride, dtype):
    check_with_backward(port, "conv2d", op_inputs.conv2d(RandomArrays(h, 1.0, 0.0, dtype), b, h, w, i, o, k, stride, "per pixel"))


@many_threads
@both_dtypes
@pytest.mark.parametrize("name", ["group_norm", "group_norm_silu"])
@pytest.mark.parametrize("b, h, w, c, groups", [(3, 8, 8, 32, 8), (2, 5, 3, 48, 4), (1, 16, 16, 24, 1), (9, 1, 1, 70, 35), (2, 3, 3, 7, 7)])
def test_group_norm_of_many_sizes(port, name, b, h, w, c, groups, dtype):
    numbers = RandomArrays(c, 10.0, 30.0, dtype)
    check_with_backward(port, name, (numbers(b, h, w, c), numbers.unit(c), numbers.unit(c), groups, 1e-5))


@of_ops("attention", "attention_backward")
@many_threads
@both_dtypes
@pytest.mark.parametrize("b, n, m, c, heads", [(2, 64, 64, 64, 8), (3, 16, 16, 32, 4), (1, 33, 70, 30, 3), (2, 5, 1, 17, 1)])
def test_attention_of_many_sizes(port, b, n, m, c, heads, dtype):
    numbers = RandomArrays(n, 1.0, 0.0, dtype)
    check_with_backward(port, "attention", (numbers(b, n, c), numbers(b, m, c), numbers(b, m, c), heads))


@many_threads
@both_dtypes
@pytest.mark.parametrize("name", ["silu", "mse", "gaussian_kl", "concat", "upsample_nearest", "adam_step_", "ema_step_", "global_norm"])
def test_arrays_of_many_blocks(port, name, dtype):
    numbers = RandomArrays(0, 1.0, 0.0, dtype)
    image = lambda: numbers(3, 20, 20, 37)
    count = {"silu": 1, "upsample_nearest": 1, "adam_step_": 3}.get(name, 2)
    args = tuple(image() for _ in range(count))
    if name == "adam_step_":
        args = (*args, np.square(image()), 3, 1e-3, 0.9, 0.999, 1e-8)
    args = {"ema_step_": (*args, 0.999), "global_norm": (list(args),)}.get(name, args)
    check(port, name, args)


@many_threads
@both_dtypes
@pytest.mark.parametrize("name", ["mixture_log_density", "mixture_score"])
@pytest.mark.parametrize("n, k, d, scalar", [(1000, 8, 2, False), (300, 3, 5, False), (33, 40, 64, True)])
def test_mixtures_of_many_sizes(port, name, n, k, d, scalar, dtype):
    check(port, name, op_inputs.mixture_log_density(RandomArrays(n, 1.0, 0.0, dtype), n, k, d, scalar))


@of_ops("fokker_planck_step", "fokker_planck_step_2d")
@many_threads
@both_dtypes
@pytest.mark.parametrize("periodic", [False, True])
def test_fokker_planck_steps_of_many_cells_some_without_diffusion(port, periodic, dtype):
    numbers = RandomArrays(0, 1.0, 0.0, dtype)
    n, m = 300, 70
    diffusion = numbers.between(0.5, 2, n + 1)
    diffusion[100:150] = 0
    check(port, "fokker_planck_step", (numbers.between(0.1, 1, n), numbers.between(-5, 5, n + 1), diffusion, 0.1, 0.01, periodic))
    faces = lambda low, high: (numbers.between(low, high, n + 1, m), numbers.between(low, high, n, m + 1))
    check(port, "fokker_planck_step_2d", (numbers.between(0.1, 1, n, m), *faces(-5, 5), *faces(0.5, 2), 0.1, 0.2, 0.01, periodic))


# special values


@both_dtypes
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("name", ["softmax", "attention", "mixture_log_density", "mixture_score"])
def test_logits_of_ten_thousand_in_one_row_or_in_all_rows(port, name, rows, dtype):
    numbers = RandomArrays(rows, 1.0, 0.0, dtype)
    x = numbers(3, 4)
    if name == "softmax":
        x[:rows, 0], x[:rows, 1] = 1e4, -1e4
        args = (x,)
    elif name == "attention":
        q, k = x[None], numbers(1, 5, 4)
        q[:, :rows] = 0
        q[:, :rows, 0], k[0, 0, 0], k[0, 1, 0] = 200, 100, -100  # scaled by 1/2
        args = q, k, numbers(1, 5, 4), 1
    else:
        x[:rows, 0] += 141  # 141^2 / 2 is about 1e4
        args = x, numbers.cast([0.25, 0.75]), numbers(2, 4), numbers.cast([1.0, 1.0])
    check(port, name, args)


@both_dtypes
@pytest.mark.parametrize("name", ["silu", "silu_backward", "silu_second"])
@pytest.mark.parametrize("start", range(-120, 104, 4))
def test_silu_on_a_wide_grid(port, name, start, dtype):
    x = np.linspace(start, start + 4, 101).astype(np.float32).astype(dtype)
    check(port, name, (*[RandomArrays(0, 1.0, 0.0, dtype)(101)] * (len(argument_names(name)) - 1), x))


@of_ops("adam_step_")
@both_dtypes
@pytest.mark.parametrize("step", [1, 1000])
def test_adam_with_gradients_of_every_size(port, step, dtype):
    g = np.geomspace(1e-12, 1, 49).astype(np.float32).astype(dtype)
    check(port, "adam_step_", (np.zeros_like(g), g, np.zeros_like(g), np.zeros_like(g), step, 1e-3, 0.9, 0.999, 1e-8))


@of_ops("group_norm")
@both_dtypes
@pytest.mark.parametrize("value", [0.0, 1 / 3, 1e4, 12345.678, -1e30])
@pytest.mark.parametrize("n, width", [(1, 1), (7, 1), (64, 4), (5, 3)])
def test_group_norm_of_a_constant_group_is_its_shift_with_no_scale_gradient(port, n, width, value, dtype):
    """Differences from the group's first entry are exactly 0; only dx = rstd (d - mean(d)), d = scale dy, is rounded."""
    numbers, u = RandomArrays(n, 1.0, 0.0, dtype), UNIT_ROUNDOFF[np.dtype(dtype)]
    x, dy, scale, shift = np.full((2, n, 2 * width), value, dtype), numbers(2, n, 2 * width), numbers(2 * width), numbers(2 * width)
    y, mean, rstd = port.group_norm(x, scale, shift, 2, 1e-5)
    assert (mean == x[:, 0, :1]).all() and (np.abs(rstd * 1e-5**0.5 - 1) <= 4 * u).all()
    assert (y == shift).all()
    dx, dscale, _ = port.group_norm_backward(dy, x, scale, shift, 2, mean, rstd)
    d = (dy.astype(np.float64) * scale).reshape(2, n, 2, width)
    exact = ((d - d.mean(axis=(1, 3), keepdims=True)) / 1e-5**0.5).reshape(x.shape)
    assert (dscale == 0).all()
    assert (np.abs(dx - exact) <= u * (n * width + 8) * max_abs(d) / 1e-5**0.5).all()


LARGE = {np.float32: (1e15, 1.8e19, 1e25, 1.6e38), np.float64: (1e15, 1.3e154, 1e200, 8e307)}


@pytest.mark.parametrize("name", ["group_norm", "group_norm_silu"])
@pytest.mark.parametrize("dtype, size", [(dtype, size) for dtype in DTYPES for size in LARGE[dtype]])
def test_group_norm_of_entries_up_to_half_the_largest_number(port, name, dtype, size):
    """The result equals that of x / 2^k without eps, up to some roundings per entry of a group."""
    exponent = int(np.frexp(size)[1])
    small = RandomArrays(0, 1.0, 0.0, np.float64).between(-0.5, 0.5, 2, 5, 3, 6)
    small[0, ..., :3] = 0.25  # one group of a constant value
    scale, shift = RandomArrays(1, 1.0, 0.0, dtype)(2, 6)
    y, mean, rstd = getattr(port, name)(np.ldexp(small, exponent).astype(dtype), scale, shift, 2, 1e-5)
    exact_y, exact_mean, exact_rstd = getattr(ops, name)(small, scale.astype(np.float64), shift.astype(np.float64), 2, 1e-5 * 2.0**-100)
    exact_rstd = np.ldexp(exact_rstd, -exponent)
    exact_rstd[0, 0] = 1e-5**-0.5
    bound = 8 * UNIT_ROUNDOFF[np.dtype(dtype)] * 45
    assert (np.abs(np.ldexp(mean.astype(np.float64), -exponent) - exact_mean) <= bound).all()
    assert (np.abs(rstd - exact_rstd) <= bound * exact_rstd).all()
    assert (np.abs(y - exact_y) <= bound * (1 + max_abs(scale))).all()


def extremes(dtype):
    """The largest numbers, the smallest normal numbers, and the smallest subnormal numbers."""
    form = np.finfo(dtype)
    return np.array([form.max, form.max / 4, form.tiny, form.tiny / 8, form.smallest_subnormal], dtype)


@both_dtypes
@pytest.mark.parametrize("name", ["silu", "silu_backward", "silu_second"])
def test_silu_of_the_largest_and_smallest_floats(port, name, dtype):
    """For x below -800, e^x is 0 in either precision, and so are silu and its derivatives; from 800 on 1 - e^{-x} is 1."""
    x = np.array([*extremes(dtype)[:2], 1e4, 1e3, *extremes(dtype)[2:], 0], dtype)
    call = lambda x: getattr(port, name)(*[np.ones_like(x)] * (len(argument_names(name)) - 1), x)
    assert not call(-x[:4]).any()
    assert np.array_equal(call(x[:4]), {"silu": x[:4], "silu_backward": np.ones(4), "silu_second": np.zeros(4)}[name])
    small = x[4:]
    for signed in (small, -small):
        if name == "silu":
            assert (np.abs(call(signed) - signed / 2) <= np.finfo(dtype).smallest_subnormal).all()
        else:
            assert (np.abs(call(signed) - 0.5) <= 4 * UNIT_ROUNDOFF[np.dtype(dtype)]).all()


@of_ops("softmax")
@both_dtypes
def test_softmax_of_the_largest_and_smallest_floats(port, dtype):
    most, least = np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal
    x = np.array([[most, -most, 0, 1], [most, most, -most, -most], [-most] * 4, [least, 0, -least, 0]], dtype)
    y = np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4, [0.25] * 4], dtype)
    with np.errstate(over="ignore"):  # a port may warn here
        assert np.array_equal(port.softmax(x), y)


@of_ops("mixture_log_density", "mixture_score")
@both_dtypes
@pytest.mark.parametrize("scalar", [True, False])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_mixture_at_overflowing_distance_has_density_0_and_nan_score(port, d, scalar, dtype):
    """At a distance without overflow, log-density and score are those of the nearest component."""
    numbers = RandomArrays(d, 1.0, 0.0, dtype)
    variances = numbers.cast([1.0, 0.25])
    weights, means = numbers.cast([0.25, 0.75]), np.zeros((2, d), dtype)
    covariances = variances if scalar else variances[:, None, None] * np.eye(d, dtype=dtype)
    square = np.finfo(dtype).max ** dtype(0.5)
    x = np.array([square * 4, square * dtype(2.0**20), square / 4], dtype)[:, None] * np.eye(d, dtype=dtype)[0]
    with np.errstate(invalid="ignore"):
        log_density, score = port.mixture_log_density(x, weights, means, covariances), port.mixture_score(x, weights, means, covariances)
    assert (log_density[:2] == -np.inf).all() and np.isnan(score[:2]).any(axis=1).all()
    u = UNIT_ROUNDOFF[np.dtype(dtype)]
    assert abs(log_density[2] / (np.finfo(dtype).max / -32) - 1) <= 16 * u and (np.abs(score[2] + x[2]) <= 16 * u * square).all()


# exact sums


def exactly(port, name, args, exact):
    """A float64 result against sums of fractions: the error is at most n roundings of products and sums."""
    (result,) = call_op(name, getattr(port, name), args)[:1]
    x, w = args[0], args[1]
    terms = w[..., 0].size + 2
    scale = float(np.abs(x).max() * np.abs(w).max() * terms)
    error = max(abs(Fraction(float(r)) - e) for r, e in zip(result.flat, exact, strict=True))
    assert error <= terms * 2.0**-53 * scale, f"{name}: an error of {float(error):.3g}"


@of_ops("linear")
@given(SEED)
def test_linear_is_the_sum_of_exact_products(port, seed):
    rng = np.random.default_rng(seed)
    x, w, b = (rng.standard_normal(shape) for shape in ((2, 5), (5, 3), (3,)))
    F = np.vectorize(Fraction, otypes=[object])
    exactly(port, "linear", (x, w, b), (F(x) @ F(w) + F(b)).flat)


@of_ops("conv2d")
@given(SEED, st.sampled_from((1, 2)))
def test_conv2d_is_the_sum_of_exact_products(port, seed, stride):
    rng = np.random.default_rng(seed)
    x, w, b = (rng.standard_normal(shape) for shape in ((1, 3, 4, 2), (3, 3, 2, 2), (2,)))
    F = np.vectorize(Fraction, otypes=[object])
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::stride, ::stride]  # [b,m,n,i,u,v]
    exact = np.tensordot(F(windows), F(w), axes=((3, 4, 5), (2, 0, 1))) + F(b)
    exactly(port, "conv2d", (x, w, b, stride), exact.flat)


# random numbers


@of_ops("philox_bits")
@pytest.mark.parametrize(
    "seed, sample, step, purpose, block",
    [(0, 0, 0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8")],
)
def test_philox_bits_equal_the_published_ones(port, seed, sample, step, purpose, block):
    bits = port.philox_bits(seed, np.array([sample]), step, purpose, 4)
    assert bits.tolist() == [[int(word, 16) for word in block.split()]]


@of_ops("normal")
@given(st.integers(0, 2**64 - 1), SEED, SEED)
def test_float32_normals_are_within_one_rounding_of_the_exact_values(port, seed, sample, step):
    args = seed, np.array([sample, 1]), step, Purpose.STEP_NOISE, (1001,)
    got, exact = port.normal(*args, np.dtype(np.float32)), ops.normal(*args, np.dtype(np.float32))
    ulps = np.abs(got.astype(np.float64) - exact) / np.spacing(np.abs(exact))
    assert ulps.max() <= 1, f"normal: {ulps.max()} ulp"


@of_ops("normal")
@given(st.integers(0, 2**64 - 1), SEED, SEED)
def test_float64_normals_are_within_four_roundings_of_the_radius(port, seed, sample, step):
    args = seed, np.array([sample, 1]), step, Purpose.STEP_NOISE, (1000,)
    got, exact = port.normal(*args, np.dtype(np.float64)), ops.normal(*args, np.dtype(np.float64))
    radius = np.sqrt((exact.reshape(-1, 2) ** 2).sum(axis=1)).repeat(2).reshape(got.shape)
    ulps = np.abs(got - exact) / np.spacing(radius)
    assert ulps.max() <= 4, f"normal: {ulps.max()} ulp of the radius"


@of_ops("philox_bits", "uniform", "normal", "add_noise", "reverse_step")
@both_dtypes
@pytest.mark.parametrize("shape", [(3, 3, 2), (37,), ()])
def test_noise_has_the_same_bits_in_a_batch_of_eight_and_alone(port, shape, dtype):
    rng = np.random.default_rng(0)
    sample = rng.integers(0, 2**32, 8)
    x, prediction, c = (
        rng.standard_normal((8, *shape)).astype(dtype),
        rng.standard_normal((8, *shape)).astype(dtype),
        rng.random(8).astype(dtype),
    )
    draws = {
        "philox_bits": lambda s: port.philox_bits(5, sample[s], 3, Purpose.PRIOR, 7),
        "uniform": lambda s: port.uniform(5, sample[s], 3, Purpose.PRIOR, shape, np.dtype(dtype)),
        "normal": lambda s: port.normal(5, sample[s], 3, Purpose.PRIOR, shape, np.dtype(dtype)),
        "add_noise": lambda s: port.add_noise(x[s], c[s], 0.5, Key(5, sample[s], 3, Purpose.TRAINING_NOISE)),
        "reverse_step": lambda s: port.reverse_step(x[s], prediction[s], 0.9, c[s], 0.3, Key(5, sample[s], 3, Purpose.STEP_NOISE)),
    }
    for name, draw in draws.items():
        if name in port.lacks:
            continue
        together, alone = draw(slice(None)), np.concatenate([draw(slice(n, n + 1)) for n in range(8)])
        assert np.array_equal(together, alone), f"{name}: the noise of a sample depends on its batch"


@of_ops("normal")
@both_dtypes
def test_key_as_noise_gives_the_normals_of_the_port(port, dtype):
    rng, key = np.random.default_rng(0), Key(2**40 + 7, np.arange(4) + 9, 3, Purpose.STEP_NOISE)
    x, prediction = rng.standard_normal((2, 4, 5, 7)).astype(dtype)
    noise = port.normal(*key, (5, 7), np.dtype(dtype))
    for name, args in (("add_noise", (x, 0.8, 0.6)), ("reverse_step", (x, prediction, 0.9, 0.1, 0.3))):
        if name not in port.lacks:
            assert np.array_equal(getattr(port, name)(*args, key), getattr(port, name)(*args, noise))
