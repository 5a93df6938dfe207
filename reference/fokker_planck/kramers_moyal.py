"""The expansion of Kramers and Moyal (tutorial, Sec. 5.3): a Markov process told by the moments of
its increments,

    d_t p = sum_m (-d_x)^m ( D^(m)(x) p ),   D^(m)(x) = 1/m! lim_(tau -> 0) E[ (xi(t + tau) - x)^m | xi(t) = x ] / tau.

(The tutorial's Thm 5.7 has - d_x^m for (-d_x)^m: E14; (5.34) divides by m! twice: E14b.)  Pawula's
theorem (5.8): the sum ends at m = 1 (deterministic motion), at m = 2 (Fokker-Planck), or never
(jumps).
"""

from math import factorial

import numpy as np
from scipy.special import comb, factorial2
from scipy.stats import poisson

from reference.ops import normal, uniform
from reference.ops.random import Purpose
from reference.sde.sde import OrnsteinUhlenbeck


def estimate(x, y, tau, edges, m):
    """D^(m) [len(edges) - 1] at the finite lag tau, from positions x[n] and y[n] a time tau later,
    and its standard error, in bins of x.

    NaN in bins of fewer than two x.
    """
    bins, powers = np.digitize(x, edges) - 1, (y - x) ** m / (factorial(m) * tau)
    means, errors = np.full((2, len(edges) - 1), np.nan)
    for i in range(len(means)):
        inside = powers[bins == i]
        if len(inside) > 1:
            means[i], errors[i] = inside.mean(), inside.std(ddof=1) / len(inside) ** 0.5
    return means, errors


def extrapolate(at_tau, at_two_tau):
    """The limit tau -> 0 from lags tau and 2 tau, exact up to O(tau^2): 2 D_tau - D_2tau."""
    return 2 * at_tau - at_two_tau


def ornstein_uhlenbeck(gamma, q, x, tau, m):
    """D^(m) at the finite lag tau of xi' = -gamma xi + Gamma: a Gaussian increment's m-th moment
    over m! tau.
    """
    a, deviation = OrnsteinUhlenbeck(gamma=gamma, q=q, t_max=max(tau, 1.0)).transition(tau, 0.0)
    return gaussian_moment(x * (a - 1), deviation, m) / (factorial(m) * tau)


def gaussian_moment(mean, deviation, m):
    """E y^m of N(mean, deviation^2): sum over even k of (m over k) mean^(m-k) deviation^k (k-1)!!."""
    return sum(
        comb(m, k) * mean ** (m - k) * deviation**k * factorial2(k - 1) if k else mean**m
        for k in range(0, m + 1, 2)
    )


def compound_poisson(rate, moment, m):
    """D^(m) of jumps at ``rate`` whose m-th moment is ``moment(m)``: rate E J^m / m!, none of which
    need vanish.
    """
    return rate * moment(m) / factorial(m)


def compound_poisson_increments(rate, deviation, tau, seed, sample):
    """Sums [b] over a time tau of jumps N(0, deviation^2) at ``rate``: of N jumps the sum is N(0, N
    deviation^2), and N is Poisson's.
    """
    count = poisson.ppf(uniform(seed, sample, 0, Purpose.STEP_NOISE, ()), rate * tau)
    return deviation * np.sqrt(count) * normal(seed, sample, 1, Purpose.STEP_NOISE, ())


def pawula(D):
    """The inequalities of Cauchy and Schwarz between the coefficients D = {m: D^(m)}, m = 1, 2 ..,
    as [(m, left, right)], left <= right.

    For an odd m from 3 on (m! D_m)^2 <= (m-1)! D_(m-1) (m+1)! D_(m+1), for an even one from 4 on
    the same with m - 2 and m + 2 (E14c).  So if one even coefficient vanishes, all from the third
    on do.
    """
    moments, found = {m: factorial(m) * value for m, value in D.items()}, []
    for m in sorted(moments):
        apart = 1 if m % 2 else 2
        if m >= 3 and {m - apart, m + apart} <= moments.keys():
            found.append((m, moments[m] ** 2, moments[m - apart] * moments[m + apart]))
    return found
