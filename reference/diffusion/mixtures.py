"""Gaussian mixtures, noised and denoised in closed form: the oracle that every learned model and
every sampler is held against.

If x0 ~ sum_k w_k N(mu_k, C_k) and x = alpha x0 + sigma eps, then given component k the pair (x0, x)
is jointly Gaussian with

    mean (mu_k, alpha mu_k),   Cov[x] = V_k = alpha^2 C_k + sigma^2 I,   Cov[x0, x] = alpha C_k,

and everything below is conditioning of Gaussians plus the responsibilities r_k(x) = w_k N(x; alpha
mu_k, V_k) / p(x).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, softmax

from reference.ops import mixture_log_density, mixture_score, normal, uniform
from reference.ops.random import Purpose


@dataclass(frozen=True, eq=False)
class Mixture:
    """weights [k], means [k,d], and covariances [k,d,d] or variances [k] of isotropic components;
    float64.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

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
        """The covariances as [k,d,d], however they were given."""
        if self.covariances.ndim == 3:
            return self.covariances
        return self.covariances[:, None, None] * np.eye(self.dimension)

    @property
    def mean(self):
        return self.weights @ self.means

    @property
    def covariance(self):
        """Law of total variance: the mean covariance plus the covariance of the means."""
        centred = self.means - self.mean
        return np.einsum("k,kij->ij", self.weights, self.full) + np.einsum(
            "k,ki,kj->ij", self.weights, centred, centred
        )

    def log_density(self, x):
        """x[n,d] -> log p [n], in nats."""
        return mixture_log_density(x, *self._arrays(x))

    def score(self, x):
        """x[n,d] -> grad log p [n,d] (tutorial, Ex 3.5)."""
        return mixture_score(x, *self._arrays(x))

    def _arrays(self, x):
        return (
            array.astype(x.dtype, copy=False)
            for array in (self.weights, self.means, self.covariances)
        )

    def component_log_densities(self, x):
        """x[n,d] -> log(w_k N_k(x)) [n,k]."""
        x, one = np.asarray(x, np.float64), np.ones(1)
        parts = [
            mixture_log_density(x, one, self.means[k : k + 1], self.covariances[k : k + 1])
            for k in range(len(self.weights))
        ]
        with np.errstate(divide="ignore"):
            return np.stack(parts, axis=1) + np.log(self.weights)

    def responsibilities(self, x):
        """x[n,d] -> p(component k | x) [n,k]."""
        return softmax(self.component_log_densities(x), axis=1)

    def score_jacobian(self, x):
        """x[n,d] -> the Hessian of log p [n,d,d]: -sum r_k V_k^-1 + sum r_k u_k u_k' - s s', u_k =
        V_k^-1 (mu_k - x).
        """
        r, inverse = self.responsibilities(x), np.linalg.inv(self.full)
        u = np.einsum("kij,nkj->nki", inverse, self.means - x[:, None])
        s = np.einsum("nk,nki->ni", r, u)
        return (
            -np.einsum("nk,kij->nij", r, inverse)
            + np.einsum("nk,nki,nkj->nij", r, u, u)
            - s[:, :, None] * s[:, None]
        )

    def noised(self, alpha, sigma):
        """The mixture of alpha x0 + sigma eps (tutorial, eq. 2.13)."""
        eye = np.eye(self.dimension) if self.covariances.ndim == 3 else 1
        return Mixture(
            self.weights, alpha * self.means, alpha**2 * self.covariances + sigma**2 * eye
        )

    def expected_noise(self, x, alpha, sigma):
        """E[eps | x] = -sigma grad log p(x): the best prediction of the noise in x = alpha x0 +
        sigma eps.
        """
        return -sigma * self.noised(alpha, sigma).score(x)

    def posterior_mean(self, x, alpha, sigma):
        """E[x0 | x] [n,d], the best denoiser in the mean square (Tweedie); for alpha = 0 the mean
        of x0.
        """
        _, means = self._gains_and_means(x, alpha, sigma, 1.0, 0.0)
        return np.einsum("nk,nki->ni", self.noised(alpha, sigma).responsibilities(x), means)

    def posterior_covariance(self, x, alpha, sigma):
        """Cov[x0 | x] [n,d,d]."""
        r, means, covariances = self._kernel(x, alpha, sigma, 1.0, 0.0, sigma**2)
        centred = means - np.einsum("nk,nki->ni", r, means)[:, None]
        return np.einsum("nk,kij->nij", r, covariances) + np.einsum(
            "nk,nki,nkj->nij", r, centred, centred
        )

    def _kernel(self, x, alpha, sigma, alpha_prev, sigma_prev, fresh):
        """The law of x_prev = alpha_prev x0 + sigma_prev eps' given x = a x_prev + noise of
        variance ``fresh``, a = alpha / alpha_prev:

        weights r[n,k], means [n,k,d], covariances [k,d,d].  Gain G = a V_prev V^-1.  As V = a^2
        V_prev + fresh I, the covariance V_prev - a G V_prev = G (V - a^2 V_prev) / a is G fresh /
        a, which does not cancel.
        """
        G, means = self._gains_and_means(x, alpha, sigma, alpha_prev, sigma_prev)
        return (
            self.noised(alpha, sigma).responsibilities(x),
            means,
            G * fresh / (alpha / alpha_prev),
        )

    def _gains_and_means(self, x, alpha, sigma, alpha_prev, sigma_prev):
        """G [k,d,d] of ``_kernel`` and the mean [n,k,d] of x_prev given x and the component."""
        V, V_prev = (
            self.noised(alpha, sigma).full,
            alpha_prev**2 * self.full + sigma_prev**2 * np.eye(self.dimension),
        )
        G = (alpha / alpha_prev) * np.linalg.solve(V, V_prev).swapaxes(1, 2)
        return G, alpha_prev * self.means + np.einsum(
            "kij,nkj->nki", G, x[:, None] - alpha * self.means
        )

    def reverse_kernel(self, x, schedule, t, t_prev):
        """q(x_{t_prev} | x_t) exactly, as (weights [n,k], means [n,k,d], covariances [k,d,d])."""
        alpha, sigma = schedule.signal(t), schedule.noise_scale(t)
        return self._kernel(
            x,
            alpha,
            sigma,
            schedule.signal(t_prev),
            schedule.noise_scale(t_prev),
            schedule.beta(t, t_prev),
        )

    def sample(self, seed, sample, step=0):
        """Independent draws [n,d], one for each index in the integer array ``sample``, and their
        components [n].
        """
        u = uniform(seed, sample, step, Purpose.COMPONENT, (1,))[:, 0]
        component = np.searchsorted(np.cumsum(self.weights)[:-1], u)
        return self.sample_from(component, seed, sample, step), component

    def sample_from(self, component, seed, sample, step=0):
        """A draw [n,d] from N(mu_k, C_k) for each k of the integer array ``component`` [n]."""
        z = normal(seed, sample, step, Purpose.DATA, (self.dimension,))
        return self.means[component] + np.einsum(
            "nij,nj->ni", np.linalg.cholesky(self.full)[component], z
        )

    def cdf(self, x):
        """One dimension: x[...] -> P(X <= x)."""
        self._check_line()
        z = (np.asarray(x, np.float64)[..., None] - self.means[:, 0]) / np.sqrt(self.full[:, 0, 0])
        return ndtr(z) @ self.weights

    def quantile(self, p):
        """One dimension: p[...] in (0, 1) -> x with cdf(x) = p, by bisection between bounds that
        hold every component's quantile.
        """
        self._check_line()
        p = np.asarray(p, np.float64)
        if not ((p > 0) & (p < 1)).all():
            raise ValueError(
                f"p must lie strictly between 0 and 1, got {p[~((p > 0) & (p < 1))][0]}"
            )
        spread = 40 * np.sqrt(self.full[:, 0, 0].max())
        low, high = (
            np.full(p.shape, self.means.min() - spread),
            np.full(p.shape, self.means.max() + spread),
        )
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


def example_2_1():
    """The mixture of the tutorial's Ex 2.1 and Figs 2.5, 2.7."""
    return Mixture(np.array([0.3, 0.7]), np.array([[-2.0], [2.0]]), np.array([0.2**2, 1.0]))


def example_3_2():
    """The mixture of the tutorial's Ex 3.2, Ex 3.3 and Figs 3.2 to 3.5."""
    return Mixture(np.array([0.6, 0.4]), np.array([[2.0], [-2.0]]), np.array([0.5**2, 0.2**2]))


def ring(count=8, radius=1.0, deviation=0.1):
    """``count`` equal Gaussians on a circle in the plane."""
    angles = 2 * np.pi * np.arange(count) / count
    return Mixture(
        np.full(count, 1 / count),
        radius * np.stack((np.cos(angles), np.sin(angles)), axis=1),
        np.full(count, deviation**2),
    )
