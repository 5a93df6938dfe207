"""Arguments for every op of the contract: one strategy an op, under the op's own name, for the forward and its backward.

    arguments("conv2d", np.float32)             a strategy for the arguments of any row of the contract
    arguments("conv2d_backward", np.float64)    the same for a backward, with a random upstream gradient

Hypothesis draws shapes, options and a seed; the numbers come from NumPy's generator.  All numbers are representable in float32, so
that the same values can be given to a float32 and to a float64 port.  Data are unit normal times a scale plus an offset.
"""

import numpy as np
from hypothesis import strategies as st

import reference.ops
from reference.calls import backward_arguments, cast, describe, differentiated, outputs
from reference.ops import Key, Purpose

SCALES = (1.0, 1e-3, 10.0, 100.0)
OFFSETS = (0.0, 30.0)

SEED = st.integers(0, 2**32 - 1)
SIZE = st.integers(1, 9)
FEW = st.integers(1, 4)
SAMPLES = st.sampled_from((1, 2, 3))
BATCH = st.sampled_from((1, 2, 3, 0))  # a loss takes SAMPLES: it has no value without any


class Numbers:
    """Random arrays of one dtype from one seed: ``numbers(b, c)`` scaled and shifted, ``numbers.unit(b, c)`` not."""

    def __init__(self, seed, scale, offset, dtype):
        self.rng, self.scale, self.offset, self.dtype = np.random.default_rng(seed), scale, offset, np.dtype(dtype)

    def __call__(self, *shape):
        return self.cast(self.scale * self.rng.standard_normal(shape) + self.offset)

    def unit(self, *shape):
        return self.cast(self.rng.standard_normal(shape))

    def between(self, low, high, *shape):
        return self.cast(self.rng.uniform(low, high, shape))

    def cast(self, array):
        return np.asarray(array, np.float32).astype(self.dtype)


def _shape(least, most):
    return st.lists(FEW, min_size=least, max_size=most).map(tuple)


def _coefficient(numbers, batch):
    """A number, or an array of one entry a sample."""
    return st.sampled_from((0.75, -1.5, numbers.unit(batch)))


@st.composite
def linear(draw, numbers):
    n, i, o = draw(BATCH), draw(SIZE), draw(SIZE)
    return numbers(n, i), numbers.unit(i, o), draw(st.sampled_from((numbers.unit(o), None)))


@st.composite
def conv2d(draw, numbers):
    b, h, w, i, o = draw(BATCH), draw(SIZE), draw(SIZE), draw(FEW), draw(FEW)
    k, stride = draw(st.sampled_from((3, 1))), draw(st.sampled_from((1, 2)))
    pixels = draw(st.sampled_from((None, (1, 1), (-(-h // stride), -(-w // stride)))))
    add = None if pixels is None else numbers.unit(b, *pixels, o)
    return numbers(b, h, w, i), numbers.unit(k, k, i, o), numbers.unit(o), stride, add


@st.composite
def group_norm(draw, numbers):
    b, pixels, groups, width = draw(BATCH), draw(_shape(0, 2)), draw(FEW), draw(FEW)
    c = groups * (width if np.prod(pixels, dtype=int) * width > 1 else 2)  # a group of one entry is constant
    return numbers(b, *pixels, c), numbers.unit(c), numbers.unit(c), groups, draw(st.sampled_from((1e-5, 1e-3)))


group_norm_silu = group_norm


@st.composite
def silu(draw, numbers):
    return (numbers(draw(BATCH), *draw(_shape(0, 3))),)


@st.composite
def silu_second(draw, numbers):
    shape = (draw(BATCH), *draw(_shape(0, 3)))
    return numbers.unit(*shape), numbers.unit(*shape), numbers(*shape)


@st.composite
def softmax(draw, numbers):
    return (numbers(draw(BATCH), *draw(_shape(0, 2)), draw(SIZE)),)


@st.composite
def attention(draw, numbers):
    b, n, m, heads = draw(BATCH), draw(SIZE), draw(SIZE), draw(st.integers(1, 3))
    c = heads * draw(FEW)
    return numbers(b, n, c), numbers(b, m, c), numbers(b, m, c), heads


@st.composite
def upsample_nearest(draw, numbers):
    return (numbers(draw(BATCH), draw(SIZE), draw(SIZE), draw(FEW)),)


@st.composite
def average_pool(draw, numbers):
    return (numbers(draw(BATCH), 2 * draw(FEW), 2 * draw(FEW), draw(FEW)),)


@st.composite
def concat(draw, numbers):
    shape = (draw(BATCH), *draw(_shape(0, 2)))
    return numbers(*shape, draw(FEW)), numbers(*shape, draw(FEW))


@st.composite
def timestep_embedding(draw, numbers):
    return numbers.between(0, 1000, draw(BATCH)), 2 * draw(SIZE)


@st.composite
def embedding(draw, numbers):
    k, d = draw(FEW), draw(SIZE)
    labels = numbers.rng.integers(0, k, draw(st.sampled_from((1, 2, 9, 0))))
    return labels.astype(draw(st.sampled_from((np.int64, np.int32, np.uint8)))), numbers(k, d)


@st.composite
def mse(draw, numbers):
    shape = (draw(SAMPLES), *draw(_shape(0, 3)))
    return numbers(*shape), numbers(*shape)


@st.composite
def gaussian_kl(draw, numbers):
    shape = (draw(SAMPLES), *draw(_shape(0, 2)))
    return numbers(*shape), numbers.cast(min(numbers.scale, 10) * numbers.rng.standard_normal(shape))  # float32 ends at e^88


@st.composite
def adam_step_(draw, numbers):
    shape, step = draw(_shape(0, 3)), draw(st.sampled_from((1, 2, 10, 1000)))
    g, m, v = numbers(*shape), numbers(*shape), numbers.cast(numbers(*shape) ** 2)
    lr = draw(st.sampled_from((1e-3, 0.1, numbers.cast(0.01))))
    return numbers.unit(*shape), g, m, v, step, lr, draw(st.sampled_from((0.9, 0.5))), draw(st.sampled_from((0.999, 0.9))), 1e-8


@st.composite
def ema_step_(draw, numbers):
    shape = draw(_shape(0, 3))
    return numbers(*shape), numbers(*shape), draw(st.sampled_from((0.75, 0.999, 0.0, 1.0)))


@st.composite
def global_norm(draw, numbers):
    return ([numbers(*shape) for shape in draw(st.lists(_shape(0, 3), min_size=1, max_size=3))],)


@st.composite
def _index(draw):
    """The four numbers that a draw depends on: seed, samples, step, purpose."""
    samples = draw(st.lists(st.integers(0, 2**32 - 1), max_size=3))
    return draw(st.integers(0, 2**64 - 1)), np.array(samples, np.int64), draw(SEED), draw(st.sampled_from(Purpose))


@st.composite
def philox_bits(draw, numbers):
    return (*draw(_index()), draw(st.integers(0, 9)))


@st.composite
def uniform(draw, numbers):
    return (*draw(_index()), draw(_shape(0, 2)), numbers.dtype)


normal = uniform


@st.composite
def mixture_log_density(draw, numbers):
    n, k, d = draw(BATCH), draw(FEW), draw(FEW)
    weights = (1 + numbers.rng.multinomial(1024 - k, np.full(k, 1 / k))) / 1024  # sums to 1 in any precision
    if draw(st.booleans()):
        covariances = numbers.scale**2 * numbers.rng.uniform(0.2, 2, k)
    else:
        roots = numbers.rng.standard_normal((k, d, d))
        covariances = numbers.scale**2 * (roots @ roots.swapaxes(1, 2) / d + 0.5 * np.eye(d))
    return numbers(n, d), numbers.cast(weights), numbers(k, d), numbers.cast(covariances)


mixture_score = mixture_log_density


def _noise(draw, numbers, shape):
    key = Key(draw(SEED), np.arange(shape[0]), draw(st.integers(0, 9)), Purpose.STEP_NOISE)
    return draw(st.sampled_from((numbers.unit(*shape), key)))


@st.composite
def add_noise(draw, numbers):
    shape = (draw(BATCH), *draw(_shape(0, 3)))
    coefficient = _coefficient(numbers, shape[0])
    return numbers(*shape), draw(coefficient), draw(coefficient), _noise(draw, numbers, shape)


@st.composite
def reverse_step(draw, numbers):
    shape = (draw(BATCH), *draw(_shape(0, 3)))
    coefficient = _coefficient(numbers, shape[0])
    last = draw(st.booleans())
    c, noise = (0.0, None) if last else (draw(coefficient), _noise(draw, numbers, shape))
    return numbers(*shape), numbers.unit(*shape), draw(coefficient), draw(coefficient), c, noise


CELLS = st.integers(3, 9)


@st.composite
def fokker_planck_step(draw, numbers):
    n = draw(CELLS)
    lengths = draw(st.sampled_from(((0.1, 0.01), (0.5, 0.1), (1.0, 1.0))))
    return numbers.between(0.1, 1, n), numbers.between(-5, 5, n + 1), numbers.between(0.5, 2, n + 1), *lengths, draw(st.booleans())


@st.composite
def fokker_planck_step_2d(draw, numbers):
    n, m = draw(CELLS), draw(CELLS)
    drifts = numbers.between(-5, 5, n + 1, m), numbers.between(-5, 5, n, m + 1)
    diffusions = numbers.between(0.5, 2, n + 1, m), numbers.between(0.5, 2, n, m + 1)
    return numbers.between(0.1, 1, n, m), *drifts, *diffusions, 0.5, 0.25, draw(st.sampled_from((0.01, 0.5))), draw(st.booleans())


class Drawn(tuple):
    """Arguments that know the seed of their numbers, and show their shapes."""

    name: str
    seed: int

    def __repr__(self):
        return f"{self.name}({describe(self.name, self)}; seed {self.seed})"


@st.composite
def arguments(draw, name, dtype, scales=SCALES, offsets=OFFSETS):
    """The arguments of a row of the contract."""
    forward, seed = name.removesuffix("_backward"), draw(SEED)
    numbers = Numbers(seed, draw(st.sampled_from(scales)), draw(st.sampled_from(offsets)), np.float32 if forward != name else dtype)
    args = draw(globals()[forward](numbers))
    if forward != name:
        y = differentiated(forward, outputs(forward, getattr(reference.ops, forward), args))
        args = cast(backward_arguments(forward, args, numbers.unit(*y.shape)), dtype)
    drawn = Drawn(args)
    drawn.name, drawn.seed = name, seed
    return drawn
