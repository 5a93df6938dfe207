"""A network that predicts noise, x_0, v, the velocity or F from x_t = alpha x_0 + sigma eps.

``Denoiser`` joins a network, a noise schedule, the choice of prediction and the variance
sigma_data^2 of the data.  The network gets x_t and t in scaled form:

    output = network(c_in x_t, c),   c_in = 1 / sqrt(alpha^2 sigma_data^2 + sigma^2).

c_in is ``input_scale``; c_in x_t has unit variance.  c = schedule.network_time(t) is a number in
[0, 1000]; EDM (Karras et al. 2022) calls it c_noise.  Samplers get functions from a denoiser:

    predictor(params)                 (x, t) -> the output itself, but x_0 in place of F
    noise_predictor(params)           (x, t) -> eps
    score_function(params)            (x, alpha, sigma) -> ∇log p(x)
    posterior_mean_function(params)   (x, alpha, sigma) -> E[x_0 | x]
    score_and_pullback(params), posterior_mean_and_pullback(params)
                                      the same two with their pullbacks v -> Jᵀ v

The first two work at the times of the schedule, the others at any noise level
(interpolation.py).
"""

from dataclasses import dataclass, field

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.conversions import (
    cast_like,
    convert,
    per_sample_column,
    prediction_coefficients,
)
from reference.diffusion.forward_process import forward
from reference.diffusion.interpolation import network_terms
from reference.diffusion.loss_weights import LOSS_WEIGHTS, loss_weight
from reference.diffusion.protocols import Network, NoiseSchedule
from reference.ops.random import Purpose

TRAINABLE = ("noise", "x0", "v", "velocity", "F")
# x_0 = (x - noise) / signal must not overflow in float32, with largest number 3e38
SMALLEST_SIGNAL = 1e-30


def simple_loss(prediction, target, ops=reference_ops, weights=None):
    """The loss of Ho et al. 2020, the mean square of target - prediction over all entries, of
    sample i times ``weights``[i] if they are given: mean, per_sample[b], gradient of the mean with
    respect to the prediction.
    """
    mean, per_sample = ops.mse(prediction, target)
    d_per_sample = np.full_like(target, 1 / len(target), shape=len(target))
    if weights is not None:
        weights = cast_like(weights, target)
        per_sample, d_per_sample = weights * per_sample, weights * d_per_sample
        mean = per_sample.mean()
    return mean, per_sample, ops.mse_backward(d_per_sample, prediction, target)


def split_prediction(output):
    """(prediction, v) of a predictor's result; v is None unless the network predicts variances."""
    return output if isinstance(output, tuple) else (output, None)


def exact_prediction(distribution, schedule, x, t, prediction="noise", data_variance=None):
    """E[prediction | x_t] for data with this distribution, a ``Mixture``: the prediction with the
    least loss.  x[b,d], sample i at time t[i].  ``data_variance``: see ``conversions``.
    """
    best = np.empty(x.shape)
    for time in np.unique(t):
        chosen = t == time
        x_t = x[chosen].astype(np.float64)
        level = (schedule.signal(time), schedule.noise_scale(time))
        if prediction == "noise":
            best[chosen] = distribution.expected_noise(x_t, *level)
        else:
            x0 = distribution.posterior_mean(x_t, *level)
            best[chosen] = convert(x0, x_t, "x0", prediction, *level, data_variance)
    return best


def check_data_variance(data_variance):
    """ValueError unless it is a positive number."""
    if not 0 < data_variance < float("inf"):
        raise ValueError(f"data_variance must be a positive number, got {data_variance}")


@dataclass(frozen=True)
class Denoiser:
    """``network``: see reference/networks.  ``schedule``: a ``Schedule`` or an ``SDE``.
    ``prediction``: one of ``TRAINABLE``.  ``data_variance``: mean square of an entry of the data.
    ``loss_weight``: one of ``LOSS_WEIGHTS``.
    """

    network: Network
    schedule: NoiseSchedule
    prediction: str = "noise"
    data_variance: float = 1.0
    loss_weight: str = field(default="simple", kw_only=True)

    def __post_init__(self):
        if self.prediction not in TRAINABLE:
            raise ValueError(
                f"prediction must be one of {', '.join(TRAINABLE)}, got {self.prediction!r}"
            )
        check_data_variance(self.data_variance)
        # an SDE has no T; its signal is positive at all times
        signal = self.schedule.signal(getattr(self.schedule, "T", 0))
        if self.prediction == "noise" and signal < SMALLEST_SIGNAL:
            raise ValueError(
                "prediction noise can't tell x_0 from"
                f" x_T = {signal:.3g} x_0 + noise, the end of the schedule: take prediction v or x0"
            )
        if self.loss_weight not in LOSS_WEIGHTS:
            choices = ", ".join(LOSS_WEIGHTS)
            raise ValueError(f"loss-weight must be one of {choices}, got {self.loss_weight!r}")
        if self.loss_weight in ("min-snr", "p2") and signal < SMALLEST_SIGNAL:
            raise ValueError(
                f"loss-weight {self.loss_weight} is 0 at the end of the schedule, where"
                f" x_T = {signal:.3g} x_0 + noise: take loss-weight simple or edm"
            )

    # the network

    def input_scale(self, signal_power, noise_power):
        """1 / sqrt(alpha^2 sigma_data^2 + sigma^2), which scales x to unit variance.  EDM: c_in."""
        return (signal_power * self.data_variance + noise_power) ** -0.5

    def _level(self, t):
        """(alpha, sigma, data_variance) at times t, as conversions.py takes them."""
        return self.schedule.signal(t), self.schedule.noise_scale(t), self.data_variance

    def predict(self, params, x, t, labels=None, ops=reference_ops, keep=True):
        """x[b,...] at times t[b] -> the network's output, saved (see reference/networks)."""
        scale = self.input_scale(self.schedule.signal_power(t), self.schedule.noise_power(t))
        z = x * per_sample_column(scale.astype(x.dtype), x)
        c = self.schedule.network_time(t).astype(x.dtype)
        return self.network.forward(params, z, c, ops, labels, keep)

    def prediction_part(self, output):
        """The prediction in the network's output: all of it, unless the network also predicts
        variances.
        """
        return output

    # functions for samplers, at the times of the schedule

    @property
    def sampled_prediction(self):
        """The name of the result of ``predictor``."""
        return "x0" if self.prediction == "F" else self.prediction

    def predictor(self, params, labels=None, ops=reference_ops):
        """The function (x[b,...], t) -> ``sampled_prediction``; t is one number for all samples.

        It is the network's prediction.  F becomes x_0, because samplers do not know the
        data_variance that F depends on.
        """

        def predict(x, t):
            scale = self.input_scale(self.schedule.signal_power(t), self.schedule.noise_power(t))
            c = np.full_like(x, self.schedule.network_time(t), shape=len(x))
            output = self.network.forward(params, scale * x, c, ops, labels, keep=False)[0]
            return self.sampled(output, x, t)

        return predict

    def sampled(self, output, x, t):
        """The network's output at x[b,...] and time t, converted to ``sampled_prediction``."""
        if self.sampled_prediction == self.prediction:
            return output
        return convert(output, x, self.prediction, self.sampled_prediction, *self._level(t))

    def noise_predictor(self, params, labels=None, ops=reference_ops):
        """As ``predictor``, converted to the noise.  If the network also predicts variances, both
        functions return (prediction, v).
        """
        predict = self.predictor(params, labels, ops)

        def predict_noise(x, t):
            prediction, v = split_prediction(predict(x, t))
            noise = convert(prediction, x, self.sampled_prediction, "noise", *self._level(t))
            return noise if v is None else (noise, v)

        return predict_noise

    # functions for samplers, at any noise level

    def score_function(self, params, labels=None, ops=reference_ops):
        """The function (x[b,...], alpha, sigma) -> ∇log p(x) for x = alpha x_0 + sigma eps, with
        positive numbers alpha and sigma.

        At a trained level this is -eps / sigma of the predicted noise; between two levels it is
        interpolated (interpolation.py).  ValueError outside of the trained levels.
        """
        return self._target_function("score", params, labels, ops)

    def posterior_mean_function(self, params, labels=None, ops=reference_ops):
        """The function (x[b,...], alpha, sigma) -> E[x_0 | x], with arguments and errors as in
        ``score_function``.
        """
        return self._target_function("x0", params, labels, ops)

    def _target_function(self, target, params, labels, ops):
        def target_at(x, alpha, sigma):
            scale, a, terms = network_terms(self, target, alpha, sigma)
            result = a * x
            for b, c in terms:
                c = np.full_like(x, c, shape=len(x))
                output, _ = self.network.forward(params, scale * x, c, ops, labels, keep=False)
                result = result + b * self.prediction_part(output)
            return result

        return target_at

    def score_and_pullback(self, params, labels=None, ops=reference_ops):
        """As ``score_function``, but the function returns (score, pullback): pullback(v[b,...]) is
        Jᵀv, with J the derivative of the score with respect to x.  Likelihoods need it.
        """
        return self._target_and_pullback("score", params, labels, ops)

    def posterior_mean_and_pullback(self, params, labels=None, ops=reference_ops):
        """As ``score_and_pullback``, for E[x_0 | x].  Restoration needs it."""
        return self._target_and_pullback("x0", params, labels, ops)

    def _target_and_pullback(self, target, params, labels, ops):
        """The target is a x + sum_i b_i network_i(scale x), hence

            Jᵀv = a v + scale sum_i b_i J_iᵀ v,

        with J_i the derivative of network_i: the backward pass of the network.
        """

        def target_at(x, alpha, sigma):
            scale, a, terms = network_terms(self, target, alpha, sigma)
            result, evaluated = a * x, []
            for b, c in terms:
                c = np.full_like(x, c, shape=len(x))
                output, saved = self.network.forward(params, scale * x, c, ops, labels)
                result = result + b * self.prediction_part(output)
                evaluated.append((b, output, saved))

            def pullback(v):
                d = a * v
                for b, output, saved in evaluated:
                    d_output = np.zeros_like(output)
                    self.prediction_part(d_output)[...] = b * v
                    d = d + scale * self.network.backward(params, d_output, saved, ops)[0]
                return d

            return result, pullback

        return target_at

    # training

    def target(self, x0, t, noise, ops=reference_ops):
        """The value that the network should predict, r0 x_0 + r1 noise at times t[b], with the
        coefficients of conversions.py.
        """
        r0, r1 = prediction_coefficients(self.prediction, *self._level(t))
        return ops.add_noise(x0, cast_like(r0, x0), cast_like(r1, x0), noise)

    def loss_weights(self, t):
        """The weights [b] of the squared errors at times t[b]; None if all are 1."""
        return loss_weight(self.loss_weight, self.prediction, *self._level(t))

    def sample_training_noise(self, seed, sample, step, shape, dtype, ops=reference_ops):
        """The times t[b], uniform over those of the schedule, and the noise [b,*shape] of a
        training step.
        """
        u = ops.uniform(seed, sample, step, Purpose.TIME, (), np.float64)
        noise = ops.normal(seed, sample, step, Purpose.TRAINING_NOISE, shape, dtype)
        return self.schedule.sample_times(u), noise

    def loss(self, params, x0, t, noise, labels=None, ops=reference_ops):
        """The simple loss, weighted by ``loss_weight``, at times t[b] with the given noise: mean,
        per_sample[b], the gradients of the mean by name.
        """
        x = forward(self.schedule, x0, t, noise, ops)
        target = self.target(x0, t, noise, ops)
        prediction, saved = self.predict(params, x, t, labels, ops)
        mean, per_sample, d = simple_loss(prediction, target, ops, self.loss_weights(t))
        _, gradients = self.network.backward(params, d, saved, ops)
        return mean, per_sample, gradients
