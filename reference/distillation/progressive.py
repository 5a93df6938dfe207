"""Progressive distillation (Salimans and Ho 2022): a student that takes in one step of DDIM the two
steps of its teacher.

The teacher goes from z at time t to z_half at t_half and to z_prev at t_prev, t > t_half > t_prev.
One step of DDIM from t to t_prev with an estimate x of x_0 leads to

    alpha_prev x + sigma_prev (z - alpha x) / sigma = k z + (alpha_prev - k alpha) x,
    k = sigma_prev / sigma.

It leads to z_prev for

    x̃ = (z_prev - k z) / (alpha_prev - k alpha),

and the student learns to predict x̃ from z.  x̃ is a function of z, so the least loss is 0, for any
data.  In the last step, t_prev = 0 and x̃ is the teacher's x_0 at t_half.  The student of 2N steps
is then the teacher of the student of N steps.

The loss is max(squared error of x_0, squared error of eps): the error of eps at a given z is
alpha/sigma times the error of x_0, so the weight of the squared error of x_0 is max(SNR, 1).  A
student predicts v or x_0: in its first step alpha is almost 0, where a predicted noise has no
information about x_0.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.conversions import cast_like, conversion, per_sample_column
from reference.diffusion.denoiser import Denoiser, simple_loss
from reference.diffusion.forward_process import forward
from reference.ops.random import Purpose


@dataclass(frozen=True)
class ProgressiveStudent(Denoiser):
    """A student of ``steps`` steps of DDIM.  ``teacher``: the parameters of its teacher of twice as
    many steps, by name; network, schedule and prediction are the student's own.
    """

    steps: int = 1
    teacher: Any = None

    def __post_init__(self):
        super().__post_init__()
        check_student(self)
        check_steps(self.schedule, self.steps)

    def x0_function(self, params, labels=None, ops=reference_ops):
        """The function (x[b,...], alpha, sigma) -> x̃, for the levels of the student's steps."""
        return super().posterior_mean_function(params, labels, ops)

    def posterior_mean_function(self, params, labels=None, ops=reference_ops):
        raise ValueError(
            "a student of progressive distillation predicts the end of its step, not E[x_0 | x]:"
            " it has no score"
        )

    score_function = score_and_pullback = posterior_mean_and_pullback = posterior_mean_function

    def sample_training_noise(self, seed, sample, step, shape, dtype, ops=reference_ops):
        """The times t[b], uniform over the student's steps, t_half[b] and t_prev[b]; the noise
        [b,*shape].
        """
        u = ops.uniform(seed, sample, step, Purpose.TIME, (), np.float64)
        noise = ops.normal(seed, sample, step, Purpose.TRAINING_NOISE, shape, dtype)
        times = np.asarray(self.schedule.timesteps(2 * self.steps)[::-1], like=u)
        last = 2 * np.floor(u * self.steps).astype(np.int64)  # the index of t_prev
        return np.take(times, last + 2), np.take(times, last + 1), np.take(times, last), noise

    def loss(self, params, x0, t, t_half, t_prev, noise, labels=None, ops=reference_ops):  # type: ignore[override]
        """The loss above at times t[b], in squares per entry: mean, per_sample[b], the gradients of
        the mean by name.  No gradient flows through the target.
        """
        z = forward(self.schedule, x0, t, noise, ops)
        target = self.target_of(z, t, t_half, t_prev, labels, ops)
        output, saved = self.predict(params, z, t, labels, ops)
        x0_hat, slope = self.to_x0(output, z, t)
        alpha, sigma, _ = self._level(t)
        weights = np.maximum((alpha / sigma) ** 2, 1.0)
        mean, per_sample, d = simple_loss(x0_hat, target, ops, weights)
        _, gradients = self.network.backward(params, d * slope, saved, ops)
        return mean, per_sample, gradients

    def target_of(self, z, t, t_half, t_prev, labels=None, ops=reference_ops):
        """x̃ [b,...] of the teacher at z[b,...], for t[b] > t_half[b] > t_prev[b]."""
        z_half = self._ddim_step(z, t, t_half, labels, ops)
        z_prev = self._ddim_step(z_half, t_half, t_prev, labels, ops)
        (alpha, sigma, _), (alpha_prev, sigma_prev, _) = self._level(t), self._level(t_prev)
        kept = sigma_prev / sigma
        scale = 1 / (alpha_prev - kept * alpha)
        return _combine(z_prev, scale, z, -kept * scale)

    def _ddim_step(self, z, t, t_next, labels, ops):
        """One step of DDIM by the teacher, from t[b] to t_next[b]."""
        output, _ = self.predict(self.teacher, z, t, labels, ops, keep=False)
        x0, _ = self.to_x0(output, z, t)
        (alpha, sigma, _), (alpha_next, sigma_next, _) = self._level(t), self._level(t_next)
        kept = sigma_next / sigma
        return _combine(z, kept, x0, alpha_next - kept * alpha)

    def to_x0(self, output, z, t):
        """(estimate of x_0, its slope in the network's output), from the output at z[b,...] and
        t[b].
        """
        a, b = conversion(self.prediction, "x0", *self._level(t))
        slope = per_sample_column(cast_like(b, z), z)
        return per_sample_column(cast_like(a, z), z) * z + slope * output, slope


def _combine(x, a, y, b):
    """a x + b y for a[b], b[b]."""
    a, b = (per_sample_column(cast_like(factor, x), x) for factor in (a, b))
    return a * x + b * y


def check_student(model):
    """ValueError for a model that can't learn to sample in one step."""
    if model.prediction == "noise":
        raise ValueError(
            "a run that predicts noise can't sample in one step: alpha is almost 0 there, and x_0 ="
            " (x - sigma eps) / alpha; train with prediction v"
        )
    if model.network.outputs != 1:
        raise ValueError("a student has no learned variances: train with objective simple")


def check_steps(schedule, steps):
    """ValueError unless the schedule has times for a teacher of twice as many steps."""
    most = getattr(schedule, "T", None) or int(schedule.t_max / schedule.t_min)
    if not 1 <= steps <= most // 2:
        given = f"and the schedule has {most}, got {2 * steps}"
        raise ValueError(f"teacher-steps must be at most the number of times, {given}")


def halvings(teacher_steps, steps):
    """The numbers of steps of the students, [teacher_steps / 2, .. steps].  ValueError unless
    halving leads from ``teacher_steps`` to ``steps``.
    """
    found, count = [], teacher_steps
    while count > steps and count % 2 == 0:
        count //= 2
        found.append(count)
    if steps < 1 or not found or count != steps:
        raise ValueError(
            f"halving {teacher_steps} steps does not lead to {steps}: teacher-steps must be steps"
            " times 2, 4, 8 .."
        )
    return found
