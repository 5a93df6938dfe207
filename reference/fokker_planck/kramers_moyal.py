"""The Kramers-Moyal expansion (tutorial, Sec. 5.3): a Markov process in terms of the moments of its
increments,

    dp/dt = sum_m (-d/dx)^m ( D_m(x) p ),
    D_m(x) = 1/m! lim_{tau -> 0} E[ (xi(t + tau) - x)^m | xi(t) = x ] / tau.

(The tutorial's Thm 5.7 has -(d/dx)^m for (-d/dx)^m: E14; (5.34) divides by m! twice: E14b.)  D_m is
the tutorial's D^(m).  By Pawula's theorem (5.8) the sum ends at m = 1 (deterministic motion), at m
= 2 (Fokker-Planck), or never (jumps).
"""

from math import factorial

import numpy as np
from scipy.special import comb, factorial2

from reference.sde.sde import OrnsteinUhlenbeck


def estimate(x, y, tau, edges, m):
    """D_m [len(edges) - 1] at the finite lag tau and its standard error, in bins of x, from
    positions x[n] and the positions y[n] a time tau later.

    NaN in bins with fewer than two x.
    """
    bins, powers = np.digitize(x, edges) - 1, (y - x) ** m / (factorial(m) * tau)
    means, errors = np.full((2, len(edges) - 1), np.nan)
    for i in range(len(means)):
        inside = powers[bins == i]
        if len(inside) > 1:
            means[i], errors[i] = inside.mean(), inside.std(ddof=1) / len(inside) ** 0.5
    return means, errors


def ornstein_uhlenbeck(gamma, q, x, tau, m):
    """D_m at the finite lag tau for dxi/dt = -gamma xi + Gamma: the m-th moment of the Gaussian
    increment, divided by m! tau.
    """
    a, deviation = OrnsteinUhlenbeck(gamma=gamma, q=q, t_max=max(tau, 1.0)).transition(tau, 0.0)
    return gaussian_moment(x * (a - 1), deviation, m) / (factorial(m) * tau)


def gaussian_moment(mean, deviation, m):
    """E[y^m] for y ~ N(mean, deviation^2): the sum over even k of binomial(m, k) mean^{m-k}
    deviation^k (k-1)!!.
    """
    return sum(
        comb(m, k) * mean ** (m - k) * deviation**k * factorial2(k - 1) if k else mean**m
        for k in range(0, m + 1, 2)
    )


def compound_poisson(rate, moment, m):
    """D_m of jumps J at ``rate`` with E[J^m] = ``moment(m)``: rate E[J^m] / m!.  All D_m may differ
    from 0.
    """
    return rate * moment(m) / factorial(m)


def pawula(D):
    """The Cauchy-Schwarz inequalities between the coefficients D = {m: D_m}, m = 1, 2 .., as
    [(m, left, right)], left <= right.

    For odd m >= 3: (m! D_m)^2 <= (m-1)! D_{m-1} (m+1)! D_{m+1}.  For even m >= 4 the same with m -
    2 and m + 2 (E14c).  So if one even coefficient vanishes, all D_m with m >= 3 vanish.
    """
    moments, found = {m: factorial(m) * value for m, value in D.items()}, []
    for m in sorted(moments):
        apart = 1 if m % 2 else 2
        if m >= 3 and {m - apart, m + apart} <= moments.keys():
            found.append((m, moments[m] ** 2, moments[m - apart] * moments[m + apart]))
    return found
