"""What students learn from a Gaussian or from a mixture on the line, exactly: no network, no
Monte Carlo.

A level is a pair (alpha, sigma): x = alpha x_0 + sigma eps.  For Gaussian data N(m, c) it has

    v = alpha^2 c + sigma^2,   Cov[x_s, x_t] = alpha_s alpha_t c + sigma_s sigma_t,

if x_s and x_t share x_0 and eps.  Where only noise levels t_0 < t_1 < .. < t_N are given, alpha is
1; any other path is x / alpha at the level sigma / alpha.

**The flow** (probability-flow ODE) of N(m, c) from t to s is

    x_s = alpha_s m + sqrt(v_s / v_t) (x_t - alpha_t m),

because it is linear and takes N(alpha_t m, v_t) to N(alpha_s m, v_s).  On the line no two paths
cross, for any data: the flow preserves quantiles, x_s = F_s^{-1}(F_t(x_t)).

**A step of DDIM** goes to alpha_s D + sigma_s eps_hat, D = E[x_0 | x_t], with
eps_hat = (x_t - alpha_t D) / sigma_t.  This is E[x_s | x_t] with the shared eps, and on a Gaussian

    x_s = alpha_s m + g (x_t - alpha_t m),   g = (alpha_s alpha_t c + sigma_s sigma_t) / v_t.

With alpha = 1 it is an Euler step in sigma of dx/dsigma = (x - D) / sigma.

**Consistency training** with the levels t_0 .. t_N compares f_{n+1}(x_{n+1}) with the fixed
f_n(x_n), both with the same x_0 and eps, from f_0(x) = x.  Over all functions the squared error is
least for

    f_{n+1}(x) = E[f_n(x_n) | x_{n+1} = x],   and is then E[Var[f_n(x_n) | x_{n+1}]], its floor.

On a Gaussian f_n(x) = m + g_n (x - m), with g_{n+1} = g_n times the gain of DDIM: the optimum is
N-step DDIM.  Its floor is g_n^2 Var[x_n | x_{n+1}], and with a = t_n, b = t_{n+1}

    Var[x_a | x_b] = v_a - Cov^2 / v_b = ((c + a^2) (c + b^2) - (c + a b)^2) / v_b
                   = c (b - a)^2 / (c + b^2).

On a mixture both hold for each component: given k, x_a given x_b = x is Gaussian with the mean
mu_k + (c_k + a b) / (c_k + b^2) (x - mu_k) and that variance, and k has the responsibilities at b.
E[f_n(x_n) | x_{n+1}] is not f_n(E[x_n | x_{n+1}]), the step of DDIM, because f_n is not linear.

**Consistency distillation** has the teacher's step from x_{n+1} in place of x_n: nothing is random,
the floor is 0 and the optimum is the teacher's N steps.  **Progressive distillation** learns two
steps of DDIM with floor 0, too.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.interpolate import make_interp_spline
from scipy.special import log_ndtr, ndtri_exp

from reference.samplers import final_sample
from reference.samplers.edm import edm
from reference.samplers.ode import runge_kutta

DEVIATIONS = 8.2  # of a Gaussian; the mass beyond is less than a rounding of 1
HERMITE_NODES = 24
NEWTON_CONVERGED = 1e-12  # relative; the next step would be its square or rounding


def gaussian_flow(x, mean, variance, level, level_next):
    """The exact flow of data N(mean, variance) from x at ``level`` to ``level_next``."""
    (alpha, _), (alpha_next, _) = level, level_next
    scale = (power(variance, level_next) / power(variance, level)) ** 0.5
    return alpha_next * mean + scale * (x - alpha * mean)


def power(variance, level):
    """v, the variance of x at a level."""
    alpha, sigma = level
    return alpha**2 * variance + sigma**2


def ddim_gain(variance, level, level_next):
    """The factor of x - alpha m in a step of DDIM."""
    (alpha, sigma), (alpha_next, sigma_next) = level, level_next
    return (alpha * alpha_next * variance + sigma * sigma_next) / power(variance, level)


def progressive_gain(variance, level, middle, end):
    """The factor that progressive distillation learns: two steps of DDIM."""
    return ddim_gain(variance, level, middle) * ddim_gain(variance, middle, end)


def consistency_gains(variance, levels):
    """g_n [N+1] of consistency training, from g_0 = 1, for the rising noise levels [N+1]; also of
    distillation by Euler's steps.
    """
    steps = [ddim_gain(variance, (1.0, b), (1.0, a)) for a, b in pairwise(levels)]
    return np.cumprod([1.0, *steps])


def consistency_floors(variance, levels):
    """The least squared error [N] of consistency training at the levels 1 .. N."""
    a, b = levels[:-1], levels[1:]
    within = variance * (b - a) ** 2 / (variance + b**2)
    return consistency_gains(variance, levels)[:-1] ** 2 * within


def heun_gain(variance, levels):
    """The factor of distillation by Heun's steps of dx/dsigma = k(sigma) x, k = sigma / v: from b
    to a a step multiplies by 1 + (a - b) / 2 (k_b + k_a (1 + (a - b) k_b)).
    """
    k = levels / (variance + levels**2)
    steps = np.diff(levels)
    return float(np.prod(1 - steps / 2 * (k[1:] + k[:-1] * (1 - steps * k[1:]))))


def quantile_map(source, target, x):
    """F_target^{-1}(F_source(x)) for mixtures on the line and x[n]: the exact flow between two
    levels of one mixture.

    Solved for the normal scores z = Phi^{-1}(F(x)), computed from the smaller tail, so that tails
    keep their digits.  The mixture's quantile at z lies between the quantiles mu_k + s_k z of its
    components; within these bounds Newton's method is used, or bisection where it leaves them.
    """
    z, _ = _normal_score(source, x)
    quantiles = target.means[:, 0] + np.sqrt(target.full[:, 0, 0]) * z[:, None]
    low, high = quantiles.min(axis=1), quantiles.max(axis=1)
    table = np.linspace(low.min(), high.max(), 1001)
    y = np.clip(np.interp(z, _normal_score(target, table)[0], table), low, high)
    for _ in range(100):
        score, slope = _normal_score(target, y)
        low, high = np.where(score < z, y, low), np.where(score > z, y, high)
        newton = y - (score - z) / slope
        before, y = y, np.where((newton > low) & (newton < high), newton, (low + high) / 2)
        if np.abs(y - before).max() <= NEWTON_CONVERGED * np.abs(table).max():
            break
    return y


def _normal_score(mixture, x):
    """z = Phi^{-1}(F(x)) [n], and dz/dx = p(x) / phi(z)."""
    u = (x[:, None] - mixture.means[:, 0]) / np.sqrt(mixture.full[:, 0, 0])
    log_weights = np.log(mixture.weights)
    below, above = (
        np.logaddexp.reduce(log_ndtr(sign * u) + log_weights, axis=1) for sign in (1, -1)
    )
    z = np.where(below < above, 1.0, -1.0) * ndtri_exp(np.minimum(below, above))
    log_phi = -(z**2 + np.log(2 * np.pi)) / 2
    return z, np.exp(mixture.log_density(x[:, None]) - log_phi)


def data_mesh(mixture, spacing=0.02):
    """Even points y[n] on the line with all of the mass of a mixture's components but 1e-15."""
    mu, s = mixture.means[:, 0], np.sqrt(mixture.full[:, 0, 0])
    low, high = (mu - DEVIATIONS * s).min(), (mu + DEVIATIONS * s).max()
    return np.linspace(low, high, int(np.ceil((high - low) / spacing)) + 1)


def mesh(mixture, level, y):
    """The points at noise ``level`` that the exact flow takes to y[n]."""
    return quantile_map(mixture, mixture.noised(1.0, level), y)


@dataclass(frozen=True)
class Consistency:
    """The optimum of consistency training at each of the levels t_0 .. t_N: points [N+1,n],
    values f [N+1,n] there, and ``floors`` [N].
    """

    points: np.ndarray
    values: np.ndarray
    floors: np.ndarray

    def function(self, n):
        """f_n as a function of x[...]."""
        return _interpolant(self.points[n], self.values[n])


def consistency_training(mixture, levels, spacing=0.02, nodes=HERMITE_NODES):
    """``Consistency`` for a mixture on the line.  E[f_n(x_n) | x_{n+1}] is a sum over ``nodes`` of
    Gauss and Hermite for each component; f_n is a spline through its values on ``mesh``.
    Means over x_{n+1} are integrals over y, p_0(y) dy being p(x) dx: sums over an even grid.
    """
    y = data_mesh(mixture, spacing)
    x, density = mesh(mixture, levels[0], y), np.exp(mixture.log_density(y[:, None]))
    points, values, floors = [x], [x], []
    for a, b in pairwise(levels):
        f, x = _interpolant(points[-1], values[-1]), mesh(mixture, b, y)
        first, second = conditional_moments(mixture, f, x, a, b, nodes)
        floors.append(np.trapezoid(density * (second - first**2), y))
        points.append(x)
        values.append(first)
    return Consistency(np.stack(points), np.stack(values), np.array(floors))


def conditional_moments(mixture, f, x, a, b, nodes=HERMITE_NODES):
    """E[f(x_a) | x_b = x] and E[f(x_a)^2 | x_b = x], both [n], for noise levels a < b that share
    x_0 and eps.
    """
    z, weights = np.polynomial.hermite_e.hermegauss(nodes)
    weights /= weights.sum()
    r = mixture.noised(1.0, b).responsibilities(x[:, None])
    first, second = np.zeros_like(x), np.zeros_like(x)
    for share, mu, c in zip(r.T, mixture.means[:, 0], mixture.full[:, 0, 0]):
        mean = mu + (c + a * b) / (c + b**2) * (x - mu)
        deviation = (c / (c + b**2)) ** 0.5 * (b - a)
        values = f(mean[:, None] + deviation * z)
        first += share * (values @ weights)
        second += share * (values**2 @ weights)
    return first, second


def _interpolant(x, values):
    """The spline of fifth degree through ``values`` at x[n], continued by its tangents."""
    spline, low, high = make_interp_spline(x, values, k=5), x[0], x[-1]
    at_low, at_high = spline.derivative()((low, high))

    def f(x):
        inside = np.clip(x, low, high)
        return spline(inside) + np.where(x < low, at_low, at_high) * (x - inside)

    return f


def distilled(mixture, levels, x, method):
    """The optimum of consistency distillation at the last level, for x[n]: the teacher's steps down
    the levels by ``method``, euler or heun.  A step to level 0 is Euler's.
    """
    denoise = lambda x, sigma: mixture.posterior_mean(x, 1.0, sigma)
    falling = levels[::-1]
    if method == "heun":
        return final_sample(edm(denoise, falling, x[:, None]))[:, 0]
    slope = lambda x, sigma: (x - denoise(x, sigma)) / sigma
    return final_sample(runge_kutta(slope, falling, x[:, None], method))[:, 0]


def wasserstein(mixture, y, samples, exact=None):
    """W1 between the laws of two maps of data on the line: ``samples`` [n] and the increasing
    ``exact`` [n] are their values at the even y[n]; ``exact`` is y, and its law the data, where it
    is None.

    W1 is the mean of |difference| of equal quantiles, which are ``exact`` and the sorted samples.
    If both maps preserve order, it is the integral of |samples - exact| p(y) dy.
    """
    mass = np.exp(mixture.log_density(y[:, None]))
    mass /= mass.sum()
    order = np.argsort(samples, kind="stable")
    middle = lambda masses: np.cumsum(masses) - masses / 2
    quantiles = np.interp(middle(mass[order]), middle(mass), y if exact is None else exact)
    return float(mass[order] @ np.abs(samples[order] - quantiles))
