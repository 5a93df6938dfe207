"""Sizes, options and seeds for every op of the contract: one function an op, named as the op.

    draw_arguments(SeededDraw(0), "conv2d", np.float32)             a call of any row
    draw_arguments(SeededDraw(0), "conv2d_backward", np.float64)    with a random upstream gradient

``draw(choice)`` returns one value of a choice.  The command ``check`` draws with ``SeededDraw``;
property tests pass a ``draw`` of their own.  reference/conformance/op_inputs.py makes the
arguments.
"""

from typing import Any, NamedTuple

import numpy as np

from reference.conformance import op_inputs
from reference.conformance.call import SeededArguments, cast
from reference.conformance.op_inputs import RandomArrays
from reference.ops import Key, Purpose


class OneOf(NamedTuple):
    values: tuple


class Integer(NamedTuple):
    least: int
    most: int


class ListOf(NamedTuple):
    choice: Any
    least: int
    most: int


class SeededDraw:
    """Draws of one seed: always the same values in the same order."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def __call__(self, choice):
        match choice:
            case OneOf(values):
                return values[int(self.rng.integers(len(values)))]
            case Integer(least, most):
                return int(self.rng.integers(least, most, endpoint=True, dtype=np.uint64))
            case ListOf(element, least, most):
                return [self(element) for _ in range(self(Integer(least, most)))]
        raise TypeError(f"choice must be OneOf, Integer or ListOf, got {choice!r}")


SCALES = (1.0, 1e-3, 10.0, 100.0)
OFFSETS = (0.0, 30.0)

SEED = Integer(0, 2**32 - 1)
INTEGERS64 = Integer(0, 2**64 - 1)
SIZE = OneOf((1, 2, 3, 4, 5, 6, 7, 8, 9))
# Hypothesis shrinks towards the first value: 3 is the smallest side with an interior and two edges
SIDE = OneOf((3, 4, 5, 6, 7, 8, 9, 1, 2))
FEW = OneOf((1, 2, 3, 4))
SAMPLES = OneOf((1, 2, 3))
BATCH = OneOf((1, 2, 3, 0))  # losses take SAMPLES: they are undefined for an empty batch
COEFFICIENT = OneOf((0.75, -1.5, None))
CELLS = OneOf((3, 4, 5, 6, 7, 8, 9))
YES_OR_NO = OneOf((False, True))


def _shape(draw, least, most):
    return tuple(draw(ListOf(FEW, least, most)))


def linear(draw, numbers):
    sizes = draw(BATCH), draw(SIZE), draw(SIZE)
    return op_inputs.linear(numbers, *sizes, draw(OneOf((True, False))))


def conv2d(draw, numbers):
    sizes = draw(BATCH), draw(SIDE), draw(SIDE), draw(FEW), draw(FEW)
    k, stride = draw(OneOf((3, 1))), draw(OneOf((1, 2)))
    add = draw(OneOf((None, "per channel", "per pixel")))
    return op_inputs.conv2d(numbers, *sizes, k, stride, add)


def group_norm(draw, numbers):
    b, pixels, groups, width = draw(BATCH), _shape(draw, 0, 2), draw(FEW), draw(FEW)
    # for a group of one entry dx is exactly 0, and no rounding error is small beside that
    width = width if np.prod(pixels, dtype=int) * width > 1 else 2
    return op_inputs.group_norm(numbers, b, pixels, groups, width, draw(OneOf((1e-5, 1e-3))))


group_norm_silu = group_norm


def silu(draw, numbers):
    return op_inputs.silu(numbers, draw(BATCH), *_shape(draw, 0, 3))


def silu_second(draw, numbers):
    return op_inputs.silu_second(numbers, draw(BATCH), *_shape(draw, 0, 3))


def softmax(draw, numbers):
    return op_inputs.softmax(numbers, draw(BATCH), *_shape(draw, 0, 2), draw(SIZE))


def attention(draw, numbers):
    sizes = draw(BATCH), draw(SIZE), draw(SIZE)
    return op_inputs.attention(numbers, *sizes, draw(OneOf((1, 2, 3))), draw(FEW), draw(YES_OR_NO))


def upsample_nearest(draw, numbers):
    return op_inputs.upsample_nearest(numbers, draw(BATCH), draw(SIZE), draw(SIZE), draw(FEW))


def average_pool(draw, numbers):
    return op_inputs.average_pool(numbers, draw(BATCH), draw(FEW), draw(FEW), draw(FEW))


def concat(draw, numbers):
    return op_inputs.concat(numbers, (draw(BATCH), *_shape(draw, 0, 2)), draw(FEW), draw(FEW))


def timestep_embedding(draw, numbers):
    half = draw(SIZE)
    shift = draw(OneOf((0, 1))) if half > 1 else 0
    return op_inputs.timestep_embedding(numbers, draw(BATCH), 2 * half, shift)


def embedding(draw, numbers):
    b, k, d = draw(OneOf((1, 2, 9, 0))), draw(FEW), draw(SIZE)
    return op_inputs.embedding(numbers, b, k, d, draw(OneOf((np.int64, np.int32, np.uint8))))


def mse(draw, numbers):
    return op_inputs.mse(numbers, draw(SAMPLES), *_shape(draw, 0, 3))


def gaussian_kl(draw, numbers):
    return op_inputs.gaussian_kl(numbers, draw(SAMPLES), *_shape(draw, 0, 2))


def cross_entropy(draw, numbers):
    dtype = draw(OneOf((np.int64, np.int32, np.uint8)))
    return op_inputs.cross_entropy(numbers, draw(SAMPLES), draw(SIZE), dtype)


def adam_step_(draw, numbers):
    shape, step = _shape(draw, 0, 3), draw(OneOf((1, 2, 10, 1000)))
    lr = draw(OneOf((1e-3, 0.1, None)))
    betas = draw(OneOf((0.9, 0.5))), draw(OneOf((0.999, 0.9)))
    return op_inputs.adam_step_(numbers, shape, step, lr, *betas)


def ema_step_(draw, numbers):
    return op_inputs.ema_step_(numbers, _shape(draw, 0, 3), draw(OneOf((0.75, 0.999, 0.0, 1.0))))


def global_norm(draw, numbers):
    return op_inputs.global_norm(numbers, *map(tuple, draw(ListOf(ListOf(FEW, 0, 3), 1, 3))))


def _index(draw):
    """The four numbers that a draw depends on: seed, samples, step, purpose."""
    samples = draw(ListOf(SEED, 0, 3))
    seed, step = draw(INTEGERS64), draw(SEED)
    return seed, samples, step, draw(OneOf(tuple(Purpose)))


def philox_bits(draw, numbers):
    seed, samples, step, purpose = _index(draw)
    return op_inputs.philox_bits(numbers, seed, samples, step, purpose, draw(Integer(0, 9)))


def uniform(draw, numbers):
    seed, samples, step, purpose = _index(draw)
    return op_inputs.uniform(numbers, seed, samples, step, purpose, _shape(draw, 0, 2))


normal = uniform


def mixture_log_density(draw, numbers):
    sizes = draw(BATCH), draw(FEW), draw(FEW)
    return op_inputs.mixture_log_density(numbers, *sizes, draw(YES_OR_NO))


mixture_score = mixture_log_density


def _key(draw, samples):
    """A key that stands for noise, or None."""
    key = Key(draw(SEED), np.arange(samples), draw(Integer(0, 9)), Purpose.STEP_NOISE)
    return draw(OneOf((None, key)))


def add_noise(draw, numbers):
    shape = draw(BATCH), *_shape(draw, 0, 3)
    coefficients = draw(COEFFICIENT), draw(COEFFICIENT)
    return op_inputs.add_noise(numbers, shape, *coefficients, _key(draw, shape[0]))


def reverse_step(draw, numbers):
    shape, last = (draw(BATCH), *_shape(draw, 0, 3)), draw(YES_OR_NO)
    c = 0.0 if last else draw(COEFFICIENT)
    coefficients = draw(COEFFICIENT), draw(COEFFICIENT)
    return op_inputs.reverse_step(numbers, shape, *coefficients, c, _key(draw, shape[0]))


def fokker_planck_step(draw, numbers):
    dx, dt = draw(OneOf(((0.1, 0.01), (0.5, 0.1), (1.0, 1.0))))
    return op_inputs.fokker_planck_step(numbers, draw(CELLS), dx, dt, draw(YES_OR_NO))


def fokker_planck_step_2d(draw, numbers):
    dt, periodic = draw(OneOf((0.01, 0.5))), draw(YES_OR_NO)
    cells = draw(CELLS), draw(CELLS)
    return op_inputs.fokker_planck_step_2d(numbers, *cells, 0.5, 0.25, dt, periodic)


def draw_arguments(draw, name, dtype, scales=SCALES, offsets=OFFSETS):
    """The arguments of one row of the contract, with the seed of their numbers."""
    forward, seed = name.removesuffix("_backward"), draw(SEED)
    scale, offset = draw(OneOf(scales)), draw(OneOf(offsets))
    numbers = RandomArrays(seed, scale, offset, np.float32 if forward != name else dtype)
    arguments = globals()[forward](draw, numbers)
    if forward != name:
        arguments = cast(op_inputs.with_upstream_gradient(forward, numbers, arguments), dtype)
    return SeededArguments(arguments, name, seed)
