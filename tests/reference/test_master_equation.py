"""Markov processes with jumps: conservation, relaxation, detailed balance, Chapman and Kolmogorov's equation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from reference.fokker_planck import master_equation as master
from reference.samplers.chain_density import gaussian_kernel
from reference.sde.sde import Brownian, OrnsteinUhlenbeck
from tests.oracle_tolerances import EXACT, LINEAR_ALGEBRA, MASS, MASTER_SOLUTION, MASTER_SOLVER, QUADRATURE, assert_close, assert_mean

SEEDS = st.integers(0, 999)


def rates(seed, k=4):
    return np.random.default_rng(seed).uniform(0.1, 2, (k, k))


@given(seed=SEEDS)
def test_probability_is_conserved_and_stays_positive(seed):
    G, p = master.generator(rates(seed)), np.array([1.0, 0, 0, 0])
    assert_close(G.sum(axis=0), np.zeros(4), EXACT, np.abs(G).max())
    for t in (0.1, 1.0, 10.0):
        later = master.solve(G, p, t)
        assert abs(later.sum() - 1) < MASS and (later >= 0).all()


@given(seed=SEEDS)
def test_the_solution_satisfies_the_sum_over_gains_and_losses(seed):
    """(5.25) term by term, by another solver."""
    W = rates(seed)
    np.fill_diagonal(W, 0)
    change = lambda t, p: [sum(W[i, j] * p[j] - W[j, i] * p[i] for j in range(4)) for i in range(4)]
    p = np.array([0.4, 0.3, 0.2, 0.1])
    solved = solve_ivp(change, (0, 0.7), p, **MASTER_SOLVER).y[:, -1]
    assert_close(master.solve(master.generator(W), p, 0.7), solved, MASTER_SOLUTION)


@given(seed=SEEDS)
def test_all_initial_states_converge_to_the_stationary_distribution(seed):
    G = master.generator(rates(seed))
    distribution = master.stationary(G)
    assert_close(G @ distribution, np.zeros(4), LINEAR_ALGEBRA, np.abs(G).max())
    assert_close(master.solve(G, np.array([0, 1.0, 0, 0]), 200.0), distribution, LINEAR_ALGEBRA, 10.0)


@given(W12=st.floats(0.1, 5), W21=st.floats(0.1, 5), t=st.floats(0, 3))
def test_two_states_relax_at_the_sum_of_their_rates(W12, W21, t):
    G = master.generator([[0, W12], [W21, 0]])
    assert_close(master.solve(G, np.array([0.2, 0.8]), t)[0], master.two_states(W12, W21, 0.2, t), LINEAR_ALGEBRA)


@given(seed=SEEDS)
def test_detailed_balance_has_zero_currents_and_real_eigenvalues(seed):
    rng = np.random.default_rng(seed)
    p, k = rng.dirichlet(np.ones(5) * 3), rng.uniform(0.1, 1, (5, 5))
    G = master.detailed_balance(p, k + k.T)
    flow = G * p
    assert_close(flow, flow.T, LINEAR_ALGEBRA, np.abs(flow).max())
    assert_close(master.stationary(G), p, LINEAR_ALGEBRA, 1e3)
    condition = (p.max() / p.min()) ** 0.5  # of the eigenvectors: divided by the roots of p, G is symmetric
    assert np.abs(np.linalg.eigvals(G).imag).max() <= LINEAR_ALGEBRA * condition * np.abs(G).max()


@given(seed=SEEDS)
def test_relative_entropy_to_the_stationary_distribution_decreases(seed):
    """The H-theorem, with or without detailed balance."""
    G = master.generator(rates(seed))
    distribution, p = master.stationary(G), np.random.default_rng(seed + 1).dirichlet(np.ones(4))
    states = [master.solve(G, p, t) for t in (0, 0.1, 0.3, 1.0, 3.0)]
    entropy = np.array([(q * np.log(q / distribution)).sum() for q in states])
    assert (np.diff(entropy) <= 64 * EXACT).all()


@pytest.mark.parametrize("sde", [OrnsteinUhlenbeck(), Brownian(a=0.7)], ids=["ornstein-uhlenbeck", "wiener"])
def test_two_short_steps_equal_one_long_step(sde):
    """(5.22) for both processes whose kernels the tutorial gives, on a grid that is wide enough for it."""
    x = np.linspace(-12, 12, 1201)
    kernel = lambda t, s: (lambda a, deviation: gaussian_kernel(x, a * x, deviation))(*sde.transition(t, s))
    found = master.chapman_kolmogorov(kernel(0.9, 0.5), kernel(0.5, 0.2), x[1] - x[0])
    inside = np.abs(x) < 4
    assert_close(found[:, inside], kernel(0.9, 0.2)[:, inside], QUADRATURE, 1.0)


def test_simulated_jumps_have_the_distribution_of_the_master_equation():
    """The mean over independent chains, at a time when some have jumped often and some not at all."""
    G, n = master.generator(rates(7)), 20_000
    states = master.simulate(G, np.zeros(n, int), 0.8, 3, np.arange(n))
    expected = master.solve(G, np.array([1.0, 0, 0, 0]), 0.8)
    for state in range(4):
        assert_mean((states == state).astype(float), expected[state], 4)


def test_an_absorbing_state_is_never_left():
    G = master.generator([[0, 2.0], [0, 0]])
    assert (master.simulate(G, np.array([0, 0, 1]), 50.0, 1, np.arange(3)) == 0).all()


def test_an_invalid_jump_process_is_refused():
    with pytest.raises(ValueError, match="rates must be a square matrix without negative entries"):
        master.generator([[0, -1], [1, 0]])
    with pytest.raises(ValueError, match="it has 2 stationary distributions"):
        master.stationary(np.zeros((2, 2)))
