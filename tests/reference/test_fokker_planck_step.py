"""One step of the Fokker-Planck equation: against its matrix, closed forms, and the limits of large and small drift."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.ops import fokker_planck_step, fokker_planck_step_2d
from reference.ops.fokker_planck import face_rates
from tests.oracle_tolerances import EXACT, LINEAR_ALGEBRA, MASS, assert_close, assert_printed

ROUND = st.booleans()


def coefficients(seed, n):
    """p[n], drift and diffusion on the faces; on a periodic grid the last face equals the first."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0.1, 1, n), rng.uniform(-4, 4, n + 1), rng.uniform(0.3, 2, n + 1)


def generator(drift, diffusion, dx, periodic):
    """A [n,n] of d_t p = A p, jump by jump."""
    n, (to_left, to_right) = len(drift) - 1, face_rates(drift, diffusion, dx, periodic)
    A = np.zeros((n, n))
    for face in range(0 if periodic else 1, n):
        left, right = (face - 1) % n, face
        A[left, right] += to_left[face]
        A[right, right] -= to_left[face]
        A[right, left] += to_right[face]
        A[left, left] -= to_right[face]
    return A


@given(seed=st.integers(0, 999), n=st.integers(3, 12), periodic=ROUND)
def test_a_step_is_crank_nicolson_with_the_rates_of_the_cell_faces(seed, n, periodic):
    p, drift, diffusion = coefficients(seed, n)
    A, eye, dt = generator(drift, diffusion, 0.3, periodic), np.eye(n), 0.2
    expected = np.linalg.solve(eye - dt / 2 * A, (eye + dt / 2 * A) @ p)
    assert_close(fokker_planck_step(p, drift, diffusion, 0.3, dt, periodic), expected, LINEAR_ALGEBRA, np.abs(A).max())


@given(seed=st.integers(0, 999), n=st.integers(3, 12), periodic=ROUND, dt=st.sampled_from((0.01, 1.0, 100.0)))
def test_mass_is_kept(seed, n, periodic, dt):
    p, drift, diffusion = coefficients(seed, n)
    assert abs(fokker_planck_step(p, drift, diffusion, 0.5, dt, periodic).sum() / p.sum() - 1) < MASS


@given(seed=st.integers(0, 999), n=st.integers(3, 12), periodic=ROUND)
def test_density_stays_positive_for_steps_up_to_the_documented_limit(seed, n, periodic):
    p, drift, diffusion = coefficients(seed, n)
    p[1:] = 0
    dt = 2 / -np.diag(generator(drift, diffusion, 0.5, periodic)).min()
    assert (fokker_planck_step(p, drift, diffusion, 0.5, dt, periodic) >= -EXACT).all()


@pytest.mark.parametrize("w", [-30.0, -2.0, -1e-9, 0.0, 1e-9, 0.5, 30.0])
def test_neighbour_ratio_without_current_matches_the_exact_steady_state(w):
    """p_right / p_left = e^{-w}, w = B dx / D2, B = -D1 for a constant D2: for any w, large or small."""
    dx, D2 = 0.5, 0.8
    to_left, to_right = face_rates(np.full(4, -w * D2 / dx), np.full(4, D2), dx)
    assert_close(to_right[1:-1] / to_left[1:-1], np.full(2, np.exp(-w)), LINEAR_ALGEBRA)
    assert_close(to_right[1:-1], np.full(2, D2 / dx**2 * (w / np.expm1(w) if w else 1.0)), EXACT)
    assert not to_left[[0, -1]].any() and not to_right[[0, -1]].any()


def test_diffusion_that_depends_on_x_pulls_towards_small_diffusion():
    """D1 = 0: p ∝ 1/D2, so that w dx^{-1} D2 = D2' and log p falls by w across a face."""
    x = np.linspace(0, 1, 401)
    to_left, to_right = face_rates(np.zeros(401), 1 + x, x[1])
    slopes = np.log(to_right[1:-1] / to_left[1:-1]) / x[1]
    assert_close(slopes, -1 / (1 + x[1:-1]), x[1] ** 2, 8.0)


def test_periodic_diffusion_slope_is_taken_across_the_boundary():
    n = 400
    x = 2 * np.pi * np.arange(n + 1) / n
    for rates, sign in zip(face_rates(np.zeros(n + 1), 2 + np.sin(x), x[1], True), (1, -1)):
        assert_close(rates[0], rates[-1], EXACT)
        expected = (2 + np.sin(x)) / x[1] ** 2 + sign * np.cos(x) / (2 * x[1])  # b(-+w) = 1 +- w/2 + w^2/12
        assert_close(rates, expected, 1.0, 0.2)


@pytest.mark.parametrize("n, dt, printed", [(100, 0.02, "4.75e-4"), (200, 0.01, "1.19e-4"), (400, 0.005, "2.97e-5")])
def test_printed_error_on_the_ornstein_uhlenbeck_density(n, dt, printed):
    """gamma = 1, q = 2, from N(1.5, .04) on [-6, 6] to t = 1."""
    faces = np.linspace(-6, 6, n + 1)
    x, p = (faces[1:] + faces[:-1]) / 2, None
    gaussian = lambda mean, variance: np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    p, a = gaussian(1.5, 0.04), np.exp(-1.0)
    for _ in range(round(1 / dt)):
        p = fokker_planck_step(p, -faces, np.ones(n + 1), 12 / n, dt)
    assert_printed(np.abs(p - gaussian(1.5 * a, 0.04 * a**2 + 1 - a**2)).max(), printed)
    assert (p > 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("periodic", [False, True])
def test_a_2d_product_density_stays_the_product_of_its_1d_densities(dtype, periodic):
    """Steps along x and y commute for product densities, so that the split step equals both steps in any order."""
    (p, drift_x, D_x), (q, drift_y, D_y) = coefficients(1, 7), coefficients(2, 5)
    args = [np.outer(p, q), np.repeat(drift_x[:, None], 5, 1), np.repeat(drift_y[None], 7, 0)]
    args += [np.repeat(D_x[:, None], 5, 1), np.repeat(D_y[None], 7, 0)]
    found = fokker_planck_step_2d(*(a.astype(dtype) for a in args), 0.4, 0.3, 0.1, periodic)
    along_x = fokker_planck_step(fokker_planck_step(p, drift_x, D_x, 0.4, 0.05, periodic), drift_x, D_x, 0.4, 0.05, periodic)
    expected = np.outer(along_x, fokker_planck_step(q, drift_y, D_y, 0.3, 0.1, periodic))
    assert found.dtype == dtype
    assert_close(found, expected, LINEAR_ALGEBRA * np.finfo(dtype).eps / np.finfo(np.float64).eps, np.abs(expected).max())


def test_a_2d_step_is_half_full_half():
    """Drifts that depend on both coordinates make the order of the half steps visible."""
    rng = np.random.default_rng(3)
    p, D = rng.uniform(0.1, 1, (4, 5)), 0.5
    drift_x, drift_y = rng.uniform(-2, 2, (5, 5)), rng.uniform(-2, 2, (4, 6))
    on_x = lambda p, dt: np.stack([fokker_planck_step(p[:, j], drift_x[:, j], np.full(5, D), 0.5, dt) for j in range(5)], axis=1)
    on_y = lambda p, dt: np.stack([fokker_planck_step(p[i], drift_y[i], np.full(6, D), 0.4, dt) for i in range(4)])
    found = fokker_planck_step_2d(p, drift_x, drift_y, np.full((5, 5), D), np.full((4, 6), D), 0.5, 0.4, 0.2)
    assert_close(found, on_x(on_y(on_x(p, 0.1), 0.2), 0.1), LINEAR_ALGEBRA)


def test_without_diffusion_the_step_is_upwind():
    """D2 = 0, D1 = 2 to the right: a cell loses 2/dx of its mass per unit time; the limit of a tiny D2 is the same."""
    for D2 in (0.0, 1e-300):
        to_left, to_right = face_rates(np.full(5, 2.0), np.full(5, D2), 0.5)
        assert_close(to_right[1:-1], np.full(3, 4.0), EXACT)
        assert not to_left.any()


def test_a_non_numeric_step_is_a_type_error():
    for change in ({"dt": "0.1"}, {"dx": None}, {"dt": np.ones(1)}):
        with pytest.raises(TypeError, match=f"{next(iter(change))} must be a number, got"):
            fokker_planck_step(**({"p": np.ones(5), "drift": np.zeros(6), "diffusion": np.ones(6), "dx": 0.5, "dt": 0.1} | change))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"dx": 0.0}, "dx must be positive, dt not negative, and both finite, got 0.0 and 0.1"),
        ({"dt": -1.0}, "dx must be positive, dt not negative, and both finite, got 0.5 and -1.0"),
        ({"dx": np.inf}, "got inf and 0.1"),
        ({"dt": np.inf}, "got 0.5 and inf"),
        ({"diffusion": -np.ones(6)}, "diffusion must not be negative on any face, got -1.0"),
        ({"drift": np.zeros(5), "diffusion": np.ones(5)}, "drift must have one entry per face, 6 for 5 cells, got 5"),
        ({"p": np.ones(2), "drift": np.zeros(3), "diffusion": np.ones(3)}, "p must have at least 3 cells along each axis, got 2"),
    ],
)
def test_invalid_grids_are_refused_in_one_line(change, message):
    given_ = {"p": np.ones(5), "drift": np.zeros(6), "diffusion": np.ones(6), "dx": 0.5, "dt": 0.1} | change
    with pytest.raises(ValueError, match=message):
        fokker_planck_step(**given_)
