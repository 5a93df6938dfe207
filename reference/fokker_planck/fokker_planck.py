"""The Fokker-Planck equation on a grid (tutorial, Sec. 5.4): solutions, stationary densities,
relaxation rates and relative entropy.

    dp/dt = -dS/dx,   S = D1 p - d/dx(D2 p)      (5.35), (5.44), (5.45)

S is the probability current.  The tutorial writes [D1 - d/dx D2] p for S, which looks like a
product (E15c).  Without current D1 p = d/dx(D2 p) (Thm 5.10), so p ∝ 1/D2 exp(int D1/D2 dx).  If
the stationary density pi has no current, the relative entropy falls at the rate

    d/dt int p log(p/pi) dx = - int D2 p (d/dx log(p/pi))^2 dx.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal
from scipy.special import rel_entr

from reference import ops as reference_ops
from reference.ops.fokker_planck import face_rates

# above it the flux nearly equals the upwind flux, which is of first order in dx
LARGEST_PECLET = 2.0


@dataclass(frozen=True, eq=False)
class FokkerPlanck:
    """n cells between ``low`` and ``high``; D1 = drift(x) and D2 = diffusion(x) > 0 are functions
    of an array.  ``ops``: the port that takes the steps of ``solve``.

    ValueError if the grid is too coarse for the drift: the cell Peclet number, the largest |B| dx /
    D2 of a face with B = -D1 + dD2/dx, must not exceed 2.  The outer faces are closed and do not
    count, unless the grid is periodic.
    """

    low: float
    high: float
    n: int
    drift: Callable
    diffusion: Callable
    periodic: bool = False
    ops: Any = reference_ops

    def __post_init__(self):
        if not self.low < self.high or self.n < 3:
            raise ValueError(
                f"low must be below high and n at least 3, got {self.low}, {self.high} and {self.n}"
            )
        if not (self.D2[self.open_faces] > 0).all():
            raise ValueError("diffusion must be positive on every open face")
        if self.cell_peclet > LARGEST_PECLET:
            least = int(np.ceil(self.n * self.cell_peclet / LARGEST_PECLET))
            number = f"the cell Peclet number is {self.cell_peclet:.3g}, above {LARGEST_PECLET:g}"
            raise ValueError(
                f"n = {self.n} cells are too coarse for the drift: {number}; take about {least}"
            )

    @property
    def dx(self):
        return (self.high - self.low) / self.n

    @cached_property
    def faces(self):
        return np.linspace(self.low, self.high, self.n + 1)

    @cached_property
    def centres(self):
        return (self.faces[1:] + self.faces[:-1]) / 2

    @cached_property
    def D1(self):
        return np.broadcast_to(np.asarray(self.drift(self.faces), np.float64), self.faces.shape)

    @cached_property
    def D2(self):
        return np.broadcast_to(np.asarray(self.diffusion(self.faces), np.float64), self.faces.shape)

    @cached_property
    def rates(self):
        """The rates (to_left, to_right) [n+1] of jumps over each face: the equation as a master
        equation.
        """
        return face_rates(self.D1, self.D2, self.dx, self.periodic)

    @property
    def open_faces(self):
        """The open faces, as a slice: all but the outer ones, or all if the grid is periodic."""
        return slice(None) if self.periodic else slice(1, -1)

    @property
    def cell_peclet(self):
        slope = np.gradient(self.D2, self.dx)
        return float(
            np.abs(((slope - self.D1) * self.dx)[self.open_faces] / self.D2[self.open_faces]).max()
        )

    def density(self, function):
        """function(x) at the centres [n], normalised to mass 1."""
        p = np.asarray(function(self.centres), np.float64)
        return p / (p.sum() * self.dx)

    def solve(self, p, dt, steps):
        """Yields (t, p[n]) after each of ``steps`` steps of length dt; p >= 0 for any dt.

        For a p with sharp edges a long Crank-Nicolson step oscillates.  If a step would fall below
        0, this step and the next are each replaced by two implicit steps of half the length
        (Rannacher 1984).  They damp the oscillation and keep the second order in dt.
        """
        damped = 0
        for step in range(steps):
            later = self._crank_nicolson(p, dt)
            if (later < 0).any():
                damped = 2
            if damped:
                later, damped = self._implicit(self._implicit(p, dt / 2), dt / 2), damped - 1
            p = later
            yield (step + 1) * dt, p

    def _crank_nicolson(self, p, dt):
        return self.ops.fokker_planck_step(p, self.D1, self.D2, self.dx, dt, self.periodic)

    def _implicit(self, p, dt):
        """(1 - dt A)^{-1} p: the mean of p and of the Crank-Nicolson step over twice the time, (1 -
        dt A)^{-1} (1 + dt A) p.
        """
        # in exact arithmetic it is never below 0; maximum removes rounding errors
        return np.maximum((p + self._crank_nicolson(p, 2 * dt)) / 2, 0)

    def current(self, p):
        """The probability current S [n+1] on the faces, positive to the right."""
        to_left, to_right = self.rates
        return (
            to_right * np.concatenate((p[-1:], p)) - to_left * np.concatenate((p, p[:1]))
        ) * self.dx

    def stationary(self):
        """The stationary density without current [n], mass 1: p_right / p_left = to_right / to_left
        at every inner face.

        ValueError on a periodic grid if the drift sustains a current around it.
        """
        to_left, to_right = (rates[1:-1] for rates in self.rates)
        log_p = np.concatenate(([0.0], np.cumsum(np.log(to_right / to_left))))
        # on a periodic grid the logs of the ratios must sum to 0 around the period
        if self.periodic:
            around = log_p[-1] + np.log(self.rates[1][0] / self.rates[0][0])
            if abs(around) > 1e-9 * (1 + np.abs(log_p).max()):
                raise ValueError(
                    "no stationary density without current exists: the integral of D1/D2 over the"
                    " period must be 0"
                )
        p = np.exp(log_p - log_p.max())
        return p / (p.sum() * self.dx)

    def eigenvalues(self, count):
        """The ``count`` smallest relaxation rates, the eigenvalues of minus the operator, rising
        from 0.  Not for periodic grids.

        The operator is similar to a symmetric one with sqrt(to_left to_right) next to the diagonal.
        """
        if self.periodic:
            raise ValueError("eigenvalues need a grid that is not periodic")
        to_left, to_right = self.rates
        off_diagonal = -np.sqrt(to_left[1:-1] * to_right[1:-1])
        return eigvalsh_tridiagonal(
            to_right[1:] + to_left[:-1], off_diagonal, select="i", select_range=(0, count - 1)
        )

    def relative_entropy(self, p, distribution):
        """int p log(p/distribution) dx of two densities [n], in nats."""
        return float(rel_entr(p, distribution).sum() * self.dx)

    def dissipation(self, p, distribution):
        """int D2 p (d/dx log(p/distribution))^2 dx, the rate at which the relative entropy falls if
        ``distribution`` is the stationary density without current.
        """
        slope = np.diff(np.log(p / distribution)) / self.dx
        return float((self.D2[1:-1] * (p[1:] + p[:-1]) / 2 * slope**2).sum() * self.dx)


def solve_2d(p, drift, diffusion, x_faces, y_faces, dt, steps, periodic=False, ops=reference_ops):
    """Yields (t, p[n,m]) after each step, on the cells between evenly spaced faces [n+1] and [m+1].

    drift(x, y) -> (u, v) and diffusion(x, y) -> (a, b), for arrays:

        dp/dt = -d/dx(u p) - d/dy(v p) + d^2/dx^2(a p) + d^2/dy^2(b p).
    """
    x, y = ((faces[1:] + faces[:-1]) / 2 for faces in (x_faces, y_faces))
    on_x, on_y = np.meshgrid(x_faces, y, indexing="ij"), np.meshgrid(x, y_faces, indexing="ij")
    full = lambda function, at, k: np.ascontiguousarray(
        np.broadcast_to(np.asarray(function(*at)[k], np.float64), at[0].shape)
    )
    coefficients = (
        full(drift, on_x, 0),
        full(drift, on_y, 1),
        full(diffusion, on_x, 0),
        full(diffusion, on_y, 1),
    )
    for step in range(steps):
        p = ops.fokker_planck_step_2d(
            p, *coefficients, x_faces[1] - x_faces[0], y_faces[1] - y_faces[0], dt, periodic
        )
        yield (step + 1) * dt, p


def heat(p, k, t, dx):
    """The solution p[n] of the heat equation dp/dt = k d^2p/dx^2 on a period of n dx, a time t
    later: the wave of wavenumber w is multiplied by e^{-k w^2 t} (5.40)-(5.42).
    """
    w = 2 * np.pi * np.fft.rfftfreq(len(p), dx)
    return np.fft.irfft(np.fft.rfft(p) * np.exp(-k * w**2 * t), len(p))
