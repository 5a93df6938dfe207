"""Losses: formulas as in reference/ops/loss.py."""

import numpy as np
from numba import njit, prange

from accelerated.cpu.activation import largest_of, softmax_row
from accelerated.cpu.blocks import block_count, items_per_block, span
from accelerated.cpu.contiguous import SUM
from accelerated.cpu.elementary import FUSED, exp, expm1, log
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import aligned_empty
from reference.ops.checks import check, takes_out
from reference.ops.loss import check_cross_entropy, entries


@takes_out
def mse(y, target):
    """y[b,...], target[b,...] -> mean, per_sample[b]: the mean of (y - target)^2 over a sample's entries, and its mean over samples."""
    check("y[b,...] target[b,...]", y, target)
    entries(y)
    per_sample = np.empty(len(y), y.dtype)
    mean = _mse(y, target, per_sample)
    return y.dtype.type(mean), per_sample


@kernel("r* r* w1")
def _mse(y, target, per_sample):
    samples, size = len(per_sample), y.size // len(per_sample)
    for block in prange(block_count(samples, items_per_block(size))):
        begin, end = span(block, samples, items_per_block(size))
        for n in range(begin, end):
            sample = slice(n * size, (n + 1) * size)
            per_sample[n] = _squares(y[sample], target[sample]) / size
    return _mean(per_sample)


@njit
def _squares(y, target):
    total = y.dtype.type(0)
    for block in range(block_count(len(y))):
        begin, end = span(block, len(y))
        total += _squares_part(y[begin:end], target[begin:end])
    return total


@njit(fastmath=SUM)
def _squares_part(y, target):
    total = y.dtype.type(0)
    for i in range(len(y)):
        total += (y[i] - target[i]) * (y[i] - target[i])
    return total


@njit(fastmath=SUM)
def _mean(per_sample):
    total = 0.0
    for n in range(len(per_sample)):
        total += per_sample[n]
    return total / len(per_sample)


@takes_out
def mse_backward(d_per_sample, y, target):
    """d_per_sample[b], y[b,...], target[b,...] -> dy[b,...] = d_per_sample 2 (y - target) / entries.  For the mean, pass 1/b."""
    check("d_per_sample[b] y[b,...] target[b,...]", d_per_sample, y, target)
    entries(y)
    dy = aligned_empty(y.shape, y.dtype)
    _mse_backward(d_per_sample, y, target, dy)
    return dy


@kernel("r1 r* r* w*")
def _mse_backward(d_per_sample, y, target, dy):
    samples, size = len(d_per_sample), y.size // len(d_per_sample)
    for block in prange(block_count(samples, items_per_block(size))):
        begin, end = span(block, samples, items_per_block(size))
        for n in range(begin, end):
            sample = slice(n * size, (n + 1) * size)
            _scale_difference(y.dtype.type(2 * d_per_sample[n] / size), y[sample], target[sample], dy[sample])


@njit
def _scale_difference(factor, y, target, dy):
    for i in range(len(y)):
        dy[i] = factor * (y[i] - target[i])


@takes_out
def gaussian_kl(mean, log_var):
    """mean[b,...], log_var[b,...] -> per_sample[b], in nats: KL(N(mean, e^{log_var}) ‖ N(0, 1)) summed over a sample's entries."""
    check("mean[b,...] log_var[b,...]", mean, log_var)
    entries(mean)
    per_sample = np.empty(len(mean), mean.dtype)
    _gaussian_kl(mean, log_var, per_sample)
    return per_sample


@kernel("r* r* w1")
def _gaussian_kl(mean, log_var, per_sample):
    samples, size = len(per_sample), mean.size // len(per_sample)
    for block in prange(block_count(samples, items_per_block(size))):
        begin, end = span(block, samples, items_per_block(size))
        for n in range(begin, end):
            sample = slice(n * size, (n + 1) * size)
            per_sample[n] = _divergence(mean[sample], log_var[sample])


@njit
def _divergence(mean, log_var):
    total = mean.dtype.type(0)
    for block in range(block_count(len(mean))):
        begin, end = span(block, len(mean))
        total += _divergence_part(mean[begin:end], log_var[begin:end])
    return total / 2


@njit(fastmath=SUM)
def _divergence_part(mean, log_var):
    total = mean.dtype.type(0)
    for i in range(len(mean)):
        total += _divergence_entry(mean[i], log_var[i])
    return total


@njit(fastmath=FUSED)
def _divergence_entry(mean, log_var):
    return mean * mean + (expm1(log_var) - log_var)


@takes_out
def gaussian_kl_backward(d_per_sample, mean, log_var):
    """d_per_sample[b] -> dmean[b,...] = d mean, dlog_var[b,...] = d (e^{log_var} - 1) / 2, with d = d_per_sample."""
    check("d_per_sample[b] mean[b,...] log_var[b,...]", d_per_sample, mean, log_var)
    entries(mean)
    dmean, dlog_var = aligned_empty(mean.shape, mean.dtype), aligned_empty(mean.shape, mean.dtype)
    _gaussian_kl_backward(d_per_sample, mean, log_var, dmean, dlog_var)
    return dmean, dlog_var


@kernel("r1 r* r* w* w*")
def _gaussian_kl_backward(d_per_sample, mean, log_var, dmean, dlog_var):
    samples, size = len(d_per_sample), mean.size // len(d_per_sample)
    for block in prange(block_count(samples, items_per_block(size))):
        begin, end = span(block, samples, items_per_block(size))
        for n in range(begin, end):
            sample = slice(n * size, (n + 1) * size)
            _gaussian_kl_backward_part(d_per_sample[n], mean[sample], log_var[sample], dmean[sample], dlog_var[sample])


@njit
def _gaussian_kl_backward_part(d, mean, log_var, dmean, dlog_var):
    half = mean.dtype.type(0.5)
    for i in range(len(mean)):
        dmean[i] = d * mean[i]
        dlog_var[i] = d * (half * expm1(log_var[i]))


@takes_out
def cross_entropy(logits, labels):
    """logits[b,k], labels[b] (integers) -> mean, per_sample[b], in nats: -log softmax(logits) at the label, and its mean over samples."""
    check_cross_entropy(logits, labels)
    per_sample = np.empty(len(logits), logits.dtype)
    mean = _cross_entropy(logits, labels.astype(np.int64, copy=False), per_sample)
    return logits.dtype.type(mean), per_sample


@kernel("r2 rI1 w1")
def _cross_entropy(logits, labels, per_sample):
    rows = items_per_block(logits.shape[1])
    for block in prange(block_count(len(logits), rows)):
        begin, end = span(block, len(logits), rows)
        for n in range(begin, end):
            largest = largest_of(logits[n])
            per_sample[n] = log(_sum_of_exp(logits[n], largest)) - (logits[n, labels[n]] - largest)
    return _mean(per_sample)


@njit(fastmath=SUM)
def _sum_of_exp(x, largest):
    total = x.dtype.type(0)
    for i in range(len(x)):
        total += exp(x[i] - largest)
    return total


@takes_out
def cross_entropy_backward(d_per_sample, logits, labels):
    """d_per_sample[b], logits[b,k], labels[b] -> dlogits[b,k] = d_per_sample (softmax - one-hot).  For the mean, pass 1/b."""
    check_cross_entropy(logits, labels)
    check("d_per_sample[b] logits[b,k]", d_per_sample, logits)
    dlogits = aligned_empty(logits.shape, logits.dtype)
    _cross_entropy_backward(d_per_sample, logits, labels.astype(np.int64, copy=False), dlogits)
    return dlogits


@kernel("r1 r2 rI1 w2")
def _cross_entropy_backward(d_per_sample, logits, labels, dlogits):
    rows = items_per_block(logits.shape[1])
    for block in prange(block_count(len(logits), rows)):
        begin, end = span(block, len(logits), rows)
        for n in range(begin, end):
            softmax_row(logits[n], dlogits[n])
            dlogits[n, labels[n]] -= 1
            for k in range(dlogits.shape[1]):
                dlogits[n, k] *= d_per_sample[n]
