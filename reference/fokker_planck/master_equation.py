"""Markov processes and their distributions (tutorial, Sec. 5.2): the Chapman-Kolmogorov equation,
and the master equation of jumps.

    p(x_3 | x_1) = int p(x_3 | x_2) p(x_2 | x_1) dx_2      (5.22)
    dp_i/dt = sum_j ( W_ij p_j - W_ji p_i )                (5.25)

W_ij is the rate of jumps from j to i: W_ij dt is the probability of a jump during dt, for i != j
only (the tutorial calls it a transition density: E15d).  In matrix form dp/dt = G p; the columns of
G sum to 0.
"""

import numpy as np
from scipy.linalg import expm, null_space

from reference.ops import uniform
from reference.ops.random import Purpose


def generator(rates):
    """G [k,k] from the rates W [k,k] >= 0, W_ij from j to i.  The diagonal of W is ignored; the
    diagonal of G makes the columns sum to 0.
    """
    W = np.array(rates, np.float64)
    np.fill_diagonal(W, 0)
    if W.ndim != 2 or W.shape[0] != W.shape[1] or not (W >= 0).all():
        raise ValueError(
            "rates must be a square matrix without negative entries off its diagonal,"
            f" got shape {W.shape}"
        )
    return W - np.diag(W.sum(axis=0))


def solve(G, p, t):
    """p(t) = e^{G t} p."""
    return expm(np.asarray(G) * t) @ p


def stationary(G):
    """The stationary distribution, G p = 0.  ValueError if there are several, because groups of
    states never reach one another.
    """
    kernel = null_space(G)
    if kernel.shape[1] != 1:
        raise ValueError(
            "the process must be able to reach all its states: it has"
            f" {kernel.shape[1]} stationary distributions"
        )
    return kernel[:, 0] / kernel[:, 0].sum()


def detailed_balance(p, k):
    """G with the stationary distribution p [n] > 0 from a symmetric k [n,n] >= 0: W_ij = k_ij
    sqrt(p_i / p_j), so W_ij p_j = W_ji p_i.
    """
    return generator(np.asarray(k) * np.sqrt(np.asarray(p)[:, None] / p))


def two_states(W12, W21, p1, t):
    """p_1(t) from ``p1`` = p_1(0), W12 the rate from 2 to 1:

    W12/(W12 + W21) + (p_1(0) - W12/(W12 + W21)) e^{-(W12 + W21) t}.
    """
    limit = W12 / (W12 + W21)
    return limit + (p1 - limit) * np.exp(-(W12 + W21) * np.asarray(t))


def chapman_kolmogorov(later, earlier, dx):
    """The kernel [n,n] of two steps (5.22); the integral over x_2 is a sum over points dx apart.

    Kernels have the form of ``samplers.chain_density.gaussian_kernel``: entry i, j is the density
    at x_i after a step from x_j.
    """
    return later @ earlier * dx


def simulate(G, states, t, seed, sample):
    """The states [b] at time t of jump processes that start in ``states`` [b], exact: the waiting
    times are exponential (Gillespie 1977).
    """
    leaving, states = np.abs(np.diag(G)), np.array(states)
    shares = np.cumsum(
        np.where(np.eye(len(G), dtype=bool), 0, G) / np.where(leaving > 0, leaving, 1), axis=0
    )
    left, step = np.full(len(states), float(t)), 0
    while True:
        u = uniform(seed, sample, step, Purpose.STEP_NOISE, (2,))
        with np.errstate(divide="ignore"):
            # absorbing states have an infinite waiting time
            left = left + np.log(u[:, 0]) / leaving[states]
        if not (left > 0).any():
            return states
        jumped = np.minimum((u[:, 1] > shares[:, states]).sum(axis=0), len(G) - 1)
        states, step = np.where(left > 0, jumped, states), step + 1
