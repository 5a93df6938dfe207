"""Philox4x32-10 and its uniform and normal numbers, as in reference/ops/random.py.

Philox computes words in counter blocks of four.  A thread computes one counter block; those of all samples are numbered consecutively.
The threads of a CUDA block put their numbers into shared memory, and write or use them from there in order.  A counter block belongs to
one sample, so that a number has the same bits at any position in a batch.

Sample indices outside 0 .. 2^32 - 1 are a ValueError if they are a NumPy array.  Indices on the device are taken modulo 2^32: to check
them would copy them to the host.
"""

import math as numbers

import numpy as np

from accelerated.gpu.device import cuda, is_device_array, math, require, to_host, xp
from accelerated.gpu.kernel import block_size, device_function, kernel, thread_index
from reference.ops.checks import check, takes_out
from reference.ops.random import HALF, LOW, M0, M1, W0, W1, check_samples, entries
from reference.ops.random import index as whole_number

WEYL = np.uint64(W0), np.uint64(W1)


@takes_out
def philox_bits(seed, sample, step, purpose, count):
    """uint32[b,count], the first ``count`` words of every sample.  ``sample`` is an integer array [b], indices below 2^32."""
    key = key_arguments(seed, sample, step, purpose, count)
    words = xp.empty((len(sample), key[-1]), np.uint32)
    _philox_bits.blocks(block_count(*key))(*key, words)
    return words if is_device_array(sample) else to_host(words)


@kernel("i i rI1 i i i wU*", shared=4, dtypes=(np.dtype(np.float32),))
def _philox_bits(low, high, sample, step, purpose, count, words):
    shared = cuda.shared.array(0, words.dtype)
    i, n, begin, end = block_range(sample, count)
    if i < n:
        at = first_entry(i, count) - begin
        left = count - i % counter_blocks(count) * 4
        a, b, c, d = philox(i, low, high, sample, step, purpose, count)
        store(shared, at, left, a, b, c, d)
    cuda.syncthreads()
    for i in range(begin + cuda.threadIdx.x, end, cuda.blockDim.x):
        words[i] = shared[i - begin]


@takes_out
def uniform(seed, sample, step, purpose, shape, dtype=np.float64):
    """[b,*shape], uniform on (0, 1).  float32 takes the upper 23 bits of a word, so that nothing is rounded."""
    key = key_arguments(seed, sample, step, purpose, entries(shape, dtype))
    u = xp.empty((len(sample), *shape), dtype)
    bits = 23 if u.dtype == np.float32 else 32
    _uniform.blocks(block_count(*key))(*key, 32 - bits, 2.0**-bits, u)
    return u if is_device_array(sample) else to_host(u)


@kernel("i i rI1 i i i i s w*", shared=4)
def _uniform(low, high, sample, step, purpose, count, shift, scale, u):
    shared = cuda.shared.array(0, u.dtype)
    half = u.dtype.type(0.5)
    shift = np.uint32(shift)
    i, n, begin, end = block_range(sample, count)
    if i < n:
        at = first_entry(i, count) - begin
        left = count - i % counter_blocks(count) * 4
        a, b, c, d = philox(i, low, high, sample, step, purpose, count)
        a, b, c, d = u.dtype.type(a >> shift), u.dtype.type(b >> shift), u.dtype.type(c >> shift), u.dtype.type(d >> shift)
        store(shared, at, left, (a + half) * scale, (b + half) * scale, (c + half) * scale, (d + half) * scale)
    cuda.syncthreads()
    for i in range(begin + cuda.threadIdx.x, end, cuda.blockDim.x):
        u[i] = shared[i - begin]


@takes_out
def normal(seed, sample, step, purpose, shape, dtype=np.float64):
    """[b,*shape], standard normal (Box and Muller 1958), float64, rounded once.  Words 0, 1 of a counter block give two, 2, 3 two more."""
    key = key_arguments(seed, sample, step, purpose, entries(shape, dtype))
    z = xp.empty((len(sample), *shape), dtype)
    _normal.blocks(block_count(*key))(*key, z)
    return z if is_device_array(sample) else to_host(z)


@kernel("i i rI1 i i i w*", shared=4)
def _normal(low, high, sample, step, purpose, count, z):
    shared = cuda.shared.array(0, z.dtype)
    begin, end = draw_normals(shared, low, high, sample, step, purpose, count)
    for i in range(begin + cuda.threadIdx.x, end, cuda.blockDim.x):
        z[i] = shared[i - begin]


@device_function
def store(shared, at, left, a, b, c, d):
    """Store the first ``left`` of four numbers: at most that many are left of a sample."""
    shared[at] = a
    if left > 1:
        shared[at + 1] = b
    if left > 2:
        shared[at + 2] = c
    if left > 3:
        shared[at + 3] = d


@device_function
def draw_normals(shared, low, high, sample, step, purpose, count):
    """Put the normals begin .. end - 1 of this CUDA block into shared memory, four entries per thread; returns (begin, end)."""
    i, n, begin, end = block_range(sample, count)
    if i < n:
        at = first_entry(i, count) - begin
        left = count - i % counter_blocks(count) * 4
        a, b, c, d = philox(i, low, high, sample, step, purpose, count)
        shared[at], second = box_muller(a, b)
        if left > 1:
            shared[at + 1] = second
        if left > 2:
            shared[at + 2], second = box_muller(c, d)
        if left > 3:
            shared[at + 3] = second
    cuda.syncthreads()
    return begin, end


def validate_samples(sample):
    """ValueError for sample indices outside 0 .. 2^32 - 1 in a NumPy array."""
    if isinstance(sample, np.ndarray) and sample.dtype.kind in "iu":
        check_samples(sample)


def key_arguments(seed, sample, step, purpose, count):
    """A key and the entries of a sample as arguments of a kernel, checked: low and high half of the seed, sample, step, purpose, count."""
    require()
    check("sample:int[b]", sample)
    seed, step, purpose = whole_number("seed", seed, 64), whole_number("step", step), whole_number("purpose", purpose)
    count = whole_number("count", count, 34)
    validate_samples(sample)
    return seed & 0xFFFFFFFF, seed >> 32, xp.asarray(sample.astype(np.int64, copy=False)), step, purpose, count


def block_count(low, high, sample, step, purpose, count):
    """The CUDA blocks that draw the numbers of a key."""
    return -(-len(sample) * -(-count // 4) // block_size())


@device_function
def counter_blocks(count):
    """The counter blocks of a sample."""
    return (count + 3) // 4


@device_function
def first_entry(i, count):
    """The index of the first entry of counter block i; entries and counter blocks are numbered through all samples."""
    if count % 4 == 0:  # saves the division
        return 4 * i
    blocks_per_sample = counter_blocks(count)
    return i // blocks_per_sample * count + i % blocks_per_sample * 4


@device_function
def block_range(sample, count):
    """(counter block of this thread, all counter blocks, begin, end): this CUDA block draws the entries begin .. end - 1."""
    i = thread_index()
    n = sample.size * counter_blocks(count)
    first = i - cuda.threadIdx.x
    return i, n, first_entry(first, count), first_entry(min(first + cuda.blockDim.x, n), count)


@device_function
def philox(i, low, high, sample, step, purpose, count):
    """The four words of counter block i."""
    blocks_per_sample = counter_blocks(count)
    c0 = np.uint64(i % blocks_per_sample)
    c1 = np.uint64(sample[i // blocks_per_sample]) & LOW
    c2, c3 = np.uint64(step), np.uint64(purpose)
    k0, k1 = np.uint64(low), np.uint64(high)
    for _ in range(10):
        p0, p1 = M0 * c0, M1 * c2  # below 2^64
        c0, c1, c2, c3 = (p1 >> HALF) ^ c1 ^ k0, p1 & LOW, (p0 >> HALF) ^ c3 ^ k1, p0 & LOW
        k0, k1 = (k0 + WEYL[0]) & LOW, (k1 + WEYL[1]) & LOW
    return np.uint32(c0), np.uint32(c1), np.uint32(c2), np.uint32(c3)


@device_function
def box_muller(one, two):
    """Two normals from two words: r cos(2 pi u_2), r sin(2 pi u_2), r = sqrt(-2 log u_1).  The angle is rounded as NumPy rounds it."""
    u1, u2 = (np.float64(one) + 0.5) * 2.0**-32, (np.float64(two) + 0.5) * 2.0**-32
    r = math.sqrt(-2.0 * math.log(u1))
    cosine, sine = cos_sin(2.0 * numbers.pi * u2)
    return r * cosine, r * sine


HALF_PI = float.fromhex("0x1.921fb544p0"), float.fromhex("0x1.0b4611a626331p-34")  # pi/2 as a sum: its first bits, and the rest
SINE = tuple((-1.0) ** k / numbers.factorial(2 * k + 1) for k in range(1, 9))
COSINE = tuple((-1.0) ** k / numbers.factorial(2 * k) for k in range(1, 9))


@device_function
def cos_sin(x):
    """(cos x, sin x) for 0 <= x <= 2 pi: Taylor series of both at the distance from the nearest multiple of pi/2.

    Each of CUDA's own functions reduces x again, for x of any size: that takes local memory and twice the time.
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
