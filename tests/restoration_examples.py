"""Operators, their dense matrices, denoisers and noise levels that the tests of restoration share."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from reference.diffusion.conversions import log_alpha_bar_of_sigma
from reference.diffusion.schedules import Schedule, VarianceExplodingSchedule
from reference.restoration.operators import Cropped, Mask, Matrix
from reference.restoration.separable import Separable, block_mean, blur
from reference.samplers.edm import sigmas
from tests.strategies import SEED

SIDE, CHANNELS = st.integers(1, 5), st.sampled_from((1, 3))


@st.composite
def masks(draw):
    """Of points or images, with none, one, some or all entries known."""
    shape = draw(st.sampled_from([(draw(SIDE),), (draw(SIDE), draw(SIDE), draw(CHANNELS))]))
    rng = np.random.default_rng(draw(SEED))
    known = rng.random(shape) < draw(st.sampled_from((0.0, 0.5, 1.0)))
    if not known.any() and draw(st.booleans()):
        known.flat[rng.integers(known.size)] = True
    return Mask(known)


@st.composite
def matrices(draw, least=0.5):
    """Of any shape and rank, with singular values from ``least`` to 2."""
    m, n = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    rank = draw(st.integers(0, min(m, n)))
    rng = np.random.default_rng(draw(SEED))
    left, right = (np.linalg.qr(rng.normal(size=(size, size)))[0][:, :rank] for size in (m, n))
    return Matrix(left * rng.uniform(least, 2.0, rank) @ right.T)


@st.composite
def blurs(draw, deviations=(1e-3, 0.3, 0.6, 1.5, 4.0, 30.0)):
    return blur((draw(SIDE), draw(SIDE), draw(CHANNELS)), draw(st.sampled_from(deviations)))


@st.composite
def block_means(draw):
    factor, counts = draw(st.integers(1, 3)), st.integers(1, 2)
    return block_mean((factor * draw(counts), factor * draw(counts), draw(CHANNELS)), factor)


@st.composite
def cropped(draw, operators):
    operator = draw(operators)
    margins = [draw(st.integers(0, 2)) for _ in operator.shape]
    corner = tuple(draw(st.integers(0, margin)) for margin in margins[:2])
    return Cropped(operator, tuple(size + margin for size, margin in zip(operator.shape, margins)), corner)


def inside(operator):
    """The slices of the part of x that a ``Cropped`` measures."""
    starts = (*operator.corner, 0)
    return tuple(slice(c, c + n) for c, n in zip(starts, operator.operator.shape))


def any_of(blurs):
    kinds = st.one_of(masks(), matrices(), blurs, block_means())
    return st.one_of(kinds, cropped(kinds))


operators = any_of(blurs())
# no singular value is small but not 0
well_conditioned = any_of(blurs((1e-3, 0.3, 0.6)))


def few_known(shape, count):
    """A mask that knows ``count`` entries."""
    known = np.zeros(shape, bool)
    known.flat[np.random.default_rng(3).permutation(known.size)[:count]] = True
    return Mask(known)


RNG = np.random.default_rng(5)
EXAMPLES = {  # one of each kind
    "mask": few_known((3, 4, 1), 5),
    "one known": few_known((3, 3, 1), 1),
    "all known": few_known((2, 2, 3), 12),
    "blur": blur((5, 4, 1), 0.6),
    "wide blur": blur((3, 3, 1), 2.0),
    "block mean": block_mean((4, 4, 3), 2),
    "m < n": Matrix(RNG.normal(size=(2, 5))),
    "m > n": Matrix(RNG.normal(size=(6, 3))),
    "rank 1": Matrix(np.outer([1.0, -2.0, 0.5], [0.3, 1.0, 2.0])),
    "cropped": Cropped(block_mean((2, 4, 1), 2), (4, 5, 1), (1, 0)),
}
every_operator = pytest.mark.parametrize("operator", EXAMPLES.values(), ids=EXAMPLES)
# without a product over the entries of a sample and the batch, whose order of summation depends on the batch
IMAGES = {name: operator for name, operator in EXAMPLES.items() if not isinstance(operator, Matrix)}
every_image_operator = pytest.mark.parametrize("operator", IMAGES.values(), ids=IMAGES)


def dense(operator):
    """A [m,n] by its definition."""
    match operator:
        case Mask():
            return np.eye(operator.known.size)[operator.known.ravel()]
        case Matrix():
            return operator.A
        case Separable():
            return reduce(np.kron, (operator.rows, operator.columns, np.eye(operator.channels)))
        case Cropped():
            known = np.zeros(operator.whole, bool)
            known[inside(operator)] = True
            return dense(operator.operator) @ np.eye(known.size)[known.ravel()]


# denoisers, entry by entry and in the dtype of x


def gaussian(mean, variance):
    """denoise_and_pullback, exact for data N(mean, variance I)."""

    def denoise_and_pullback(x, alpha, sigma):
        gain = alpha * variance / (alpha**2 * variance + sigma**2)
        return mean + gain * (x - alpha * mean), lambda v: gain * v

    return denoise_and_pullback


def curved(x, alpha, sigma):
    """(D, pullback) of D = z / sqrt(1 + z^2), z = x alpha / (alpha^2 + sigma^2): not linear, and a function of x / alpha and
    sigma / alpha.  Square roots and quotients have the same bits in every batch.
    """
    scale = alpha / (alpha**2 + sigma**2)
    z = scale * x
    root = np.sqrt(1 + z * z)
    return z / root, lambda v: scale * v / (root * root * root)


def without_pullback(denoise_and_pullback):
    return lambda x, alpha, sigma: denoise_and_pullback(x, alpha, sigma)[0]


def karras(steps, highest=80.0, schedule=VarianceExplodingSchedule):
    """The ``steps`` levels of Karras et al. from ``highest`` to .002, and then 0."""
    return schedule(np.append(0.0, log_alpha_bar_of_sigma(sigmas(steps, 0.002, highest)[-2::-1])))


FORMS = {"exploding": VarianceExplodingSchedule, "preserving": Schedule}


def picture(path, x):
    """The path, to which the image x is written."""
    Image.fromarray(x).save(path)
    return path


def grey(seed=0, size=(8, 8)):
    """A picture of grey noise."""
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8)
