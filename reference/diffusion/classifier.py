"""A classifier of images: p(label | x) for clean images, or for x_t = alpha x_0 + sigma eps.

    logits = network(c_in x_t, c),   c_in = 1 / sqrt(alpha^2 sigma_data^2 + sigma^2),
    log p(label | x_t) = logits_label - log sum_k e^{logits_k}.

c_in x_t has unit variance, as in a ``Denoiser``, and depends on the ratio sigma / alpha alone: one
classifier serves every schedule.  It is trained at the ratios

    s = sigma_min (sigma_max / sigma_min)^u,   u uniform on (0, 1),   c = 1000 u.

Less noise than sigma_min counts as sigma_min and more than sigma_max as sigma_max in c, while c_in
is exact: beyond the ends of the range c_in x_t hardly changes with s.

Classifier guidance (Dhariwal and Nichol 2021) adds w ∇log p(label | x_t) to a score.  With the
gradient dlogits_k = [k = label] - p(k | x_t) of log p with respect to the logits, and J the
derivative of the network,

    ∇log p(label | x_t) = c_in Jᵀ dlogits.
"""

from dataclasses import dataclass

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.conversions import cast_like, per_sample_column
from reference.diffusion.denoiser import check_data_variance
from reference.networks.convnet import ConvNet
from reference.ops.random import Purpose

BATCH = 500  # images that are classified together: a limit on memory
SMALLEST_SIGNAL = 1e-30  # an alpha of 0 counts as this


@dataclass(frozen=True)
class Classifier:
    """``noise_range``: (sigma_min, sigma_max), the ratios sigma / alpha of training; None for clean
    images.  ``data_variance``: mean square of an entry of the data.
    """

    network: ConvNet
    data_variance: float = 1.0
    noise_range: tuple[float, float] | None = None

    def __post_init__(self):
        check_data_variance(self.data_variance)
        if self.network.noise_conditional != (self.noise_range is not None):
            raise ValueError(
                "noise_range goes with a network that is conditional on the noise level,"
                f" got {self.noise_range}"
            )
        low, high = self.noise_range or (1.0, 2.0)
        if not 0 < low < high < float("inf"):
            given = f"got {low} and {high}"
            raise ValueError(f"noise_range must satisfy 0 < sigma_min < sigma_max, {given}")

    def inputs(self, x, alpha=1.0, sigma=0.0):
        """The inputs z and c of the network for x[b,...] = alpha x_0 + sigma eps.  ``sigma``: a
        number, or an array [b].
        """
        z = per_sample_column(cast_like(self._scale(alpha, sigma), x), x) * x
        if self.noise_range is None:
            return z, None
        low, high = self.noise_range
        ratio = np.clip(sigma / max(alpha, SMALLEST_SIGNAL), low, high)
        c = 1000 * np.log(ratio / low) / np.log(high / low)
        return z, np.zeros_like(x, shape=len(x)) + cast_like(c, x)

    def _scale(self, alpha, sigma):
        """c_in."""
        return (alpha**2 * self.data_variance + sigma**2) ** -0.5

    # training

    def sample_training_noise(self, seed, sample, step, shape, dtype, ops=reference_ops):
        """u[b] and the noise [b,*shape] of a training step; nothing for clean images."""
        if self.noise_range is None:
            return ()
        u = ops.uniform(seed, sample, step, Purpose.TIME, (), np.float64)
        return u, ops.normal(seed, sample, step, Purpose.TRAINING_NOISE, shape, dtype)

    def loss(self, params, x0, u=None, noise=None, labels=None, ops=reference_ops):
        """The cross-entropy of labels[b] in nats, at the noise levels of u[b] with the given noise:
        mean, per_sample[b], the gradients of the mean by name.
        """
        x, sigma = x0, 0.0
        if self.noise_range is not None:
            low, high = self.noise_range
            sigma = low * (high / low) ** u
            x = ops.add_noise(x0, 1.0, cast_like(sigma, x0), noise)
        z, c = self.inputs(x, 1.0, sigma)
        logits, saved = self.network.forward(params, z, c, ops)
        mean, per_sample = ops.cross_entropy(logits, labels)
        each = np.full_like(x0, 1 / len(x0), shape=len(x0))
        dlogits = ops.cross_entropy_backward(each, logits, labels)
        _, gradients = self.network.backward(params, dlogits, saved, ops)
        return mean, per_sample, gradients

    # classification, at one noise level: clean images by default

    def log_probabilities(self, params, x, alpha=1.0, sigma=0.0, ops=reference_ops):
        """x[b,...] = alpha x_0 + sigma eps -> log p(label | x) [b,classes].  In batches.

        ValueError for noise, if the classifier was trained on clean images.
        """
        self._check_level(sigma)

        def of_batch(x):
            z, c = self.inputs(x, alpha, sigma)
            logits, _ = self.network.forward(params, z, c, ops, keep=False)
            below = logits - logits.max(axis=1, keepdims=True)
            return below - np.log(np.exp(below).sum(axis=1, keepdims=True))

        return _in_batches(of_batch, x)

    def features(self, params, x, alpha=1.0, sigma=0.0, ops=reference_ops):
        """x[b,...] = alpha x_0 + sigma eps -> [b,d], the input of the network's last layer.
        Batches and errors as in ``log_probabilities``.
        """
        self._check_level(sigma)

        def of_batch(x):
            z, c = self.inputs(x, alpha, sigma)
            return self.network.features(params, z, c, ops)

        return _in_batches(of_batch, x)

    def accuracy(self, params, x, labels, alpha=1.0, sigma=0.0, ops=reference_ops):
        """The share of x[b,...] with the largest log p(label | x) at its label."""
        found = self.log_probabilities(params, x, alpha, sigma, ops)
        return float((found.argmax(axis=1) == labels).mean())

    def log_probability_gradient(self, params, labels, ops=reference_ops):
        """The function (x[b,...], alpha, sigma) -> ∇log p(labels[b] | x), for guidance.  alpha and
        sigma are numbers.  ValueError as in ``log_probabilities``.
        """

        def gradient(x, alpha, sigma):
            self._check_level(sigma)
            z, c = self.inputs(x, alpha, sigma)
            logits, saved = self.network.forward(params, z, c, ops)
            minus_one = np.full_like(x, -1, shape=len(x))
            dlogits = ops.cross_entropy_backward(minus_one, logits, labels)
            dz, _ = self.network.backward(params, dlogits, saved, ops)
            return cast_like(self._scale(alpha, sigma), x) * dz

        return gradient

    def _check_level(self, sigma):
        if self.noise_range is None and sigma != 0:
            raise ValueError(
                f"sigma must be 0: the classifier was trained on clean images, got {sigma}"
            )


def _in_batches(function, x):
    starts = range(0, max(len(x), 1), BATCH)
    return np.concatenate([function(x[start : start + BATCH]) for start in starts])
