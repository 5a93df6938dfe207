"""Group normalisation, alone and followed by SiLU: formulas as in reference/ops/norm.py.

Channels are the last axis and a group has few of them, so that a loop over one group's entries would be short and its sums serial.  All
loops here run along *rows* instead, as many whole pixels as make up to ``ROW`` entries, with one partial sum for every place in a row;
the pixels of a row and then the channels of a group are added up once a sample.  What belongs to a channel is written down for every
pixel of a row.

A sample is read once from memory and stays in the cache for the passes that follow.  The mean is found from the differences to the
group's first entry and the variance from those to the mean, so that neither suffers where the mean is large beside the deviation.  A group
whose squares overflow is gone through once more, scaled.
"""

import numpy as np
from numba import njit, prange

from accelerated.cpu.activation import silu_slope
from accelerated.cpu.blocks import blocks, count, span
from accelerated.cpu.elementary import FUSED, logistic
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import empty
from accelerated.cpu.rows import add_to, clear, dot
from reference.ops.checks import takes_out
from reference.ops.norm import check_backward, check_forward

ROW = 256


@takes_out
def group_norm(x, scale, shift, groups, eps=1e-5):
    """x[b,...,c], scale[c], shift[c] -> y[b,...,c], mean[b,g], rstd[b,g].  A group is c/g consecutive channels of one sample."""
    return _results(x, scale, shift, groups, eps, False)


@takes_out
def group_norm_silu(x, scale, shift, groups, eps=1e-5):
    """``silu(group_norm(x))``, arguments and statistics as there."""
    return _results(x, scale, shift, groups, eps, True)


@takes_out
def group_norm_backward(dy, x, scale, shift, groups, mean, rstd):
    """Gradients of ``group_norm``, from the statistics that it returned.  dy[b,...,c] -> dx[b,...,c], dscale[c], dshift[c]."""
    return _gradients(dy, x, scale, shift, groups, mean, rstd, False)


@takes_out
def group_norm_silu_backward(dy, x, scale, shift, groups, mean, rstd):
    """Gradients of ``group_norm_silu``.  dy[b,...,c] -> dx[b,...,c], dscale[c], dshift[c]."""
    return _gradients(dy, x, scale, shift, groups, mean, rstd, True)


def _results(x, scale, shift, groups, eps, with_silu):
    check_forward(x, scale, shift, groups, eps)
    y, mean, rstd = (empty(shape, x.dtype) for shape in (x.shape, (len(x), groups), (len(x), groups)))
    _forward(x, scale, shift, y, mean, rstd, eps, with_silu)
    return y, mean, rstd


def _gradients(dy, x, scale, shift, groups, mean, rstd, with_silu):
    check_backward(dy, x, scale, shift, groups, mean, rstd)
    dx, dscale, dshift = (empty(array.shape, x.dtype) for array in (x, scale, shift))
    _backward(dy, x, scale, shift, mean, rstd, dx, dscale, dshift, with_silu)
    return dx, dscale, dshift


@kernel("r* r1 r1 w* w2 w2 s b")
def _forward(x, scale, shift, y, mean, rstd, eps, with_silu):
    size = x.size // max(1, len(mean))
    for block in prange(blocks(len(mean), count(size))):
        begin, end = span(block, len(mean), count(size))
        entries = slice(begin * size, end * size)
        _forward_part(x[entries], scale, shift, y[entries], mean[begin:end], rstd[begin:end], eps, with_silu)


@njit
def _forward_part(x, scale, shift, y, mean, rstd, eps, with_silu):
    samples, groups = mean.shape
    channels, size = len(scale), len(x) // samples
    width, entries = channels // groups, x.dtype.type(size // groups)
    rows = _rows(4, size, channels, x.dtype)
    centre, factor, offset, sums = rows[0], rows[1], rows[2], rows[3]
    ones, by_group = np.ones(channels, x.dtype), np.empty(groups, x.dtype)
    _spread(np.ones(groups, x.dtype), shift, offset)
    for n in range(samples):
        sample, result = x[n * size : (n + 1) * size], y[n * size : (n + 1) * size]
        first = sample[:channels:width]
        _spread(first, ones, centre)
        _add_differences(sample, centre, sums)
        _sum_groups(sums, ones, by_group)
        for g in range(groups):
            mean[n, g] = first[g] + by_group[g] / entries
        _spread(mean[n], ones, centre)
        _add_squares(sample, centre, sums)
        _sum_groups(sums, ones, by_group)
        for g in range(groups):
            rstd[n, g] = 1 / np.sqrt(by_group[g] / entries + eps)
        if not by_group.max() < np.inf:
            _large_statistics(sample, channels, eps, mean[n], rstd[n])
            _spread(mean[n], ones, centre)
        _spread(rstd[n], scale, factor)
        if with_silu:
            _normalise_silu(sample, centre, factor, offset, result)
        else:
            _normalise(sample, centre, factor, offset, result)


@njit
def _large_statistics(x, channels, eps, mean, rstd):
    """Mean and rstd of each group of a sample, from differences in units of the largest one: in double precision, entry by entry."""
    width, entries = channels // len(mean), len(x) // len(mean)
    for g in range(len(mean)):
        first, largest, total, squares = np.float64(x[g * width]), 1.0, 0.0, 0.0
        for begin in range(g * width, len(x), channels):
            for i in range(begin, begin + width):
                largest = max(largest, abs(x[i] - first))
        for begin in range(g * width, len(x), channels):
            for i in range(begin, begin + width):
                total += (x[i] - first) / largest
        for begin in range(g * width, len(x), channels):
            for i in range(begin, begin + width):
                squares += ((x[i] - first) / largest - total / entries) ** 2
        mean[g] = first + total / entries * largest
        rstd[g] = 1 / largest / np.sqrt(squares / entries + eps / largest / largest)


@kernel("r* r* r1 r1 r2 r2 w* w1 w1 b")
def _backward(dy, x, scale, shift, mean, rstd, dx, dscale, dshift, with_silu):
    size = x.size // max(1, len(mean))
    parts = np.empty((blocks(len(mean), count(size)), 2, len(scale)), x.dtype)
    for block in prange(len(parts)):
        begin, end = span(block, len(mean), count(size))
        entries = slice(begin * size, end * size)
        of_samples = mean[begin:end], rstd[begin:end]
        _backward_part(dy[entries], x[entries], scale, shift, *of_samples, dx[entries], parts[block, 0], parts[block, 1], with_silu)
    _sum_parts(parts, dscale, dshift)


@njit
def _sum_parts(parts, dscale, dshift):
    clear(dscale)
    clear(dshift)
    for block in range(len(parts)):
        add_to(dscale, parts[block, 0])
        add_to(dshift, parts[block, 1])


@njit
def _backward_part(dy, x, scale, shift, mean, rstd, dx, dscale, dshift, with_silu):
    samples, groups = mean.shape
    channels, size = len(scale), len(x) // samples
    entries = x.dtype.type(size // groups)
    rows = _rows(7, size, channels, x.dtype)
    centre, factor, scales, offset, sums, dots, product = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6]
    ones, mean_d, mean_dot = np.ones(channels, x.dtype), np.empty(groups, x.dtype), np.empty(groups, x.dtype)
    below = np.empty(size if with_silu else 0, x.dtype)  # the gradient below SiLU
    _spread(np.ones(groups, x.dtype), scale, scales)
    _spread(np.ones(groups, x.dtype), shift, offset)
    clear(dscale)
    clear(dshift)
    for n in range(samples):
        part = slice(n * size, (n + 1) * size)
        _spread(mean[n], ones, centre)
        _spread(rstd[n], ones, factor)
        if with_silu:
            _through_silu(dy[part], x[part], centre, factor, scales, offset, below, sums, dots)
        else:
            _add_products(dy[part], x[part], centre, factor, sums, dots)
        _sum_groups(sums, scale, mean_d)
        _sum_groups(dots, scale, mean_dot)
        add_to(dshift, sums[:channels])
        add_to(dscale, dots[:channels])
        for g in range(groups):
            mean_d[g] *= rstd[n, g] / entries
            mean_dot[g] *= rstd[n, g] * rstd[n, g] / entries
        _spread(rstd[n], scale, product)
        _spread(mean_d, ones, sums)
        _spread(mean_dot, ones, dots)
        if with_silu:
            _combine(below, x[part], centre, product, sums, dots, dx[part])
        else:
            _combine(dy[part], x[part], centre, product, sums, dots, dx[part])


# Rows.


@njit
def _rows(number, size, channels, dtype):
    """Memory for so many rows, [number,entries]."""
    return np.empty((number, channels * max(1, min(size // 16, ROW) // channels)), dtype)


@njit
def _spread(by_group, by_channel, row):
    """The product of what belongs to a group and to a channel, for every place in a row."""
    channels, width = len(by_channel), len(by_channel) // len(by_group)
    for g in range(len(by_group)):
        for c in range(g * width, (g + 1) * width):
            row[c] = by_group[g] * by_channel[c]
    for begin in range(channels, len(row), channels):
        for c in range(channels):
            row[begin + c] = row[c]


@njit
def _sum_groups(row, by_channel, sums):
    """The first pixel of a row becomes the sum of all; sums[g] that over a group's channels, each times its number."""
    channels, width = len(by_channel), len(by_channel) // len(sums)
    for begin in range(channels, len(row), channels):
        add_to(row, row[begin : begin + channels])
    for g in range(len(sums)):
        sums[g] = dot(row[g * width : (g + 1) * width], by_channel[g * width : (g + 1) * width])


# One sample, row by row.


@njit(fastmath=FUSED)
def _add_differences(x, centre, sums):
    """sums = those of x - centre."""
    clear(sums)
    for begin in range(0, len(x), len(sums)):
        row = x[begin : begin + len(sums)]
        for i in range(len(row)):
            sums[i] += row[i] - centre[i]


@njit(fastmath=FUSED)
def _add_squares(x, centre, sums):
    """sums = those of (x - centre)^2."""
    clear(sums)
    for begin in range(0, len(x), len(sums)):
        row = x[begin : begin + len(sums)]
        for i in range(len(row)):
            sums[i] += (row[i] - centre[i]) * (row[i] - centre[i])


@njit(fastmath=FUSED)
def _normalise(x, centre, factor, offset, y):
    for begin in range(0, len(x), len(centre)):
        row, result = x[begin : begin + len(centre)], y[begin : begin + len(centre)]
        for i in range(len(row)):
            result[i] = (row[i] - centre[i]) * factor[i] + offset[i]


@njit(fastmath=FUSED)
def _normalise_silu(x, centre, factor, offset, y):
    for begin in range(0, len(x), len(centre)):
        row, result = x[begin : begin + len(centre)], y[begin : begin + len(centre)]
        for i in range(len(row)):
            v = (row[i] - centre[i]) * factor[i] + offset[i]
            result[i] = v * logistic(v)


@njit(fastmath=FUSED)
def _add_products(dy, x, centre, factor, sums, dots):
    """sums = those of dy, dots = those of dy x^."""
    clear(sums)
    clear(dots)
    for begin in range(0, len(x), len(centre)):
        row, d = x[begin : begin + len(centre)], dy[begin : begin + len(centre)]
        for i in range(len(row)):
            sums[i] += d[i]
            dots[i] += d[i] * ((row[i] - centre[i]) * factor[i])


@njit(fastmath=FUSED)
def _through_silu(dy, x, centre, factor, scale, offset, d, sums, dots):
    """d = the gradient dy sent back through SiLU, sums = those of d, dots = those of d x^."""
    clear(sums)
    clear(dots)
    for begin in range(0, len(x), len(centre)):
        row, above, below = x[begin : begin + len(centre)], dy[begin : begin + len(centre)], d[begin : begin + len(centre)]
        for i in range(len(row)):
            xhat = (row[i] - centre[i]) * factor[i]
            v = above[i] * silu_slope(xhat * scale[i] + offset[i])
            below[i] = v
            sums[i] += v
            dots[i] += v * xhat


@njit(fastmath=FUSED)
def _combine(d, x, centre, scale, mean, slope, dx):
    """dx = scale d - mean - slope (x - centre)."""
    for begin in range(0, len(x), len(centre)):
        row, above, below = x[begin : begin + len(centre)], d[begin : begin + len(centre)], dx[begin : begin + len(centre)]
        for i in range(len(row)):
            below[i] = scale[i] * above[i] - mean[i] - slope[i] * (row[i] - centre[i])
