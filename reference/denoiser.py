"""A network with all that turns it into a prediction about x_t: the schedule, what it predicts, and how its input is scaled.

The network sees x_t scaled to unit variance, x_t / sqrt(alpha_bar v + 1 - alpha_bar) for data of variance v per entry, and the real
condition c = 1000 t / T.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from reference import ops as reference_ops
from reference.conversions import convert, row
from reference.ddpm.ddpm import forward, simple_loss
from reference.schedules import Schedule

TRAINABLE = ("noise", "x0", "v")


@dataclass(frozen=True)
class Denoiser:
    """``network``: see reference/networks.  ``data_variance``: mean square of an entry of the data."""

    network: Any
    schedule: Schedule
    prediction: str = "noise"
    data_variance: float = 1.0

    def __post_init__(self):
        if self.prediction not in TRAINABLE:
            raise ValueError(f"prediction must be one of {', '.join(TRAINABLE)}, got {self.prediction!r}")
        if not 0 < self.data_variance < float("inf"):
            raise ValueError(f"data_variance must be a positive number, got {self.data_variance}")

    def predict(self, params, x, t, labels=None, ops=reference_ops):
        """x[b,...] at times t[b] -> the network's own prediction, saved."""
        power = self.schedule.alpha_bar(t) * self.data_variance + self.schedule.noise_power(t)
        scale = (power**-0.5).astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
        c = (1000 * t / self.schedule.T).astype(x.dtype)
        return self.network.forward(params, x * scale, c, ops, labels)

    def noise_of(self, params, labels=None, ops=reference_ops):
        """The function (x[b,...], t) -> predicted noise that samplers take; t is one number for all samples."""

        def noise_of(x, t):
            prediction, _ = self.predict(params, x, np.full(len(x), t), labels, ops)
            alpha, sigma = self.schedule.signal(t), self.schedule.noise_scale(t)
            return convert(prediction, x, self.prediction, "noise", alpha, sigma)

        return noise_of

    def target(self, x0, t, noise, ops=reference_ops):
        """What the network should say, r0 x0 + r1 noise at times t[b] (see conversions.py)."""
        r0, r1 = row(self.prediction, self.schedule.signal(t), self.schedule.noise_scale(t))
        return ops.add_noise(x0, *(np.broadcast_to(r, t.shape).astype(x0.dtype) for r in (r0, r1)), noise)

    def loss(self, params, x0, t, noise, labels=None, ops=reference_ops):
        """The simple loss at times t[b] with the given noise: mean, per_sample[b], the gradients of the mean by name."""
        x = forward(self.schedule, x0, t, noise, ops)
        target = self.target(x0, t, noise, ops)
        prediction, saved = self.predict(params, x, t, labels, ops)
        mean, per_sample, d = simple_loss(prediction, target, ops)
        _, gradients = self.network.backward(params, d, saved, ops)
        return mean, per_sample, gradients
