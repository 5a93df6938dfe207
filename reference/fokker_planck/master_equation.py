"""Markov processes and their laws (tutorial, Sec. 5.2): Chapman-Kolmogorov, and the master equation
of jumps.

    p_3|1(x_3) = int p_3|2(x_3 | x_2) p_2|1(x_2) dx_2      (5.22)
    d p_i / dt = sum_j ( W_ij p_j - W_ji p_i )               (5.25),   W_ij the rate of jumps from j to i.

W dt is the probability of a jump during dt, for i != j alone (the tutorial calls it a transition
density: E15d).  As a matrix, dp/dt = G p with columns that sum to 0.
"""

import numpy as np
from scipy.linalg import expm, null_space

from reference.ops import uniform
from reference.ops.random import Purpose


def generator(rates):
    """G [k,k] of the rates W [k,k] >= 0, W_ij from j to i; its diagonal, whatever it holds, becomes
    what makes columns sum to 0.
    """
    W = np.array(rates, np.float64)
    np.fill_diagonal(W, 0)
    if W.ndim != 2 or W.shape[0] != W.shape[1] or not (W >= 0).all():
        raise ValueError(
            f"rates must be a square matrix without negative entries off its diagonal, got shape {W.shape}"
        )
    return W - np.diag(W.sum(axis=0))


def solve(G, p, t):
    """p(t) = e^(G t) p."""
    return expm(np.asarray(G) * t) @ p


def stationary(G):
    """The law with G p = 0.  ValueError where there are several: states that never reach one
    another.
    """
    kernel = null_space(G)
    if kernel.shape[1] != 1:
        raise ValueError(
            f"the process must be able to reach all its states: it has {kernel.shape[1]} stationary laws"
        )
    return kernel[:, 0] / kernel[:, 0].sum()


def detailed_balance(p, k):
    """G with the stationary law p [n] > 0 and symmetric k [n,n] >= 0: W_ij = k_ij sqrt(p_i / p_j),
    so that W_ij p_j = W_ji p_i.
    """
    return generator(np.asarray(k) * np.sqrt(np.asarray(p)[:, None] / p))


def two_states(W12, W21, p1, t):
    """p_1(t), from p_1(0), with W12 the rate from 2 to 1: W12/(W12 + W21) + (p_1(0) - W12/(W12 +
    W21)) e^-(W12 + W21) t.
    """
    limit = W12 / (W12 + W21)
    return limit + (p1 - limit) * np.exp(-(W12 + W21) * np.asarray(t))


def chapman_kolmogorov(later, earlier, dx):
    """The kernel of two steps [n,n], the integral over where the first one ended by a sum over
    points dx apart (5.22).

    Kernels as those of ``samplers.law.gaussian_kernel``: entry i, j the density at x_i of a step
    from x_j.
    """
    return later @ earlier * dx


def simulate(G, states, t, seed, sample):
    """The state [b] at time t of jump processes that begin in ``states`` [b], exactly: waiting
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
            # a state that nothing leaves is waited in for ever
            left = left + np.log(u[:, 0]) / leaving[states]
        if not (left > 0).any():
            return states
        jumped = np.minimum((u[:, 1] > shares[:, states]).sum(axis=0), len(G) - 1)
        states, step = np.where(left > 0, jumped, states), step + 1
