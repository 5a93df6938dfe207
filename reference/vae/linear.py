"""The linear variational auto-encoder with Gaussian noise: all its quantities have closed forms.

    p(z) = N(0, I_k),   p(x|z) = N(W z + mu, s2 I_d),   q(z|x) = N(V x + b, D).

The evidence is p(x) = N(mu, W Wᵀ + s2 I), and the ELBO contains no expectation.  With m = V x + b
and r = x - W m - mu,

    reconstruction = -1/(2 s2) [ ‖r‖^2 + tr(W D Wᵀ) ] - d/2 log(2 pi s2),
    KL             = 1/2 [ ‖m‖^2 + tr D - k - log det D ].

The tutorial's toy (Ex 1.3 to 1.6) is the case d = k of independent coordinates, ``toy``.  The best
linear VAE is probabilistic PCA (Tipping and Bishop 1999): there q is the exact posterior, and the
ELBO is the log-likelihood.

The gradient of the mean ELBO over data x, for diagonal D (E[·] is the mean over the data):

    dm = Wᵀ r / s2 - m,        dV = E[dm xᵀ],     db = E[dm],
    dW = (E[r mᵀ] - W D) / s2,                    dmu = E[r] / s2,
    dlog D_j = -1/2 [ D_j (Wᵀ W)_jj / s2 + D_j - 1 ],
    dlog s2  =  1/2 [ (E[‖r‖^2] + tr(W D Wᵀ)) / s2 - d ].
"""

from dataclasses import dataclass

import numpy as np

from reference.ops import mixture_log_density, normal
from reference.ops.random import Purpose
from reference.vae.gaussian import factor


@dataclass(frozen=True, eq=False)
class LinearVAE:
    """W[d,k], mu[d], s2 a number, V[k,d], b[k], D[k,k]; float64."""

    W: np.ndarray
    mu: np.ndarray
    s2: float
    V: np.ndarray
    b: np.ndarray
    D: np.ndarray

    def __post_init__(self):
        if not self.s2 > 0:
            raise ValueError(f"s2 must be positive, got {self.s2}")
        factor(self.D)  # ValueError unless D is a covariance

    def reconstruction(self, x):
        """E_q[log p(x|z)] [n] for x[n,d] in nats, with all constants (the tutorial's Ex 1.5 has the
        constants of d = 1: E2c).
        """
        r = x - (x @ self.V.T + self.b) @ self.W.T - self.mu
        squares = (r**2).sum(axis=1) + np.einsum("ij,jk,ik->", self.W, self.D, self.W)
        return -squares / (2 * self.s2) - len(self.mu) / 2 * np.log(2 * np.pi * self.s2)

    def kl(self, x):
        """KL(q(z|x) to p(z)) [n]."""
        m = x @ self.V.T + self.b
        return (
            (m**2).sum(axis=1) + np.trace(self.D) - len(self.b) - np.linalg.slogdet(self.D)[1]
        ) / 2

    def elbo(self, x):
        """[n], reconstruction minus KL (Thm 1.2; the tutorial's (1.35) adds the KL: E2)."""
        return self.reconstruction(x) - self.kl(x)

    def log_likelihood(self, x):
        """log p(x) [n].  ELBO = log p(x) - KL(q(z|x) to ``posterior(x)``) for every q (Thm 1.1)."""
        covariance = self.W @ self.W.T + self.s2 * np.eye(len(self.mu))
        return mixture_log_density(x, np.ones(1), self.mu[None], covariance[None])

    def posterior(self, x):
        """(means [n,k], covariance [k,k]) of p(z|x): M^{-1} Wᵀ (x - mu) and s2 M^{-1}, with
        M = Wᵀ W + s2 I.
        """
        M = self.W.T @ self.W + self.s2 * np.eye(len(self.b))
        inverse = np.linalg.inv(M)  # rounding leaves it slightly asymmetric
        return np.linalg.solve(M, self.W.T @ (x - self.mu).T).T, self.s2 * (inverse + inverse.T) / 2

    def with_posterior(self):
        """The same decoder with the encoder for which the ELBO is tight."""
        (offset,), D = self.posterior(np.zeros((1, len(self.mu))))
        return LinearVAE(self.W, self.mu, self.s2, D @ self.W.T / self.s2, offset, D)


def toy(a, b, t, c, v, s, d=1):
    """Ex 1.3: q(z|x) = N(a x + b, t^2 I), p(x|z) = N(c z + v, s^2 I) in d dimensions.  (The
    tutorial prints N(z; c x + v): E2b.)

    For x ~ N(mu, sig^2 I) the largest mean ELBO is minus the entropy of x.  It is reached at every
    point of the curve c^2 + s^2 = sig^2, a = c / sig^2, b = -c mu / sig^2, t = s / sig, v = mu; the
    tutorial's answer is the end s -> 0.

    Ex 1.6 holds a = 1/sig and c = sig fixed and maximises term by term, with the result t = 1, s =
    sig.  But along s = sig t the ELBO is log p(x) - d t^2 / 2.  Its supremum is at t -> 0, where
    the bound is tight, so the "limitation" lies in the maximisation and not in the ELBO (E1).
    """
    eye, ones = np.eye(d), np.ones(d)
    return LinearVAE(c * eye, v * ones, s**2, a * eye, b * ones, t**2 * eye)


def probabilistic_pca(x, k):
    """The maximum-likelihood linear VAE with k latent variables for x[n,d], in closed form (Tipping
    and Bishop 1999).

    With the eigenvalues lam_1 >= .. >= lam_d of the data's covariance and the eigenvectors U: s2 is
    the mean of lam_j over j > k, and W = U_k (Lam_k - s2 I)^{1/2}.  The mean log-likelihood is
    -1/2 [ d log(2 pi) + sum_{j<=k} log(lam_j) + (d - k) log(s2) + d ].
    """
    n, d = x.shape
    if not 1 <= k < d:
        raise ValueError(f"k must lie in 1 .. {d - 1}, below the dimension of the data, got {k}")
    mu = x.mean(axis=0)
    values, vectors = np.linalg.eigh((x - mu).T @ (x - mu) / n)
    values, vectors = values[::-1], vectors[:, ::-1]
    s2 = float(values[k:].mean())
    if not s2 > d * np.finfo(np.float64).eps * values[0]:  # 0 but for rounding
        raise ValueError(f"x must vary in more than {k} directions")
    W = vectors[:, :k] * np.sqrt(np.maximum(values[:k] - s2, 0))
    return LinearVAE(W, mu, s2, np.zeros((k, d)), np.zeros(k), np.eye(k)).with_posterior()


def mean_elbo_and_gradient(parameters, x):
    """``parameters``: W[d,k], mu[d], log s2, V[k,d], b[k], log D[k].  Returns the mean ELBO over
    x[n,d] and its gradients in the same order.
    """
    W, mu, log_s2, V, b, log_D = parameters
    n, s2, D = len(x), np.exp(log_s2), np.exp(log_D)
    m = x @ V.T + b
    r = x - m @ W.T - mu
    spread = ((W**2).sum(axis=0) * D).sum()
    elbo = LinearVAE(W, mu, s2, V, b, np.diag(D)).elbo(x).mean()
    dm = r @ W / s2 - m
    dW = (r.T @ m / n - W * D) / s2
    dlog_D = -(D * (W**2).sum(axis=0) / s2 + D - 1) / 2
    dlog_s2 = (((r**2).sum() / n + spread) / s2 - x.shape[1]) / 2
    return elbo, (dW, r.mean(axis=0) / s2, dlog_s2, dm.T @ x / n, dm.mean(axis=0), dlog_D)


def fit(x, k, seed=0):
    """A linear VAE with k latent variables and diagonal D, trained by L-BFGS on x[n,d] from random
    weights.

    It has no bad local maxima (Lucas et al. 2019): the mean ELBO reaches the log-likelihood of
    ``probabilistic_pca``.
    """
    from scipy.optimize import minimize  # slow to import and needed only here

    mean, size = x.mean(axis=0), float(x.std())
    if not size > 0:
        raise ValueError("x must vary")
    x, d = (x - mean) / size, x.shape[1]  # start and tolerances assume data of unit scale
    W, Vt = normal(seed, np.arange(2), 0, Purpose.INIT, (d, k))
    start = (W, np.zeros(d), np.zeros(()), Vt.T / d, np.zeros(k), np.zeros(k))
    ends = np.cumsum([p.size for p in start])[:-1]

    def unpack(flat):
        return tuple(part.reshape(p.shape) for part, p in zip(np.split(flat, ends), start))

    def objective(flat):
        elbo, gradient = mean_elbo_and_gradient(unpack(flat), x)
        return -elbo, -np.concatenate([np.ravel(g) for g in gradient])

    flat = np.concatenate([p.ravel() for p in start])
    options = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 30}
    best = minimize(objective, flat, jac=True, method="L-BFGS-B", options=options)
    W, mu, log_s2, V, b, log_D = unpack(best.x)
    return LinearVAE(
        size * W,
        size * mu + mean,
        float(np.exp(log_s2)) * size**2,
        V / size,
        b - V @ mean / size,
        np.diag(np.exp(log_D)),
    )
