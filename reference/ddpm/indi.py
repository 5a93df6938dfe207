"""InDI, inversion by direct iteration (Delbracio and Milanfar 2023; Sec. 2.9 of the tutorial's
first version, which has "denoising": E18).

The path x_t = (1 - t) x_0 + t y, 0 <= t <= 1, joins a clean x_0 and its degraded y.  One network
estimates x_0 from any point of the path, denoise(x_t, t) = E[x_0 | x_t] approximately.  As y = (x_t
- (1 - t) x_0) / t, for any joint distribution of x_0 and y

    E[x_{t-tau} | x_t] = (1 - tau/t) x_t + (tau/t) E[x_0 | x_t].

Small steps along these means (samplers/indi.py) lead to a likely x_0.  One single step leads to
E[x_0 | y], the average of all possible x_0: regression to the mean.  In the limit of small steps
dx/dt = (x - denoise(x, t)) / t.  For y = x_0 + s n with n ~ N(0, I), x_t has at each t the
distribution of variance-exploding diffusion with sigma = t s, and the limit is the
probability-flow ODE of that diffusion.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from reference import ops as reference_ops
from reference.diffusion.conversions import cast_like, log_alpha_bar_of_sigma, per_sample_column
from reference.diffusion.denoiser import check_data_variance, simple_loss
from reference.diffusion.schedules import VarianceExplodingSchedule
from reference.ops.random import Purpose

SMALLEST_T = 1e-3  # training has hardly any examples below it


@dataclass(frozen=True)
class Degradation:
    """y = blurred x_0 + ``noise`` n, n ~ N(0, I).

    ``blur``: the standard deviation of a Gaussian kernel in pixels, 0 for none; images are mirrored
    at the border.  ``noise``: the standard deviation of the noise.
    """

    noise: float = 0.5
    blur: float = 0.0

    def __post_init__(self):
        if not (
            0 <= self.noise < float("inf")
            and 0 <= self.blur < float("inf")
            and self.noise + self.blur > 0
        ):
            raise ValueError(
                "noise and blur must not be negative and not both be 0,"
                f" got {self.noise} and {self.blur}"
            )
        if self.noise and not 1e-6 <= self.noise <= 1e6:
            raise ValueError(f"noise must be 0 or from 1e-6 to 1e6, got {self.noise}")

    def __call__(self, x0, n):
        """x0[b,...], n[b,...] -> y[b,...]."""
        if self.blur and x0.ndim != 4:
            raise ValueError(f"blur needs images, got points of {x0.shape[1]} coordinates")
        blurred = gaussian_filter(x0, (0, self.blur, self.blur, 0)) if self.blur else x0
        return blurred + x0.dtype.type(self.noise) * n

    def start_time(self, noise=None, blur=None):
        """The time t at which a measurement with this noise and blur lies on the path of the
        trained degradation: 1 for the trained levels themselves, which None stands for.

        Without blur, noise below ``self.noise`` occurs at a t below 1.  ValueError for any other
        level.
        """
        noise, blur = self.noise if noise is None else noise, self.blur if blur is None else blur
        if blur != self.blur:
            raise ValueError(
                f"blur must be {self.blur:g}, for which this run was trained, got {blur:g}"
            )
        if noise == self.noise:
            return 1.0
        if self.blur:
            raise ValueError(
                f"noise must be {self.noise:g}, for which this run was trained, got {noise:g}"
            )
        if not SMALLEST_T * self.noise <= noise < self.noise:
            raise ValueError(
                f"noise must be from {SMALLEST_T * self.noise:g} to {self.noise:g},"
                f" for which this run was trained, got {noise:g}"
            )
        return noise / self.noise


def path(x0, y, t, ops=reference_ops):
    """x_t = (1 - t) x_0 + t y for x0, y[b,...] and t a number or [b]."""
    t = cast_like(t, x0)
    return ops.add_noise(x0, 1 - t, t, y)


def brownian_deviation(epsilon):
    """The function t -> epsilon sqrt(t), the standard deviation of the noise on the path, as in
    Brownian motion.  The paper writes it t eps_t, with eps_t = epsilon / sqrt(t).
    """
    return lambda t: epsilon * np.sqrt(t)


@dataclass(frozen=True)
class InDI:
    """``network`` predicts x_0 from x_t, scaled to about unit variance (blur lowers the variance),
    and the network time 1000 t.

    ``epsilon``: Brownian noise on the path (``brownian_deviation``), for samplers that add noise at
    each step; 0 is the path above.
    """

    network: Any
    degradation: Degradation
    data_variance: float = 1.0
    epsilon: float = 0.0
    prediction = sampled_prediction = "x0"

    def __post_init__(self):
        check_data_variance(self.data_variance)
        if not 0 <= self.epsilon < float("inf"):
            raise ValueError(f"epsilon must not be negative, got {self.epsilon}")

    def predict(self, params, x, t, labels=None, ops=reference_ops, keep=True):
        """x[b,...] at times t[b] -> the network's estimate of E[x_0 | x_t], saved."""
        scale = per_sample_column(self._input_scale(t).astype(x.dtype), x)
        c = (1000 * t).astype(x.dtype)
        return self.network.forward(params, x * scale, c, ops, labels, keep)

    def _input_scale(self, t):
        power = self.data_variance + t**2 * self.degradation.noise**2 + t * self.epsilon**2
        return power**-0.5

    def denoise_function(self, params, ops=reference_ops):
        """The function (x[b,...], t) -> estimate of x_0 that samplers take; t is one number for all
        samples.
        """

        def denoise(x, t):
            c = np.full_like(x, 1000 * t, shape=len(x))
            scale = self._input_scale(float(t))
            return self.network.forward(params, scale * x, c, ops, keep=False)[0]

        return denoise

    def score_function(self, params, ops=reference_ops):
        """The function (x, alpha, sigma) -> ∇log p(x) for x = alpha x_0 + sigma eps, by Tweedie's
        formula at the time t with t noise = sigma / alpha.

        ValueError if the degradation is not noise alone, or if sigma / alpha lies outside of the
        trained range.
        """
        mean = self.posterior_mean_function(params, ops)
        return lambda x, alpha, sigma: (alpha * mean(x, alpha, sigma) - x) / sigma**2

    def posterior_mean_function(self, params, ops=reference_ops):
        """The function (x, alpha, sigma) -> E[x_0 | x] for x = alpha x_0 + sigma eps; errors as for
        ``score_function``.
        """
        noise, denoise = self.degradation.noise, self.denoise_function(params, ops)
        if self.degradation.blur or self.epsilon:
            raise ValueError(
                "a model of InDI has a score only if its degradation is noise alone, and if no"
                " noise is added on the path"
            )

        def mean(x, alpha, sigma):
            t = sigma / alpha / noise
            if not SMALLEST_T * (1 - 1e-9) <= t <= 1 + 1e-9:
                trained = f"{SMALLEST_T * noise:.4g} to {noise:.4g}"
                raise ValueError(
                    f"sigma / alpha = {sigma / alpha:.4g} is outside of the trained range,"
                    f" {trained}"
                )
            return denoise(x / alpha, min(t, 1.0))

        return mean

    @property
    def schedule(self):
        """The noise levels t noise, t = 1/1000, 2/1000 .. 1, for samplers that need a schedule."""
        sigmas = self.degradation.noise * np.arange(1001) / 1000
        return VarianceExplodingSchedule(log_alpha_bar_of_sigma(sigmas), "uniform")

    def predictor(self, params, ops=reference_ops):
        """The function (x, t) -> predicted x0 at time t of ``schedule``."""
        mean, schedule = self.posterior_mean_function(params, ops), self.schedule
        return lambda x, t: mean(x, 1.0, schedule.noise_scale(t))

    def sample_training_noise(self, seed, sample, step, shape, dtype, ops=reference_ops):
        """Times t[b], uniform on (0, 1), the noise n[b,*shape] of the degradation and the noise
        z[b,*shape] of the path (None if ``epsilon`` is 0).
        """
        t = ops.uniform(seed, sample, step, Purpose.TIME, (), np.float64)
        n = ops.normal(seed, sample, step, Purpose.TRAINING_NOISE, shape, dtype)
        return (
            t,
            n,
            ops.normal(seed, sample, step, Purpose.LATENT, shape, dtype) if self.epsilon else None,
        )

    def loss(self, params, x0, t, n, z=None, labels=None, ops=reference_ops):
        """‖denoise(x_t, t) - x_0‖^2 per entry at times t[b]: mean, per_sample[b], the gradients of
        the mean by name.
        """
        x = path(x0, self.degradation(x0, n), t, ops)
        if self.epsilon:
            x = ops.add_noise(x, 1.0, brownian_deviation(self.epsilon)(t).astype(x.dtype), z)
        prediction, saved = self.predict(params, x, t, labels, ops)
        mean, per_sample, d = simple_loss(prediction, x0, ops)
        _, gradients = self.network.backward(params, d, saved, ops)
        return mean, per_sample, gradients
