"""Consistency models (Song et al. 2023), in the form of easy consistency tuning (Geng et al. 2024):
one evaluation leads from any point of a path to its end.

The probability-flow ODE leads from x_t = y + t eps to a sample x_0.  A consistency model f(x, t) is
the function with

    f(x_t, t) = f(x_r, r) along the path, r < t,     f(x, 0) = x,

so f(x_t, t) is the end of the path.  The second condition holds by construction:

    f(x, t) = c_skip x + c_out F(c_in x, t),    c_skip = sd^2 / (t^2 + sd^2),
                                                c_out = t sd / sqrt(t^2 + sd^2),

sd^2 the variance of the data.  This is EDM's preconditioning, the prediction F.  For v and velocity
the factor of the output is 0 at t = 0, too.  Training minimises, for two levels r < t with the same
noise eps,

    rho(f(y + t eps, t) - stop_gradient f(y + r eps, r)) / (t - r).

The gradient is stopped at the target: the target must not follow the prediction.  Given
y + t eps, the mean of y + r eps is Euler's step of the ODE from t to r.  Distillation takes the
step of a teacher, a trained denoiser D, in its place, by Euler's or Heun's method:

    dx/dt = (x - D(x, t)) / t.

rho is the squared error, or the pseudo-Huber loss sqrt(|.|^2 + c^2) - c, whose gradient is bounded.
The norm itself, c = 0, has no gradient at 0.  |.|^2 is the mean square of the entries.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.conversions import cast_like, conversion, per_sample_column
from reference.diffusion.denoiser import Denoiser
from reference.ops.random import Purpose
from reference.samplers.edm import sigmas

OBJECTIVES = ("pseudo-huber", "squared")
SOLVERS = ("euler", "heun")
HUBER_C = 0.00054  # Song and Dhariwal 2024: .00054 sqrt(d), for the norm of d entries
# ln t ~ N(MEAN, DEVIATION^2);  r = t (1 - Q^-(stage + 1) (1 + K sigmoid(-t))), at least 0
MEAN, DEVIATION = -1.1, 2.0
Q, K = 2.0, 8.0


@dataclass(frozen=True)
class ConsistencyModel(Denoiser):
    """``network``, ``schedule`` and ``prediction`` are those of the denoiser that f begins as; its
    output becomes F by the conversion to x_0.

    objective    rho, one of OBJECTIVES
    teacher      None: consistency training.  The parameters of a denoiser with the same network:
                 distillation, by steps of the ``solver``
    levels       N levels spaced as in ``edm.sigmas``, followed by 0, t uniform among them and r
                 the next; 0: t and r as in easy consistency tuning
    stage_steps  training steps after which r comes closer to t
    """

    objective: str = "pseudo-huber"
    teacher: Any = None
    solver: str = "heun"
    levels: int = 0
    stage_steps: int = 1000

    def __post_init__(self):
        super().__post_init__()
        for name, known in (("objective", OBJECTIVES), ("solver", SOLVERS)):
            if (value := getattr(self, name)) not in known:
                raise ValueError(f"{name} must be {' or '.join(known)}, got {value!r}")
        if self.prediction in ("noise", "x0"):
            raise ValueError(
                f"a consistency model can't begin with a run that predicts {self.prediction}:"
                " f(x, 0) must be x, and one step must work where alpha is almost 0; train with"
                " prediction v"
            )
        if self.network.outputs != 1:
            raise ValueError("a student has no learned variances: train with objective simple")
        if not getattr(self.schedule, "is_dense", True):
            count = f"and the schedule has {getattr(self.schedule, 'T', 0)}"
            raise ValueError(f"a consistency model needs all noise levels, {count}")
        if self.levels < 0 or self.levels == 1 or self.stage_steps < 1:
            raise ValueError(
                "levels must be 0 or at least 2 and stage-steps at least 1,"
                f" got {self.levels} and {self.stage_steps}"
            )

    # for samplers

    def consistency_function(self, params, labels=None, ops=reference_ops):
        """The function (x[b,...], t) -> f(x, t), t one noise level for all samples."""
        at = super().posterior_mean_function(params, labels, ops)
        return lambda x, t: at(x, 1.0, t)

    def posterior_mean_function(self, params, labels=None, ops=reference_ops):
        raise ValueError(
            "a consistency model predicts the end of a path, not E[x_0 | x]: it has no score"
        )

    score_function = score_and_pullback = posterior_mean_and_pullback = posterior_mean_function

    # training

    def sample_training_noise(self, seed, sample, step, shape, dtype, ops=reference_ops):
        """The levels t[b] and r[b] < t of a training step, the coefficients of f at both, [b,4]
        each, and the noise [b,*shape].
        """
        t, r = self.sample_levels(seed, sample, step, ops)
        noise = ops.normal(seed, sample, step, Purpose.TRAINING_NOISE, shape, dtype)
        return t, r, self.coefficients(t), self.coefficients(r), noise

    def sample_levels(self, seed, sample, step, ops=reference_ops):
        """t[b] within the trained range, and r[b]; an r below the range is 0."""
        low, high = self.schedule.noise_range(self.data_variance)
        if self.levels:
            u = ops.uniform(seed, sample, step, Purpose.TIME, (), np.float64)
            grid = np.asarray(sigmas(self.levels, low, high)[::-1], like=u)
            n = np.floor(u * self.levels).astype(np.int64)
            return np.take(grid, n + 1), np.take(grid, n)
        z = ops.normal(seed, sample, step, Purpose.TIME, (), np.float64)
        t = np.exp(MEAN + DEVIATION * z).clip(low, high)
        stage = (step - 1) // self.stage_steps
        r = t * (1 - Q ** -(stage + 1.0) * (1 + K * (1 - np.tanh(t / 2)) / 2))
        return t, np.where(r < low, 0.0, r)

    def coefficients(self, t):
        """(scale, a, b, c) [b,4] at the levels t[b]: f(x, t) = a x + b network(scale x, c).  At
        t = 0 f is x: a = 1 and b = 0.
        """
        low, _ = self.schedule.noise_range(self.data_variance)
        noisy = t > 0
        level = np.where(noisy, t, low)
        alpha, sigma = self.schedule.to_schedule_scale(np.ones_like(level), level)
        a, b = conversion(self.prediction, "x0", alpha, sigma, self.data_variance)
        c = self.schedule.network_time(self.schedule.time_of(alpha, sigma))
        scale = self.input_scale(1.0, level**2)
        parts = scale, np.where(noisy, a * alpha, 1.0), np.where(noisy, b, 0.0), c
        return np.stack(parts, axis=1)

    def evaluate(self, params, x, coefficients, labels=None, ops=reference_ops, keep=True):
        """f(x[b,...]) by the ``coefficients`` of its levels -> f, its slope in the network's
        output, saved.
        """
        scale, a, b, c = (coefficients[:, k].astype(x.dtype) for k in range(4))
        scale, a, b = (per_sample_column(factor, x) for factor in (scale, a, b))
        output, saved = self.network.forward(params, scale * x, c, ops, labels, keep)
        return a * x + b * output, b, saved

    def loss(self, params, y, t, r, at_t, at_r, noise, labels=None, ops=reference_ops):  # type: ignore[override]
        """The loss above: mean, per_sample[b], the gradients of the mean by name."""
        x_t = ops.add_noise(y, 1.0, cast_like(t, y), noise)
        target = self.target_of(params, x_t, y, t, r, at_t, at_r, noise, labels, ops)
        prediction, slope, saved = self.evaluate(params, x_t, at_t, labels, ops)
        _, squares = ops.mse(prediction, target)
        weights = cast_like(1 / (t - r), y)
        if self.objective == "squared":
            per_sample, factor = squares, weights
        else:
            # d/ds of sqrt(s + c^2) - c, s the mean square
            root = np.sqrt(squares + HUBER_C**2)
            per_sample, factor = root - HUBER_C, weights / (2 * root)
        per_sample = weights * per_sample
        d = ops.mse_backward(factor / len(y), prediction, target)
        _, gradients = self.network.backward(params, d * slope, saved, ops)
        return per_sample.mean(), per_sample, gradients

    def target_of(self, params, x_t, y, t, r, at_t, at_r, noise, labels=None, ops=reference_ops):
        """f(x_r, r), to which no gradient flows; x_r has the same noise as x_t, or is the teacher's
        step from it.
        """
        if self.teacher is None:
            x_r = ops.add_noise(y, 1.0, cast_like(r, y), noise)
        else:
            x_r = self._teacher_step(x_t, t, r, at_t, at_r, labels, ops)
        target, *_ = self.evaluate(params, x_r, at_r, labels, ops, keep=False)
        return target

    def _teacher_step(self, x, t, r, at_t, at_r, labels, ops):
        """A step of the teacher's ODE from t[b] to r[b]; to r = 0 by Euler's method, to D(x, t)."""
        t, r = (per_sample_column(cast_like(level, x), x) for level in (t, r))
        denoised, *_ = self.evaluate(self.teacher, x, at_t, labels, ops, keep=False)
        slope = (x - denoised) / t
        euler = x + (r - t) * slope
        if self.solver == "euler":
            return euler
        denoised, *_ = self.evaluate(self.teacher, euler, at_r, labels, ops, keep=False)
        slope_r = (euler - denoised) / np.where(r > 0, r, 1.0)
        heun = x + (r - t) * (slope + slope_r) / 2
        return np.where(r > 0, heun, euler)
