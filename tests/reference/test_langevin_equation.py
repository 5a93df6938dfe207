"""Langevin's equations: white noise, Wiener and Ornstein-Uhlenbeck processes against their closed forms, Ito and Stratonovich apart."""

import numpy as np
import pytest
from scipy.integrate import quad

from reference.data.metrics import autocorrelation
from reference.fokker_planck import langevin_equation as physics
from reference.samplers import final_sample
from tests.oracle_tolerances import EXACT, LINEAR_ALGEBRA, assert_close, assert_mean, assert_printed, z_score

GAMMA, Q = 1.5, 0.8
MANY = np.arange(20_000)


def test_white_noise_over_a_step_has_variance_q_over_h():
    """Delta-correlated: means over half the step have twice the variance (E13b)."""
    for h in (0.1, 0.05):
        noise = physics.white_noise(Q, h, 3, 1, MANY)
        assert_mean(noise, 0.0, 2)
        assert_mean(noise**2, Q / h, 2)
        assert_mean(noise[:, 0] * noise[:, 1], 0.0, 2)


def test_the_autocorrelation_of_white_noise_is_a_spike():
    series = physics.white_noise(Q, 0.1, 1000, 2, np.arange(50))
    rho = np.array([autocorrelation(path) for path in series])
    assert (rho[:, 0] == 1).all()
    assert_mean(rho[:, 1], -1 / 1000)  # subtracting each series' own mean costs 1/N
    assert np.abs(rho[:, 1:900]).max() < z_score(50 * 900) / 1000**0.5


def test_wiener_paths_have_the_variance_q_t_and_independent_increments():
    paths = physics.wiener(Q, 0.25, 8, 3, MANY)
    assert paths.shape == (20_000, 9) and not paths[:, 0].any()
    assert_mean(paths[:, 1:] ** 2, Q * 0.25 * np.arange(1, 9), 2)
    assert_mean((paths[:, 4] - paths[:, 2]) * paths[:, 2], 0.0, 2)


@pytest.mark.parametrize("h", [0.01, 0.5, 3.0])
def test_the_linear_equation_is_exact_for_any_step(h):
    """Mean x e^{-gamma t}, variance q/(2 gamma) (1 - e^{-2 gamma t}), covariance between times: the earlier variance times e^{-gamma h}."""
    path = physics.linear(GAMMA, Q, np.full(20_000, 2.0), h, 2, 4, MANY)
    t = h * np.arange(1, 3)
    mean, variance = 2 * np.exp(-GAMMA * t), Q / (2 * GAMMA) * -np.expm1(-2 * GAMMA * t)
    assert_mean(path[:, 1:], mean, 3)
    assert_mean((path[:, 1:] - mean) ** 2, variance, 3)
    assert_mean((path[:, 1] - mean[0]) * (path[:, 2] - mean[1]), variance[0] * np.exp(-GAMMA * h), 3)


def test_a_forced_mean_solves_its_equation():
    force = lambda t: np.cos(2 * t)
    exact = lambda t: 0.7 * np.exp(-GAMMA * t) + (GAMMA * np.cos(2 * t) + 2 * np.sin(2 * t) - GAMMA * np.exp(-GAMMA * t)) / (GAMMA**2 + 4)
    for t in (0.3, 2.0):
        assert_close(physics.forced_mean(GAMMA, force, 0.7, t), exact(t), LINEAR_ALGEBRA, 1.0)


def test_the_spectral_density_is_the_transform_of_the_autocovariance():
    """Wiener and Khinchin (5.5)."""
    for omega in (0.0, 0.7, 3.0):
        transform = 2 * quad(lambda t: physics.autocovariance(GAMMA, Q, t), 0, np.inf, weight="cos", wvar=omega)[0] if omega else None
        transform = transform if omega else 2 * quad(lambda t: physics.autocovariance(GAMMA, Q, t), 0, np.inf)[0]
        assert_close(physics.spectral_density(GAMMA, Q, omega), transform, 1e-8)  # quad's own tolerance
    assert_close(physics.autocovariance(GAMMA, Q, -0.3), physics.autocovariance(GAMMA, Q, 0.3), EXACT)


def test_moments_and_characteristic_function_of_the_stationary_gaussian():
    """(2n)! / (2^n n!) (q/(2 gamma))^n: 1, 3, 15 times powers of the variance; the function's second derivative at 0 is -variance."""
    variance = Q / (2 * GAMMA)
    for n, factor in ((1, 1), (2, 3), (3, 15)):
        assert_close(physics.even_moment(GAMMA, Q, n), factor * variance**n, EXACT)
    u = np.array([0.5, 2.0])
    assert_close(physics.characteristic_function(GAMMA, Q, u), np.exp(-(u**2) * variance / 2), EXACT)


def test_a_brownian_particle_is_ballistic_early_and_diffusive_late():
    """Twice the double integral of the velocity's autocovariance; q/(2 gamma) t^2 for short times, q/gamma^2 t for long ones."""
    for t in (0.1, 2.0):
        expected = 2 * quad(lambda s, t=t: (t - s) * physics.autocovariance(GAMMA, Q, s), 0, t)[0]
        assert_close(physics.mean_square_displacement(GAMMA, Q, t), expected, LINEAR_ALGEBRA)  # quad is exact for this smooth function
    short, long = 1e-3, 1e4
    assert_close(physics.mean_square_displacement(GAMMA, Q, short), Q / (2 * GAMMA) * short**2, GAMMA * short / 3)  # times 1 - gamma t/3 ..
    assert_close(physics.mean_square_displacement(GAMMA, Q, long), Q / GAMMA**2 * long, 1.01 / (GAMMA * long))  # less by q/gamma^3


G, NOISE = np.array([[1.0, 0.5], [-0.3, 2.0]]), np.array([[1.0, 0.2], [0.2, 0.6]])


def test_the_stationary_covariance_balances_decay_and_noise():
    S = physics.stationary_covariance(G, NOISE)
    assert_close(G @ S + S @ G.T, NOISE, LINEAR_ALGEBRA, 1.0)
    assert_close(physics.stationary_covariance(np.array([[GAMMA]]), np.array([[Q]])), np.array([[Q / (2 * GAMMA)]]), LINEAR_ALGEBRA)


def test_exact_multivariate_steps_compose_and_keep_the_stationary_distribution():
    S, (A, C), (A2, C2) = physics.stationary_covariance(G, NOISE), physics.transition(G, NOISE, 0.3), physics.transition(G, NOISE, 0.6)
    assert_close(A @ S @ A.T + C, S, LINEAR_ALGEBRA, 1.0)
    assert_close(A @ A, A2, LINEAR_ALGEBRA, 1.0)
    assert_close(A @ C @ A.T + C, C2, LINEAR_ALGEBRA, 1.0)
    dt = 1e-5
    assert_close(physics.transition(G, NOISE, dt)[1] / dt, NOISE, dt, np.abs(G @ NOISE + NOISE @ G.T))  # half of that, and dt^2


def test_brownian_position_and_velocity_form_a_two_variable_process():
    """Velocity and position have no joint stationary distribution; with stationary velocity Var(position) is the displacement's."""
    for t in (0.2, 3.0):
        A, C = physics.transition(np.array([[GAMMA, 0.0], [-1.0, 0.0]]), np.diag([Q, 0.0]), t)
        place = A[1, 0] ** 2 * Q / (2 * GAMMA) + C[1, 1]
        assert_close(place, physics.mean_square_displacement(GAMMA, Q, t), LINEAR_ALGEBRA)


def test_an_unstable_process_has_no_stationary_distribution():
    with pytest.raises(ValueError, match="a stationary distribution exists only if the eigenvalues of G have positive real parts"):
        physics.stationary_covariance(-G, NOISE)


def test_coefficients_match_stratonovich():
    """(5.36), (5.37): D1 = h + g g', D2 = g^2; a diffusion model's additive noise g = sqrt(beta/2) has D2 = beta/2 (E15)."""
    x = np.linspace(-2, 2, 9)
    D1, D2 = physics.fokker_planck_coefficients(lambda x: -x, lambda x: 0.5 * x, lambda x: 0.5)
    assert_close(D1(x), -0.75 * x, EXACT)
    assert_close(D2(x), 0.25 * x**2, EXACT)


@pytest.mark.parametrize("sense, expected", [("stratonovich", np.exp(-1 + 0.25)), ("ito", np.exp(-1.0))])
def test_ito_and_stratonovich_noise_have_different_means(sense, expected):
    """dxi/dt = -xi + xi Gamma / 2: E xi = e^{(-1 + 1/4) t} (Stratonovich) or e^{-t} (Ito); the mean of one step is exact.

    A step multiplies by a polynomial of z, and Gauss-Hermite quadrature gives its mean over z ~ N(0, 1) exactly: 400 steps reach t = 1.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    h = 1 / 400

    class Nodes:
        """A port with quadrature nodes as normal draws."""

    one = physics.nonlinear(lambda x: -x, lambda x: 0.5 * x, (0.0, h), np.ones((8, 1)), 0, np.arange(8), sense)
    import reference.samplers.sde as solvers

    solver = solvers.stochastic_heun if sense == "stratonovich" else solvers.euler_maruyama
    port = type("Port", (), {"normal": staticmethod(lambda *key: nodes[:, None])})
    step = final_sample(solver(lambda x, t: -x, lambda x, t: 2**0.5 * 0.5 * x, (0.0, h), np.ones((8, 1)), 0, np.arange(8), ops=port))
    mean = float((weights / weights.sum()) @ step[:, 0]) ** 400
    assert_printed(mean, ".4726" if sense == "stratonovich" else ".3674")
    assert_close(mean, expected, 2 * h)
    z = np.array([float(v) for v in final_sample(one)[:, 0]])
    expected_step = final_sample(solver(lambda x, t: -x, lambda x, t: 2**0.5 * 0.5 * x, (0.0, h), np.ones((8, 1)), 0, np.arange(8)))[:, 0]
    assert_close(z, expected_step, EXACT)


def test_an_unknown_noise_interpretation_is_refused():
    with pytest.raises(ValueError, match="sense must be stratonovich or ito, got 'other'"):
        physics.nonlinear(lambda x: -x, lambda x: x, (0.0, 1.0), np.ones((1, 1)), 0, np.arange(1), "other")
