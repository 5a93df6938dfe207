"""Philox4x32-10 and its uniform and normal numbers, as in reference/ops/random.py.

The blocks of all samples are counted through, LANES are computed at a time: always as many, so that a number has the same bits wherever
in a batch it comes.  Their words stand in rows, one a lane, and loops over lanes become vector code.  Normals need the angle 2 pi u2
rounded as NumPy rounds it: that rounding alone may move them by 6 units of their radius, and ports may differ by 4.
"""

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import blocks, span
from accelerated.cpu.elementary import bits, cos_sin, log
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import empty
from reference.ops.checks import check, takes_out
from reference.ops.random import HALF, LOW, M0, M1, W0, W1, check_samples, entries, index

LANES = 64
PART = 16 * LANES  # blocks of one share of the work
WEYL = np.uint64(W0), np.uint64(W1)
LARGE, LARGE_BITS = 2.0**52, np.float64(2.0**52).view(np.int64)


@takes_out
def philox_bits(seed, sample, step, purpose, count):
    """uint32[b,count], the first ``count`` words of every sample.  ``sample`` is an integer array [b], indices below 2^32."""
    key = kernel_key(seed, sample, step, purpose, count)
    words = empty((len(sample), count), np.uint32)
    if _philox_bits(*key, words):
        check_samples(sample)
    return words


@kernel("i i rI1 i i i wU*")
def _philox_bits(low, high, sample, step, purpose, count, words):
    n = len(sample) * blocks_of(count)
    outside = np.zeros(blocks(n, PART), np.bool_)
    for part in prange(len(outside)):
        first, last = span(part, n, PART)
        own = words[entry(first, count) : entry(last, count)]
        outside[part] = draw_words(own, low, high, sample, step, purpose, count, first, last)
    return outside.any()


@takes_out
def uniform(seed, sample, step, purpose, shape, dtype=np.float64):
    """[b,*shape], uniform on (0, 1).  float32 takes the upper 23 bits of a word, so that nothing is rounded there either."""
    key = kernel_key(seed, sample, step, purpose, entries(shape, dtype))
    u = empty((len(sample), *shape), dtype)
    if _uniform(*key, u):
        check_samples(sample)
    return u


@kernel("i i rI1 i i i w*")
def _uniform(low, high, sample, step, purpose, count, u):
    n = len(sample) * blocks_of(count)
    outside = np.zeros(blocks(n, PART), np.bool_)
    for part in prange(len(outside)):
        first, last = span(part, n, PART)
        own = u[entry(first, count) : entry(last, count)]
        outside[part] = draw_uniforms(own, low, high, sample, step, purpose, count, first, last)
    return outside.any()


@takes_out
def normal(seed, sample, step, purpose, shape, dtype=np.float64):
    """[b,*shape], standard normal by Box and Muller 1958, in float64 and rounded once: words 0, 1 of a block give two, 2, 3 two more."""
    key = kernel_key(seed, sample, step, purpose, entries(shape, dtype))
    z = empty((len(sample), *shape), dtype)
    if _normal(*key, z):
        check_samples(sample)
    return z


@kernel("i i rI1 i i i w*")
def _normal(low, high, sample, step, purpose, count, z):
    n = len(sample) * blocks_of(count)
    outside = np.zeros(blocks(n, PART), np.bool_)
    for part in prange(len(outside)):
        first, last = span(part, n, PART)
        own = z[entry(first, count) : entry(last, count)]
        outside[part] = draw_normals(own, low, high, sample, step, purpose, count, first, last)
    return outside.any()


def kernel_key(seed, sample, step, purpose, count):
    """A key and the entries of a sample as kernels take them, checked but for the indices of the samples, which ``draw`` looks at."""
    check("sample:int[b]", sample)
    seed, step, purpose = index("seed", seed, 64), index("step", step), index("purpose", purpose)
    return seed & 0xFFFFFFFF, seed >> 32, sample.astype(np.int64, copy=False), step, purpose, index("count", count, 34)


@njit
def blocks_of(count):
    """How many blocks a sample takes; one for its index alone, if it has no entry."""
    return max(1, blocks(count, 4))


@njit
def entry(block, count):
    """Which entry is the first of a block, both counted through all samples."""
    sample, own = divmod(block, blocks_of(count))
    return sample * count + 4 * own


@njit
def _count(counter, sample, s, block, each):
    """The counters' first two words, from a block of sample s on; all bits that occur in the indices of the samples."""
    seen, lane = np.int64(0), 0
    if each == 1:
        own = sample[s : s + counter.shape[1]]
        for i in range(len(own)):
            counter[0, i], counter[1, i] = 0, own[i]
            seen |= own[i]
        return seen
    while lane < counter.shape[1]:
        run = counter[:, lane : lane + each - block]
        for i in range(run.shape[1]):
            run[0, i], run[1, i] = block + i, sample[s]
        seen |= sample[s]
        s, lane, block = s + 1, lane + run.shape[1], 0
    return seen


@njit
def _philox(words, step, purpose, low, high):
    for lane in range(LANES):
        c0, c1, c2, c3 = words[0, lane], words[1, lane], step, purpose
        k0, k1 = low, high
        for _ in range(10):
            p0, p1 = M0 * c0, M1 * c2
            c0, c1, c2, c3 = (p1 >> HALF) ^ c1 ^ k0, p1 & LOW, (p0 >> HALF) ^ c3 ^ k1, p0 & LOW
            k0, k1 = (k0 + WEYL[0]) & LOW, (k1 + WEYL[1]) & LOW
        words[0, lane], words[1, lane], words[2, lane], words[3, lane] = c0, c1, c2, c3


@njit
def _words(words, numbers, count):
    for row in range(4):
        for lane in range(LANES):
            numbers[row, lane] = words[row, lane]


@njit
def _uniforms(words, numbers, count):
    shift, scale = (9, 2.0**-23) if numbers.itemsize == 4 else (0, 2.0**-32)
    for row in range(4):
        for lane in range(LANES):
            numbers[row, lane] = _plus_half(words[row, lane] >> np.uint64(shift)) * scale


@njit
def _normals(words, numbers, count):
    for row in range(0, min(count, 4), 2):
        for lane in range(LANES):
            r = np.sqrt(-2.0 * log(_plus_half(words[row, lane]) * 2.0**-32))
            c, s = cos_sin(2 * np.pi * (_plus_half(words[row + 1, lane]) * 2.0**-32))
            numbers[row, lane], numbers[row + 1, lane] = r * c, r * s


@njit
def _plus_half(word):
    """A whole number below 2^52, plus 1/2: it is the fraction of its sum with 2^52."""
    return bits(np.int64(word) | LARGE_BITS) - (LARGE - 0.5)


@njit
def _lay_out(numbers, lanes, block, count, out):
    """numbers[4,lanes], of blocks from ``block`` of a sample on, in the order of entries; how many these are."""
    width = min(count, 4)
    if count % 4 == 0 or count < 4:
        if width == 2:
            for lane in range(lanes):
                out[2 * lane], out[2 * lane + 1] = numbers[0, lane], numbers[1, lane]
            return 2 * lanes
        if width == 4:
            for lane in range(lanes):
                out[4 * lane], out[4 * lane + 1] = numbers[0, lane], numbers[1, lane]
                out[4 * lane + 2], out[4 * lane + 3] = numbers[2, lane], numbers[3, lane]
            return 4 * lanes
        for row in range(width):
            for lane in range(lanes):
                out[width * lane + row] = numbers[row, lane]
        return width * lanes
    done = 0
    for lane in range(lanes):
        for row in range(min(4, count - 4 * block)):
            out[done] = numbers[row, lane]
            done += 1
        block = (block + 1) % blocks_of(count)
    return done


def _drawing(convert):
    """The function that draws what ``convert`` makes of words."""

    @njit
    def draw(out, low, high, sample, step, purpose, count, first, last):
        """Fill out[...] with the entries of blocks first .. last - 1.  Is an index of their samples outside 0 .. 2^32 - 1?"""
        words, numbers = np.zeros((4, LANES), np.uint64), np.empty((4, LANES), out.dtype)
        each = blocks_of(count)
        s, block = divmod(first, each)
        seen, done = np.int64(0), 0
        while first < last:
            lanes, start = min(LANES, last - first), block
            seen |= _count(words[:2, :lanes], sample, s, block, each)
            s, block = s + (block + lanes) // each, (block + lanes) % each
            _philox(words, np.uint64(step), np.uint64(purpose), np.uint64(low), np.uint64(high))
            convert(words, numbers, count)
            done += _lay_out(numbers, lanes, start, count, out[done:])
            first += lanes
        return seen >> 32 != 0

    return draw


draw_words, draw_uniforms, draw_normals = map(_drawing, (_words, _uniforms, _normals))
