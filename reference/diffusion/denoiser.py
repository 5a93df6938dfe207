"""A network with all that turns it into a prediction about x_t: the schedule, what it predicts, and
how its input is scaled.

The network sees z = x_t / sqrt(alpha^2 v + sigma^2), of unit variance for data of variance v per
entry, and the schedule's real ``condition`` in [0, 1000].

A model, this one or another (vae/vae.py, ddpm/indi.py), is what ``training.train`` trains: it has
``network``, ``draw`` for the random numbers of a step, and ``loss``, which is a function of these.

Between two trained levels
--------------------------
A solver asks about x = alpha x_0 + sigma eps at noise levels between those of training.  Write u =
x_0 / sqrt(v) and

    tan phi = sigma / (alpha sqrt(v)),   z = cos(phi) u + sin(phi) eps,   F = sin(phi) u - cos(phi) eps.

F is orthogonal to z, and it is what the network of EDM predicts (Karras et al. 2022).  From a
prediction of F, without a division,

    u = cos(phi) z + sin(phi) F,   eps = sin(phi) z - cos(phi) F.

The two neighbouring levels are both shown the z of the level between them.  Each prediction is
restated as F, and F is interpolated linearly in l = log(sigma / (alpha sqrt(v))):

1. For Gaussian data of variance v, E[F | z] = 0 at every level: the result is exact, whatever the
   weights, as long as they sum to 1.
2. For Gaussian data of variance k v, E[F | z] = (k - 1) / (k e^-l + e^l) z = (k - 1) / (2 sqrt(k))
   sech(l - log(k)/2) z.  Linear interpolation over a step h in l errs by at most h^2/8
   max|d^2/dl^2|, and |sech''| <= sech, sech(a) <= e^|a-b| sech(b).  So the error relative to eps =
   z (k cos/sin + sin/cos)^-1 / cos is at most  |k - 1| h^2/8 e^h cos(phi)^2
   (``interpolation_error``).  Where the noise is far above the data, cos(phi) is small, and levels
   may be far apart.
3. Mixtures have sharper changes between their modes, and no such bound: levels must be close beside
   the mixture's own scales.

Interpolating eps in place of F, or showing the two levels an x with the same signal but another
variance, is exact for no Gaussian data.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.conversions import (
    convert,
    per_sample_column,
    prediction_coefficients,
    solve_rows,
)
from reference.diffusion.devices import captured, cast_like, full_per_sample, to_device
from reference.diffusion.forward_process import forward
from reference.ops.random import Purpose

TRAINABLE = ("noise", "x0", "v")
# x_0 = (x - noise) / signal must stay a number in float32, whose largest is 3e38
SMALLEST_SIGNAL = 1e-30


def simple_loss(prediction, target, ops=reference_ops):
    """The loss that Ho et al. train with, ||target - prediction||^2 per entry, unweighted: (mean,
    per_sample[b], gradient of the mean).
    """
    mean, per_sample = ops.mse(prediction, target)
    uniform_weights = full_per_sample(target, 1 / len(target), target.dtype)
    return mean, per_sample, ops.mse_backward(uniform_weights, prediction, target)


def split_prediction(said):
    """(prediction, v) from what a model returned; v is None where the network has no say in the
    variance.
    """
    return said if isinstance(said, tuple) else (said, None)


def exact_prediction(distribution, schedule, x, t, prediction="noise"):
    """E[prediction | x_t] by the exact law of the data, a ``Mixture``: no network is better.
    x[b,d], sample i at time t[i].
    """
    best = np.empty(x.shape)
    for time in np.unique(t):
        chosen = t == time
        x_t, levels = (
            x[chosen].astype(np.float64),
            (schedule.signal(time), schedule.noise_scale(time)),
        )
        if prediction == "noise":
            best[chosen] = distribution.expected_noise(x_t, *levels)
        else:
            best[chosen] = convert(
                distribution.posterior_mean(x_t, *levels), x_t, "x0", prediction, *levels
            )
    return best


def interpolation_error(h, k, tangent=0.0):
    """Bound of the relative error of noise and score between levels a factor e^h apart, for
    Gaussian data of k times the variance.

    ``tangent``: sigma / (alpha sqrt(v)) between them.
    """
    return abs(k - 1) * h**2 / 8 * np.exp(h) / (1 + tangent**2)


def check_data_variance(data_variance):
    if not 0 < data_variance < float("inf"):
        raise ValueError(f"data_variance must be a positive number, got {data_variance}")


@dataclass(frozen=True)
class Denoiser:
    """``network``: see reference/networks.  ``schedule``: a ``Schedule``, or an ``SDE``, whose
    times are real numbers.

    ``data_variance``: mean square of an entry of the data.
    """

    network: Any
    schedule: Any
    prediction: str = "noise"
    data_variance: float = 1.0

    def __post_init__(self):
        if self.prediction not in TRAINABLE:
            raise ValueError(
                f"prediction must be one of {', '.join(TRAINABLE)}, got {self.prediction!r}"
            )
        check_data_variance(self.data_variance)
        # an SDE, which has no T, sees to it that its own is not 0
        signal = self.schedule.signal(getattr(self.schedule, "T", 0))
        if self.prediction == "noise" and signal < SMALLEST_SIGNAL:
            raise ValueError(
                f"prediction noise can't tell x_0 from x_T = {signal:.3g} x_0 + noise, the end of the schedule: take prediction v or x0"
            )

    def input_scale(self, signal_power, noise_power):
        """1 / sqrt(alpha^2 v + sigma^2), which brings x to unit variance."""
        return (signal_power * self.data_variance + noise_power) ** -0.5

    def predict(self, params, x, t, labels=None, ops=reference_ops, keep=True):
        """x[b,...] at times t[b] -> what the network says, saved (see networks)."""
        scale = self.input_scale(self.schedule.signal_power(t), self.schedule.noise_power(t))
        c = self.schedule.network_time(t).astype(x.dtype)
        return self.network.forward(
            params, x * per_sample_column(scale.astype(x.dtype), x), c, ops, labels, keep
        )

    def network_function(self, params, labels, ops):
        """The function (x[b,...], t[b]) -> what the network says, for one call after another."""
        labels = to_device(labels, ops)
        return captured(lambda x, t: self.predict(params, x, t, labels, ops, keep=False)[0], ops)

    def predictor(self, params, labels=None, ops=reference_ops):
        """The function (x[b,...], t) -> the network's own ``prediction`` that samplers take; t is
        one number for all samples.
        """
        network_function = self.network_function(params, labels, ops)
        return lambda x, t: network_function(x, full_per_sample(x, t))

    def noise_predictor(self, params, labels=None, ops=reference_ops):
        """As ``predictor``, restated as the noise.  Where a network has a say in the variance both
        return (prediction, v).
        """
        predictor = self.predictor(params, labels, ops)

        def predict_noise(x, t):
            prediction, v = split_prediction(predictor(x, t))
            noise = convert(
                prediction,
                x,
                self.prediction,
                "noise",
                self.schedule.signal(t),
                self.schedule.noise_scale(t),
            )
            return noise if v is None else (noise, v)

        return predict_noise

    def network_terms(self, target, alpha, sigma):
        """(h, a, [(b_i, condition_i)]):  ``target`` at x = alpha x_0 + sigma eps is  a x + sum_i
        b_i network(h x, condition_i).

        ValueError beyond the levels that were trained.
        """
        h = self.input_scale(alpha**2, sigma**2)
        a, to_target = solve_rows(
            (alpha, sigma), self._F(alpha, sigma), prediction_coefficients(target, alpha, sigma)
        )
        asked = []
        for weight, condition, *own in self.schedule.interpolation_nodes(alpha, sigma):
            own_h = self.input_scale(own[0] ** 2, own[1] ** 2)
            to_F = solve_rows(
                (own_h * own[0], own_h * own[1]),
                prediction_coefficients(self.prediction, *own),
                self._F(*own),
            )
            a += to_target * weight * to_F[0] * h
            asked.append((to_target * weight * to_F[1], condition))
        return h, a, asked

    def _F(self, alpha, sigma):
        """F as a row of coefficients of x_0 and eps (see conversions.py)."""
        h, spread = self.input_scale(alpha**2, sigma**2), self.data_variance**0.5
        return h * sigma / spread, -h * alpha * spread

    def score_function(self, params, labels=None, ops=reference_ops):
        """The function (x[b,...], alpha, sigma) -> grad log p(x) for x = alpha x_0 + sigma eps,
        alpha and sigma positive numbers.

        Between trained levels as the head of this file says; ValueError beyond them.
        """
        return self._restated("score", params, labels, ops)

    def posterior_mean_function(self, params, labels=None, ops=reference_ops):
        """The function (x[b,...], alpha, sigma) -> E[x_0 | x], as ``score``."""
        return self._restated("x0", params, labels, ops)

    def _restated(self, target, params, labels, ops):
        labels = to_device(labels, ops)
        output = captured(
            lambda x, c: self.network.forward(params, x, c, ops, labels, keep=False)[0], ops
        )

        def restated(x, alpha, sigma):
            h, a, asked = self.network_terms(target, alpha, sigma)
            return sum(
                (
                    b * self.prediction_part(output(h * x, full_per_sample(x, c, x.dtype)))
                    for b, c in asked
                ),
                a * x,
            )

        return restated

    def score_and_pullback(self, params, labels=None, ops=reference_ops):
        """As ``score``, but the function returns (score, pullback): pullback(v[b,...]) is J'v, J
        the derivative of the score at x.

        The score is a x + sum_i b_i net_i(h x), so that J'v = a v + h sum_i b_i J_net_i'v, the last
        by the network's backward pass.
        """

        def at(x, alpha, sigma):
            h, a, asked = self.network_terms("score", alpha, sigma)
            outputs = [
                self.network.forward(params, h * x, full_per_sample(x, c, x.dtype), ops, labels)
                for _, c in asked
            ]
            score = sum(
                (b * self.prediction_part(output) for (b, _), (output, _) in zip(asked, outputs)),
                a * x,
            )

            def pullback(v):
                d = a * v
                for (b, _), (output, saved) in zip(asked, outputs):
                    d_output = np.zeros_like(output)
                    self.prediction_part(d_output)[...] = b * v
                    d = d + h * self.network.backward(params, d_output, saved, ops)[0]
                return d

            return score, pullback

        return at

    def prediction_part(self, said):
        """The prediction in what the network says: all of it."""
        return said

    def target(self, x0, t, noise, ops=reference_ops):
        """What the network should predict, r0 x0 + r1 noise at times t[b] (see conversions.py)."""
        r0, r1 = prediction_coefficients(
            self.prediction, self.schedule.signal(t), self.schedule.noise_scale(t)
        )
        return ops.add_noise(x0, cast_like(r0, x0), cast_like(r1, x0), noise)

    def sample_training_noise(self, seed, sample, step, shape, dtype, ops=reference_ops):
        """The times t[b], uniform over the schedule's, and the noise [b,*shape] of a training step."""
        t = self.schedule.sample_times(
            ops.uniform(seed, sample, step, Purpose.TIME, (), np.float64)
        )
        return t, ops.normal(seed, sample, step, Purpose.TRAINING_NOISE, shape, dtype)

    def loss(self, params, x0, t, noise, labels=None, ops=reference_ops):
        """The simple loss at times t[b] with the given noise: mean, per_sample[b], the gradients of
        the mean by name.
        """
        x = forward(self.schedule, x0, t, noise, ops)
        target = self.target(x0, t, noise, ops)
        prediction, saved = self.predict(params, x, t, labels, ops)
        mean, per_sample, d = simple_loss(prediction, target, ops)
        _, gradients = self.network.backward(params, d, saved, ops)
        return mean, per_sample, gradients
