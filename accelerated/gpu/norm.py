"""Group normalisation, alone and followed by SiLU: formulas as in reference/ops/norm.py.

A block has one group of one sample.  Threads side by side take neighbouring channels, the lanes; those of one lane take every so many
pixels, so that no thread divides to find its place.  The forward passes over the group three times: for the mean, from the differences
to the group's first entry; for the variance; for the result.  Where squares overflow it finds mean and variance once more, of differences
made small.  The backward passes twice: for the sums of each channel, which give the group's two means and, added over the samples, dscale
and dshift; for dx.  Only the first pass comes from memory, the others from the cache, as long as it holds the groups that are at work.
"""

import numpy as np

from accelerated.gpu.activation import below_silu, logistic
from accelerated.gpu.device import cuda, math, op, xp
from accelerated.gpu.kernel import kernel, lanes, total
from accelerated.gpu.linear import column_sums
from reference.ops.norm import check_backward, check_forward

INFINITY = np.float32(np.inf)


@op
def group_norm(x, scale, shift, groups, eps=1e-5):
    """x[b,...,c], scale[c], shift[c] -> y[b,...,c], mean[b,g], rstd[b,g].  A group is c/g consecutive channels of one sample."""
    return _results(x, scale, shift, groups, eps, False)


@op
def group_norm_silu(x, scale, shift, groups, eps=1e-5):
    """``silu(group_norm(x))``, arguments and statistics as there."""
    return _results(x, scale, shift, groups, eps, True)


@op
def group_norm_backward(dy, x, scale, shift, groups, mean, rstd):
    """Gradients of ``group_norm``, from the statistics that it returned.  dy[b,...,c] -> dx[b,...,c], dscale[c], dshift[c]."""
    return _gradients(dy, x, scale, shift, groups, mean, rstd, False)


@op
def group_norm_silu_backward(dy, x, scale, shift, groups, mean, rstd):
    """Gradients of ``group_norm_silu``.  dy[b,...,c] -> dx[b,...,c], dscale[c], dshift[c]."""
    return _gradients(dy, x, scale, shift, groups, mean, rstd, True)


def _results(x, scale, shift, groups, eps, with_silu):
    check_forward(x, scale, shift, groups, eps)
    y, mean, rstd = (xp.empty(shape, x.dtype) for shape in (x.shape, (len(x), groups), (len(x), groups)))
    small = 2.0 ** (np.finfo(x.dtype).maxexp * -5 // 8)  # squares of differences times it don't overflow, nor underflow if they did
    _forward.blocks(mean.size)(x, scale, shift, y, mean, rstd, groups, lanes(scale.size // groups), eps, small, with_silu)
    return y, mean, rstd


def _gradients(dy, x, scale, shift, groups, mean, rstd, with_silu):
    check_backward(dy, x, scale, shift, groups, mean, rstd)
    dx, sums = xp.empty(x.shape, x.dtype), xp.empty((len(x), 2 * scale.size), x.dtype)
    _backward.blocks(mean.size)(dy, x, scale, shift, mean, rstd, dx, sums, groups, lanes(scale.size // groups), with_silu)
    sums = column_sums(sums)[0]
    return dx, sums[: scale.size], sums[scale.size :]


@kernel("r* r* r* w* w* w* i i s s b", shared=1)
def _forward(x, scale, shift, y, mean, rstd, groups, wide, eps, small, with_silu):
    shared, thread, here = cuda.shared.array(0, x.dtype), cuda.threadIdx.x, cuda.blockIdx.x
    channels, size = scale.size, x.size // mean.size * groups
    width, first_channel = channels // groups, here % groups * (channels // groups)
    begin, end = here // groups * size + first_channel, (here // groups + 1) * size
    lane, first_pixel, step = thread % wide, begin + thread // wide * channels, cuda.blockDim.x // wide * channels
    first, zero, s, entries = x[begin], x.dtype.type(0), x.dtype.type(1), x.dtype.type(x.size // mean.size)
    from_first, variance = zero, zero
    for again in range(2):
        part = zero
        for channel in range(lane, width, wide):
            for i in range(first_pixel + channel, end, step):
                part += s * (x[i] - first)
        from_first, part = total(shared, part) / entries, zero
        for channel in range(lane, width, wide):
            for i in range(first_pixel + channel, end, step):
                d = s * (x[i] - first) - from_first
                part += d * d
        variance = total(shared, part) / entries
        if variance < x.dtype.type(INFINITY) or again:
            break
        s = small
    centre, factor = first + from_first / s, s / math.sqrt(variance + s * s * eps)
    if thread == 0:
        mean[here] = centre
        rstd[here] = factor
    for channel in range(lane, width, wide):
        slope, offset = factor * scale[first_channel + channel], shift[first_channel + channel]
        for i in range(first_pixel + channel, end, step):
            v = (x[i] - centre) * slope + offset
            y[i] = v * logistic(v) if with_silu else v


@kernel("r* r* r* r* r* r* w* w* i i b", shared=2)
def _backward(dy, x, scale, shift, mean, rstd, dx, sums, groups, wide, with_silu):
    """sums[b,2,c] = those over a sample's pixels of dy x^ and of dy, which is sent back through SiLU first."""
    shared, thread, threads, here = cuda.shared.array(0, x.dtype), cuda.threadIdx.x, cuda.blockDim.x, cuda.blockIdx.x
    channels, size = scale.size, x.size // mean.size * groups
    width, first_channel, sample = channels // groups, here % groups * (channels // groups), here // groups
    begin, end = sample * size + first_channel, (sample + 1) * size
    lane, line, lines = thread % wide, thread // wide, threads // wide
    first_pixel, step = begin + line * channels, lines * channels
    zero, entries, centre, factor = x.dtype.type(0), x.dtype.type(x.size // mean.size), mean[here], rstd[here]
    mean_d, mean_dot = zero, zero
    for first_lane in range(0, width, wide):
        channel, of_d, of_dot = first_lane + lane, zero, zero
        if channel < width:
            a, b = scale[first_channel + channel], shift[first_channel + channel]
            for i in range(first_pixel + channel, end, step):
                xhat = (x[i] - centre) * factor
                d = below_silu(dy[i], xhat * a + b) if with_silu else dy[i]
                of_d += d
                of_dot += d * xhat
        shared[thread] = of_d
        shared[threads + thread] = of_dot
        cuda.syncthreads()
        half = lines // 2
        while half > 0:
            if line < half:
                shared[thread] += shared[thread + half * wide]
                shared[threads + thread] += shared[threads + thread + half * wide]
            cuda.syncthreads()
            half //= 2
        if line == 0 and channel < width:
            a, at = scale[first_channel + channel], 2 * sample * channels + first_channel + channel
            mean_d += a * shared[thread]
            mean_dot += a * shared[threads + thread]
            sums[at] = shared[threads + thread]
            sums[at + channels] = shared[thread]
        cuda.syncthreads()
    mean_d = total(shared, mean_d) / entries
    mean_dot = total(shared, mean_dot) / entries
    for channel in range(lane, width, wide):
        a, b = scale[first_channel + channel], shift[first_channel + channel]
        for i in range(first_pixel + channel, end, step):
            xhat = (x[i] - centre) * factor
            d = below_silu(dy[i], xhat * a + b) if with_silu else dy[i]
            dx[i] = factor * (a * d - mean_d - xhat * mean_dot)
