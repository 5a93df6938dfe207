"""Gaussian mixtures, noised and denoised in closed form.  Learned models and samplers are compared
with these exact results.

Let x_0 ~ sum_k w_k N(mu_k, C_k) and x = alpha x_0 + sigma eps.  Given component k, the pair
(x_0, x) is jointly Gaussian with

    mean (mu_k, alpha mu_k),   Cov[x] = V_k = alpha^2 C_k + sigma^2 I,   Cov[x_0, x] = alpha C_k.

All results below follow from conditioning this Gaussian, and from the responsibilities
r_k(x) = w_k N(x; alpha mu_k, V_k) / p(x).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from reference import ops as reference_ops
from reference.ops.random import Purpose


@dataclass(frozen=True, eq=False)
class Mixture:
    """weights[k], means[k,d], and covariances[k,d,d], or variances[k] of isotropic components;
    float64.  ``ops``: the port that computes densities, scores, responsibilities and draws.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    ops: Any = reference_ops

    def __post_init__(self):
        for name in ("weights", "means", "covariances"):
            object.__setattr__(self, name, np.array(getattr(self, name), np.float64))
        if self.means.ndim != 2:
            raise ValueError(f"means must have shape (k, d), got {self.means.shape}")
        self.log_density(self.means[:1])  # the op checks the rest

    @property
    def dimension(self):
        return self.means.shape[1]

    @property
    def full(self):
        """The covariances [k,d,d], also for isotropic components."""
        if self.covariances.ndim == 3:
            return self.covariances
        return self.covariances[:, None, None] * np.eye(self.dimension)

    @property
    def mean(self):
        return self.weights @ self.means

    @property
    def covariance(self):
        """The law of total variance: the mean covariance plus the covariance of the means."""
        centred = self.means - self.mean
        within = np.einsum("k,kij->ij", self.weights, self.full)
        return within + np.einsum("k,ki,kj->ij", self.weights, centred, centred)

    def log_density(self, x):
        """x[n,d] -> log p(x) [n], in nats."""
        return self.ops.mixture_log_density(x, *self._arrays(x))

    def score(self, x):
        """x[n,d] -> ∇log p(x) [n,d] (tutorial, Ex 3.5)."""
        return self.ops.mixture_score(x, *self._arrays(x))

    def _arrays(self, x):
        return (
            array.astype(x.dtype, copy=False)
            for array in (self.weights, self.means, self.covariances)
        )

    def component_log_densities(self, x):
        """x[n,d] -> log(w_k N_k(x)) [n,k]."""
        x, one = np.asarray(x, np.float64), np.ones(1)
        parts = [
            self.ops.mixture_log_density(x, one, self.means[k : k + 1], self.covariances[k : k + 1])
            for k in range(len(self.weights))
        ]
        with np.errstate(divide="ignore"):
            return np.stack(parts, axis=1) + np.log(self.weights)

    def responsibilities(self, x):
        """x[n,d] -> p(component k | x) [n,k]."""
        return self.ops.softmax(self.component_log_densities(x))

    def score_jacobian(self, x):
        """x[n,d] -> the Hessian of log p [n,d,d].  With u_k = C_k^{-1} (mu_k - x) and the score s
        it is -sum_k r_k C_k^{-1} + sum_k r_k u_k u_kᵀ - s sᵀ.
        """
        r, inverse = self.responsibilities(x), np.linalg.inv(self.full)
        u = np.einsum("kij,nkj->nki", inverse, self.means - x[:, None])
        s = np.einsum("nk,nki->ni", r, u)
        hessian = -np.einsum("nk,kij->nij", r, inverse) + np.einsum("nk,nki,nkj->nij", r, u, u)
        return hessian - s[:, :, None] * s[:, None]

    def noised(self, alpha, sigma):
        """The distribution of alpha x_0 + sigma eps, also a mixture (tutorial, eq. 2.13)."""
        eye = np.eye(self.dimension) if self.covariances.ndim == 3 else 1
        covariances = alpha**2 * self.covariances + sigma**2 * eye
        return Mixture(self.weights, alpha * self.means, covariances, self.ops)

    def expected_noise(self, x, alpha, sigma):
        """E[eps | x] = -sigma ∇log p(x) [n,d] for x = alpha x_0 + sigma eps: the prediction of the
        noise with the least mean square error.
        """
        return -sigma * self.noised(alpha, sigma).score(x)

    def posterior_mean(self, x, alpha, sigma):
        """E[x_0 | x] [n,d] for x = alpha x_0 + sigma eps: the prediction of x_0 with the least mean
        square error (Tweedie).  For alpha = 0 it is the mean of x_0.
        """
        _, means = self._gains_and_means(x, alpha, sigma, 1.0, 0.0)
        return np.einsum("nk,nki->ni", self.noised(alpha, sigma).responsibilities(x), means)

    def posterior_mean_and_pullback(self, x, alpha, sigma):
        """(E[x_0 | x] [n,d], pullback) for x = alpha x_0 + sigma eps with alpha > 0: the function
        pullback(v[n,d]) is Jᵀ v with J = dE[x_0 | x]/dx = (alpha / sigma^2) Cov[x_0 | x].
        """
        r, means, covariances = self._kernel(x, alpha, sigma, 1.0, 0.0, sigma**2)
        mean = np.einsum("nk,nki->ni", r, means)
        centred = means - mean[:, None]

        def pullback(v):
            within = np.einsum("nk,kij,nj->ni", r, covariances, v, optimize=True)
            between = np.einsum("nk,nki,nkj,nj->ni", r, centred, centred, v, optimize=True)
            return (alpha / sigma**2) * (within + between)

        return mean, pullback

    def posterior_covariance(self, x, alpha, sigma):
        """Cov[x_0 | x] [n,d,d] for x = alpha x_0 + sigma eps with alpha > 0."""
        r, means, covariances = self._kernel(x, alpha, sigma, 1.0, 0.0, sigma**2)
        centred = means - np.einsum("nk,nki->ni", r, means)[:, None]
        within = np.einsum("nk,kij->nij", r, covariances)
        return within + np.einsum("nk,nki,nkj->nij", r, centred, centred)

    def _kernel(self, x, alpha, sigma, alpha_prev, sigma_prev, fresh):
        """The distribution of x_prev = alpha_prev x_0 + sigma_prev eps given x[n,d] = a x_prev +
        noise, with a = alpha / alpha_prev and ``fresh`` the variance of that noise: weights r[n,k],
        means[n,k,d], covariances[k,d,d].

        With the gain G = a V_prev V^{-1} and V = a^2 V_prev + fresh I, the covariance is

            V_prev - a G V_prev = G (V - a^2 V_prev) / a = G fresh / a.

        The last form has no cancellation.
        """
        G, means = self._gains_and_means(x, alpha, sigma, alpha_prev, sigma_prev)
        r = self.noised(alpha, sigma).responsibilities(x)
        return r, means, G * fresh / (alpha / alpha_prev)

    def _gains_and_means(self, x, alpha, sigma, alpha_prev, sigma_prev):
        """G[k,d,d] of ``_kernel`` and the means[n,k,d] of x_prev given x and the component,
        alpha_prev mu_k + G_k (x - alpha mu_k).
        """
        V = self.noised(alpha, sigma).full
        V_prev = alpha_prev**2 * self.full + sigma_prev**2 * np.eye(self.dimension)
        G = (alpha / alpha_prev) * np.linalg.solve(V, V_prev).swapaxes(1, 2)
        deviations = x[:, None] - alpha * self.means
        return G, alpha_prev * self.means + np.einsum("kij,nkj->nki", G, deviations)

    def reverse_kernel(self, x, schedule, t, t_prev):
        """The exact q(x_{t_prev} | x_t) at x_t = x[n,d]: weights[n,k], means[n,k,d],
        covariances[k,d,d].
        """
        level = (schedule.signal(t), schedule.noise_scale(t))
        level_prev = (schedule.signal(t_prev), schedule.noise_scale(t_prev))
        return self._kernel(x, *level, *level_prev, schedule.beta(t, t_prev))

    def sample(self, seed, sample, step=0):
        """Independent samples [n,d], one for each index in the integer array ``sample``, and their
        components [n].
        """
        u = self.ops.uniform(seed, sample, step, Purpose.COMPONENT, (1,), np.float64)[:, 0]
        component = np.searchsorted(np.cumsum(self.weights)[:-1], u)
        return self.sample_from(component, seed, sample, step), component

    def sample_from(self, component, seed, sample, step=0):
        """Samples [n,d] from N(mu_k, C_k), one for each k of the integer array ``component``[n]."""
        z = self.ops.normal(seed, sample, step, Purpose.DATA, (self.dimension,), np.float64)
        factors = np.linalg.cholesky(self.full)[component]
        return self.means[component] + np.einsum("nij,nj->ni", factors, z)

    def cdf(self, x):
        """The distribution function of a mixture in one dimension: x[...] -> P(X <= x)."""
        self._check_line()
        z = (np.asarray(x, np.float64)[..., None] - self.means[:, 0]) / np.sqrt(self.full[:, 0, 0])
        return ndtr(z) @ self.weights

    def quantile(self, p):
        """The quantiles of a mixture in one dimension: p[...] in (0, 1) -> x[...] with cdf(x) = p.
        By bisection, between bounds that contain the quantiles of all components.
        """
        self._check_line()
        p = np.asarray(p, np.float64)
        inside = (p > 0) & (p < 1)
        if not inside.all():
            raise ValueError(f"p must lie strictly between 0 and 1, got {p[~inside][0]}")
        spread = 40 * np.sqrt(self.full[:, 0, 0].max())
        low = np.full(p.shape, self.means.min() - spread)
        high = np.full(p.shape, self.means.max() + spread)
        for _ in range(100):
            middle = (low + high) / 2
            below = self.cdf(middle) < p
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return (low + high) / 2

    def _check_line(self):
        if self.dimension != 1:
            raise ValueError(
                f"cdf and quantile need a mixture in one dimension, got {self.dimension}"
            )


def example_2_1(ops=reference_ops):
    """The mixture of the tutorial's Ex 2.1 and Figs 2.5, 2.7."""
    return Mixture(np.array([0.3, 0.7]), np.array([[-2.0], [2.0]]), np.array([0.2**2, 1.0]), ops)


def example_3_2(ops=reference_ops):
    """The mixture of the tutorial's Ex 3.2, Ex 3.3 and Figs 3.2 to 3.5."""
    return Mixture(np.array([0.6, 0.4]), np.array([[2.0], [-2.0]]), np.array([0.5**2, 0.2**2]), ops)


def ring(count=8, radius=1.0, deviation=0.1, ops=reference_ops):
    """``count`` equal isotropic Gaussians on a circle in the plane, with this standard
    deviation.
    """
    angles = 2 * np.pi * np.arange(count) / count
    return Mixture(
        np.full(count, 1 / count),
        radius * np.stack((np.cos(angles), np.sin(angles)), axis=1),
        np.full(count, deviation**2),
        ops,
    )
