"""Denoising diffusion restoration models (Kawar et al. 2022): each singular direction of A is a
problem of one number, y = s x_0 + s_y n, restored by itself.

Let D be the denoised x = alpha x_0 + sigma eps, e = (x - alpha D) / sigma its noise, and u the
noise sigma / alpha of the next level.  ybar = y / s measures x_0 with noise r = s_y / s.  The next
x_0 + u eps is drawn from a Gaussian, by direction:

    not measured   mean D + sqrt(1 - eta^2) u e                variance eta^2 u^2
    u < r          mean D + sqrt(1 - eta^2) u (ybar - D) / r   variance eta^2 u^2
    u >= r         mean (1 - eta_b) D + eta_b ybar             variance u^2 - eta_b^2 r^2

In the first two rows part of the noise is known: e, or the error of ybar.  In the last, ybar has
less noise than the next level, and the rest is drawn.  The paper has strict inequalities in both of
the last rows and leaves out u = r.  No derivative of the denoiser is needed.
"""

from itertools import pairwise

import numpy as np

from reference import ops as reference_ops
from reference.ops.random import Purpose
from reference.restoration.operators import weighted
from reference.samplers import check_falling


def ddrm(
    denoise,
    operator,
    y,
    noise,
    schedule,
    grid,
    x,
    seed,
    sample,
    eta=0.85,
    eta_b=1.0,
    ops=reference_ops,
):
    """From x[b,...] at time grid[0] down to grid[-1], with measurements y[b,...] of this noise s_y;
    yields (t_prev, x, x0).  eta and eta_b, in [0, 1], as above.
    """
    for name, value in (("eta", eta), ("eta_b", eta_b)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie in [0, 1], got {value}")
    check_falling(grid)
    s = operator.singular_values
    ybar = weighted(operator.inverse_singular_values, operator.Ut(y))
    for step, (t, t_prev) in enumerate(pairwise(grid)):
        alpha, sigma = schedule.signal(t), schedule.noise_scale(t)
        x0 = denoise(x, alpha, sigma)
        e = ops.reverse_step(x, x0, 1 / sigma, -alpha / sigma, 0, None)
        u = schedule.noise_scale(t_prev) / schedule.signal(t_prev)
        weights = ddrm_weights(s, noise, u, eta, eta_b)
        z = ops.normal(seed, sample, step, Purpose.STEP_NOISE, x.shape[1:], x.dtype)
        parts = (operator.Vt(x0), ybar, operator.Vt(e), z.reshape(len(z), -1))
        coordinates = sum(weighted(w, part) for w, part in zip(weights, parts))
        x = schedule.signal(t_prev) * operator.V(coordinates)
        yield t_prev, x, x0


def ddrm_weights(s, noise, u, eta, eta_b):
    """The factors [n] of D, ybar, e and fresh noise for singular values s[n], at the next level
    u.
    """
    known = (1 - eta**2) ** 0.5 * u  # of the noise of deviation u, the part that is not drawn again
    spread = np.divide(noise, s, out=np.full_like(s, np.inf), where=s > 0)
    rows = [s == 0, u < spread, u >= spread]  # the first that holds
    pull = np.divide(known, spread, out=np.zeros_like(s), where=u < spread)
    left = np.sqrt((u**2 - eta_b**2 * np.where(rows[2], spread, 0) ** 2).clip(0))
    of_y = np.select(rows, (0.0, pull, eta_b))
    return 1 - of_y, of_y, np.where(rows[0], known, 0.0), np.where(rows[2], left, eta * u)
