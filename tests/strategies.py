"""Arguments for every op of the contract: one strategy per op, named like the op, for the forward and its backward.

    arguments("conv2d", np.float32)             a strategy for the arguments of any row of the contract
    arguments("conv2d_backward", np.float64)    the same for a backward, with a random upstream gradient

Hypothesis draws the sizes, options and seeds that reference/conformance/op_sizes.py asks for.
"""

from hypothesis import strategies as st

from reference.conformance import op_sizes
from reference.conformance.op_sizes import OFFSETS, SCALES, Integer, ListOf, OneOf
from tests.ports import SIMULATED

SEED = st.integers(0, 2**32 - 1)
SIZE = st.integers(1, 4 if SIMULATED else 9)  # the simulator is too slow for more than 64 results
SIDE = st.integers(-2, 1 if SIMULATED else 6).map(lambda n: 3 + n)  # failures shrink to 3, the smallest side with an interior and two edges
FEW = st.integers(1, 2 if SIMULATED else 4)
SAMPLES = st.sampled_from((1, 2, 3))
BATCH = st.sampled_from((1, 2, 3, 0))  # losses take SAMPLES: they are undefined for an empty batch
COEFFICIENT = st.sampled_from((0.75, -1.5, None))


def _shape(least, most):
    return st.lists(FEW, min_size=least, max_size=most).map(tuple)


@st.composite
def linear(draw, numbers):
    return op_inputs.linear(numbers, draw(BATCH), draw(SIZE), draw(SIZE), draw(st.sampled_from((True, False))))


@st.composite
def conv2d(draw, numbers):
    sizes = draw(BATCH), draw(SIDE), draw(SIDE), draw(FEW), draw(FEW)
    k, stride = draw(st.sampled_from((3, 1))), draw(st.sampled_from((1, 2)))
    return op_inputs.conv2d(numbers, *sizes, k, stride, draw(st.sampled_from((None, "per channel", "per pixel"))))


@st.composite
def group_norm(draw, numbers):
    b, pixels, groups, width = draw(BATCH), draw(_shape(0, 2)), draw(FEW), draw(FEW)
    width = (
        width if np.prod(pixels, dtype=int) * width > 1 else 2
    )  # for a single entry dx is exactly 0, and no rounding error is relatively small
    return op_inputs.group_norm(numbers, b, pixels, groups, width, draw(st.sampled_from((1e-5, 1e-3))))


group_norm_silu = group_norm


@st.composite
def silu(draw, numbers):
    return op_inputs.silu(numbers, draw(BATCH), *draw(_shape(0, 3)))


@st.composite
def silu_second(draw, numbers):
    return op_inputs.silu_second(numbers, draw(BATCH), *draw(_shape(0, 3)))


@st.composite
def softmax(draw, numbers):
    return op_inputs.softmax(numbers, draw(BATCH), *draw(_shape(0, 2)), draw(SIZE))


@st.composite
def attention(draw, numbers):
    return op_inputs.attention(numbers, draw(BATCH), draw(SIZE), draw(SIZE), draw(st.integers(1, 3)), draw(FEW))


@st.composite
def upsample_nearest(draw, numbers):
    return op_inputs.upsample_nearest(numbers, draw(BATCH), draw(SIZE), draw(SIZE), draw(FEW))


@st.composite
def average_pool(draw, numbers):
    return op_inputs.average_pool(numbers, draw(BATCH), draw(FEW), draw(FEW), draw(FEW))


@st.composite
def concat(draw, numbers):
    return op_inputs.concat(numbers, (draw(BATCH), *draw(_shape(0, 2))), draw(FEW), draw(FEW))


@st.composite
def timestep_embedding(draw, numbers):
    return op_inputs.timestep_embedding(numbers, draw(BATCH), 2 * draw(SIZE))


@st.composite
def embedding(draw, numbers):
    b, k, d = draw(st.sampled_from((1, 2, 9, 0))), draw(FEW), draw(SIZE)
    return op_inputs.embedding(numbers, b, k, d, draw(st.sampled_from((np.int64, np.int32, np.uint8))))


@st.composite
def mse(draw, numbers):
    return op_inputs.mse(numbers, draw(SAMPLES), *draw(_shape(0, 3)))


@st.composite
def gaussian_kl(draw, numbers):
    return op_inputs.gaussian_kl(numbers, draw(SAMPLES), *draw(_shape(0, 2)))


@st.composite
def adam_step_(draw, numbers):
    shape, step, lr = draw(_shape(0, 3)), draw(st.sampled_from((1, 2, 10, 1000))), draw(st.sampled_from((1e-3, 0.1, None)))
    return op_inputs.adam_step_(numbers, shape, step, lr, draw(st.sampled_from((0.9, 0.5))), draw(st.sampled_from((0.999, 0.9))))


@st.composite
def ema_step_(draw, numbers):
    return op_inputs.ema_step_(numbers, draw(_shape(0, 3)), draw(st.sampled_from((0.75, 0.999, 0.0, 1.0))))


@st.composite
def global_norm(draw, numbers):
    return op_inputs.global_norm(numbers, *draw(st.lists(_shape(0, 3), min_size=1, max_size=3)))


@st.composite
def _index(draw):
    """The four numbers that a draw depends on: seed, samples, step, purpose."""
    samples = draw(st.lists(SEED, max_size=3))
    return draw(st.integers(0, 2**64 - 1)), samples, draw(SEED), draw(st.sampled_from(Purpose))


@st.composite
def philox_bits(draw, numbers):
    return op_inputs.philox_bits(numbers, *draw(_index()), draw(st.integers(0, 9)))


@st.composite
def uniform(draw, numbers):
    return op_inputs.uniform(numbers, *draw(_index()), draw(_shape(0, 2)))


normal = uniform


@st.composite
def mixture_log_density(draw, numbers):
    return op_inputs.mixture_log_density(numbers, draw(BATCH), draw(FEW), draw(FEW), draw(st.booleans()))


mixture_score = mixture_log_density


@st.composite
def _key(draw, samples):
    """A key that stands for noise, or None."""
    key = Key(draw(SEED), np.arange(samples), draw(st.integers(0, 9)), Purpose.STEP_NOISE)
    return draw(st.sampled_from((None, key)))


@st.composite
def add_noise(draw, numbers):
    shape = (draw(BATCH), *draw(_shape(0, 3)))
    return op_inputs.add_noise(numbers, shape, draw(COEFFICIENT), draw(COEFFICIENT), draw(_key(shape[0])))


@st.composite
def reverse_step(draw, numbers):
    shape, last = (draw(BATCH), *draw(_shape(0, 3))), draw(st.booleans())
    c = 0.0 if last else draw(COEFFICIENT)
    return op_inputs.reverse_step(numbers, shape, draw(COEFFICIENT), draw(COEFFICIENT), c, draw(_key(shape[0])))


CELLS = st.integers(3, 9)


@st.composite
def fokker_planck_step(draw, numbers):
    lengths = draw(st.sampled_from(((0.1, 0.01), (0.5, 0.1), (1.0, 1.0))))
    return op_inputs.fokker_planck_step(numbers, draw(CELLS), *lengths, draw(st.booleans()))


@st.composite
def fokker_planck_step_2d(draw, numbers):
    dt, periodic = draw(st.sampled_from((0.01, 0.5))), draw(st.booleans())
    return op_inputs.fokker_planck_step_2d(numbers, draw(CELLS), draw(CELLS), 0.5, 0.25, dt, periodic)


class Drawn(tuple):
    """Arguments with the seed of their numbers; printed as their shapes."""

    name: str
    seed: int

    def __repr__(self):
        return f"{self.name}({describe(self.name, self)}; seed {self.seed})"


@st.composite
def arguments(draw, name, dtype, scales=SCALES, offsets=OFFSETS):
    """The arguments of one row of the contract."""
    forward, seed = name.removesuffix("_backward"), draw(SEED)
    numbers = RandomArrays(seed, draw(st.sampled_from(scales)), draw(st.sampled_from(offsets)), np.float32 if forward != name else dtype)
    args = draw(globals()[forward](numbers))
    if forward != name:
        args = cast(op_inputs.with_upstream_gradient(forward, numbers, args), dtype)
    drawn = Drawn(args)
    drawn.name, drawn.seed = name, seed
    return drawn
