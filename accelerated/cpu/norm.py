"""Group normalisation, alone and followed by SiLU: formulas as in reference/ops/norm.py.

Channels are the last axis and a group has few of them, so a loop over the entries of one group would be short and its sum serial.  All
loops here run along *rows* instead: as many whole pixels as fit into MAX_ROW_ENTRIES entries, with one partial sum for every entry of a
row.  The pixels of a row, then the channels of a group, are added up once per sample.  Values of channels are repeated for every pixel of
a row.

A sample is read from memory once and stays in the cache for the following passes.  The mean comes from differences to the group's first
entry, the variance from differences to the mean: neither loses digits where the mean is large beside the deviation.  A group whose squares
overflow is computed again, scaled.
"""

import numpy as np
from numba import njit, prange

from accelerated.cpu.activation import silu_slope
from accelerated.cpu.blocks import block_count, items_per_block, span
from accelerated.cpu.contiguous import add_to, clear, dot
from accelerated.cpu.elementary import FUSED, logistic
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import aligned_empty
from reference.ops.checks import takes_out
from reference.ops.norm import check_backward, check_forward

MAX_ROW_ENTRIES = 256  # of a row, unless one pixel has more


@takes_out
def group_norm(x, scale, shift, groups, eps=1e-5):
    """x[b,...,c], scale[c], shift[c] -> y[b,...,c], mean[b,g], rstd[b,g].  A group is c/g consecutive channels of one sample."""
    return _normalised(x, scale, shift, groups, eps, False)


@takes_out
def group_norm_silu(x, scale, shift, groups, eps=1e-5):
    """``silu(group_norm(x))``, with the arguments and statistics of ``group_norm``."""
    return _normalised(x, scale, shift, groups, eps, True)


@takes_out
def group_norm_backward(dy, x, scale, shift, groups, mean, rstd):
    """Gradients of ``group_norm``, from the statistics that it returned.  dy[b,...,c] -> dx[b,...,c], dscale[c], dshift[c]."""
    return _gradients(dy, x, scale, shift, groups, mean, rstd, False)


@takes_out
def group_norm_silu_backward(dy, x, scale, shift, groups, mean, rstd):
    """Gradients of ``group_norm_silu``.  dy[b,...,c] -> dx[b,...,c], dscale[c], dshift[c]."""
    return _gradients(dy, x, scale, shift, groups, mean, rstd, True)


def _normalised(x, scale, shift, groups, eps, with_silu):
    check_forward(x, scale, shift, groups, eps)
    y, mean, rstd = (aligned_empty(shape, x.dtype) for shape in (x.shape, (len(x), groups), (len(x), groups)))
    _forward(x, scale, shift, y, mean, rstd, eps, with_silu)
    return y, mean, rstd


def _gradients(dy, x, scale, shift, groups, mean, rstd, with_silu):
    check_backward(dy, x, scale, shift, groups, mean, rstd)
    dx, dscale, dshift = (aligned_empty(array.shape, x.dtype) for array in (x, scale, shift))
    _backward(dy, x, scale, shift, mean, rstd, dx, dscale, dshift, with_silu)
    return dx, dscale, dshift


@kernel("r* r1 r1 w* w2 w2 s b")
def _forward(x, scale, shift, y, mean, rstd, eps, with_silu):
    size = x.size // max(1, len(mean))
    for block in prange(block_count(len(mean), items_per_block(size))):
        begin, end = span(block, len(mean), items_per_block(size))
        entries = slice(begin * size, end * size)
        _forward_part(x[entries], scale, shift, y[entries], mean[begin:end], rstd[begin:end], eps, with_silu)


@njit
def _forward_part(x, scale, shift, y, mean, rstd, eps, with_silu):
    samples, groups = mean.shape
    channels, size = len(scale), len(x) // samples
    width, entries = channels // groups, x.dtype.type(size // groups)
    rows = _empty_rows(4, size, channels, x.dtype)
    centre = rows[0]
    factor = rows[1]
    offset = rows[2]
    sums = rows[3]
    ones, by_group = np.ones(channels, x.dtype), np.empty(groups, x.dtype)
    _fill_row(np.ones(groups, x.dtype), shift, offset)
    for n in range(samples):
        sample, result = x[n * size : (n + 1) * size], y[n * size : (n + 1) * size]
        first = sample[:channels:width]
        _fill_row(first, ones, centre)
        _sum_differences(sample, centre, sums)
        _sum_groups(sums, ones, by_group)
        for g in range(groups):
            mean[n, g] = first[g] + by_group[g] / entries
        _fill_row(mean[n], ones, centre)
        _sum_squares(sample, centre, sums)
        _sum_groups(sums, ones, by_group)
        for g in range(groups):
            rstd[n, g] = 1 / np.sqrt(by_group[g] / entries + eps)
        if not by_group.max() < np.inf:
            _large_statistics(sample, channels, eps, mean[n], rstd[n])
            _fill_row(mean[n], ones, centre)
        _fill_row(rstd[n], scale, factor)
        if with_silu:
            _normalise_silu(sample, centre, factor, offset, result)
        else:
            _normalise(sample, centre, factor, offset, result)


@njit
def _large_statistics(x, channels, eps, mean, rstd):
    """Mean and rstd of each group of a sample, from differences divided by the largest difference: in float64, entry by entry."""
    width, entries = channels // len(mean), len(x) // len(mean)
    for g in range(len(mean)):
        first = np.float64(x[g * width])
        largest = 1.0
        total = 0.0
        squares = 0.0
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
    parts = np.empty((block_count(len(mean), items_per_block(size)), 2, len(scale)), x.dtype)
    for block in prange(len(parts)):
        begin, end = span(block, len(mean), items_per_block(size))
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
    rows = _empty_rows(7, size, channels, x.dtype)
    centre = rows[0]
    factor = rows[1]
    scales = rows[2]
    offset = rows[3]
    sums = rows[4]
    dots = rows[5]
    product = rows[6]
    ones = np.ones(channels, x.dtype)
    mean_d = np.empty(groups, x.dtype)
    mean_dot = np.empty(groups, x.dtype)
    below = np.empty(size if with_silu else 0, x.dtype)  # the gradient before SiLU
    _fill_row(np.ones(groups, x.dtype), scale, scales)
    _fill_row(np.ones(groups, x.dtype), shift, offset)
    clear(dscale)
    clear(dshift)
    for n in range(samples):
        part = slice(n * size, (n + 1) * size)
        _fill_row(mean[n], ones, centre)
        _fill_row(rstd[n], ones, factor)
        if with_silu:
            _silu_backward_and_sum(dy[part], x[part], centre, factor, scales, offset, below, sums, dots)
        else:
            _sum_products(dy[part], x[part], centre, factor, sums, dots)
        _sum_groups(sums, scale, mean_d)
        _sum_groups(dots, scale, mean_dot)
        add_to(dshift, sums[:channels])
        add_to(dscale, dots[:channels])
        for g in range(groups):
            mean_d[g] *= rstd[n, g] / entries
            mean_dot[g] *= rstd[n, g] * rstd[n, g] / entries
        _fill_row(rstd[n], scale, product)
        _fill_row(mean_d, ones, sums)
        _fill_row(mean_dot, ones, dots)
        if with_silu:
            _combine(below, x[part], centre, product, sums, dots, dx[part])
        else:
            _combine(dy[part], x[part], centre, product, sums, dots, dx[part])


# rows


@njit
def _empty_rows(number, size, channels, dtype):
    """Uninitialised rows [number,entries]."""
    return np.empty((number, channels * max(1, min(size // 16, MAX_ROW_ENTRIES) // channels)), dtype)


@njit
def _fill_row(by_group, by_channel, row):
    """row = by_group[g] by_channel[c], for the group g and the channel c of every entry of the row."""
    channels, width = len(by_channel), len(by_channel) // len(by_group)
    for g in range(len(by_group)):
        for c in range(g * width, (g + 1) * width):
            row[c] = by_group[g] * by_channel[c]
    for begin in range(channels, len(row), channels):
        for c in range(channels):
            row[begin + c] = row[c]


@njit
def _sum_groups(row, by_channel, sums):
    """The first pixel of the row becomes the sum of its pixels; then sums[g] = sum_c row[c] by_channel[c] over the channels of a group."""
    channels, width = len(by_channel), len(by_channel) // len(sums)
    for begin in range(channels, len(row), channels):
        add_to(row, row[begin : begin + channels])
    for g in range(len(sums)):
        sums[g] = dot(row[g * width : (g + 1) * width], by_channel[g * width : (g + 1) * width])


# one sample, row by row


@njit(fastmath=FUSED)
def _sum_differences(x, centre, sums):
    """sums = sums of x - centre."""
    clear(sums)
    for begin in range(0, len(x), len(sums)):
        row = x[begin : begin + len(sums)]
        for i in range(len(row)):
            sums[i] += row[i] - centre[i]


@njit(fastmath=FUSED)
def _sum_squares(x, centre, sums):
    """sums = sums of (x - centre)^2."""
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
def _sum_products(dy, x, centre, factor, sums, dots):
    """sums = sums of dy, dots = sums of dy x̂."""
    clear(sums)
    clear(dots)
    for begin in range(0, len(x), len(centre)):
        row, d = x[begin : begin + len(centre)], dy[begin : begin + len(centre)]
        for i in range(len(row)):
            sums[i] += d[i]
            dots[i] += d[i] * ((row[i] - centre[i]) * factor[i])


@njit(fastmath=FUSED)
def _silu_backward_and_sum(dy, x, centre, factor, scale, offset, d, sums, dots):
    """d = the gradient before SiLU for the gradient dy after it, sums = sums of d, dots = sums of d x̂."""
    clear(sums)
    clear(dots)
    for begin in range(0, len(x), len(centre)):
        row = x[begin : begin + len(centre)]
        above = dy[begin : begin + len(centre)]
        below = d[begin : begin + len(centre)]
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
        row = x[begin : begin + len(centre)]
        above = d[begin : begin + len(centre)]
        below = dx[begin : begin + len(centre)]
        for i in range(len(row)):
            below[i] = scale[i] * above[i] - mean[i] - slope[i] * (row[i] - centre[i])
