"""Conditions: a network with a label for each sample, and classifier-free guidance (Ho and Salimans
2022).

A network that was trained with label dropout predicts with a label c and without one.  Guidance
with weight w combines both:

    w s(x | c) + (1 - w) s(x).

w = 0 is unconditional, w = 1 conditional, and w above 1 moves away from the unconditional
prediction.  Ho and Salimans write (1 + w) s(x | c) - w s(x): their w is ours minus 1.  The score,
the noise, x_0 and v at one (x, t) are affine functions of each other with the same coefficients for
both parts, and the weights sum to 1.  So guidance of any of them is guidance of all, and of the
network's output.

The null label, for no label, is a learned row of the network's class table, the last one.  For
captions it is a caption of one learned token of its own.
"""

from dataclasses import replace

import numpy as np

from reference import ops as reference_ops
from reference.networks.text import NULL, PAD
from reference.ops.random import Purpose


def guide(conditional, unconditional, weight):
    """weight conditional + (1 - weight) unconditional, for scores or predictions [b,...]."""
    return weight * conditional + (1 - weight) * unconditional


def null_label(network):
    """The label for no label, the last row of the class table."""
    return network.classes - 1


def null_labels(labels, network):
    """As many labels for no label as there are in ``labels``: [b], or tokens [b,m] of captions."""
    if labels.ndim == 1:
        return np.full_like(labels, null_label(network))
    null = np.full_like(labels, PAD)
    null[:, :1] = NULL
    return null


def drop_labels(labels, network, settings, step, ops=reference_ops, first=0):
    """labels[b], or tokens [b,m], of the training step ``step``, those of a sample replaced by the
    null label with probability ``settings.label_dropout``.  ``first``: the place of the first of
    them in the batch.
    """
    if not settings.label_dropout:
        return labels
    sample = np.arange(first, first + len(labels), like=labels)
    u = ops.uniform(settings.seed, sample, step, Purpose.LABEL_DROPOUT, (), np.float64)
    dropped = (u < settings.label_dropout).reshape(-1, *[1] * (labels.ndim - 1))
    return np.where(dropped, null_labels(labels, network), labels)


class GuidedNetwork:
    """``network`` with fixed labels[b], or tokens [b,m], and guidance.  Its callers give no labels,
    so samplers and likelihoods use it as any other network.

    ``weight``: w above.  ``interval``: the smallest and the largest network time c with guidance;
    outside of it the network is conditional (Kynkäänniemi et al. 2024).  c must be one time for
    all samples, as it is in samplers.  Both predictions come from one call of the network.
    """

    classes = vocabulary = 0

    def __init__(self, network, labels, weight=1.0, interval=(-np.inf, np.inf)):
        self.network, self.labels, self.weight, self.interval = network, labels, weight, interval

    def __getattr__(self, name):
        return getattr(self.network, name)

    def forward(self, params, x, c, ops=reference_ops, labels=None, keep=True):
        """x[b,...], c[b] -> the guided output, saved.  ``labels`` must be None."""
        weight = self._weight_at(c)
        null = null_labels(self.labels, self.network)
        if weight in (0, 1):
            own = self.labels if weight else null
            y, saved = self.network.forward(params, x, c, ops, own, keep)
            return y, (weight, saved)
        twice = lambda array: np.concatenate((array, array))
        both = np.concatenate((self.labels, null))
        y, saved = self.network.forward(params, twice(x), twice(c), ops, both, keep)
        conditional, unconditional = y[: len(x)], y[len(x) :]
        guided = guide(conditional, unconditional, weight)
        # a learned variance is the conditional one
        n = x.shape[-1]
        guided[..., n:] = conditional[..., n:]
        return guided, (weight, saved)

    def backward(self, params, dy, saved, ops=reference_ops):
        """dy of the shape of the output -> dx, gradients by parameter name.

        y = w y_c + (1 - w) y_u gives dy_c = w dy and dy_u = (1 - w) dy, and dx is the sum of both
        passes' gradients.
        """
        weight, saved = saved
        if weight in (0, 1):
            return self.network.backward(params, dy, saved, ops)
        conditional, unconditional = weight * dy, (1 - weight) * dy
        n = self.network.sample_shape[-1]
        conditional[..., n:], unconditional[..., n:] = dy[..., n:], 0
        both = np.concatenate((conditional, unconditional))
        dx, gradients = self.network.backward(params, both, saved, ops)
        return dx[: len(dy)] + dx[len(dy) :], gradients

    def _weight_at(self, c):
        low, high = self.interval
        if (low, high) == (-np.inf, np.inf) or bool(((low <= c) & (c <= high)).all()):
            return self.weight
        return 1.0


def fixed_labels(model, labels, weight=1.0, interval=(-np.inf, np.inf)):
    """A copy of the model whose network is a ``GuidedNetwork``."""
    return replace(model, network=GuidedNetwork(model.network, labels, weight, interval))
