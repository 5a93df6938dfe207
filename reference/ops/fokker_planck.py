"""One step in time of the Fokker-Planck equation (tutorial, Def 5.4), on cells with the
coefficients on their faces.

    d_t p = -d_x(D1 p) + d_x^2(D2 p) = d_x F,   F = B p + D2 d_x p,   B = -D1 + d_x D2,

F is minus the probability current.  Over a face of width dx between two cells B and D2 are
constant, and so is F where nothing piles up.  Then p between the centres solves F = B p + D2 p',
and F follows from p on the left and on the right (Chang and Cooper 1970, Scharfetter and Gummel
1969):

    F = D2/dx (b(-w) p_right - b(w) p_left),   b(w) = w / (e^w - 1),   w = B dx / D2.

With w = 0 that is a difference quotient, with large |w| the upwind cell alone; F = 0 gives p_right
/ p_left = e^-w, the exact steady state.  So d_t p = A p with a tridiagonal A whose columns sum to
0: a master equation of jumps between neighbours, at rates D2/dx^2 b(-w) to the left and D2/dx^2
b(w) to the right, which as b(-w) = b(w) + w differ by B/dx.  In time, Crank and Nicolson:  (1 -
dt/2 A) p' = (1 + dt/2 A) p.  Of second order in dx and dt; mass is kept to rounding; p stays
positive, whatever it was, if dt/2 times the largest rate of leaving a cell is at most 1.
"""

import numpy as np
from scipy.linalg import solve_banded

from reference.ops.checks import check, takes_out


@takes_out
def fokker_planck_step(p, drift, diffusion, dx, dt, periodic=False):
    """p[n] a time dt later.  drift[n+1] = D1 and diffusion[n+1] = D2 >= 0 on the faces.

    Nothing passes the outer faces; with ``periodic`` they are one face, whose values are the first.
    """
    check("p[n] drift[f] diffusion[f]", p, drift, diffusion)
    check_faces("drift", drift, len(p) + 1)
    return _step(p[:, None], drift[:, None], diffusion[:, None], dx, dt, periodic)[:, 0]


@takes_out
def fokker_planck_step_2d(
    p, drift_x, drift_y, diffusion_x, diffusion_y, dx, dy, dt, periodic=False
):
    """p[n,m] a time dt later: half a step along x, one along y, half a step along x (Strang), of
    second order together.

    drift_x[n+1,m] and diffusion_x on the faces between neighbours in x, drift_y[n,m+1] and
    diffusion_y on those in y.
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


def face_rates(drift, diffusion, dx, periodic=False):
    """Rates (to_left, to_right) [n+1,...] of jumping over each face, from the cell on its other
    side; 0 over the outer ones.
    """
    ends = (diffusion[-2:-1], diffusion[1:2])
    slope = np.gradient(
        np.concatenate((ends[0], diffusion, ends[1])) if periodic else diffusion, dx, axis=0
    )
    B = (slope[1:-1] if periodic else slope) - drift
    both = diffusion / dx**2 * _b(np.abs(B) * dx, diffusion)
    to_left, to_right = both + np.maximum(B, 0) / dx, both + np.maximum(-B, 0) / dx
    for rates in (to_left, to_right):
        rates[-1] = rates[0] if periodic else 0
        rates[0] = rates[0] if periodic else 0
    return to_left, to_right


def _b(Bdx, diffusion):
    """w / (e^w - 1) for w = Bdx / diffusion >= 0: 1 at w = 0, and 0 from 80 on, where it is less
    than a rounding of w.
    """
    large = Bdx >= 80 * diffusion
    w = np.where(large, 1, Bdx) / np.where(large, 1, diffusion)
    b = np.where(w == 0, 1, w / np.expm1(np.where(w == 0, 1, w)))
    return np.where(large & (Bdx > 0), 0, b).astype(Bdx.dtype)


def check_faces(name, drift, faces):
    cells = faces - 1
    if cells < 3:
        raise ValueError(f"p must have at least 3 cells along each axis, got {cells}")
    if len(drift) != faces:
        raise ValueError(
            f"{name} must have one entry a face, {faces} for {cells} cells, got {len(drift)}"
        )


def _number(name, value):
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    return float(value)


def check_lengths(diffusion, dx, dt):
    """dx and dt as floats, of a step with this diffusion."""
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


def _step(p, drift, diffusion, dx, dt, periodic):
    """Each column of p[n,m] by itself."""
    dx, dt = check_lengths(diffusion, dx, dt)
    to_left, to_right = face_rates(drift, diffusion, dx, periodic)
    flux = to_left * np.concatenate((p, p[:1])) - to_right * np.concatenate((p[-1:], p))
    half = p.dtype.type(dt / 2)
    diagonal = 1 + half * (to_right[1:] + to_left[:-1])
    return _solve(
        diagonal, -half * to_right, -half * to_left, p + half * np.diff(flux, axis=0), periodic
    )


def _solve(diagonal, below, above, right, periodic):
    """x[n,m] with M x = right, in each column M_ii = diagonal_i, M_(i,i-1) = below_i, M_(i-1,i) =
    above_i, cyclic if ``periodic``.

    The columns laid end to end are one tridiagonal system.  A cyclic one has two corners more,
    M_(0,n-1) = c and M_(n-1,0) = a: it is a tridiagonal M' plus u v' with u = (g, 0 .. 0, a) and v
    = (1, 0 .. 0, c/g), and so (Sherman and Morrison) x = y - v'y / (1 + v'z) z with M'y = right and
    M'z = u.
    """
    c, a, g = below[0], above[0], -diagonal[0]
    if not periodic:
        return _tridiagonal(diagonal, below, above, right[..., None])[..., 0]
    diagonal = diagonal.copy()
    diagonal[0] -= g
    diagonal[-1] -= a * c / g
    u = np.zeros_like(right)
    u[0], u[-1] = g, a
    y, z = np.moveaxis(_tridiagonal(diagonal, below, above, np.stack((right, u), axis=-1)), -1, 0)
    return y - (y[0] + c / g * y[-1]) / (1 + z[0] + c / g * z[-1]) * z


def _tridiagonal(diagonal, below, above, right):
    """right[n,m,k], k right-hand sides of each column's system."""
    n, m, k = right.shape
    bands = np.zeros((3, m, n), right.dtype)
    bands[0, :, 1:], bands[1], bands[2, :, :-1] = above[1:-1].T, diagonal.T, below[1:-1].T
    solved = solve_banded(
        (1, 1),
        bands.reshape(3, m * n),
        np.swapaxes(right, 0, 1).reshape(m * n, k),
        check_finite=False,
    )
    return np.swapaxes(solved.reshape(m, n, k), 0, 1)
