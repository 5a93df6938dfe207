"""Denoising diffusion implicit models (tutorial, Sec. 2.6; Song, Meng and Ermon 2021).

The tutorial's alpha_t of this section is the alpha_bar_t of its earlier sections (E12).  Here A =
alpha_bar_t throughout, and A_prev = alpha_bar_prev.
"""

import numpy as np


def ddim_deviation(schedule, t, t_prev, eta):
    """The standard deviation of the noise of a step, eta sqrt((1 - A_prev) / (1 - A))
    sqrt(1 - A / A_prev), which the paper calls sigma_t.  eta = 0 is deterministic, eta = 1 is DDPM
    with the posterior variance (E12c).
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie between 0 and 1, got {eta}")
    return eta * float(
        np.sqrt(schedule.noise_power(t_prev) / schedule.noise_power(t) * schedule.beta(t, t_prev))
    )


def ddim_kernel(schedule, t, t_prev, deviation):
    """(c_x, c_x0) of q(x_prev | x_t, x_0) = N(c_x x_t + c_x0 x_0, deviation^2 I) (Thm 2.9).

    The mean is sqrt(A_prev) x_0 + sqrt(1 - A_prev - deviation^2) eps with eps = (x_t - sqrt(A) x_0)
    / sqrt(1 - A).  So x_prev has the distribution q(x_prev | x_0) for every deviation up to
    sqrt(1 - A_prev).  On the step to t_prev = 0 this is (0, 1).
    """
    left = schedule.noise_power(t_prev) - deviation**2
    if left < -1e-12:
        raise ValueError(
            "deviation must be at most sqrt(1 - alpha_bar_prev) ="
            f" {schedule.noise_scale(t_prev)}, got {deviation}"
        )
    c_x = max(left, 0.0) ** 0.5 / schedule.noise_scale(t)
    return c_x, schedule.signal(t_prev) - c_x * schedule.signal(t)
