"""Log-likelihood by the probability-flow ODE (Chen et al. 2018; Song et al. 2021, Sec. 4.3).  Not
in the tutorial.

Along dx/dt = f(x, t) the density of a moving point changes by d log p / dt = -div f.  Followed from
the data at time 0 to the end, where the density is the prior's,

    log p_0(x_0) = log p_end(x_end) + int_0^end div f dt,   div f = d rate - diffusion^2/2 tr J,   J = d score / dx.

The trace is sum_i e_i'J e_i, d pullbacks of the score, or Hutchinson's estimate v'J v for one
random v with E v v' = I, without bias.
"""

import numpy as np

from reference.samplers import final_sample
from reference.samplers.ode import rk45


def log_likelihood(
    sde, score_and_pullback, x, probe=None, prior=None, first=0.0, rtol=1e-6, atol=1e-6
):
    """log p_first(x) [b] in nats, for x[b,...].

    ``score_and_pullback(x, t)`` -> (score, pullback), where pullback(v) is J'v.  ``probe``
    v[b,...]: Hutchinson's, the same along the whole way; the exact trace without.  ``prior(x)`` [b]
    is log p_end, N(0, prior_scale^2 I) unless given, ``first`` the time that x is from:  the SDE's
    ``final_sample`` for a network, which knows no smaller noise.  With the exact score and prior,
    the exact log-density.
    """
    d = x[0].size

    def flow(state, t):
        x_t = state[:, :d].reshape(x.shape)
        score, pullback = score_and_pullback(x_t.astype(x.dtype), t)
        power, trace = sde.diffusion(t) ** 2, _trace(pullback, x, probe)
        drift = sde.drift_coefficient(t) * x_t - power / 2 * score
        return np.concatenate(
            (drift.reshape(len(x), d), (d * sde.drift_coefficient(t) - power / 2 * trace)[:, None]),
            axis=1,
        )

    start = np.concatenate((x.reshape(len(x), d).astype(np.float64), np.zeros((len(x), 1))), axis=1)
    end = final_sample(rk45(flow, (first, sde.t_max), start, rtol, atol))
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
    """Bits an entry for data rounded to bins: -log_2 of the mass p(x) bin_width^d of a bin, over d.
    ``log_p`` in nats.

    For x spread evenly over its bin (``dequantise``) the mean bounds that of the rounded data from
    above.
    """
    return (-np.asarray(log_p) / dimensions - np.log(bin_width)) / np.log(2)


def dequantise(x, bin_width, u):
    """x[b,...] of rounded data, spread evenly over their bins by u uniform on (0, 1)."""
    return x + (bin_width * (u - 0.5)).astype(x.dtype)
