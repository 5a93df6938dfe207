"""Group normalisation, alone and followed by SiLU: formulas as in reference/ops/norm.py.

A block normalises one group of one sample.  Its threads form rows: the ``row_threads`` neighbouring threads of a row take neighbouring
channels of a pixel, and each row of threads takes every ``rows``-th pixel, so that no thread divides to find its entry.

The forward kernel passes over the group three times: for the mean, of the differences from the group's first entry; for the variance; for
the result.  Where squares overflow, it repeats the first two with differences scaled down.  The backward kernel passes twice: for the sums
of each channel, which give the group's two means and, added over the samples, dscale and dshift; for dx.  The first pass reads memory, the
others the cache, as long as the cache holds the groups of all running blocks.
"""

import numpy as np

from accelerated.gpu.activation import logistic, silu_vjp
from accelerated.gpu.device import cuda, math, op, xp
from accelerated.gpu.kernel import block_sum, kernel, threads_per_row
from accelerated.gpu.linear import column_sums
from reference.ops.norm import check_backward, check_forward

INFINITY = np.float32(np.inf)


@op
def group_norm(x, scale, shift, groups, eps=1e-5):
    """x[b,...,c], scale[c], shift[c] -> y[b,...,c], mean[b,g], rstd[b,g].  A group is c/g consecutive channels of one sample."""
    return _results(x, scale, shift, groups, eps, False)


@op
def group_norm_silu(x, scale, shift, groups, eps=1e-5):
    """``silu(group_norm(x))``, with the same arguments and statistics."""
    return _results(x, scale, shift, groups, eps, True)


@op
def group_norm_backward(dy, x, scale, shift, groups, mean, rstd):
    """Gradients of ``group_norm``, from its statistics.  dy[b,...,c] -> dx[b,...,c], dscale[c], dshift[c]."""
    return _gradients(dy, x, scale, shift, groups, mean, rstd, False)


@op
def group_norm_silu_backward(dy, x, scale, shift, groups, mean, rstd):
    """Gradients of ``group_norm_silu``.  dy[b,...,c] -> dx[b,...,c], dscale[c], dshift[c]."""
    return _gradients(dy, x, scale, shift, groups, mean, rstd, True)


def _results(x, scale, shift, groups, eps, with_silu):
    check_forward(x, scale, shift, groups, eps)
    y, mean, rstd = (xp.empty(shape, x.dtype) for shape in (x.shape, (len(x), groups), (len(x), groups)))
    small = 2.0 ** (np.finfo(x.dtype).maxexp * -5 // 8)  # (small d)^2 doesn't overflow, and doesn't underflow where d^2 overflows
    _forward.blocks(mean.size)(x, scale, shift, y, mean, rstd, groups, threads_per_row(scale.size // groups), eps, small, with_silu)
    return y, mean, rstd


def _gradients(dy, x, scale, shift, groups, mean, rstd, with_silu):
    check_backward(dy, x, scale, shift, groups, mean, rstd)
    dx, sums = xp.empty(x.shape, x.dtype), xp.empty((len(x), 2 * scale.size), x.dtype)
    _backward.blocks(mean.size)(dy, x, scale, shift, mean, rstd, dx, sums, groups, threads_per_row(scale.size // groups), with_silu)
    sums = column_sums(sums)[0]
    return dx, sums[: scale.size], sums[scale.size :]


@kernel("r* r* r* w* w* w* i i s s b", shared=1)
def _forward(x, scale, shift, y, mean, rstd, groups, row_threads, eps, small, with_silu):
    shared = cuda.shared.array(0, x.dtype)
    thread = cuda.threadIdx.x
    here = cuda.blockIdx.x
    sample, group = here // groups, here % groups
    channels = scale.size
    size = x.size // mean.size * groups  # entries of a sample
    width = channels // groups
    first_channel = group * width
    begin, end = sample * size + first_channel, (sample + 1) * size
    thread_column = thread % row_threads
    first_pixel = begin + thread // row_threads * channels
    step = cuda.blockDim.x // row_threads * channels
    zero = x.dtype.type(0)
    entries = x.dtype.type(x.size // mean.size)  # of a group
    first = x[begin]
    s = x.dtype.type(1)
    from_first, variance = zero, zero
    for again in range(2):
        partial = zero
        for channel in range(thread_column, width, row_threads):
            for i in range(first_pixel + channel, end, step):
                partial += s * (x[i] - first)
        from_first = block_sum(shared, partial) / entries
        partial = zero
        for channel in range(thread_column, width, row_threads):
            for i in range(first_pixel + channel, end, step):
                d = s * (x[i] - first) - from_first
                partial += d * d
        variance = block_sum(shared, partial) / entries
        if variance < x.dtype.type(INFINITY) or again:
            break
        s = small
    centre = first + from_first / s
    factor = s / math.sqrt(variance + s * s * eps)
    if thread == 0:
        mean[here] = centre
        rstd[here] = factor
    for channel in range(thread_column, width, row_threads):
        slope, offset = factor * scale[first_channel + channel], shift[first_channel + channel]
        for i in range(first_pixel + channel, end, step):
            v = (x[i] - centre) * slope + offset
            y[i] = v * logistic(v) if with_silu else v


@kernel("r* r* r* r* r* r* w* w* i i b", shared=2)
def _backward(dy, x, scale, shift, mean, rstd, dx, sums, groups, row_threads, with_silu):
    """sums[b,2,c] = the sums of d x̂ and of d over the pixels of a sample; d is dy, or with SiLU its vector-Jacobian product."""
    shared = cuda.shared.array(0, x.dtype)
    thread = cuda.threadIdx.x
    threads = cuda.blockDim.x
    here = cuda.blockIdx.x
    sample, group = here // groups, here % groups
    channels = scale.size
    size = x.size // mean.size * groups  # entries of a sample
    width = channels // groups
    first_channel = group * width
    begin, end = sample * size + first_channel, (sample + 1) * size
    thread_row, thread_column = thread // row_threads, thread % row_threads
    rows = threads // row_threads
    first_pixel = begin + thread_row * channels
    step = rows * channels
    zero = x.dtype.type(0)
    entries = x.dtype.type(x.size // mean.size)  # of a group
    centre, factor = mean[here], rstd[here]
    mean_d, mean_dot = zero, zero
    for first_column in range(0, width, row_threads):
        channel = first_column + thread_column
        sum_d, sum_dot = zero, zero
        if channel < width:
            a, b = scale[first_channel + channel], shift[first_channel + channel]
            for i in range(first_pixel + channel, end, step):
                xhat = (x[i] - centre) * factor
                d = silu_vjp(dy[i], xhat * a + b) if with_silu else dy[i]
                sum_d += d
                sum_dot += d * xhat
        shared[thread] = sum_d
        shared[threads + thread] = sum_dot
        cuda.syncthreads()
        half = rows // 2
        while half > 0:
            if thread_row < half:
                shared[thread] += shared[thread + half * row_threads]
                shared[threads + thread] += shared[threads + thread + half * row_threads]
            cuda.syncthreads()
            half //= 2
        if thread_row == 0 and channel < width:
            a = scale[first_channel + channel]
            at = 2 * sample * channels + first_channel + channel
            mean_d += a * shared[thread]
            mean_dot += a * shared[threads + thread]
            sums[at] = shared[threads + thread]
            sums[at + channels] = shared[thread]
        cuda.syncthreads()
    mean_d = block_sum(shared, mean_d) / entries
    mean_dot = block_sum(shared, mean_dot) / entries
    for channel in range(thread_column, width, row_threads):
        a, b = scale[first_channel + channel], shift[first_channel + channel]
        for i in range(first_pixel + channel, end, step):
            xhat = (x[i] - centre) * factor
            d = silu_vjp(dy[i], xhat * a + b) if with_silu else dy[i]
            dx[i] = factor * (a * d - mean_d - xhat * mean_dot)
