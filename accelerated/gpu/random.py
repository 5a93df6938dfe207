"""Philox4x32-10 and its uniform and normal numbers, as in reference/ops/random.py.

A thread computes one block of four words, counted through all samples.  What the threads of a block of CUDA's draw are neighbouring
entries: they meet in shared memory, from where they are written, or used, side by side.  A block of words belongs to one sample alone, so
that a number has the same bits wherever in a batch it comes.

Indices of samples that lie outside 0 .. 2^32 - 1 are a ValueError where NumPy holds them; on the device nobody looks, which would mean to
wait for it, and they are taken modulo 2^32.
"""

import math as numbers

import numpy as np

from accelerated.gpu.device import cuda, is_device, math, require, xp
from accelerated.gpu.kernel import block, device, index, kernel
from reference.diffusion.devices import to_host
from reference.ops.checks import check, takes_out
from reference.ops.random import HALF, LOW, M0, M1, W0, W1, check_samples, entries
from reference.ops.random import index as whole_number

WEYL = np.uint64(W0), np.uint64(W1)


@takes_out
def philox_bits(seed, sample, step, purpose, count):
    """uint32[b,count], the first ``count`` words of every sample.  ``sample`` is an integer array [b], indices below 2^32."""
    key = kernel_key(seed, sample, step, purpose, count)
    words = xp.empty((len(sample), key[-1]), np.uint32)
    _philox_bits.blocks(launched(*key))(*key, words)
    return words if is_device(sample) else to_host(words)


@kernel("i i rI1 i i i wU*", shared=4, dtypes=(np.dtype(np.float32),))
def _philox_bits(low, high, sample, step, purpose, count, words):
    shared = cuda.shared.array(0, words.dtype)
    i, here, begin, end = spans(sample, count)
    if i < here:
        at, left = entry(i, count) - begin, count - i % blocks_of(count) * 4
        a, b, c, d = draw(i, low, high, sample, step, purpose, count)
        put(shared, at, left, a, b, c, d)
    cuda.syncthreads()
    for i in range(begin + cuda.threadIdx.x, end, cuda.blockDim.x):
        words[i] = shared[i - begin]


@takes_out
def uniform(seed, sample, step, purpose, shape, dtype=np.float64):
    """[b,*shape], uniform on (0, 1).  float32 takes the upper 23 bits of a word, so that nothing is rounded there either."""
    key = kernel_key(seed, sample, step, purpose, entries(shape, dtype))
    u = xp.empty((len(sample), *shape), dtype)
    bits = 23 if u.dtype == np.float32 else 32
    _uniform.blocks(launched(*key))(*key, 32 - bits, 2.0**-bits, u)
    return u if is_device(sample) else to_host(u)


@kernel("i i rI1 i i i i s w*", shared=4)
def _uniform(low, high, sample, step, purpose, count, shift, scale, u):
    shared, half, shift = cuda.shared.array(0, u.dtype), u.dtype.type(0.5), np.uint32(shift)
    i, here, begin, end = spans(sample, count)
    if i < here:
        at, left = entry(i, count) - begin, count - i % blocks_of(count) * 4
        a, b, c, d = draw(i, low, high, sample, step, purpose, count)
        a, b, c, d = u.dtype.type(a >> shift), u.dtype.type(b >> shift), u.dtype.type(c >> shift), u.dtype.type(d >> shift)
        put(shared, at, left, (a + half) * scale, (b + half) * scale, (c + half) * scale, (d + half) * scale)
    cuda.syncthreads()
    for i in range(begin + cuda.threadIdx.x, end, cuda.blockDim.x):
        u[i] = shared[i - begin]


@takes_out
def normal(seed, sample, step, purpose, shape, dtype=np.float64):
    """[b,*shape], standard normal by Box and Muller 1958, in float64 and rounded once: words 0, 1 of a block give two, 2, 3 two more."""
    key = kernel_key(seed, sample, step, purpose, entries(shape, dtype))
    z = xp.empty((len(sample), *shape), dtype)
    _normal.blocks(launched(*key))(*key, z)
    return z if is_device(sample) else to_host(z)


@kernel("i i rI1 i i i w*", shared=4)
def _normal(low, high, sample, step, purpose, count, z):
    shared = cuda.shared.array(0, z.dtype)
    begin, end = draw_normals(shared, low, high, sample, step, purpose, count)
    for i in range(begin + cuda.threadIdx.x, end, cuda.blockDim.x):
        z[i] = shared[i - begin]


@device
def put(shared, at, left, a, b, c, d):
    """As many of four numbers as are left of a sample."""
    shared[at] = a
    if left > 1:
        shared[at + 1] = b
    if left > 2:
        shared[at + 2] = c
    if left > 3:
        shared[at + 3] = d


@device
def draw_normals(shared, low, high, sample, step, purpose, count):
    """Normals begin .. end - 1, this block's, in shared memory, where four numbers a thread have room."""
    i, here, begin, end = spans(sample, count)
    if i < here:
        at, left = entry(i, count) - begin, count - i % blocks_of(count) * 4
        a, b, c, d = draw(i, low, high, sample, step, purpose, count)
        shared[at], second = box_muller(a, b)
        if left > 1:
            shared[at + 1] = second
        if left > 2:
            shared[at + 2], second = box_muller(c, d)
        if left > 3:
            shared[at + 3] = second
    cuda.syncthreads()
    return begin, end


def look_at_samples(sample):
    """ValueError for indices of samples that lie outside 0 .. 2^32 - 1, if NumPy holds them."""
    if isinstance(sample, np.ndarray) and sample.dtype.kind in "iu":
        check_samples(sample)


def kernel_key(seed, sample, step, purpose, count):
    """A key and the entries of a sample as kernels take them, checked."""
    require()
    check("sample:int[b]", sample)
    seed, step, purpose = whole_number("seed", seed, 64), whole_number("step", step), whole_number("purpose", purpose)
    count = whole_number("count", count, 34)
    look_at_samples(sample)
    return seed & 0xFFFFFFFF, seed >> 32, xp.asarray(sample.astype(np.int64, copy=False)), step, purpose, count


def launched(low, high, sample, step, purpose, count):
    """How many of CUDA's blocks draw the numbers of a key."""
    return -(-len(sample) * -(-count // 4) // block())


@device
def blocks_of(count):
    """How many blocks of words a sample takes."""
    return (count + 3) // 4


@device
def entry(i, count):
    """Which entry is the first of block i of words, both counted through all samples."""
    if count % 4 == 0:  # no division
        return 4 * i
    each = blocks_of(count)
    return i // each * count + i % each * 4


@device
def spans(sample, count):
    """This thread's block of words and how many there are; the entries begin .. end - 1 that this block of threads draws."""
    i, here = index(), sample.size * blocks_of(count)
    first = i - cuda.threadIdx.x
    return i, here, entry(first, count), entry(min(first + cuda.blockDim.x, here), count)


@device
def draw(i, low, high, sample, step, purpose, count):
    """The four words of block i, counted through all samples."""
    each = blocks_of(count)
    c0, c1, c2, c3 = np.uint64(i % each), np.uint64(sample[i // each]) & LOW, np.uint64(step), np.uint64(purpose)
    k0, k1 = np.uint64(low), np.uint64(high)
    for _ in range(10):
        p0, p1 = M0 * c0, M1 * c2  # below 2^64
        c0, c1, c2, c3 = (p1 >> HALF) ^ c1 ^ k0, p1 & LOW, (p0 >> HALF) ^ c3 ^ k1, p0 & LOW
        k0, k1 = (k0 + WEYL[0]) & LOW, (k1 + WEYL[1]) & LOW
    return np.uint32(c0), np.uint32(c1), np.uint32(c2), np.uint32(c3)


@device
def box_muller(one, two):
    """Two normals of two words: r cos(2 pi u2), r sin(2 pi u2), r = sqrt(-2 log u1).  The angle is rounded as NumPy rounds it."""
    u1, u2 = (np.float64(one) + 0.5) * 2.0**-32, (np.float64(two) + 0.5) * 2.0**-32
    r = math.sqrt(-2.0 * math.log(u1))
    cosine, sine = cos_sin(2.0 * numbers.pi * u2)
    return r * cosine, r * sine


HALF_PI = float.fromhex("0x1.921fb544p0"), float.fromhex("0x1.0b4611a626331p-34")  # the first few bits, and the rest
SINE = tuple((-1.0) ** k / numbers.factorial(2 * k + 1) for k in range(1, 9))
COSINE = tuple((-1.0) ** k / numbers.factorial(2 * k) for k in range(1, 9))


@device
def cos_sin(x):
    """(cos x, sin x) for 0 <= x <= 2 pi: Taylor series of both at the distance from the nearest quarter of a turn.

    CUDA's own functions each reduce x again, for any x at all: that takes local memory, and twice the time.
    """
    n = math.floor(x * (2.0 / numbers.pi) + 0.5)
    y = (x - n * HALF_PI[0]) - n * HALF_PI[1]
    z = y * y
    sine, cosine = SINE[7], COSINE[7]
    for k in range(6, -1, -1):
        sine, cosine = sine * z + SINE[k], cosine * z + COSINE[k]
    sine, cosine = y + y * (z * sine), 1.0 + z * cosine
    if n == 1.0:
        return -sine, cosine
    if n == 2.0:
        return -cosine, -sine
    if n == 3.0:
        return sine, -cosine
    return cosine, sine
