"""Losses.  Each returns one number per sample, so that a caller can weight samples.  Training
reports their mean.

Backward of ``mse``.  For sample n with N entries, per_sample_n = (1/N) sum_i (y_ni - target_ni)^2,
hence dy_ni = d_per_sample_n 2 (y_ni - target_ni) / N.

Cross-entropy of the label y with p = softmax(l), the probabilities of the logits l_1 .. l_K:

    L = -log p_y = log sum_k e^{l_k} - l_y = log sum_k e^{l_k - m} - (l_y - m),   m = max_k l_k.

The exponents of the last form are at most 0 and one of them is 0: the sum lies in [1, K], and
nothing overflows.

Backward.  d/dl_j log sum_k e^{l_k} = e^{l_j} / sum_k e^{l_k} = p_j and dl_y/dl_j = [j = y], hence
dl_j = d_per_sample (p_j - [j = y]).  The gradients of a sample sum to 0: L does not change if all
logits grow by the same number.
"""

import numpy as np

from reference.ops.activation import softmax
from reference.ops.checks import Array, Integers, check, check_label_range, takes_out


def entries(y: Array) -> Array:
    """y[b,...] -> [b,n], the entries of each sample.  ValueError if there are none."""
    if y.size == 0:
        raise ValueError(f"a loss needs at least one sample and one entry, got shape {y.shape}")
    return y.reshape(len(y), -1)


def _broadcast(d_per_sample: Array, y: Array) -> Array:
    """d_per_sample[b] in a shape that broadcasts against y[b,...]."""
    return d_per_sample.reshape(-1, *[1] * (y.ndim - 1))


@takes_out
def mse(y: Array, target: Array) -> tuple[Array, Array]:
    """y[b,...], target[b,...] -> mean, per_sample[b].  per_sample is the mean of (y - target)^2
    over the entries of a sample, ``mean`` the mean of per_sample.
    """
    check("y[b,...] target[b,...]", y, target)
    per_sample: Array = (entries(y - target) ** 2).mean(axis=1)
    mean: Array = per_sample.mean()
    return mean, per_sample


@takes_out
def mse_backward(d_per_sample: Array, y: Array, target: Array) -> Array:
    """d_per_sample[b], y[b,...], target[b,...] -> dy[b,...].  For the gradient of the mean,
    d_per_sample is 1/b.
    """
    check("d_per_sample[b] y[b,...] target[b,...]", d_per_sample, y, target)
    n = entries(y).shape[1]
    dy: Array = _broadcast(d_per_sample, y) * (2 * (y - target) / n)
    return dy


@takes_out
def gaussian_kl(mean: Array, log_var: Array) -> Array:
    """mean[b,...], log_var[b,...] -> per_sample[b], in nats: KL(N(mean, e^{log_var}) ‖ N(0, 1))
    summed over the entries of a sample.

    Each entry contributes 1/2 (mean^2 + e^{log_var} - 1 - log_var), never negative.
    """
    check("mean[b,...] log_var[b,...]", mean, log_var)
    kl: Array = (entries(mean * mean + (np.expm1(log_var) - log_var)) / 2).sum(axis=1)
    return kl


@takes_out
def gaussian_kl_backward(d_per_sample: Array, mean: Array, log_var: Array) -> tuple[Array, Array]:
    """d_per_sample[b] -> dmean[b,...] = d_per_sample mean,
    dlog_var[b,...] = d_per_sample (e^{log_var} - 1) / 2.
    """
    check("d_per_sample[b] mean[b,...] log_var[b,...]", d_per_sample, mean, log_var)
    entries(mean)
    d = _broadcast(d_per_sample, mean)
    return d * mean, d * (np.expm1(log_var) / 2)


def check_cross_entropy(logits: Array, labels: Integers) -> None:
    """Check the arguments of ``cross_entropy``."""
    check("logits[b,k] labels:int[b]", logits, labels)
    entries(logits)
    check_label_range(labels, logits.shape[1])


@takes_out
def cross_entropy(logits: Array, labels: Integers) -> tuple[Array, Array]:
    """logits[b,k], labels[b] (integers) -> mean, per_sample[b], in nats: -log softmax(logits) at
    the label.  ``mean`` is the mean of per_sample.
    """
    check_cross_entropy(logits, labels)
    # a difference below the smallest number overflows to -inf; its exponential is 0
    with np.errstate(over="ignore"):
        below = logits - logits.max(axis=1, keepdims=True)
    per_sample: Array = np.log(np.exp(below).sum(axis=1)) - below[np.arange(len(labels)), labels]
    mean: Array = per_sample.mean()
    return mean, per_sample


@takes_out
def cross_entropy_backward(d_per_sample: Array, logits: Array, labels: Integers) -> Array:
    """d_per_sample[b], logits[b,k], labels[b] -> dlogits[b,k] = d_per_sample (softmax - one-hot).
    For the gradient of the mean, d_per_sample is 1/b.
    """
    check_cross_entropy(logits, labels)
    check("d_per_sample[b] logits[b,k]", d_per_sample, logits)
    dlogits: Array = softmax(logits)
    dlogits[np.arange(len(labels)), labels] -= 1
    return _broadcast(d_per_sample, logits) * dlogits
