"""Philox4x32-10 and its uniform and normal numbers, as in reference/ops/random.py.

A Philox block is four words of 32 bits.  The blocks of all samples are numbered one after the other and computed in groups of GROUP.  A
group always has the same size, so a number has the same bits at any position in a batch.  The words of a group are words[4,GROUP], and
loops along its second axis become vector code.  The angle 2 pi u2 of the normals is rounded as NumPy rounds it: this rounding alone may
move them by 6 units of their radius, and ports may differ by 4.
"""

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import block_count, span
from accelerated.cpu.elementary import bits, cos_sin, log
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import aligned_empty
from reference.ops.checks import check, takes_out
from reference.ops.random import HALF, LOW, M0, M1, W0, W1, check_samples, entries, index

GROUP = 64  # Philox blocks that are computed together
SHARE = 16 * GROUP  # Philox blocks of one share of the work
WEYL = np.uint64(W0), np.uint64(W1)
LARGE, LARGE_BITS = 2.0**52, np.float64(2.0**52).view(np.int64)


@takes_out
def philox_bits(seed, sample, step, purpose, count):
    """uint32[b,count], the first ``count`` words of every sample.  ``sample`` is an integer array [b], indices below 2^32."""
    key = kernel_key(seed, sample, step, purpose, count)
    words = aligned_empty((len(sample), count), np.uint32)
    if _philox_bits(*key, words):
        check_samples(sample)
    return words


@kernel("i i rI1 i i i wU*")
def _philox_bits(low, high, sample, step, purpose, count, words):
    n = len(sample) * blocks_per_sample(count)
    outside = np.zeros(block_count(n, SHARE), np.bool_)
    for part in prange(len(outside)):
        first, last = span(part, n, SHARE)
        own = words[first_entry(first, count) : first_entry(last, count)]
        outside[part] = draw_words(own, low, high, sample, step, purpose, count, first, last)
    return outside.any()


@takes_out
def uniform(seed, sample, step, purpose, shape, dtype=np.float64):
    """[b,*shape], uniform on (0, 1).  float32 takes the upper 23 bits of a word, so nothing is rounded there either."""
    key = kernel_key(seed, sample, step, purpose, entries(shape, dtype))
    u = aligned_empty((len(sample), *shape), dtype)
    if _uniform(*key, u):
        check_samples(sample)
    return u


@kernel("i i rI1 i i i w*")
def _uniform(low, high, sample, step, purpose, count, u):
    n = len(sample) * blocks_per_sample(count)
    outside = np.zeros(block_count(n, SHARE), np.bool_)
    for part in prange(len(outside)):
        first, last = span(part, n, SHARE)
        own = u[first_entry(first, count) : first_entry(last, count)]
        outside[part] = draw_uniforms(own, low, high, sample, step, purpose, count, first, last)
    return outside.any()


@takes_out
def normal(seed, sample, step, purpose, shape, dtype=np.float64):
    """[b,*shape], standard normal by Box and Muller 1958, in float64, rounded once.

    Words 0 and 1 of a block give two numbers, words 2 and 3 two more.
    """
    key = kernel_key(seed, sample, step, purpose, entries(shape, dtype))
    z = aligned_empty((len(sample), *shape), dtype)
    if _normal(*key, z):
        check_samples(sample)
    return z


@kernel("i i rI1 i i i w*")
def _normal(low, high, sample, step, purpose, count, z):
    n = len(sample) * blocks_per_sample(count)
    outside = np.zeros(block_count(n, SHARE), np.bool_)
    for part in prange(len(outside)):
        first, last = span(part, n, SHARE)
        own = z[first_entry(first, count) : first_entry(last, count)]
        outside[part] = draw_normals(own, low, high, sample, step, purpose, count, first, last)
    return outside.any()


def kernel_key(seed, sample, step, purpose, count):
    """The arguments of a kernel that draws ``count`` entries per sample, checked.  ``draw`` checks the range of the samples' indices."""
    check("sample:int[b]", sample)
    seed = index("seed", seed, 64)
    step = index("step", step)
    purpose = index("purpose", purpose)
    return seed & 0xFFFFFFFF, seed >> 32, sample.astype(np.int64, copy=False), step, purpose, index("count", count, 34)


@njit
def blocks_per_sample(count):
    """Number of blocks of a sample.  A sample without entries has one, so that its index is checked."""
    return max(1, block_count(count, 4))


@njit
def first_entry(block, count):
    """The first entry of a block; blocks and entries are counted through all samples."""
    sample, own = divmod(block, blocks_per_sample(count))
    return sample * count + 4 * own


@njit
def _set_counters(counter, sample, s, block, per_sample):
    """Set the first two words of the counters from a block of sample s on.  Returns the bitwise or of the indices of their samples."""
    index_bits, j = np.int64(0), 0
    if per_sample == 1:
        own = sample[s : s + counter.shape[1]]
        for i in range(len(own)):
            counter[0, i], counter[1, i] = 0, own[i]
            index_bits |= own[i]
        return index_bits
    while j < counter.shape[1]:
        run = counter[:, j : j + per_sample - block]
        for i in range(run.shape[1]):
            run[0, i], run[1, i] = block + i, sample[s]
        index_bits |= sample[s]
        s, j, block = s + 1, j + run.shape[1], 0
    return index_bits


@njit
def _philox(words, step, purpose, low, high):
    for j in range(GROUP):
        c0, c1, c2, c3 = words[0, j], words[1, j], step, purpose
        k0, k1 = low, high
        for _ in range(10):
            p0, p1 = M0 * c0, M1 * c2
            c0, c1, c2, c3 = (p1 >> HALF) ^ c1 ^ k0, p1 & LOW, (p0 >> HALF) ^ c3 ^ k1, p0 & LOW
            k0, k1 = (k0 + WEYL[0]) & LOW, (k1 + WEYL[1]) & LOW
        words[0, j], words[1, j], words[2, j], words[3, j] = c0, c1, c2, c3


@njit
def _convert_to_words(words, numbers, count):
    for row in range(4):
        for j in range(GROUP):
            numbers[row, j] = words[row, j]


@njit
def _convert_to_uniforms(words, numbers, count):
    shift, scale = (9, 2.0**-23) if numbers.itemsize == 4 else (0, 2.0**-32)
    for row in range(4):
        for j in range(GROUP):
            numbers[row, j] = _plus_half(words[row, j] >> np.uint64(shift)) * scale


@njit
def _convert_to_normals(words, numbers, count):
    for row in range(0, min(count, 4), 2):
        for j in range(GROUP):
            r = np.sqrt(-2.0 * log(_plus_half(words[row, j]) * 2.0**-32))
            c, s = cos_sin(2 * np.pi * (_plus_half(words[row + 1, j]) * 2.0**-32))
            numbers[row, j], numbers[row + 1, j] = r * c, r * s


@njit
def _plus_half(word):
    """word + 1/2 for a word below 2^52: the fraction bits of 2^52 + word are the word."""
    return bits(np.int64(word) | LARGE_BITS) - (LARGE - 0.5)


@njit
def _write_in_order(numbers, width, block, count, out):
    """Write numbers[4,width], of blocks from ``block`` of a sample on, to ``out`` in the order of entries.  Returns their number."""
    each = min(count, 4)
    if count % 4 == 0 or count < 4:
        if each == 2:
            for j in range(width):
                out[2 * j], out[2 * j + 1] = numbers[0, j], numbers[1, j]
            return 2 * width
        if each == 4:
            for j in range(width):
                out[4 * j], out[4 * j + 1] = numbers[0, j], numbers[1, j]
                out[4 * j + 2], out[4 * j + 3] = numbers[2, j], numbers[3, j]
            return 4 * width
        for row in range(each):
            for j in range(width):
                out[each * j + row] = numbers[row, j]
        return each * width
    done = 0
    for j in range(width):
        for row in range(min(4, count - 4 * block)):
            out[done] = numbers[row, j]
            done += 1
        block = (block + 1) % blocks_per_sample(count)
    return done


def _make_draw(convert):
    """The function ``draw`` for a kind of numbers: ``convert`` turns words into them."""

    @njit
    def draw(out, low, high, sample, step, purpose, count, first, last):
        """Fill ``out`` with the entries of blocks first .. last - 1.  Returns whether an index of a sample is outside 0 .. 2^32 - 1."""
        words, numbers = np.zeros((4, GROUP), np.uint64), np.empty((4, GROUP), out.dtype)
        per_sample = blocks_per_sample(count)
        s, block = divmod(first, per_sample)
        index_bits, done = np.int64(0), 0
        while first < last:
            width, start = min(GROUP, last - first), block
            index_bits |= _set_counters(words[:2, :width], sample, s, block, per_sample)
            s, block = s + (block + width) // per_sample, (block + width) % per_sample
            _philox(words, np.uint64(step), np.uint64(purpose), np.uint64(low), np.uint64(high))
            convert(words, numbers, count)
            done += _write_in_order(numbers, width, start, count, out[done:])
            first += width
        return index_bits >> 32 != 0

    return draw


draw_words, draw_uniforms, draw_normals = map(_make_draw, (_convert_to_words, _convert_to_uniforms, _convert_to_normals))
