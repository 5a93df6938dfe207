"""The Fokker-Planck equation on a grid: closed forms, orders, currents, eigenvalues and entropy."""

import numpy as np
import pytest

from reference.diffusion.mixtures import example_2_1, example_3_2
from reference.fokker_planck.fokker_planck import FokkerPlanck, heat, solve_2d
from reference.ops import fokker_planck_step
from reference.samplers import final_sample
from reference.samplers.langevin import langevin
from reference.sde.sde import VP
from tests.oracle_tolerances import DETERMINISTIC_ORDER, EXACT, LINEAR_ALGEBRA, MASS, U, assert_close, assert_printed, z_score
from tests.ports import recording_port

ORNSTEIN_UHLENBECK = FokkerPlanck(-6.0, 6.0, 400, lambda x: -x, lambda x: 1.0)


def gaussian(x, mean, variance):
    return np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def final(equation, p, dt, steps):
    *_, (_, p) = equation.solve(p, dt, steps)
    return p


def order(lengths, errors):
    return np.polyfit(np.log(lengths), np.log(errors), 1)[0]


def test_fokker_planck_is_of_second_order_in_dx():
    errors, sizes = [], (50, 100, 200, 400, 800)
    a = np.exp(-0.5)
    for n in sizes:
        equation = FokkerPlanck(-6.0, 6.0, n, lambda x: -x, lambda x: 1.0)
        p = final(equation, equation.density(lambda x: gaussian(x, 1.0, 0.25)), 1 / 1600, 800)
        errors.append(np.abs(p - gaussian(equation.centres, a, 0.25 * a**2 + 1 - a**2)).max())
    assert abs(order(1 / np.array(sizes), errors) - 2) < DETERMINISTIC_ORDER


def test_fokker_planck_is_of_second_order_in_dt():
    """Against the exponential of its operator, approximated with steps a hundredth as long."""
    p0 = ORNSTEIN_UHLENBECK.density(lambda x: gaussian(x, 1.0, 0.25))
    exact, steps = final(ORNSTEIN_UHLENBECK, p0, 1 / 3200, 3200), (10, 20, 40, 80, 160)
    errors = [np.abs(final(ORNSTEIN_UHLENBECK, p0, 1 / n, n) - exact).max() for n in steps]
    assert abs(order(1 / np.array(steps), errors) - 2) < DETERMINISTIC_ORDER


def test_the_noised_mixture_solves_the_fokker_planck_equation_of_vp():
    """Ex 2.1 under VP: D1 = -beta x / 2, D2 = beta / 2 in diffusion-model terms (E15): time-dependent, with two modes.

    Coefficients at the middle of each step preserve the order: halving dx and dt divides the error by 4, to within a tenth.
    """
    distribution, sde, errors = example_2_1(), VP(), []
    for n, steps in ((400, 200), (800, 400)):
        faces, (t, end) = np.linspace(-7, 7, n + 1), (0.1, 0.5)
        x, dt = (faces[1:] + faces[:-1]) / 2, (end - t) / steps
        p = np.exp(distribution.noised(*sde.marginal(t)).log_density(x[:, None]))
        for step in range(steps):
            beta = sde.beta(t + (step + 0.5) * dt)
            p = fokker_planck_step(p, -beta * faces / 2, np.full(n + 1, beta / 2), 14 / n, dt)
        errors.append(np.abs(p - np.exp(distribution.noised(*sde.marginal(end)).log_density(x[:, None]))).max())
    assert abs(np.log2(errors[0] / errors[1]) - 2) < DETERMINISTIC_ORDER and errors[1] < 1e-4


@pytest.mark.parametrize("dt", [0.1, 0.02])
def test_a_point_mass_spreads_without_oscillation_at_any_time_step(dt):
    """All mass in one of 1,000 cells: at t = 2 within dt^2 of the exact density, and never below 0.

    dt is at least a hundred times the longest Crank-Nicolson step that keeps every p >= 0.

    The constant of the second-order error is 1/12 of the third time derivative of p, at most 1 here, plus that of the two implicit steps.
    """
    equation = FokkerPlanck(-6.0, 6.0, 1000, lambda x: -x, lambda x: 1.0)
    to_left, to_right = equation.rates
    assert dt > 100 * 2 / (to_right[1:] + to_left[:-1]).max()
    p0 = equation.density(lambda x: np.abs(x - 1.5) < equation.dx / 2)
    start = p0 @ equation.centres * equation.dx
    states = [p for _, p in equation.solve(p0, dt, round(2 / dt))]
    assert all((p >= 0).all() for p in states)
    assert_close([p.sum() * equation.dx for p in states], np.ones(len(states)), MASS)
    a = np.exp(-2.0)
    assert_close(states[-1], gaussian(equation.centres, start * a, 1 - a**2), dt**2 + equation.dx**2, 1.0)


def test_an_oscillating_step_is_replaced_by_two_implicit_half_steps():
    equation, dt = FokkerPlanck(-3.0, 3.0, 30, lambda x: -x, lambda x: 1.0), 0.5
    p0 = equation.density(lambda x: np.abs(x - 0.5) < equation.dx / 2)
    to_left, to_right = equation.rates
    A = np.diag(to_left[1:-1], 1) + np.diag(to_right[1:-1], -1) - np.diag(to_right[1:] + to_left[:-1])
    half = np.linalg.inv(np.eye(30) - dt / 2 * A)
    (t, p), (_, later) = equation.solve(p0, dt, 2)
    assert t == dt
    assert_close(p, half @ half @ p0, LINEAR_ALGEBRA, p0.max())
    assert_close(later, half @ half @ p, LINEAR_ALGEBRA, p0.max())


def test_diffusion_may_vanish_at_a_wall():
    """Multiplicative noise on the half line: D2 = x^2/2 + x/10 is 0 at the wall, and no mass passes it."""
    equation = FokkerPlanck(0.0, 10.0, 400, lambda x: 0.1 - x, lambda x: x**2 / 2 + x / 10)
    assert np.isfinite(equation.stationary()).all()


def test_relative_entropy_is_finite_where_the_density_is_zero():
    equation = ORNSTEIN_UHLENBECK
    p = equation.density(lambda x: np.abs(x) < 1)
    distribution = equation.stationary()
    inside = p > 0
    assert_close(
        equation.relative_entropy(p, distribution),
        (p[inside] * np.log(p[inside] / distribution[inside])).sum() * equation.dx,
        LINEAR_ALGEBRA,
    )


def test_drifted_brownian_motion_spreads_by_q_t_and_moves_by_mu_t():
    """d_t p = -mu d_x p + q/2 d_x^2 p: exact moments, because the scheme's mean and variance do not depend on the shape of p,
    except for terms like dx^2/12 of the Chang-Cooper weights: w coth(w/2)/2 - 1 = w^2/12."""
    mu, q, n = 0.5, 2.0, 600
    equation = FokkerPlanck(-12.0, 12.0, n, lambda x: mu, lambda x: q / 2)
    p0 = equation.density(lambda x: gaussian(x, 0.0, 0.25))
    p, x, dx = final(equation, p0, 0.01, 100), equation.centres, equation.dx
    mean, w = (p @ x) * dx, mu * dx / (q / 2)
    assert_close(mean, mu, LINEAR_ALGEBRA, 12.0)
    assert_close((p @ (x - mean) ** 2) * dx - (p0 @ x**2) * dx, q * (1 + w**2 / 12), w**4 / 720 + LINEAR_ALGEBRA, 12.0)


def test_cosines_in_a_box_decay_at_their_own_rates():
    """D1 = 0 on [0, 1] with walls: cos(k pi x) is an eigenfunction of the differences too, with rate 4 D2/dx^2 sin^2(k pi dx / 2)."""
    equation, dt = FokkerPlanck(0.0, 1.0, 64, lambda x: 0.0, lambda x: 0.3), 1e-3
    for k in (1, 3):
        wave = np.cos(k * np.pi * equation.centres)
        rate = 4 * 0.3 / equation.dx**2 * np.sin(k * np.pi * equation.dx / 2) ** 2
        factor = (1 - dt / 2 * rate) / (1 + dt / 2 * rate)
        assert_close(final(equation, 1 + wave / 2, dt, 100), 1 + factor**100 * wave / 2, LINEAR_ALGEBRA)
        assert_close(rate, 0.3 * (k * np.pi) ** 2, (k * np.pi * equation.dx) ** 2 / 12)  # first terms of sin^2


def test_periodic_mass_that_leaves_one_end_enters_the_other():
    """Drift 1 for one turn: the density returns to its start up to the diffusion of one turn, which the Fourier solution includes.

    A wave e^{iwx} is slower by w^2 (dx^2/6 + dt^2/12) of its speed and decays faster by (w_c^2 + w^2 dx^2)/12, w_c = dx/k.
    """
    n, k = 400, 0.01
    equation = FokkerPlanck(0.0, 2.0, n, lambda x: 1.0, lambda x: k, periodic=True)
    p0 = equation.density(lambda x: np.exp(np.cos(np.pi * (x - 0.3)) / 0.2))
    p = final(equation, p0, 0.005, 400)
    assert_close(p.sum(), p0.sum(), MASS)
    w, dx, dt, t = np.pi * np.arange(n // 2 + 1), equation.dx, 0.005, 2.0
    waves = 2 / n * np.abs(np.fft.rfft(p0)) * np.exp(-k * w**2 * t)
    off = w**3 * (dx**2 / 6 + dt**2 / 12) * t + k * w**2 * ((dx / k) ** 2 + (w * dx) ** 2) / 12 * t
    assert_close(p, heat(p0, k, t, dx), (waves * off).sum(), 1.0)
    assert np.argmax(p) == np.argmax(p0)


def test_heat_equation_waves_decay_with_the_squared_wave_number():
    x, dx = np.arange(64) / 64, 1 / 64
    for k in (1, 5):
        assert_close(
            heat(np.sin(2 * np.pi * k * x), 0.01, 2.0, dx), np.exp(-0.02 * (2 * np.pi * k) ** 2) * np.sin(2 * np.pi * k * x), EXACT, 1.0
        )
    wide = np.linspace(-20, 20, 2001)[:-1]
    assert_close(heat(gaussian(wide, 0, 0.5), 0.3, 2.0, 0.02), gaussian(wide, 0, 0.5 + 1.2), LINEAR_ALGEBRA, 1.0)


def test_example_5_6_converges_to_the_gaussian_of_its_temperature():
    """D1 = -gamma x, D2 = gamma kT/m: N(0, kT/m); p_right / p_left is exact where the exponent is quadratic."""
    gamma, temperature = 2.0, 0.7
    equation = FokkerPlanck(-6.0, 6.0, 600, lambda x: -gamma * x, lambda x: gamma * temperature)
    p = equation.stationary()
    assert_close(p, gaussian(equation.centres, 0.0, temperature), LINEAR_ALGEBRA, 1.0)
    assert_close(p.sum() * equation.dx, 1.0, EXACT)
    assert_close(final(equation, equation.density(lambda x: gaussian(x, 1.0, 0.5)), 0.01, 2000), p, LINEAR_ALGEBRA, 10.0)
    assert_close(equation.current(p), np.zeros(601), LINEAR_ALGEBRA, 1.0)


def test_stationary_distribution_with_diffusion_that_depends_on_x():
    """p ∝ 1/D2 exp int D1/D2 with D1 = -x, D2 = 1 + x^2/2: (1 + x^2/2)^{-2}, to the order of the grid."""
    equation = FokkerPlanck(-8.0, 8.0, 1600, lambda x: -x, lambda x: 1 + x**2 / 2)
    expected = equation.density(lambda x: (1 + x**2 / 2) ** -2)
    assert_close(equation.stationary(), expected, equation.dx**2, 4.0)


def test_probability_mass_changes_by_the_divergence_of_the_current():
    """d_t p = -d_x S (5.45) at the middle of a step, and S = D1 p - d_x(D2 p) (5.44) for a smooth p, with D2 inside the derivative."""
    equation = FokkerPlanck(-6.0, 6.0, 1200, lambda x: np.sin(x), lambda x: 1 + 0.3 * np.cos(x))
    p = equation.density(lambda x: gaussian(x, 0.5, 0.8))
    (_, later), dt = next(equation.solve(p, 1e-3, 1)), 1e-3
    assert_close((later - p) / dt, -np.diff(equation.current((p + later) / 2)) / equation.dx, LINEAR_ALGEBRA, 1e3)
    x = equation.faces[1:-1]
    density, slope = gaussian(x, 0.5, 0.8), -(x - 0.5) / 0.8 * gaussian(x, 0.5, 0.8)
    expected = np.sin(x) * density - (-0.3 * np.sin(x) * density + (1 + 0.3 * np.cos(x)) * slope)
    assert_close(equation.current(p)[1:-1], expected, equation.dx**2, 4.0)
    assert equation.current(p)[0] == equation.current(p)[-1] == 0


def test_rates_are_in_detailed_balance_with_the_stationary_distribution():
    equation = FokkerPlanck(-3.0, 4.0, 200, lambda x: x - x**3 / 3, lambda x: 0.5 + 0.1 * x**2)
    p, (to_left, to_right) = equation.stationary(), equation.rates
    assert_close(to_right[1:-1] * p[:-1], to_left[1:-1] * p[1:], LINEAR_ALGEBRA)


@pytest.mark.parametrize("s2", [1.0, 0.25])
def test_eigenmodes_on_a_gaussian_relax_at_n_over_its_variance(s2):
    reach = 8 * s2**0.5
    equation = FokkerPlanck(-reach, reach, 1600, lambda x: -x / s2, lambda x: 1.0)
    assert_close(equation.eigenvalues(5), np.arange(5) / s2, 1e-4, 4 / s2)  # (n^2 + n + 1)/12 dx^2/s^2 = 1.8e-4 at n = 4


def test_example_3_2_almost_never_changes_between_its_modes():
    distribution = example_3_2()
    equation = FokkerPlanck(-5.0, 6.0, 4000, lambda x: distribution.score(x[:, None])[:, 0], lambda x: 1.0)
    zero, gap, *others = equation.eigenvalues(4)
    rounding = U * 4 / equation.dx**2  # of the eigenvalues of a matrix of that norm
    assert abs(zero) < 16 * rounding
    assert_close(gap, 1.787663e-6, 3 * rounding, 1.0)
    assert_printed(others[0], "4.0000")
    assert_printed(others[1], "8.0002")


def test_relative_entropy_decreases_at_its_dissipation_rate():
    """On a Gaussian it also decreases at least as fast as e^{-2 t / s^2}."""
    equation, dt = ORNSTEIN_UHLENBECK, 0.005
    distribution = equation.stationary()
    states = [
        equation.density(lambda x: gaussian(x, 1.5, 0.04)),
        *(p for _, p in equation.solve(equation.density(lambda x: gaussian(x, 1.5, 0.04)), dt, 200)),
    ]
    entropy = np.array([equation.relative_entropy(p, distribution) for p in states])
    assert (np.diff(entropy) < 0).all()
    assert (entropy <= np.exp(-2 * dt * np.arange(201)) * entropy[0] * (1 + 1e-9)).all()
    middle = np.array([equation.dissipation(p, distribution) for p in states])
    assert_close(
        -np.diff(entropy)[100:] / dt, (middle[101:] + middle[100:-1]) / 2, 1e-3
    )  # (dx^2 + dt^2) times derivatives of some hundreds


def test_langevin_particles_have_the_fokker_planck_density():
    """10,000 from N(1, 0.25) for t = 0.4 in steps of 0.004, on the mixture of Ex 3.2; shares in eight bins.

    The error of the chain after 100 steps of tau is below 1 % of a density of 1, less than the tolerance."""
    distribution, n = example_3_2(), 10_000
    equation = FokkerPlanck(-5.0, 6.0, 1100, lambda x: distribution.score(x[:, None])[:, 0], lambda x: 1.0)
    p = final(equation, equation.density(lambda x: gaussian(x, 1.0, 0.25)), 0.004, 100)
    x = 1 + 0.5 * np.random.default_rng(1).standard_normal((n, 1))
    x = final_sample(langevin(distribution.score, x, 0.004, 100, 1, np.arange(n)))[:, 0]
    edges = np.array([-5, -1.5, 0.5, 1.2, 1.6, 2.0, 2.4, 3.0, 6.0])
    counts, _ = np.histogram(x, edges)
    shares = np.diff(np.interp(edges, equation.faces, np.concatenate(([0], np.cumsum(p))) * equation.dx))
    allowed = z_score(len(shares)) * np.sqrt(shares * (1 - shares) / n) + 0.004
    assert (np.abs(counts / n - shares) < allowed).all()


def test_two_ornstein_uhlenbeck_processes_stay_independent_in_2d():
    faces = np.linspace(-6, 6, 121)
    x, dx = (faces[1:] + faces[:-1]) / 2, 0.1
    p = np.outer(gaussian(x, 1.0, 0.25), gaussian(x, -0.5, 0.5))
    p /= p.sum() * dx**2
    *_, (t, p) = solve_2d(p, lambda x, y: (-x, -2 * y), lambda x, y: (1.0, 0.5), faces, faces, 0.02, 50)
    assert_close(p.sum() * dx**2, 1.0, MASS)
    a, b = np.exp(-t), np.exp(-2 * t)
    expected = np.outer(gaussian(x, a, 0.25 * a**2 + 1 - a**2), gaussian(x, -0.5 * b, 0.5 * b**2 + 0.25 * (1 - b**2)))
    assert_close(p, expected, dx**2, 0.1)


def test_an_equation_is_solved_by_its_port():
    port = recording_port()
    equation = FokkerPlanck(-6.0, 6.0, 40, lambda x: -x, lambda x: 1.0, ops=port)
    p = equation.density(lambda x: gaussian(x, 1.0, 0.25))
    without = FokkerPlanck(-6.0, 6.0, 40, lambda x: -x, lambda x: 1.0)
    np.testing.assert_array_equal(final(equation, p, 0.1, 2), final(without, p, 0.1, 2))
    faces = np.linspace(-1, 1, 9)
    for _ in solve_2d(np.ones((8, 8)), lambda x, y: (0.0, 0.0), lambda x, y: (1.0, 1.0), faces, faces, 0.1, 1, ops=port):
        pass
    assert port.called == {"fokker_planck_step", "fokker_planck_step_2d"}


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((1.0, 1.0, 9, lambda x: 0.0, lambda x: 1.0), "low must be below high and n at least 3, got 1.0, 1.0 and 9"),
        ((0.0, 1.0, 2, lambda x: 0.0, lambda x: 1.0), "n at least 3"),
        ((0.0, 1.0, 9, lambda x: 0.0, lambda x: 0.0), "diffusion must be positive on every open face"),
        ((-6.0, 6.0, 20, lambda x: -8 * x, lambda x: 1.0), "the cell Peclet number is 25.9, above 2; take about 260"),
    ],
)
def test_invalid_equations_are_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message):
        FokkerPlanck(*arguments)


def test_periodic_grids_refuse_eigenvalues_and_equilibrium_with_net_drift():
    equation = FokkerPlanck(0.0, 1.0, 9, lambda x: 1.0, lambda x: 1.0, periodic=True)
    with pytest.raises(ValueError, match="no stationary density without current exists"):
        equation.stationary()
    with pytest.raises(ValueError, match="not periodic"):
        equation.eigenvalues(2)
    swings = FokkerPlanck(0.0, 2 * np.pi, 200, np.sin, lambda x: 1.0, periodic=True)
    assert_close(swings.stationary(), swings.density(lambda x: np.exp(-np.cos(x))), swings.dx**2, 1.0)
