"""Log-likelihood by the probability-flow ODE (Chen et al. 2018; Song et al. 2021, Sec. 4.3).  Not
in the tutorial.

Along a solution of dx/dt = F(x, t) the density at the moving point changes by d log p/dt = -∇·F.
On the way from the data at time 0 to T = t_max, where the density is the prior,

    log p_0(x_0) = log p_T(x_T) + int_0^T ∇·F dt,   ∇·F = d f - g^2/2 tr J,   J = ds/dx,

with the dimension d, drift coefficient f, diffusion coefficient g and score s at time t.  The trace
is sum_i e_iᵀ J e_i, from d pullbacks of the score, or Hutchinson's unbiased estimate vᵀ J v for one
random v with E[v vᵀ] = I.
"""

import numpy as np

from reference.samplers import final_sample
from reference.samplers.ode import rk45


def log_likelihood(
    sde, score_and_pullback_at_t, x, probe=None, prior=None, t_start=0.0, rtol=1e-6, atol=1e-6
):
    """log p_t(x) [b] in nats at the time t = ``t_start``, for x[b,...].

    ``score_and_pullback_at_t(x, t)`` -> (score, pullback), where pullback(v) is Jᵀ v.  ``probe``
    v[b,...]: Hutchinson's probe, the same for all times; without it the exact trace.  ``prior(x)``
    [b] is log p_T at T = t_max; by default N(0, prior_scale^2 I).  For a network ``t_start`` is the
    SDE's ``t_min``, the smallest noise of its training.  With the exact score and prior, the
    result is the exact log-density.
    """
    d = x[0].size

    def flow(state, t):
        x_t = state[:, :d].reshape(x.shape)
        score, pullback = score_and_pullback_at_t(x_t.astype(x.dtype), t)
        power, trace = sde.diffusion(t) ** 2, _trace(pullback, x, probe)
        drift = sde.drift_coefficient(t) * x_t - power / 2 * score
        return np.concatenate(
            (drift.reshape(len(x), d), (d * sde.drift_coefficient(t) - power / 2 * trace)[:, None]),
            axis=1,
        )

    start = np.concatenate((x.reshape(len(x), d).astype(np.float64), np.zeros((len(x), 1))), axis=1)
    end = final_sample(rk45(flow, (t_start, sde.t_max), start, rtol, atol))
    x_end = end[:, :d].reshape(x.shape)
    return (gaussian_prior(sde) if prior is None else prior)(x_end) + end[:, d]


def gaussian_prior(sde):
    """x[b,...] -> log N(x; 0, prior_scale^2 I) [b]."""

    def log_density(x):
        squares = (x.reshape(len(x), -1) / sde.prior_scale) ** 2
        return -0.5 * (squares + np.log(2 * np.pi * sde.prior_scale**2)).sum(axis=1)

    return log_density


def _trace(pullback, x, probe):
    if probe is not None:
        return _dot(probe, pullback(probe))
    trace = np.zeros(len(x))
    for i in range(x[0].size):
        direction = np.zeros_like(x)
        direction.reshape(len(x), -1)[:, i] = 1
        trace += _dot(direction, pullback(direction))
    return trace


def _dot(a, b):
    return (a.astype(np.float64) * b).reshape(len(a), -1).sum(axis=1)


def bits_per_dimension(log_p, dimensions, bin_width):
    """Bits per entry for data rounded to bins: -log_2 of a bin's probability p(x) bin_width^d,
    divided by d.  ``log_p`` in nats.

    For x uniform over its bin (``dequantise``) the mean is an upper bound of the bits per entry of
    the rounded data.
    """
    return (-np.asarray(log_p) / dimensions - np.log(bin_width)) / np.log(2)


def dequantise(x, bin_width, u):
    """x[b,...] of rounded data, made uniform over their bins by u uniform on (0, 1)."""
    return x + (bin_width * (u - 0.5)).astype(x.dtype)
