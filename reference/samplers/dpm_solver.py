"""DPM-Solver (Lu et al. 2022): the probability-flow ODE, with its linear part solved exactly and
only the network's part approximated; and the same for the reverse SDE (SDE-DPM-Solver++).

With l = log(alpha/sigma), half the log-SNR, and h = l_t - l_s > 0 for a step from s down to t,

    x_t = (alpha_t/alpha_s) x_s - alpha_t int_{l_s}^{l_t} e^{-l} eps(x_l, l) dl.

Order k replaces eps by its Taylor polynomial of degree k - 1 in l, from evaluations between s and t
(single step) or from earlier steps (multistep).  Order 1 is DDIM.  ++ (Lu et al. 2022b) does the
same with the prediction of x_0 in place of eps:

    x_t = (sigma_t/sigma_s) x_s + sigma_t int_{l_s}^{l_t} e^l x_0(x_l, l) dl.

``predict_noise(x, t)`` predicts eps.  Not in the tutorial, which cites it.
"""

from itertools import pairwise

import numpy as np

from reference import ops as reference_ops
from reference.ops.random import Key, Purpose
from reference.samplers import check_grid


def _at(sde, t):
    """(alpha, sigma, l) at time t."""
    alpha, sigma = sde.marginal(t)
    return alpha, sigma, sde.log_snr(t) / 2


def dpm_solver(sde, predict_noise, grid, x, order=2):
    """Single-step DPM-Solver of order 1, 2 or 3 from x[b,...] at grid[0] to grid[-1] > 0; ``order``
    evaluations a step.
    """
    if order not in (1, 2, 3):
        raise ValueError(f"order must be 1, 2 or 3, got {order}")
    step = (_first, _second, _third)[order - 1]
    for s, t in pairwise(check_grid(grid)):
        x = step(sde, predict_noise, x, s, t)
        yield t, x, None


def _toward(sde, x, s, t, eps):
    """The step of DPM-Solver-1 from s to t: (alpha_t/alpha_s) x - sigma_t (e^h - 1) eps."""
    alpha_s, _, l_s = _at(sde, s)
    alpha_t, sigma_t, l_t = _at(sde, t)
    return (alpha_t / alpha_s) * x - (sigma_t * float(np.expm1(l_t - l_s))) * eps


def _first(sde, predict_noise, x, s, t):
    return _toward(sde, x, s, t, predict_noise(x, s))


def _between(sde, s, t, share):
    """The time whose log-SNR lies at the fraction ``share`` between those of s and t."""
    return sde.time_of_log_snr((1 - share) * sde.log_snr(s) + share * sde.log_snr(t))


def _second(sde, predict_noise, x, s, t):
    middle = _between(sde, s, t, 1 / 2)
    x_middle = _toward(sde, x, s, middle, predict_noise(x, s))
    return _toward(sde, x, s, t, predict_noise(x_middle, middle))


def _third(sde, predict_noise, x, s, t):
    # e0, e0 + d1 and e0 + d2 are the noise at the fractions 0, r1 and r2 of the step
    r1, r2 = 1 / 3, 2 / 3
    h = (sde.log_snr(t) - sde.log_snr(s)) / 2
    t1, t2 = _between(sde, s, t, r1), _between(sde, s, t, r2)
    sigma2, sigma_t = sde.marginal(t2)[1], sde.marginal(t)[1]
    e0 = predict_noise(x, s)
    d1 = predict_noise(_toward(sde, x, s, t1, e0), t1) - e0
    curve = float(np.expm1(r2 * h) / (r2 * h) - 1)
    d2 = predict_noise(_toward(sde, x, s, t2, e0) - (sigma2 * r2 / r1 * curve) * d1, t2) - e0
    return _toward(sde, x, s, t, e0) - (sigma_t / r2 * float(np.expm1(h) / h - 1)) * d2


def dpm_solver_plus_plus(
    sde, predict_noise, grid, x, seed=0, sample=None, reverse_noise=0.0, ops=reference_ops
):
    """The multistep ++2M: second order with one evaluation a step; the slope comes from the
    previous step.

    ``reverse_noise`` is the lambda of ``SDE.reverse``: 0 gives the ODE, 1 SDE-DPM-Solver++(2M), of
    weak order 2.  Noise needs the indices ``sample`` [b].  Derivation: with c = lambda^2, and with
    score = (alpha x_0(x, l) - x) / sigma^2 in the reverse SDE,

        d(x / sigma) = -c (x / sigma) dl + (1 + c) e^l x_0 dl + sqrt(2 c) dw,

    because g^2 = -2 sigma^2 dl/dt.  The factor e^{c l} takes the linear term out:

        x_t = (sigma_t/sigma_s) e^{-c h} x_s
              + (1 + c) alpha_t int_{l_s}^{l_t} e^{-(1 + c) (l_t - l)} x_0(x_l, l) dl
              + sigma_t sqrt(1 - e^{-2 c h}) z.

    The weight of a constant x_0 is (1 + c) int = 1 - e^{-(1 + c) h}.  So the first step, with
    lambda = 1, is DDPM's with the posterior variance.  Later ones take the line through x_0(s) and
    the previous x_0 in one of two ways, known as solver types:

        midpoint   the line's value at l_s + h/2, with the weight of a constant
        heun       the line's integral

    This multiplies the line's slope by h/2 (1 - e^{-(1 + c) h}) or by
    h - (1 - e^{-(1 + c) h}) / (1 + c), which differ by O(h^3).  This is midpoint, as in the
    paper's algorithms and by default in diffusers.  With either, the noise of a step reaches the
    line in the next one, which changes the law by O(h^2).
    """
    before, c = None, reverse_noise**2
    for step, (s, t) in enumerate(pairwise(check_grid(grid))):
        alpha_s, sigma_s, l_s = _at(sde, s)
        alpha_t, sigma_t, l_t = _at(sde, t)
        x0, h = (x - sigma_s * predict_noise(x, s)) * (1 / alpha_s), l_t - l_s
        line = x0
        if before is not None:
            x0_before, h_before = before
            line = x0 + (h / (2 * h_before)) * (x0 - x0_before)
        decay, weight = float(np.exp(-c * h)), -float(np.expm1(-(1 + c) * h))
        x = (sigma_t / sigma_s * decay) * x + (alpha_t * weight) * line
        if reverse_noise:
            z = ops.normal(*Key(seed, sample, step, Purpose.STEP_NOISE), x.shape[1:], x.dtype)
            x = x + sigma_t * float(-np.expm1(-2 * c * h)) ** 0.5 * z
        before = x0, h
        yield t, x, None
