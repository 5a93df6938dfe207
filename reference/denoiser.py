"""A network with all that turns it into a prediction about x_t: the schedule, what it predicts, and how its input is scaled.

The network sees x_t scaled to unit variance, x_t / sqrt(alpha^2 v + sigma^2) for data of variance v per entry, and the schedule's real
``condition`` in [0, 1000].

A model, this one or another (vae/vae.py, ddpm/indi.py), is what ``training.train`` trains: it has ``network``, ``draw`` for the
random numbers of a step, and ``loss``, which is a function of these.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from reference import ops as reference_ops
from reference.conversions import column, conversion, convert, row
from reference.ddpm.ddpm import forward, simple_loss
from reference.ops.random import Purpose
from reference.placement import for_each, in_dtype, place, replayed

TRAINABLE = ("noise", "x0", "v")


def best_noise(law, schedule, x, t):
    """E[eps | x_t] by the exact law of the data, a ``Mixture``: no network is better.  x[b,d], each sample at a time t[b] of its own."""
    noise = np.empty(x.shape)
    for time in np.unique(t):
        chosen = t == time
        noise[chosen] = law.noise(x[chosen].astype(np.float64), schedule.signal(time), schedule.noise_scale(time))
    return noise


def check_data_variance(data_variance):
    if not 0 < data_variance < float("inf"):
        raise ValueError(f"data_variance must be a positive number, got {data_variance}")


@dataclass(frozen=True)
class Denoiser:
    """``network``: see reference/networks.  ``schedule``: a ``Schedule``, or an ``SDE``, whose times are real numbers.

    ``data_variance``: mean square of an entry of the data.
    """

    network: Any
    schedule: Any
    prediction: str = "noise"
    data_variance: float = 1.0

    def __post_init__(self):
        if self.prediction not in TRAINABLE:
            raise ValueError(f"prediction must be one of {', '.join(TRAINABLE)}, got {self.prediction!r}")
        check_data_variance(self.data_variance)

    def input_scale(self, signal_power, noise_power):
        """1 / sqrt(alpha^2 v + sigma^2), which brings x to unit variance."""
        return (signal_power * self.data_variance + noise_power) ** -0.5

    def predict(self, params, x, t, labels=None, ops=reference_ops, keep=True):
        """x[b,...] at times t[b] -> what the network says, saved (see networks)."""
        scale = self.input_scale(self.schedule.alpha_bar(t), self.schedule.noise_power(t))
        c = self.schedule.condition(t).astype(x.dtype)
        return self.network.forward(params, x * column(scale.astype(x.dtype), x), c, ops, labels, keep)

    def said_of(self, params, labels, ops):
        """The function (x[b,...], t[b]) -> what the network says, for one call after another."""
        labels = place(labels, ops)
        return replayed(lambda x, t: self.predict(params, x, t, labels, ops, keep=False)[0], ops)

    def noise_of(self, params, labels=None, ops=reference_ops):
        """The function (x[b,...], t) -> predicted noise that samplers take; t is one number for all samples."""
        said_of = self.said_of(params, labels, ops)

        def noise_of(x, t):
            prediction = said_of(x, for_each(x, t))
            alpha, sigma = self.schedule.signal(t), self.schedule.noise_scale(t)
            return convert(prediction, x, self.prediction, "noise", alpha, sigma)

        return noise_of

    def score(self, params, labels=None, ops=reference_ops):
        """The function (x[b,...], alpha, sigma) -> grad log p(x) for x = alpha x_0 + sigma eps, alpha and sigma numbers.

        The network is asked where the schedule's ``points`` say, about the multiple of x that belongs there; ValueError beyond what was
        trained.
        """
        labels = place(labels, ops)
        said = replayed(lambda x, c: self.network.forward(params, x, c, ops, labels, keep=False)[0], ops)
        at = self._score_and_pullback(lambda x, c: (said(x, c), None), params, ops)
        return lambda x, alpha, sigma: at(x, alpha, sigma)[0]

    def score_and_pullback(self, params, labels=None, ops=reference_ops):
        """As ``score``, but the function returns (score, pullback): pullback(v[b,...]) is J'v, J the derivative of the score at x."""
        return self._score_and_pullback(lambda x, c: self.network.forward(params, x, c, ops, labels), params, ops)

    def _score_and_pullback(self, said_and_saved, params, ops):
        """The score is -1/sigma times the sum of the points' noises."""

        def at(x, alpha, sigma):
            points = self.schedule.points(alpha, sigma)
            parts = [self._noise_and_pullback(said_and_saved, params, x, alpha, point, ops) for point in points]
            noise, *more = (noise for noise, _ in parts)
            pullback = lambda v: sum(back(v) for _, back in parts) * (-1 / sigma)
            return sum(more, noise) * (-1 / sigma), pullback

        return at

    def _noise_and_pullback(self, said_and_saved, params, x, alpha, point, ops):
        """``weight`` times the predicted noise in k x, k = own_alpha / alpha, and the pullback of that.

        The network sees h k x: noise = a k x + b net(h k x), whose pullback is k (a v + b h J_net'v), the last by the backward pass.
        """
        weight, condition, own_alpha, own_sigma = point
        own, h = x * (own_alpha / alpha), self.input_scale(own_alpha**2, own_sigma**2)
        said, saved = said_and_saved(own * h, for_each(x, condition, x.dtype))
        noise = convert(self.prediction_in(said), own, self.prediction, "noise", own_alpha, own_sigma)

        def pullback(v):
            a, b = conversion(self.prediction, "noise", own_alpha, own_sigma)
            d = np.zeros_like(said)
            self.prediction_in(d)[...] = v
            d_input, _ = self.network.backward(params, d, saved, ops)
            return (weight * own_alpha / alpha) * (a * v + (b * h) * d_input)

        return noise if weight == 1 else noise * weight, pullback

    def prediction_in(self, said):
        """The prediction in what the network says: all of it."""
        return said

    def target(self, x0, t, noise, ops=reference_ops):
        """What the network should predict, r0 x0 + r1 noise at times t[b] (see conversions.py)."""
        r0, r1 = row(self.prediction, self.schedule.signal(t), self.schedule.noise_scale(t))
        return ops.add_noise(x0, in_dtype(r0, x0), in_dtype(r1, x0), noise)

    def draw(self, seed, sample, step, shape, dtype, ops=reference_ops):
        """The times t[b], uniform over the schedule's, and the noise [b,*shape] of a training step."""
        t = self.schedule.times(ops.uniform(seed, sample, step, Purpose.TIME, (), np.float64))
        return t, ops.normal(seed, sample, step, Purpose.TRAINING_NOISE, shape, dtype)

    def loss(self, params, x0, t, noise, labels=None, ops=reference_ops):
        """The simple loss at times t[b] with the given noise: mean, per_sample[b], the gradients of the mean by name."""
        x = forward(self.schedule, x0, t, noise, ops)
        target = self.target(x0, t, noise, ops)
        prediction, saved = self.predict(params, x, t, labels, ops)
        mean, per_sample, d = simple_loss(prediction, target, ops)
        _, gradients = self.network.backward(params, d, saved, ops)
        return mean, per_sample, gradients
