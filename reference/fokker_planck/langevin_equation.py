"""Langevin equations (tutorial, Sec. 5.1 and 5.2): motion under white noise Gamma.

White noise of intensity q has E[Gamma(t) Gamma(s)] = q delta(t - s).  It has no value at a single
time; its mean over a step h is N(0, q/h) (the tutorial writes N(0, 1) for each t: E13b).  The
linear equation, dxi/dt = -gamma xi + Gamma (5.6), is the Ornstein-Uhlenbeck process of
``sde.OrnsteinUhlenbeck``.  From (5.20) on the tutorial's noise has intensity 2, and its integrals
are Stratonovich's:

    dxi/dt = h(xi) + g(xi) Gamma,   D1 = h + g g',   D2 = g^2      (Thm 5.9)

g g' is the difference between Stratonovich's and Ito's drift.  A diffusion model's dx = f dt + g
dw, in Ito's sense with noise of intensity 1, has D1 = f and D2 = g^2 / 2 (E15).
"""

import numpy as np
from scipy.integrate import quad
from scipy.linalg import expm, solve_continuous_lyapunov
from scipy.special import factorial2

from reference.ops import normal
from reference.ops.random import Purpose
from reference.samplers.sde import euler_maruyama, stochastic_heun
from reference.sde.sde import OrnsteinUhlenbeck


def white_noise(q, h, n, seed, sample):
    """Means [b,n] of Gamma over n steps of length h, for each index in ``sample`` [b]: independent,
    N(0, q/h).
    """
    return normal(seed, sample, 0, Purpose.STEP_NOISE, (n,)) * (q / h) ** 0.5


def wiener(q, h, n, seed, sample):
    """Paths [b,n+1] from 0 of dxi/dt = Gamma at the times 0, h .. n h: the integral of
    ``white_noise``, N(0, q t) at time t (Thm 5.4).
    """
    steps = h * white_noise(q, h, n, seed, sample)
    return np.concatenate((np.zeros((len(steps), 1)), np.cumsum(steps, axis=1)), axis=1)


def linear(gamma, q, x, h, n, seed, sample):
    """Paths [b,n+1] from x[b] of (5.6), exact at the times 0, h .. n h for any h:

    xi(t + h) = e^{-gamma h} xi(t) + z,   z ~ N(0, q/(2 gamma) (1 - e^{-2 gamma h})).
    """
    a, deviation = OrnsteinUhlenbeck(gamma=gamma, q=q, t_max=max(h, 1.0)).transition(h, 0.0)
    z, path = normal(seed, sample, 0, Purpose.STEP_NOISE, (n,)), [np.asarray(x, np.float64)]
    for i in range(n):
        path.append(a * path[-1] + deviation * z[:, i])
    return np.stack(path, axis=1)


def forced_mean(gamma, force, x0, t):
    """The mean at time t of dxi/dt = -gamma xi + force(t) + Gamma (Thm 5.2):

    x0 e^{-gamma t} + int_0^t e^{-gamma (t - s)} force(s) ds.
    """
    return x0 * np.exp(-gamma * t) + quad(lambda s: np.exp(-gamma * (t - s)) * force(s), 0, t)[0]


def autocovariance(gamma, q, lag):
    """E[xi(t) xi(t + lag)] of the stationary process, q/(2 gamma) e^{-gamma |lag|}."""
    return q / (2 * gamma) * np.exp(-gamma * np.abs(lag))


def spectral_density(gamma, q, omega):
    """The Fourier transform of ``autocovariance``, q / (gamma^2 + omega^2) (Wiener and Khinchin,
    (5.5)).  White noise has the spectral density q.
    """
    return q / (gamma**2 + np.square(omega))


def even_moment(gamma, q, n):
    """E[xi^{2n}] for xi ~ N(0, q/(2 gamma)): (2n)! / (2^n n!) (q/(2 gamma))^n (Thm 5.3)."""
    return float(factorial2(2 * n - 1)) * (q / (2 * gamma)) ** n


def characteristic_function(gamma, q, u):
    """E[e^{i u xi}] of the stationary distribution, exp(-u^2 q / (4 gamma)) (Thm 5.3)."""
    return np.exp(-np.square(u) * q / (4 * gamma))


def mean_square_displacement(gamma, q, t):
    """E[(x(t) - x(0))^2] of a particle whose velocity is the stationary process: q/gamma^3 (gamma t
    - 1 + e^{-gamma t}).

    At short times ballistic, q/(2 gamma) t^2; at long times diffusive, 2 D t with D = q/(2
    gamma^2).
    """
    return q / gamma**3 * (np.expm1(-gamma * np.asarray(t)) + gamma * np.asarray(t))


def stationary_covariance(G, Q):
    """S [d,d] of dxi/dt = -G xi + Gamma with E[Gamma(t) Gamma(s)ᵀ] = Q delta(t - s): the solution
    of G S + S Gᵀ = Q.  ValueError unless the eigenvalues of G have positive real parts.
    """
    if not (np.linalg.eigvals(G).real > 0).all():
        raise ValueError(
            "a stationary distribution exists only if the eigenvalues of G have positive real parts"
        )
    return solve_continuous_lyapunov(G, Q)


def transition(G, Q, h):
    """(A, C) [d,d] of the exact step xi(t + h) ~ N(A xi(t), C), for any G: A = e^{-G h}, C =
    int_0^h e^{-G s} Q e^{-Gᵀ s} ds.

    If a stationary covariance S exists, C = S - A S Aᵀ.  In general e^{h [[G, Q], [0, -Gᵀ]]} is
    [[A^{-1}, A^{-1} C], [0, Aᵀ]] (Van Loan 1978).  G = [[gamma, 0], [-1, 0]] describes the velocity
    and the position of a Brownian particle.
    """
    d = len(G)
    block = expm(
        h * np.block([[np.asarray(G), np.asarray(Q)], [np.zeros((d, d)), -np.asarray(G).T]])
    )
    A = block[d:, d:].T
    return A, A @ block[:d, d:]


def fokker_planck_coefficients(h, g, g_derivative):
    """(D1, D2), functions of x, of dxi/dt = h(xi) + g(xi) Gamma in Stratonovich's sense with
    intensity 2 (5.36), (5.37).
    """
    return lambda x: h(x) + g(x) * g_derivative(x), lambda x: g(x) ** 2


def nonlinear(h, g, grid, x, seed, sample, sense="stratonovich"):
    """The solution of dxi/dt = h(xi) + g(xi) Gamma, intensity 2, from x[b,...] at grid[0] along the
    times of ``grid``; yields (t, x, None) after every step.

    ``sense``: "stratonovich", as in the tutorial (by Heun's method), or "ito" (by Euler-Maruyama),
    where the drift is h alone.
    """
    if sense not in ("stratonovich", "ito"):
        raise ValueError(f"sense must be stratonovich or ito, got {sense!r}")
    solver = stochastic_heun if sense == "stratonovich" else euler_maruyama
    return solver(lambda x, t: h(x), lambda x, t: 2**0.5 * g(x), grid, x, seed, sample)
