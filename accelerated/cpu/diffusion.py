"""Add noise, and take one step back, as in reference/ops/diffusion.py: with the same roundings, so no product is fused with a sum.

With a ``Key`` each share of the work draws its noise into a piece of scratch that the nearest cache holds.
"""

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import blocks, span
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import empty
from accelerated.cpu.random import PART, blocks_of, draw_normals, entry, kernel_key, normal
from reference.ops.checks import check, per_sample, takes_out
from reference.ops.diffusion import check_no_noise
from reference.ops.random import Key, check_samples, entries

NARROW = 16  # entries of a row: starting vector code takes longer than these


@takes_out
def add_noise(x0, signal, noise_scale, noise):
    """x0[b,...] -> signal x0 + noise_scale noise; coefficients are numbers or arrays [b], noise an array or a ``Key``."""
    check("x0[b,...]", x0)
    signal, noise_scale = per_sample("signal", signal, x0), per_sample("noise_scale", noise_scale, x0)
    x = empty(x0.shape, x0.dtype)
    if isinstance(noise, Key):
        if _add_drawn(x0, signal, noise_scale, *_kernel_key(noise, x0), x):
            check_samples(noise.sample)
    else:
        check("x[...] noise[...]", x0, noise)
        _add(x0, noise, signal, noise_scale, x)
    return x


@takes_out
def reverse_step(x, prediction, a, b, c, noise):
    """x[b,...], prediction[b,...] -> a x + b prediction + c noise, as ``add_noise``.  ``noise=None`` adds none, and c must be 0."""
    check("x[b,...] prediction[b,...]", x, prediction)
    a, b = per_sample("a", a, x), per_sample("b", b, x)
    y = empty(x.shape, x.dtype)
    if noise is None:
        check_no_noise(c)
        _add(x, prediction, a, b, y)
        return y
    c = per_sample("c", c, x)
    if isinstance(noise, Key):
        if _step_drawn(x, prediction, a, b, c, *_kernel_key(noise, x), y):
            check_samples(noise.sample)
    else:
        check("x[...] noise[...]", x, noise)
        _step(x, prediction, noise, a, b, c, y)
    return y


def _kernel_key(key, x):
    """A key for the noise of x, as kernels take it."""
    arguments = kernel_key(key.seed, key.sample, key.step, key.purpose, entries(x.shape[1:], x.dtype))
    if len(key.sample) != len(x):
        check("x[...] noise[...]", x, normal(*key, x.shape[1:], x.dtype))
    return arguments


@kernel("r* r* r* r* w*")
def _add(x, y, a, b, z):
    width = _width(len(z), a, b, b)
    for block in prange(blocks(len(z))):
        begin, end = span(block, len(z))
        _sums_of_two(begin, width, x[begin:end], y[begin:end], a, b, z[begin:end])


@kernel("r* r* r* i i rI1 i i i w*")
def _add_drawn(x, a, b, low, high, sample, step, purpose, count, z):
    width, n = _width(len(z), a, b, b), len(sample) * blocks_of(count)
    outside = np.zeros(blocks(n, PART), np.bool_)
    for part in prange(len(outside)):
        first, last = span(part, n, PART)
        begin, end = entry(first, count), entry(last, count)
        noise = np.empty(end - begin, z.dtype)
        outside[part] = draw_normals(noise, low, high, sample, step, purpose, count, first, last)
        _sums_of_two(begin, width, x[begin:end], noise, a, b, z[begin:end])
    return outside.any()


@kernel("r* r* r* r* r* r* w*")
def _step(x, y, noise, a, b, c, z):
    width = _width(len(z), a, b, c)
    for block in prange(blocks(len(z))):
        begin, end = span(block, len(z))
        _sums_of_three(begin, width, x[begin:end], y[begin:end], noise[begin:end], a, b, c, z[begin:end])


@kernel("r* r* r* r* r* i i rI1 i i i w*")
def _step_drawn(x, y, a, b, c, low, high, sample, step, purpose, count, z):
    width, n = _width(len(z), a, b, c), len(sample) * blocks_of(count)
    outside = np.zeros(blocks(n, PART), np.bool_)
    for part in prange(len(outside)):
        first, last = span(part, n, PART)
        begin, end = entry(first, count), entry(last, count)
        noise = np.empty(end - begin, z.dtype)
        outside[part] = draw_normals(noise, low, high, sample, step, purpose, count, first, last)
        _sums_of_three(begin, width, x[begin:end], y[begin:end], noise, a, b, c, z[begin:end])
    return outside.any()


@njit
def _width(size, a, b, c):
    """How many entries in a row have the same coefficients: a sample's, or all."""
    return max(1, size // max(1, len(a), len(b), len(c)))


@njit
def _of_row(row, coefficients):
    return coefficients[min(row, len(coefficients) - 1)]


@njit
def _sums_of_two(begin, width, x, y, a, b, z):
    """z = a x + b y for the entries from ``begin`` on."""
    row, done, stop = begin // width, 0, width - begin % width
    while done < len(z):
        stop, p, q = min(stop, len(z)), _of_row(row, a), _of_row(row, b)
        if width < NARROW:
            for i in range(done, stop):
                z[i] = p * x[i] + q * y[i]
        else:
            _sum_of_two(x[done:stop], y[done:stop], p, q, z[done:stop])
        row, done, stop = row + 1, stop, stop + width


@njit
def _sum_of_two(x, y, a, b, z):
    for i in range(len(z)):
        z[i] = a * x[i] + b * y[i]


@njit
def _sums_of_three(begin, width, x, y, noise, a, b, c, z):
    """z = a x + b y + c noise, likewise."""
    row, done, stop = begin // width, 0, width - begin % width
    while done < len(z):
        stop, p, q, r = min(stop, len(z)), _of_row(row, a), _of_row(row, b), _of_row(row, c)
        if width < NARROW:
            for i in range(done, stop):
                z[i] = (p * x[i] + q * y[i]) + r * noise[i]
        else:
            _sum_of_three(x[done:stop], y[done:stop], noise[done:stop], p, q, r, z[done:stop])
        row, done, stop = row + 1, stop, stop + width


@njit
def _sum_of_three(x, y, noise, a, b, c, z):
    for i in range(len(z)):
        z[i] = (a * x[i] + b * y[i]) + c * noise[i]
