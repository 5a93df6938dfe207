"""Losses.  Each returns one number per sample, so that a caller can weight samples.  Training
reports their mean.

Backward of ``mse``.  For sample n with N entries, per_sample_n = (1/N) sum_i (y_ni - target_ni)^2,
hence dy_ni = d_per_sample_n 2 (y_ni - target_ni) / N.
"""

import numpy as np

from reference.ops.checks import Array, check, takes_out


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
