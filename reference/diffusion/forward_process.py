"""The forward process of any schedule: x_t from x_0 at once, or from x_prev in one step."""

from reference import ops as reference_ops
from reference.diffusion.devices import cast_like


def forward_step(schedule, x_prev, t, t_prev, noise, ops=reference_ops):
    """x_t ~ q(x_t | x_prev) = N(sqrt(a) x_prev, (1 - a) I) (tutorial, eq. 2.1).  ``noise``: an
    array or a ``Key``.
    """
    return ops.add_noise(
        x_prev, schedule.signal_ratio(t, t_prev), schedule.beta(t, t_prev) ** 0.5, noise
    )


def forward(schedule, x0, t, noise, ops=reference_ops):
    """x_t ~ q(x_t | x_0) = N(sqrt(A) x_0, (1 - A) I) in one shot (Thm 2.2; the tutorial's training
    algorithm drops the root: E6).

    x0[b,...]; t a whole number or an integer array [b].
    """
    signal, noise_scale = (
        cast_like(value, x0) for value in (schedule.signal(t), schedule.noise_scale(t))
    )
    return ops.add_noise(x0, signal, noise_scale, noise)
