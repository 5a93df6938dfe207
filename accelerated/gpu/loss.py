"""Losses: formulas as in reference/ops/loss.py.  A block sums the entries of a sample; another kernel takes the mean of the samples.

Labels in a NumPy array are checked.  A sample with a label on the device that is out of range has a loss and gradients of NaN.
"""

import numpy as np

from accelerated.gpu.device import checks_values, cuda, math, op, xp
from accelerated.gpu.kernel import array_sum, block_max, block_sum, device_function, kernel, thread_index
from reference.ops.checks import check
from reference.ops.loss import check_cross_entropy, entries


@op
def mse(y, target):
    """y[b,...], target[b,...] -> mean, per_sample[b] = mean over a sample's entries of (y - target)^2; mean is their mean."""
    check("y[b,...] target[b,...]", y, target)
    entries(y)
    mean, per_sample = xp.empty((), y.dtype), xp.empty(len(y), y.dtype)
    _mse.blocks(len(y))(y, target, per_sample)
    _mean.blocks(1)(per_sample, mean)
    return mean, per_sample


@kernel("r* r* w*", shared=1)
def _mse(y, target, per_sample):
    shared = cuda.shared.array(0, y.dtype)
    size = y.size // per_sample.size
    begin, partial = cuda.blockIdx.x * size, y.dtype.type(0)
    for i in range(begin + cuda.threadIdx.x, begin + size, cuda.blockDim.x):
        partial += (y[i] - target[i]) * (y[i] - target[i])
    sample_sum = block_sum(shared, partial)
    if cuda.threadIdx.x == 0:
        per_sample[cuda.blockIdx.x] = sample_sum / y.dtype.type(size)


@kernel("r* w*", shared=1)
def _mean(per_sample, mean):
    batch_sum = array_sum(cuda.shared.array(0, mean.dtype), per_sample)
    if cuda.threadIdx.x == 0:
        mean[0] = batch_sum / mean.dtype.type(per_sample.size)


@op
def mse_backward(d_per_sample, y, target):
    """d_per_sample[b], y[b,...], target[b,...] -> dy[b,...] = d_per_sample 2 (y - target) / entries.  For the mean, pass 1/b."""
    check("d_per_sample[b] y[b,...] target[b,...]", d_per_sample, y, target)
    size = entries(y).shape[1]
    dy = xp.empty(y.shape, y.dtype)
    _mse_backward[y.size](d_per_sample, y, target, dy, size, 2 / size)
    return dy


@kernel("r* r* r* w* i s")
def _mse_backward(d_per_sample, y, target, dy, size, factor):
    i = thread_index()
    if i < dy.size:
        dy[i] = d_per_sample[i // size] * (factor * (y[i] - target[i]))


@op
def gaussian_kl(mean, log_var):
    """mean[b,...], log_var[b,...] -> per_sample[b], in nats: KL(N(mean, e^{log_var}) to N(0, 1)) summed over a sample's entries."""
    check("mean[b,...] log_var[b,...]", mean, log_var)
    entries(mean)
    per_sample = xp.empty(len(mean), mean.dtype)
    _gaussian_kl.blocks(len(mean))(mean, log_var, per_sample)
    return per_sample


@kernel("r* r* w*", shared=1)
def _gaussian_kl(mean, log_var, per_sample):
    shared = cuda.shared.array(0, mean.dtype)
    size = mean.size // per_sample.size
    begin, partial = cuda.blockIdx.x * size, mean.dtype.type(0)
    for i in range(begin + cuda.threadIdx.x, begin + size, cuda.blockDim.x):
        partial += mean[i] * mean[i] + (math.expm1(log_var[i]) - log_var[i])
    sample_sum = block_sum(shared, partial)
    if cuda.threadIdx.x == 0:
        per_sample[cuda.blockIdx.x] = sample_sum / mean.dtype.type(2)


@op
def gaussian_kl_backward(d_per_sample, mean, log_var):
    """d_per_sample[b] -> dmean[b,...] = d mean, dlog_var[b,...] = d (e^{log_var} - 1) / 2."""
    check("d_per_sample[b] mean[b,...] log_var[b,...]", d_per_sample, mean, log_var)
    size = entries(mean).shape[1]
    dmean, dlog_var = (xp.empty(mean.shape, mean.dtype) for _ in range(2))
    _gaussian_kl_backward[mean.size](d_per_sample, mean, log_var, dmean, dlog_var, size)
    return dmean, dlog_var


@kernel("r* r* r* w* w* i")
def _gaussian_kl_backward(d_per_sample, mean, log_var, dmean, dlog_var, size):
    i = thread_index()
    if i < dmean.size:
        d = d_per_sample[i // size]
        dmean[i] = d * mean[i]
        dlog_var[i] = d * (math.expm1(log_var[i]) / mean.dtype.type(2))


@checks_values(check_cross_entropy, "labels", "logits")
@op
def cross_entropy(logits, labels):
    """logits[b,k], labels[b] (integers) -> mean, per_sample[b], in nats: -log softmax(logits) at the label; mean is their mean."""
    check("logits[b,k] labels:int[b]", logits, labels)
    entries(logits)
    mean, per_sample = xp.empty((), logits.dtype), xp.empty(len(logits), logits.dtype)
    _cross_entropy.blocks(len(logits))(logits, labels.astype(np.int64, copy=False), per_sample, logits.shape[1], np.nan)
    _mean.blocks(1)(per_sample, mean)
    return mean, per_sample


@device_function
def _largest_and_sum(shared, logits, begin, end):
    """The largest of the logits from ``begin`` to ``end``, and the sum of e^{logit - largest}, by one block."""
    largest = logits[begin]
    for i in range(begin + cuda.threadIdx.x, end, cuda.blockDim.x):
        largest = largest if logits[i] <= largest else logits[i]
    largest = block_max(shared, largest)
    partial = logits.dtype.type(0)
    for i in range(begin + cuda.threadIdx.x, end, cuda.blockDim.x):
        partial += math.exp(logits[i] - largest)
    return largest, block_sum(shared, partial)


@kernel("r* rI* w* i s", shared=1)
def _cross_entropy(logits, labels, per_sample, classes, out_of_range):
    shared = cuda.shared.array(0, logits.dtype)
    sample = cuda.blockIdx.x
    begin, label = sample * classes, labels[sample]
    largest, total = _largest_and_sum(shared, logits, begin, begin + classes)
    if cuda.threadIdx.x == 0:
        in_range = 0 <= label < classes
        per_sample[sample] = math.log(total) - (logits[begin + label] - largest) if in_range else out_of_range


@checks_values(check_cross_entropy, "labels", "logits")
@op
def cross_entropy_backward(d_per_sample, logits, labels):
    """d_per_sample[b], logits[b,k], labels[b] -> dlogits[b,k] = d_per_sample (softmax - one-hot).  For the mean, pass 1/b."""
    check("logits[b,k] labels:int[b]", logits, labels)
    entries(logits)
    check("d_per_sample[b] logits[b,k]", d_per_sample, logits)
    dlogits = xp.empty(logits.shape, logits.dtype)
    arguments = d_per_sample, logits, labels.astype(np.int64, copy=False), dlogits, logits.shape[1], np.nan
    _cross_entropy_backward.blocks(len(logits))(*arguments)
    return dlogits


@kernel("r* r* rI* w* i s", shared=1)
def _cross_entropy_backward(d_per_sample, logits, labels, dlogits, classes, out_of_range):
    shared = cuda.shared.array(0, logits.dtype)
    one, sample = logits.dtype.type(1), cuda.blockIdx.x
    begin, label = sample * classes, labels[sample]
    largest, total = _largest_and_sum(shared, logits, begin, begin + classes)
    d = d_per_sample[sample] if 0 <= label < classes else out_of_range
    for k in range(cuda.threadIdx.x, classes, cuda.blockDim.x):
        p = math.exp(logits[begin + k] - largest) / total
        dlogits[begin + k] = d * (p - one if k == label else p)
