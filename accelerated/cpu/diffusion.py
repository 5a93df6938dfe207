"""Add noise, and take one reverse step: formulas as in reference/ops/diffusion.py.

The roundings are the reference's, so no product is fused with a sum.  With a ``Key``, each share of the work draws its noise into scratch
that fits into the L1 cache.
"""

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import block_count, span
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import aligned_empty
from accelerated.cpu.random import SHARE, blocks_per_sample, draw_normals, first_entry, kernel_key, normal
from reference.ops.checks import check, per_sample, takes_out
from reference.ops.diffusion import check_no_noise
from reference.ops.random import Key, check_samples, entries

MIN_VECTOR_ENTRIES = 16  # shorter rows are done in a plain loop: starting vector code would take longer


@takes_out
def add_noise(x0, signal, noise_scale, noise):
    """x0[b,...] -> signal x0 + noise_scale noise; coefficients are numbers or arrays [b], noise an array or a ``Key``."""
    check("x0[b,...]", x0)
    signal, noise_scale = per_sample("signal", signal, x0), per_sample("noise_scale", noise_scale, x0)
    x = aligned_empty(x0.shape, x0.dtype)
    if isinstance(noise, Key):
        if _combine_two_drawn(x0, signal, noise_scale, *_kernel_key(noise, x0), x):
            check_samples(noise.sample)
    else:
        check("x[...] noise[...]", x0, noise)
        _combine_two(x0, noise, signal, noise_scale, x)
    return x


@takes_out
def reverse_step(x, prediction, a, b, c, noise):
    """x[b,...], prediction[b,...] -> a x + b prediction + c noise; arguments as in ``add_noise``.  With ``noise=None``, c must be 0."""
    check("x[b,...] prediction[b,...]", x, prediction)
    a, b = per_sample("a", a, x), per_sample("b", b, x)
    y = aligned_empty(x.shape, x.dtype)
    if noise is None:
        check_no_noise(c)
        _combine_two(x, prediction, a, b, y)
        return y
    c = per_sample("c", c, x)
    if isinstance(noise, Key):
        if _combine_three_drawn(x, prediction, a, b, c, *_kernel_key(noise, x), y):
            check_samples(noise.sample)
    else:
        check("x[...] noise[...]", x, noise)
        _combine_three(x, prediction, noise, a, b, c, y)
    return y


def _kernel_key(key, x):
    """The arguments of a kernel that draws the noise of x."""
    arguments = kernel_key(key.seed, key.sample, key.step, key.purpose, entries(x.shape[1:], x.dtype))
    if len(key.sample) != len(x):
        check("x[...] noise[...]", x, normal(*key, x.shape[1:], x.dtype))
    return arguments


@kernel("r* r* r* r* w*")
def _combine_two(x, y, a, b, z):
    width = _entries_per_coefficient(len(z), a, b, b)
    for block in prange(block_count(len(z))):
        begin, end = span(block, len(z))
        _combine_rows_of_two(begin, width, x[begin:end], y[begin:end], a, b, z[begin:end])


@kernel("r* r* r* i i rI1 i i i w*")
def _combine_two_drawn(x, a, b, low, high, sample, step, purpose, count, z):
    width, n = _entries_per_coefficient(len(z), a, b, b), len(sample) * blocks_per_sample(count)
    outside = np.zeros(block_count(n, SHARE), np.bool_)
    for part in prange(len(outside)):
        first, last = span(part, n, SHARE)
        begin, end = first_entry(first, count), first_entry(last, count)
        noise = np.empty(end - begin, z.dtype)
        outside[part] = draw_normals(noise, low, high, sample, step, purpose, count, first, last)
        _combine_rows_of_two(begin, width, x[begin:end], noise, a, b, z[begin:end])
    return outside.any()


@kernel("r* r* r* r* r* r* w*")
def _combine_three(x, y, noise, a, b, c, z):
    width = _entries_per_coefficient(len(z), a, b, c)
    for block in prange(block_count(len(z))):
        begin, end = span(block, len(z))
        _combine_rows_of_three(begin, width, x[begin:end], y[begin:end], noise[begin:end], a, b, c, z[begin:end])


@kernel("r* r* r* r* r* i i rI1 i i i w*")
def _combine_three_drawn(x, y, a, b, c, low, high, sample, step, purpose, count, z):
    width, n = _entries_per_coefficient(len(z), a, b, c), len(sample) * blocks_per_sample(count)
    outside = np.zeros(block_count(n, SHARE), np.bool_)
    for part in prange(len(outside)):
        first, last = span(part, n, SHARE)
        begin, end = first_entry(first, count), first_entry(last, count)
        noise = np.empty(end - begin, z.dtype)
        outside[part] = draw_normals(noise, low, high, sample, step, purpose, count, first, last)
        _combine_rows_of_three(begin, width, x[begin:end], y[begin:end], noise, a, b, c, z[begin:end])
    return outside.any()


@njit
def _entries_per_coefficient(size, a, b, c):
    """Number of consecutive entries with the same coefficients: the entries of a sample, or all."""
    return max(1, size // max(1, len(a), len(b), len(c)))


@njit
def _coefficient(row, coefficients):
    return coefficients[min(row, len(coefficients) - 1)]


@njit
def _combine_rows_of_two(begin, width, x, y, a, b, z):
    """z = a x + b y.  The first entry of x, y and z is the ``begin``-th of the whole arrays: this decides its row's coefficients."""
    row = begin // width
    done = 0
    stop = width - begin % width
    while done < len(z):
        stop = min(stop, len(z))
        p = _coefficient(row, a)
        q = _coefficient(row, b)
        if width < MIN_VECTOR_ENTRIES:
            for i in range(done, stop):
                z[i] = p * x[i] + q * y[i]
        else:
            _combine_row_of_two(x[done:stop], y[done:stop], p, q, z[done:stop])
        row = row + 1
        done = stop
        stop = stop + width


@njit
def _combine_row_of_two(x, y, a, b, z):
    for i in range(len(z)):
        z[i] = a * x[i] + b * y[i]


@njit
def _combine_rows_of_three(begin, width, x, y, noise, a, b, c, z):
    """z = a x + b y + c noise, with ``begin`` as above."""
    row = begin // width
    done = 0
    stop = width - begin % width
    while done < len(z):
        stop = min(stop, len(z))
        p = _coefficient(row, a)
        q = _coefficient(row, b)
        r = _coefficient(row, c)
        if width < MIN_VECTOR_ENTRIES:
            for i in range(done, stop):
                z[i] = (p * x[i] + q * y[i]) + r * noise[i]
        else:
            _combine_row_of_three(x[done:stop], y[done:stop], noise[done:stop], p, q, r, z[done:stop])
        row = row + 1
        done = stop
        stop = stop + width


@njit
def _combine_row_of_three(x, y, noise, a, b, c, z):
    for i in range(len(z)):
        z[i] = (a * x[i] + b * y[i]) + c * noise[i]
