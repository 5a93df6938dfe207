"""One counter-based generator for every port: Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011).

A block of four 32-bit words is a function of a key and a counter, with no state:

    key = (seed mod 2^32, seed div 2^32),   counter = (block, sample, step, purpose).

``step`` counts the steps of training or of a sampler.  Entry e of a sample (in C order) lies in
block e div 4.  So the noise of a sample depends only on the seed, the step, the purpose and the
index of the sample: not on the batch, the number of threads or the device.

One round multiplies two of the four words by constants, to 64 bits, and mixes the high halves with
the other words and the key (here ⊕ is the bitwise exclusive or):

    (c0, c1, c2, c3) <- (hi(M1 c2) ⊕ c1 ⊕ k0,  lo(M1 c2),  hi(M0 c0) ⊕ c3 ⊕ k1,  lo(M0 c0)),

then (k0, k1) <- (k0 + W0, k1 + W1) mod 2^32.  There are ten rounds.
"""

import math
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from reference.ops.checks import FLOATS, Array, Integers, check, takes_out, whole

M0, M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
W0, W1 = 0x9E3779B9, 0xBB67AE85  # the golden ratio and sqrt(3) - 1, as Weyl increments of the key
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)

Words: TypeAlias = NDArray[np.uint64]


class Purpose(IntEnum):
    """The use of a random number.  Two purposes never share a number, at any step.

    PRIOR is a sampler's start, STEP_NOISE and CORRECTOR are the noise of its steps.  PROBE is a
    random direction, or noise that only measures.  SPLIT divides data into training and held-out
    data.  COMPONENT and DATA draw the component and the point of a mixture, STEP_COMPONENT the
    component of a sampler's step.  ACCEPTANCE is the random number of a Metropolis test.  LATENT is
    a VAE's latent variable, and InDI's noise on the path.  LABEL_DROPOUT decides which samples of a
    training step lose their label.  MEASUREMENT is the noise of a measurement.
    """

    INIT = 0
    DATA_ORDER = 1
    TIME = 2
    TRAINING_NOISE = 3
    PRIOR = 4
    STEP_NOISE = 5
    CORRECTOR = 6
    PROBE = 7
    LABEL_DROPOUT = 8
    SPLIT = 9
    DATA = 10
    COMPONENT = 11
    STEP_COMPONENT = 12
    EVALUATION = 13
    ACCEPTANCE = 14
    LATENT = 15
    MEASUREMENT = 16


class Key(NamedTuple):
    """The address of the noise ``normal(seed, sample, step, purpose, ...)``.  An op that takes an
    array of noise also accepts a ``Key`` in its place.
    """

    seed: int
    sample: Integers  # [b]
    step: int
    purpose: int


def index(name: str, value: int, bits: int = 32) -> int:
    """``value`` as an int.  TypeError if it is not whole, ValueError outside of 0 .. 2^bits - 1."""
    if not 0 <= whole(name, value) < 2**bits:
        raise ValueError(f"{name} must lie in 0 .. 2^{bits} - 1, got {value}")
    return int(value)


def check_samples(sample: Integers) -> None:
    """Check that the indices of samples lie in 0 .. 2^32 - 1."""
    for extreme in (sample.min(), sample.max()) if sample.size else ():
        index("sample", extreme)


def philox(counter: Sequence[Words], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """counter: four arrays of words, key: two words -> four arrays of output words.  Words are
    below 2^32, those of arrays in uint64.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = M0 * c0, M1 * c2  # below 2^64: no overflow
        c0, c1, c2, c3 = (
            (p1 >> HALF) ^ c1 ^ np.uint64(k0),
            p1 & LOW,
            (p0 >> HALF) ^ c3 ^ np.uint64(k1),
            p0 & LOW,
        )
        k0, k1 = (k0 + W0) & 0xFFFFFFFF, (k1 + W1) & 0xFFFFFFFF
    return c0, c1, c2, c3


@takes_out
def philox_bits(
    seed: int, sample: Integers, step: int, purpose: int, count: int
) -> NDArray[np.uint32]:
    """The first ``count`` words of every sample, uint32[b,count].  sample[b] holds the samples'
    indices, integers below 2^32.
    """
    check("sample:int[b]", sample)
    seed = index("seed", seed, 64)
    step = index("step", step)
    purpose = index("purpose", purpose)
    blocks = -(-index("count", count, 34) // 4)
    check_samples(sample)
    block = np.arange(blocks, dtype=np.uint64)
    sample_column = sample.astype(np.uint64)[:, None]
    counter = np.broadcast_arrays(block, sample_column, np.uint64(step), np.uint64(purpose))
    words = np.stack(philox(counter, (seed & 0xFFFFFFFF, seed >> 32)), axis=-1)
    return words.reshape(len(sample), 4 * blocks)[:, :count].astype(np.uint32)


def entries(shape: tuple[int, ...], dtype: DTypeLike) -> int:
    """Check shape and dtype of a sample, and return the number of its entries."""
    if np.dtype(dtype) not in FLOATS:
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    if not isinstance(shape, tuple) or any(whole("shape", n) < 0 for n in shape):
        raise ValueError(f"shape must be a tuple of sizes, got {shape}")
    return math.prod(shape)


def _open_interval(bits: NDArray[np.uint32]) -> Array:
    """Words -> float64 in (0, 1): the middle of each of 2^32 cells, never 0 or 1, and exact."""
    return (bits + 0.5) * 2.0**-32


@takes_out
def uniform(
    seed: int,
    sample: Integers,
    step: int,
    purpose: int,
    shape: tuple[int, ...],
    dtype: DTypeLike = np.float64,
) -> Array:
    """[b,*shape], uniform on (0, 1).  A float32 number uses only the upper 23 bits of its word, so
    that it needs no rounding either.
    """
    bits = philox_bits(seed, sample, step, purpose, entries(shape, dtype))
    if np.dtype(dtype) == np.float64:
        u = _open_interval(bits)
    else:
        u = ((bits >> np.uint32(9)) + 0.5) * 2.0**-23
    rounded: Array = u.astype(dtype)
    return rounded.reshape(len(sample), *shape)


@takes_out
def normal(
    seed: int,
    sample: Integers,
    step: int,
    purpose: int,
    shape: tuple[int, ...],
    dtype: DTypeLike = np.float64,
) -> Array:
    """[b,*shape], standard normal (Box and Muller 1958).  Words 0 and 1 of a block give two
    numbers, words 2 and 3 two more.

    Two uniform numbers u1, u2 give r cos(2 pi u2) and r sin(2 pi u2) with r = sqrt(-2 log(u1)).
    Normals are computed in float64 and rounded once: in float32 they are the rounded float64 ones.
    """
    count = entries(shape, dtype)
    u = _open_interval(philox_bits(seed, sample, step, purpose, count + count % 2))
    r = np.sqrt(-2 * np.log(u[:, 0::2]))
    angle = 2 * np.pi * u[:, 1::2]
    pairs = np.stack((r * np.cos(angle), r * np.sin(angle)), axis=-1)
    rounded: Array = pairs.reshape(len(sample), count + count % 2)[:, :count].astype(dtype)
    return rounded.reshape(len(sample), *shape)


def noise_like(noise: Array | Key, x: Array) -> Array:
    """``noise`` itself, or the noise of a ``Key`` in the shape and dtype of ``x``."""
    if isinstance(noise, Key):
        noise = normal(*noise, x.shape[1:], x.dtype)
    check("x[...] noise[...]", x, noise)
    return noise
