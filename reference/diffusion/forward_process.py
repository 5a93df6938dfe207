"""The forward process of any schedule: x_t from x_0 directly, or from x_prev in one step."""

from reference import ops as reference_ops
from reference.diffusion.conversions import cast_like


def forward_step(schedule, x_prev, t, t_prev, noise, ops=reference_ops):
    """x_prev[b,...] -> x_t[b,...] ~ q(x_t | x_prev) = N(signal_ratio x_prev, beta I).

    If the variance is preserved, that is N(sqrt(a) x_prev, (1 - a) I) with
    a = alpha_bar_t / alpha_bar_prev (tutorial, eq. 2.1).  ``noise``: an array or a ``Key``.
    """
    signal_ratio = schedule.signal_ratio(t, t_prev)
    deviation = schedule.beta(t, t_prev) ** 0.5
    return ops.add_noise(x_prev, signal_ratio, deviation, noise)


def forward(schedule, x0, t, noise, ops=reference_ops):
    """x0[b,...] -> x_t[b,...] ~ q(x_t | x_0) = N(signal x_0, noise_scale^2 I) in one step.

    If the variance is preserved, that is N(sqrt(alpha_bar_t) x_0, (1 - alpha_bar_t) I) (Thm 2.2;
    the tutorial's training algorithm omits the root: E6).  t is a time of the schedule, or an array
    of times [b].
    """
    signal = cast_like(schedule.signal(t), x0)
    noise_scale = cast_like(schedule.noise_scale(t), x0)
    return ops.add_noise(x0, signal, noise_scale, noise)
