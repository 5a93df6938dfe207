"""Arguments for every op of the contract: one strategy an op, under the op's own name, for the forward and its backward.

    arguments("conv2d", np.float32)             a strategy for the arguments of any row of the contract
    arguments("conv2d_backward", np.float64)    the same for a backward, with a random upstream gradient

Hypothesis draws shapes, options and a seed; the numbers come from NumPy's generator.  All numbers are representable in float32, so
that the same values can be given to a float32 and to a float64 port.  Data are unit normal times a scale plus an offset.
"""

import numpy as np
from hypothesis import strategies as st

import reference.ops
from reference.contract import OPS
from reference.ops import Key, Purpose
from reference.ops.checks import parse

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


def _numbers(dtype, scales, offsets):
    return st.builds(Numbers, SEED, st.sampled_from(scales), st.sampled_from(offsets), st.just(dtype))


def _shape(least, most):
    return st.lists(FEW, min_size=least, max_size=most).map(tuple)


def _coefficient(numbers, batch):
    """A number, or an array of one entry a sample."""
    return st.sampled_from((0.75, -1.5, numbers.unit(batch)))


@st.composite
def linear(draw, dtype, scales=SCALES, offsets=OFFSETS):
    numbers = draw(_numbers(dtype, scales, offsets))
    n, i, o = draw(BATCH), draw(SIZE), draw(SIZE)
    return numbers(n, i), numbers.unit(i, o), draw(st.sampled_from((numbers.unit(o), None)))


@st.composite
def conv2d(draw, dtype, scales=SCALES, offsets=OFFSETS):
    numbers = draw(_numbers(dtype, scales, offsets))
    b, h, w, i, o = draw(BATCH), draw(SIZE), draw(SIZE), draw(FEW), draw(FEW)
    k, stride = draw(st.sampled_from((3, 1))), draw(st.sampled_from((1, 2)))
    pixels = draw(st.sampled_from((None, (1, 1), (-(-h // stride), -(-w // stride)))))
    add = None if pixels is None else numbers.unit(b, *pixels, o)
    return numbers(b, h, w, i), numbers.unit(k, k, i, o), numbers.unit(o), stride, add


@st.composite
def group_norm(draw, dtype, scales=SCALES, offsets=OFFSETS):
    numbers = draw(_numbers(dtype, scales, offsets))
    b, pixels, groups, width = draw(BATCH), draw(_shape(0, 2)), draw(FEW), draw(FEW)
    c = groups * (width if np.prod(pixels, dtype=int) * width > 1 else 2)  # a group of one entry is constant
    return numbers(b, *pixels, c), numbers.unit(c), numbers.unit(c), groups, draw(st.sampled_from((1e-5, 1e-3)))


group_norm_silu = group_norm


@st.composite
def silu(draw, dtype, scales=SCALES, offsets=OFFSETS):
    return (draw(_numbers(dtype, scales, offsets))(draw(BATCH), *draw(_shape(0, 3))),)


@st.composite
def silu_second(draw, dtype, scales=SCALES, offsets=OFFSETS):
    numbers = draw(_numbers(dtype, scales, offsets))
    shape = (draw(BATCH), *draw(_shape(0, 3)))
    return numbers.unit(*shape), numbers.unit(*shape), numbers(*shape)


@st.composite
def softmax(draw, dtype, scales=SCALES, offsets=OFFSETS):
    return (draw(_numbers(dtype, scales, offsets))(draw(BATCH), *draw(_shape(0, 2)), draw(SIZE)),)


@st.composite
def attention(draw, dtype, scales=SCALES, offsets=OFFSETS):
    numbers = draw(_numbers(dtype, scales, offsets))
    b, n, m, heads = draw(BATCH), draw(SIZE), draw(SIZE), draw(st.integers(1, 3))
    c = heads * draw(FEW)
    return numbers(b, n, c), numbers(b, m, c), numbers(b, m, c), heads


@st.composite
def upsample_nearest(draw, dtype, scales=SCALES, offsets=OFFSETS):
    return (draw(_numbers(dtype, scales, offsets))(draw(BATCH), draw(SIZE), draw(SIZE), draw(FEW)),)


@st.composite
def average_pool(draw, dtype, scales=SCALES, offsets=OFFSETS):
    return (draw(_numbers(dtype, scales, offsets))(draw(BATCH), 2 * draw(FEW), 2 * draw(FEW), draw(FEW)),)


@st.composite
def concat(draw, dtype, scales=SCALES, offsets=OFFSETS):
    numbers = draw(_numbers(dtype, scales, offsets))
    shape = (draw(BATCH), *draw(_shape(0, 2)))
    return numbers(*shape, draw(FEW)), numbers(*shape, draw(FEW))


@st.composite
def timestep_embedding(draw, dtype, scales=SCALES, offsets=OFFSETS):
    numbers = draw(_numbers(dtype, scales, offsets))
    return numbers.between(0, 1000, draw(BATCH)), 2 * draw(SIZE)


@st.composite
def embedding(draw, dtype, scales=SCALES, offsets=OFFSETS):
    numbers = draw(_numbers(dtype, scales, offsets))
    k, d = draw(FEW), draw(SIZE)
    labels = numbers.rng.integers(0, k, draw(st.sampled_from((1, 2, 9, 0))))
    return labels.astype(draw(st.sampled_from((np.int64, np.int32, np.uint8)))), numbers(k, d)


@st.composite
def mse(draw, dtype, scales=SCALES, offsets=OFFSETS):
    numbers = draw(_numbers(dtype, scales, offsets))
    shape = (draw(SAMPLES), *draw(_shape(0, 3)))
    return numbers(*shape), numbers(*shape)


@st.composite
def gaussian_kl(draw, dtype, scales=SCALES, offsets=OFFSETS):
    numbers = draw(_numbers(dtype, scales, offsets))
    shape = (draw(SAMPLES), *draw(_shape(0, 2)))
    return numbers(*shape), numbers.cast(min(numbers.scale, 10) * numbers.rng.standard_normal(shape))  # float32 ends at e^88


@st.composite
def adam_step_(draw, dtype, scales=SCALES, offsets=OFFSETS):
    numbers = draw(_numbers(dtype, scales, offsets))
    shape, step = draw(_shape(0, 3)), draw(st.sampled_from((1, 2, 10, 1000)))
    g, m, v = numbers(*shape), numbers(*shape), numbers.cast(numbers(*shape) ** 2)
    lr = draw(st.sampled_from((1e-3, 0.1, numbers.cast(0.01))))
    return numbers.unit(*shape), g, m, v, step, lr, draw(st.sampled_from((0.9, 0.5))), draw(st.sampled_from((0.999, 0.9))), 1e-8


@st.composite
def ema_step_(draw, dtype, scales=SCALES, offsets=OFFSETS):
    numbers = draw(_numbers(dtype, scales, offsets))
    shape = draw(_shape(0, 3))
    return numbers(*shape), numbers(*shape), draw(st.sampled_from((0.75, 0.999, 0.0, 1.0)))


@st.composite
def global_norm(draw, dtype, scales=SCALES, offsets=OFFSETS):
    numbers = draw(_numbers(dtype, scales, offsets))
    return ([numbers(*shape) for shape in draw(st.lists(_shape(0, 3), min_size=1, max_size=3))],)


@st.composite
def _index(draw):
    """The four numbers that a draw depends on: seed, samples, step, purpose."""
    samples = draw(st.lists(st.integers(0, 2**32 - 1), max_size=3))
    return draw(st.integers(0, 2**64 - 1)), np.array(samples, np.int64), draw(SEED), draw(st.sampled_from(Purpose))


@st.composite
def philox_bits(draw, dtype, scales=SCALES, offsets=OFFSETS):
    return (*draw(_index()), draw(st.integers(0, 9)))


@st.composite
def uniform(draw, dtype, scales=SCALES, offsets=OFFSETS):
    return (*draw(_index()), draw(_shape(0, 2)), np.dtype(dtype))


normal = uniform


@st.composite
def mixture_log_density(draw, dtype, scales=SCALES, offsets=OFFSETS):
    numbers = draw(_numbers(dtype, scales, offsets))
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
def add_noise(draw, dtype, scales=SCALES, offsets=OFFSETS):
    numbers = draw(_numbers(dtype, scales, offsets))
    shape = (draw(BATCH), *draw(_shape(0, 3)))
    coefficient = _coefficient(numbers, shape[0])
    return numbers(*shape), draw(coefficient), draw(coefficient), _noise(draw, numbers, shape)


@st.composite
def reverse_step(draw, dtype, scales=SCALES, offsets=OFFSETS):
    numbers = draw(_numbers(dtype, scales, offsets))
    shape = (draw(BATCH), *draw(_shape(0, 3)))
    coefficient = _coefficient(numbers, shape[0])
    last = draw(st.booleans())
    c, noise = (0.0, None) if last else (draw(coefficient), _noise(draw, numbers, shape))
    return numbers(*shape), numbers.unit(*shape), draw(coefficient), draw(coefficient), c, noise


CELLS = st.integers(3, 9)


@st.composite
def fokker_planck_step(draw, dtype, scales=SCALES, offsets=OFFSETS):
    numbers, n = draw(_numbers(dtype, scales, offsets)), draw(CELLS)
    lengths = draw(st.sampled_from(((0.1, 0.01), (0.5, 0.1), (1.0, 1.0))))
    return numbers.between(0.1, 1, n), numbers.between(-5, 5, n + 1), numbers.between(0.5, 2, n + 1), *lengths, draw(st.booleans())


@st.composite
def fokker_planck_step_2d(draw, dtype, scales=SCALES, offsets=OFFSETS):
    numbers, n, m = draw(_numbers(dtype, scales, offsets)), draw(CELLS), draw(CELLS)
    drifts = numbers.between(-5, 5, n + 1, m), numbers.between(-5, 5, n, m + 1)
    diffusions = numbers.between(0.5, 2, n + 1, m), numbers.between(0.5, 2, n, m + 1)
    return numbers.between(0.1, 1, n, m), *drifts, *diffusions, 0.5, 0.25, draw(st.sampled_from((0.01, 0.5))), draw(st.booleans())


def replace(arguments, change):
    """The arguments with ``change`` applied to every array of floats, also to those inside a list."""
    one = lambda a: change(a) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
    return tuple([one(a) for a in argument] if isinstance(argument, list) else one(argument) for argument in arguments)


def cast(arguments, dtype):
    """The arguments in another precision: arrays of floats, and a dtype among the arguments."""
    return replace([np.dtype(dtype) if isinstance(a, np.dtype) else a for a in arguments], lambda a: a.astype(dtype))


TARGETS = {"adam_step_": (0, 2, 3), "ema_step_": (0,)}  # positions of the arguments that an op changes


def outputs(name, function, arguments):
    """What an op returns, as a tuple; for an op that works in place, the arrays that it changed, from copies."""
    if name not in TARGETS:
        results = function(*arguments)
        return results if isinstance(results, tuple) else (results,)
    arguments = replace(arguments, np.copy)
    function(*arguments)
    return tuple(arguments[position] for position in TARGETS[name])


def differentiated(name, results):
    """The output that ``NAME_backward`` takes the gradient of: a loss's is ``per_sample``."""
    return results[1] if name == "mse" else results[0]


def backward_arguments(name, arguments, dy):
    """The arguments of ``NAME_backward``, from those of the forward and a gradient at its output."""
    results = outputs(name, getattr(reference.ops, name), arguments)
    if name == "linear":
        return dy, *arguments[:2]
    if name == "conv2d":
        x, w, _, stride, add = arguments
        return dy, x, w, stride, add
    if name.startswith("group_norm"):
        return dy, *arguments[:4], *results[1:]
    if name == "softmax":
        return dy, *results
    if name == "attention":
        return dy, *arguments, *results
    if name in ("upsample_nearest", "average_pool"):
        return (dy,)
    return dy, *arguments


def arguments(name, dtype, **data):
    """A strategy for the arguments of a row of the contract."""
    forward = name.removesuffix("_backward")
    strategy = globals()[forward]
    if forward == name:
        return strategy(dtype, **data)

    def with_gradient(drawn):
        args, seed = drawn
        y = differentiated(forward, outputs(forward, getattr(reference.ops, forward), args))
        dy = np.random.default_rng(seed).standard_normal(y.shape).astype(np.float32)
        return cast(backward_arguments(forward, args, dy), dtype)

    return st.tuples(strategy(np.float32, **data), SEED).map(with_gradient)


def sample_axis(name):
    """The letter of the axis that counts samples, the first of an array; None where there are none."""
    if OPS[name].family in ("optimizer", "random", "fokker_planck"):
        return None
    return {"linear": "n", "mixture": "n", "activation": "..."}.get(OPS[name].family, "b")


def words(name):
    """The names of an op's arguments, in order."""
    return [word.partition("[")[0].partition(":")[0] for word in OPS[name].arguments.split()]


def axes(signature):
    """name -> axes of the arrays in a part of a signature."""
    return {name: axes for name, _, axes in parse(signature)}
