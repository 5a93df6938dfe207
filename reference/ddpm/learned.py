"""Learned variances (Nichol and Dhariwal 2021): a network predicts, beside the noise, x0 or another
prediction, the position of the variance between its two bounds.

The last axis of the network's output holds the prediction and, behind it, v: the position, not the
prediction type v.  The log-variance of the step is interpolated between its bounds
(``interpolated_log_variance``); as the interpolation is of logs, no variance is negative or 0.
Without the prior term, -ELBO of an example is T times the mean over t = 1 .. T of (Thm 2.4)

    L_t = KL(q(x_{t-1} | x_t, x_0) ‖ N(mean, e^l))
        = 1/2 sum_i [ r - 1 - log(r)  + c^2 (x_0 - x̂_0)_i^2 e^{-l} ],   r = sigma_q^2 e^{-l},
    L_1 = -log N(x_0; x̂_0, e^l)
        = 1/2 sum_i [ log(2 pi) + l   + c^2 (x_0 - x̂_0)_i^2 e^{-l} ],   r = 0, c = 1.

c = c_x0 of ``posterior``, x̂_0 = a x_t + b prediction, l = (high + low)/2 + v (high - low)/2 with
low = log(sigma_q^2), high = log(beta).  Hence

    dL/dl = 1/2 [ 1 - r - c^2 (x_0 - x̂_0)^2 e^{-l} ],   dL/dv = dL/dl (high - low)/2,
    dL/dprediction = c^2 (x̂_0 - x_0) e^{-l} b.

``variational`` trains with T L_t.  ``hybrid`` trains the prediction with the simple loss and v
alone with 0.001 T L_t: the gradient of L_t is stopped before the prediction, because it is much
noisier than the gradient of the simple loss.
"""

from dataclasses import dataclass

import numpy as np

from reference import ops as reference_ops
from reference.ddpm.ddpm import (
    consistency_term,
    interpolated_log_variance,
    log_variance_range,
    posterior,
    reconstruction_term,
)
from reference.diffusion.conversions import conversion, per_sample_column
from reference.diffusion.denoiser import Denoiser, simple_loss
from reference.diffusion.forward_process import forward
from reference.diffusion.schedules import Schedule

OBJECTIVES = ("variational", "hybrid")
HYBRID_WEIGHT = 0.001  # of T L_t in nats an example, beside the simple loss per entry


@dataclass(frozen=True)
class LearnedVariance(Denoiser):
    """A ``Denoiser`` whose network has two outputs, the prediction and v."""

    schedule: Schedule
    objective: str = "hybrid"

    def __post_init__(self):
        super().__post_init__()
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective must be {' or '.join(OBJECTIVES)}, got {self.objective!r}")
        if self.loss_weight != "simple":
            raise ValueError(f"loss-weight {self.loss_weight} needs objective simple")
        if self.network.outputs != 2 or self.schedule.T < 2:
            raise ValueError(
                "learned variances need 2 outputs and T at least 2,"
                f" got {self.network.outputs} and {self.schedule.T}"
            )

    def prediction_part(self, output):
        return output[..., : output.shape[-1] // 2]

    def sampled(self, output, x, t):
        """As ``Denoiser.sampled``, but (prediction, v), which is then what ``predictor``'s function
        returns.  Samplers and ``elbo_terms`` accept both forms.
        """
        prediction, v = np.split(output, 2, axis=-1)
        return super().sampled(prediction, x, t), v

    def loss(self, params, x0, t, noise, labels=None, ops=reference_ops):
        x = forward(self.schedule, x0, t, noise, ops)
        output, saved = self.predict(params, x, t, labels, ops)
        prediction, v = np.split(output, 2, axis=-1)
        nats, d_prediction, dv = self.variational(x0, x, t, prediction, v)
        if self.objective == "variational":
            per_sample = nats
        else:
            # this replaces the gradient of L_t
            _, squares, d_prediction = simple_loss(prediction, self.target(x0, t, noise, ops), ops)
            per_sample, dv = squares + HYBRID_WEIGHT * nats, HYBRID_WEIGHT * dv
        _, gradients = self.network.backward(
            params, np.concatenate((d_prediction, dv), axis=-1).astype(x.dtype), saved, ops
        )
        return per_sample.mean().astype(x.dtype), per_sample.astype(x.dtype), gradients

    def variational(self, x0, x, t, prediction, v):
        """T L_t [b] in nats at times t[b], and the gradients of its mean with respect to prediction
        and v; all in float64.
        """
        schedule, T, first = self.schedule, self.schedule.T, t == 1
        x0, x, prediction, v = (array.astype(np.float64) for array in (x0, x, prediction, v))
        a, b = conversion(self.prediction, "x0", *self._level(t))
        x0_prediction = per_sample_column(a, x) * x + per_sample_column(b, x) * prediction
        log_variance = interpolated_log_variance(schedule, t, t - 1, v)
        nats = np.empty(len(x), like=x)
        for chosen, term in ((first, self._reconstruction), (~first, self._consistency)):
            if chosen.any():
                nats[chosen] = term(
                    t[chosen], x0[chosen], x0_prediction[chosen], log_variance[chosen]
                )
        _, c, posterior_variance = (
            per_sample_column(value, x) for value in posterior(schedule, t, t - 1)
        )
        precision = np.exp(-log_variance)
        difference = x0_prediction - x0
        # sigma_q^2, and therefore r, is 0 at t = 1
        dl = (1 - posterior_variance * precision - c**2 * difference**2 * precision) / 2
        low, high = log_variance_range(schedule, t, t - 1, x)
        scale = T / len(x)
        return (
            T * nats,
            scale * c**2 * difference * precision * per_sample_column(b, x),
            scale * dl * (high - low) / 2,
        )

    def _reconstruction(self, t, x0, x0_prediction, log_variance):
        return reconstruction_term(x0, x0_prediction, log_variance)

    def _consistency(self, t, x0, x0_prediction, log_variance):
        return consistency_term(self.schedule, t, t - 1, x0, x0_prediction, log_variance)
