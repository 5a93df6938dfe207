"""Losses, one number a sample, so that a caller may weight samples; their mean is what training
reports.
"""

import numpy as np

from reference.ops.checks import check, takes_out


def entries(y):
    if y.size == 0:
        raise ValueError(f"a loss needs at least one sample and one entry, got shape {y.shape}")
    return y.reshape(len(y), -1)


def _broadcast(d_per_sample, y):
    return d_per_sample.reshape(-1, *[1] * (y.ndim - 1))


@takes_out
def mse(y, target):
    """y[b,...], target[b,...] -> mean, per_sample[b] = mean over a sample's entries of (y -
    target)^2; mean is their mean.
    """
    check("y[b,...] target[b,...]", y, target)
    per_sample = (entries(y - target) ** 2).mean(axis=1)
    return per_sample.mean(), per_sample


@takes_out
def mse_backward(d_per_sample, y, target):
    """d_per_sample[b], y[b,...], target[b,...] -> dy[b,...] = d_per_sample 2 (y - target) /
    entries.  For the mean, pass 1/b.
    """
    check("d_per_sample[b] y[b,...] target[b,...]", d_per_sample, y, target)
    n = entries(y).shape[1]
    return _broadcast(d_per_sample, y) * (2 * (y - target) / n)


@takes_out
def gaussian_kl(mean, log_var):
    """mean[b,...], log_var[b,...] -> per_sample[b], in nats: KL(N(mean, e^log_var) to N(0, 1))
    summed over a sample's entries.

    1/2 (mean^2 + e^log_var - 1 - log_var), never negative.
    """
    check("mean[b,...] log_var[b,...]", mean, log_var)
    return (entries(mean * mean + (np.expm1(log_var) - log_var)) / 2).sum(axis=1)


@takes_out
def gaussian_kl_backward(d_per_sample, mean, log_var):
    """d_per_sample[b] -> dmean[b,...] = d mean, dlog_var[b,...] = d (e^log_var - 1) / 2."""
    check("d_per_sample[b] mean[b,...] log_var[b,...]", d_per_sample, mean, log_var)
    entries(mean)
    d = _broadcast(d_per_sample, mean)
    return d * mean, d * (np.expm1(log_var) / 2)
