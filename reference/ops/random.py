"""One counter-based generator for every port: Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011).

A block of four 32-bit words is a function of a key and a counter, with no state:

    key = (seed mod 2^32, seed div 2^32),   counter = (block, sample, step, purpose).

Entry e of a sample (in C order) lies in block e div 4.  So the noise of a sample depends on the
seed and its own index alone: not on the batch that it came in, nor on the number of threads, nor on
the device.

One round multiplies two of the four words by constants, into 64 bits, and mixes the high halves
with the other words and the key:

    (c0, c1, c2, c3) <- (hi(M1 c2) ^ c1 ^ k0,  lo(M1 c2),  hi(M0 c0) ^ c3 ^ k1,  lo(M0 c0)),

then (k0, k1) <- (k0 + W0, k1 + W1) mod 2^32; ten rounds in all.
"""

import math
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from reference.ops.checks import FLOATS, check, takes_out, whole

M0, M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
W0, W1 = 0x9E3779B9, 0xBB67AE85  # the golden ratio and sqrt(3) - 1, as Weyl increments of the key
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


class Purpose(IntEnum):
    """What a draw is for: two purposes never share a number, whatever their steps."""

    INIT = 0
    DATA_ORDER = 1
    TIME = 2
    TRAINING_NOISE = 3
    PRIOR = 4
    STEP_NOISE = 5
    CORRECTOR = 6
    PROBE = 7
    DROPOUT = 8
    SPLIT = 9
    DATA = 10
    COMPONENT = 11
    STEP_COMPONENT = 12
    EVALUATION = 13
    ACCEPTANCE = 14
    LATENT = 15


class Key(NamedTuple):
    """Stands for noise wherever an op takes some: that of ``normal(seed, sample, step, purpose,
    ...)``.
    """

    seed: int
    sample: Any  # an integer array [b]
    step: int
    purpose: int


def index(name, value, bits=32):
    if not 0 <= whole(name, value) < 2**bits:
        raise ValueError(f"{name} must lie in 0 .. 2^{bits} - 1, got {value}")
    return int(value)


def check_samples(sample):
    for extreme in (sample.min(), sample.max()) if sample.size else ():
        index("sample", extreme)


def philox(counter, key):
    """Four arrays of uint64 below 2^32, two numbers -> the four output words, likewise."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = M0 * c0, M1 * c2  # below 2^64: nothing is lost
        c0, c1, c2, c3 = (
            (p1 >> HALF) ^ c1 ^ np.uint64(k0),
            p1 & LOW,
            (p0 >> HALF) ^ c3 ^ np.uint64(k1),
            p0 & LOW,
        )
        k0, k1 = (k0 + W0) & 0xFFFFFFFF, (k1 + W1) & 0xFFFFFFFF
    return c0, c1, c2, c3


@takes_out
def philox_bits(seed, sample, step, purpose, count):
    """uint32[b,count], the first ``count`` words of every sample.  ``sample`` is an integer array
    [b], indices below 2^32.
    """
    check("sample:int[b]", sample)
    seed, step, purpose = index("seed", seed, 64), index("step", step), index("purpose", purpose)
    blocks = -(-index("count", count, 34) // 4)
    check_samples(sample)
    block, sample_column = np.arange(blocks, dtype=np.uint64), sample.astype(np.uint64)[:, None]
    counter = np.broadcast_arrays(block, sample_column, np.uint64(step), np.uint64(purpose))
    words = np.stack(philox(counter, (seed & 0xFFFFFFFF, seed >> 32)), axis=-1)
    return words.reshape(len(sample), 4 * blocks)[:, :count].astype(np.uint32)


def entries(shape, dtype):
    if np.dtype(dtype) not in FLOATS:
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    if not isinstance(shape, tuple) or any(whole("shape", n) < 0 for n in shape):
        raise ValueError(f"shape must be a tuple of sizes, got {shape}")
    return math.prod(shape)


def _open_interval(bits):
    """Words -> float64 in (0, 1), the middle of each of 2^32 cells: never 0 or 1, and nothing is
    rounded.
    """
    return (bits + 0.5) * 2.0**-32


@takes_out
def uniform(seed, sample, step, purpose, shape, dtype=np.float64):
    """[b,*shape], uniform on (0, 1).  float32 takes the upper 23 bits of a word, so that nothing is
    rounded there either.
    """
    bits = philox_bits(seed, sample, step, purpose, entries(shape, dtype))
    u = (
        _open_interval(bits)
        if np.dtype(dtype) == np.float64
        else ((bits >> np.uint32(9)) + 0.5) * 2.0**-23
    )
    return u.astype(dtype).reshape(len(sample), *shape)


@takes_out
def normal(seed, sample, step, purpose, shape, dtype=np.float64):
    """[b,*shape], standard normal by Box and Muller 1958: words 0, 1 of a block give two numbers,
    words 2, 3 the other two.

    r = sqrt(-2 log u1); r cos(2 pi u2), r sin(2 pi u2).  Computed in float64 and rounded once, so
    that float32 normals are the rounded float64 ones.
    """
    count = entries(shape, dtype)
    u = _open_interval(philox_bits(seed, sample, step, purpose, count + count % 2))
    r, angle = np.sqrt(-2 * np.log(u[:, 0::2])), 2 * np.pi * u[:, 1::2]
    pairs = np.stack((r * np.cos(angle), r * np.sin(angle)), axis=-1)
    return (
        pairs.reshape(len(sample), count + count % 2)[:, :count]
        .astype(dtype)
        .reshape(len(sample), *shape)
    )


def noise_like(noise, x):
    """``noise`` itself, or what a ``Key`` in its place stands for, in the shape and dtype of ``x``."""
    if isinstance(noise, Key):
        noise = normal(*noise, x.shape[1:], x.dtype)
    check("x[...] noise[...]", x, noise)
    return noise
