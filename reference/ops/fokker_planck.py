"""One time step of the Fokker-Planck equation (tutorial, Def 5.4) on a grid of cells.  The
coefficients stand on the faces between the cells.

    dp/dt = -d/dx(D1 p) + d^2/dx^2(D2 p) = dF/dx,   F = B p + D2 dp/dx,   B = -D1 + dD2/dx.

F is minus the probability current.  In these formulas h is the width of a cell, the argument
``dx``, and k the time step, the argument ``dt``.

In space.  Between the centres of two neighbouring cells, B and D2 are taken as constant, and F is
constant in a steady state.  Then p between the centres solves F = B p + D2 dp/dx, and F follows
from p on the left and on the right (Chang and Cooper 1970, Scharfetter and Gummel 1969):

    F = D2/h (b(-w) p_right - b(w) p_left),   b(w) = w / (e^w - 1),   w = B h / D2.

For w = 0 this is a difference quotient; for large |w| it uses the upwind cell alone.  F = 0 gives
p_right / p_left = e^{-w}, the exact steady state.  So dp/dt = A p with a tridiagonal A.  Its
columns sum to 0: A is the master equation of jumps between neighbours, with rates D2/h^2 b(-w) to
the left and D2/h^2 b(w) to the right.  As b(-w) = b(w) + w, the two rates differ by B/h.

In time.  Crank and Nicolson's step from p to p_next is

    (1 - k/2 A) p_next = (1 + k/2 A) p.

The step is of second order in h and k, and keeps the mass to rounding.  Any p >= 0 stays >= 0 if
k/2 times the largest rate of leaving a cell is at most 1.
"""

import numpy as np
from scipy.linalg import solve_banded

from reference.ops.checks import Array, check, takes_out


@takes_out
def fokker_planck_step(
    p: Array, drift: Array, diffusion: Array, dx: float, dt: float, periodic: bool = False
) -> Array:
    """p[n] at time t -> p[n] at time t + dt.  drift[n+1] = D1 and diffusion[n+1] = D2 >= 0 on the
    faces.

    The flux through the outer faces is 0.  With ``periodic`` the two outer faces are one, and the
    values of the first are used.
    """
    check("p[n] drift[f] diffusion[f]", p, drift, diffusion)
    check_faces("drift", drift, len(p) + 1)
    return _step(p[:, None], drift[:, None], diffusion[:, None], dx, dt, periodic)[:, 0]


@takes_out
def fokker_planck_step_2d(
    p: Array,
    drift_x: Array,
    drift_y: Array,
    diffusion_x: Array,
    diffusion_y: Array,
    dx: float,
    dy: float,
    dt: float,
    periodic: bool = False,
) -> Array:
    """p[n,m] at time t -> p[n,m] at time t + dt: half a step along x, one along y, half a step
    along x (Strang splitting), of second order together.

    drift_x[n+1,m] and diffusion_x stand on the faces between neighbours in x, drift_y[n,m+1] and
    diffusion_y on the faces between neighbours in y.
    """
    check(
        "p[n,m] drift_x[f,m] drift_y[n,g] diffusion_x[f,m] diffusion_y[n,g]",
        p,
        drift_x,
        drift_y,
        diffusion_x,
        diffusion_y,
    )
    check_faces("drift_x", drift_x, p.shape[0] + 1)
    check_faces("drift_y", drift_y.T, p.shape[1] + 1)
    p = _step(p, drift_x, diffusion_x, dx, dt / 2, periodic)
    p = _step(p.T, drift_y.T, diffusion_y.T, dy, dt, periodic).T
    return np.ascontiguousarray(_step(p, drift_x, diffusion_x, dx, dt / 2, periodic))


def face_rates(
    drift: Array, diffusion: Array, dx: float, periodic: bool = False
) -> tuple[Array, Array]:
    """Rates (to_left, to_right) [n+1,...] of the jumps over each face to the cell on its left and
    on its right; 0 for the outer faces unless ``periodic``.
    """
    if periodic:
        wrapped = np.concatenate((diffusion[-2:-1], diffusion, diffusion[1:2]))
        slope = np.gradient(wrapped, dx, axis=0)[1:-1]
    else:
        slope = np.gradient(diffusion, dx, axis=0)
    B = slope - drift
    both = diffusion / dx**2 * _b(np.abs(B) * dx, diffusion)
    to_left = both + np.maximum(B, 0) / dx
    to_right = both + np.maximum(-B, 0) / dx
    for rates in (to_left, to_right):
        rates[-1] = rates[0] if periodic else 0
        rates[0] = rates[0] if periodic else 0
    return to_left, to_right


def _b(Bdx: Array, diffusion: Array) -> Array:
    """b(w) = w / (e^w - 1) for w = Bdx / diffusion >= 0: 1 at w = 0, and 0 for w >= 80, where b(w)
    is smaller than the rounding of w.
    """
    large = Bdx >= 80 * diffusion
    w = np.where(large, 1, Bdx) / np.where(large, 1, diffusion)
    b = np.where(w == 0, 1, w / np.expm1(np.where(w == 0, 1, w)))
    rounded: Array = np.where(large & (Bdx > 0), 0, b).astype(Bdx.dtype)
    return rounded


def check_faces(name: str, drift: Array, faces: int) -> None:
    """Check that a coefficient has ``faces`` entries on its first axis."""
    cells = faces - 1
    if cells < 3:
        raise ValueError(f"p must have at least 3 cells along each axis, got {cells}")
    if len(drift) != faces:
        raise ValueError(
            f"{name} must have one entry per face, {faces} for {cells} cells, got {len(drift)}"
        )


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    return float(value)


def check_lengths(diffusion: Array, dx: float, dt: float) -> tuple[float, float]:
    """Check the arguments of a step, and return dx and dt as floats."""
    dx, dt = _number("dx", dx), _number("dt", dt)
    if not (0 < dx < np.inf and 0 <= dt < np.inf):
        raise ValueError(
            f"dx must be positive, dt not negative, and both finite, got {dx} and {dt}"
        )
    if not (diffusion >= 0).all():
        raise ValueError(
            f"diffusion must not be negative on any face, got {diffusion[~(diffusion >= 0)][0]}"
        )
    return dx, dt


def _step(p: Array, drift: Array, diffusion: Array, dx: float, dt: float, periodic: bool) -> Array:
    """One step of each column of p[n,m] by itself."""
    dx, dt = check_lengths(diffusion, dx, dt)
    to_left, to_right = face_rates(drift, diffusion, dx, periodic)
    flux = to_left * np.concatenate((p, p[:1])) - to_right * np.concatenate((p[-1:], p))
    half = p.dtype.type(dt / 2)
    diagonal = 1 + half * (to_right[1:] + to_left[:-1])
    right = p + half * np.diff(flux, axis=0)
    return _solve(diagonal, -half * to_right, -half * to_left, right, periodic)


def _solve(diagonal: Array, below: Array, above: Array, right: Array, periodic: bool) -> Array:
    """x[n,m] with M x = right.  In each column M_{i,i} = diagonal_i, M_{i,i-1} = below_i and
    M_{i-1,i} = above_i, cyclic if ``periodic``.

    A cyclic matrix has two more corners, M_{0,n-1} = c and M_{n-1,0} = a.  It is N + u vᵀ with a
    tridiagonal N, u = (g, 0 .. 0, a) and v = (1, 0 .. 0, c/g), hence (Sherman and Morrison)

        x = y - (vᵀy) / (1 + vᵀz) z   with   N y = right,   N z = u.
    """
    c = below[0]
    a = above[0]
    g = -diagonal[0]
    if not periodic:
        return _tridiagonal(diagonal, below, above, right[..., None])[..., 0]
    diagonal = diagonal.copy()
    diagonal[0] -= g
    diagonal[-1] -= a * c / g
    u = np.zeros_like(right)
    u[0], u[-1] = g, a
    y, z = np.moveaxis(_tridiagonal(diagonal, below, above, np.stack((right, u), axis=-1)), -1, 0)
    x: Array = y - (y[0] + c / g * y[-1]) / (1 + z[0] + c / g * z[-1]) * z
    return x


def _tridiagonal(diagonal: Array, below: Array, above: Array, right: Array) -> Array:
    """x[n,m,k] for right[n,m,k], k right-hand sides of each column's system.  The systems of the m
    columns, one after another, are one tridiagonal system.
    """
    n, m, k = right.shape
    bands = np.zeros((3, m, n), right.dtype)
    bands[0, :, 1:] = above[1:-1].T
    bands[1] = diagonal.T
    bands[2, :, :-1] = below[1:-1].T
    solved = solve_banded(
        (1, 1),
        bands.reshape(3, m * n),
        np.swapaxes(right, 0, 1).reshape(m * n, k),
        check_finite=False,
    )
    return np.swapaxes(solved.reshape(m, n, k), 0, 1)
