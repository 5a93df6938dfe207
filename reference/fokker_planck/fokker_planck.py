"""The Fokker-Planck equation on a grid (tutorial, Sec. 5.4), and what follows from its operator.

    d_t p = -d_x S,   S = D1 p - d_x(D2 p)      (5.35), (5.44), (5.45)

S is the probability current; the tutorial's [D1 - d_x D2] p reads as a product and means this
(E15c).  Where nothing flows D1 p = d_x(D2 p) (Thm 5.10), p ~ 1/D2 exp int D1/D2.  For the law pi of
a motion without current, relative entropy falls at the rate

    d/dt int p log(p/pi) = - int D2 p (d_x log(p/pi))^2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal
from scipy.special import rel_entr

from reference.ops import fokker_planck_step, fokker_planck_step_2d
from reference.ops.fokker_planck import face_rates

# from there on the flux is that of the upwind cell, nearly, and of first order in dx
LARGEST_PECLET = 2.0


@dataclass(frozen=True, eq=False)
class FokkerPlanck:
    """n cells between ``low`` and ``high``; D1 = drift(x) and D2 = diffusion(x) > 0 are functions
    of an array.

    ValueError for a grid too coarse for the drift: the cell Peclet number, largest |B| dx / D2 on a
    face, B = -D1 + D2', must not exceed 2.  The outer faces, which nothing passes, do not count
    unless the grid is periodic.
    """

    low: float
    high: float
    n: int
    drift: Callable
    diffusion: Callable
    periodic: bool = False

    def __post_init__(self):
        if not self.low < self.high or self.n < 3:
            raise ValueError(
                f"low must be below high and n at least 3, got {self.low}, {self.high} and {self.n}"
            )
        if not (self.D2[self.passed] > 0).all():
            raise ValueError("diffusion must be positive on every face that something passes")
        if self.cell_peclet > LARGEST_PECLET:
            least = int(np.ceil(self.n * self.cell_peclet / LARGEST_PECLET))
            number = f"the cell Peclet number is {self.cell_peclet:.3g}, above {LARGEST_PECLET:g}"
            raise ValueError(
                f"n = {self.n} cells are too coarse for the drift: {number}; about {least} would do"
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
        """(to_left, to_right) [n+1] of jumps over each face: the equation as a master equation."""
        return face_rates(self.D1, self.D2, self.dx, self.periodic)

    @property
    def passed(self):
        """The faces that something can pass."""
        return slice(None) if self.periodic else slice(1, -1)

    @property
    def cell_peclet(self):
        slope = np.gradient(self.D2, self.dx)
        return float(
            np.abs(((slope - self.D1) * self.dx)[self.passed] / self.D2[self.passed]).max()
        )

    @property
    def positive_step(self):
        """The longest dt with which Crank and Nicolson keep every p positive: 2 over the largest
        rate of leaving a cell.
        """
        to_left, to_right = self.rates
        return float(2 / (to_right[1:] + to_left[:-1]).max())

    def density(self, function):
        """function(x) at the centres [n], with mass 1."""
        p = np.asarray(function(self.centres), np.float64)
        return p / (p.sum() * self.dx)

    def solve(self, p, dt, steps):
        """p[n] after each of ``steps`` steps of length dt, as (t, p), positive for any dt.

        Where a p with edges would ring and fall below 0, that step and the next are two implicit
        ones of half the length each (Rannacher 1984), which damp what rings and keep the second
        order in dt.
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
        return fokker_planck_step(p, self.D1, self.D2, self.dx, dt, self.periodic)

    def _implicit(self, p, dt):
        """(1 - dt A)^-1 p, the mean of p and of Crank and Nicolson's (1 - dt A)^-1 (1 + dt A) p
        over twice the time.
        """
        # exactly it is never below 0; this takes out rounding
        return np.maximum((p + self._crank_nicolson(p, 2 * dt)) / 2, 0)

    def current(self, p):
        """S [n+1] on the faces: what passes them to the right in unit time."""
        to_left, to_right = self.rates
        return (
            to_right * np.concatenate((p[-1:], p)) - to_left * np.concatenate((p, p[:1]))
        ) * self.dx

    def stationary(self):
        """The law without current [n], mass 1: p_right / p_left = to_right / to_left at every inner
        face.

        ValueError on a periodic grid whose drift drives p round and round.
        """
        to_left, to_right = (rates[1:-1] for rates in self.rates)
        log_p = np.concatenate(([0.0], np.cumsum(np.log(to_right / to_left))))
        # what is won on the way through all cells must be lost over the face between the last and
        # the first
        if self.periodic:
            around = log_p[-1] + np.log(self.rates[1][0] / self.rates[0][0])
            if abs(around) > 1e-9 * (1 + np.abs(log_p).max()):
                raise ValueError(
                    "the drift must have no mean over the period for a stationary law without current to exist"
                )
        p = np.exp(log_p - log_p.max())
        return p / (p.sum() * self.dx)

    def eigenvalues(self, count):
        """The ``count`` smallest rates of relaxation, eigenvalues of minus the operator, rising
        from 0.  Not for periodic grids.

        The operator is similar to a symmetric one, with sqrt(to_left to_right) beside the diagonal.
        """
        if self.periodic:
            raise ValueError("eigenvalues need a grid that is not periodic")
        to_left, to_right = self.rates
        beside = -np.sqrt(to_left[1:-1] * to_right[1:-1])
        return eigvalsh_tridiagonal(
            to_right[1:] + to_left[:-1], beside, select="i", select_range=(0, count - 1)
        )

    def relative_entropy(self, p, distribution):
        """int p log(p/law) of two densities [n], in nats."""
        return float(rel_entr(p, distribution).sum() * self.dx)

    def dissipation(self, p, distribution):
        """int D2 p (d_x log(p/law))^2, the rate at which relative entropy to the law without
        current falls.
        """
        slope = np.diff(np.log(p / distribution)) / self.dx
        return float((self.D2[1:-1] * (p[1:] + p[:-1]) / 2 * slope**2).sum() * self.dx)


def solve_2d(p, drift, diffusion, x_faces, y_faces, dt, steps, periodic=False):
    """p[n,m] on the cells between evenly spaced faces [n+1] and [m+1], after each step, as (t, p).

    drift(x, y) -> (u, v) and diffusion(x, y) -> (a, b), for arrays: d_t p = -d_x(u p) - d_y(v p) +
    d_x^2(a p) + d_y^2(b p).
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
        p = fokker_planck_step_2d(
            p, *coefficients, x_faces[1] - x_faces[0], y_faces[1] - y_faces[0], dt, periodic
        )
        yield (step + 1) * dt, p


def heat(p, k, t, dx):
    """p[n] of the heat equation d_t p = k d_x^2 p on a period of n dx, a time t later: each wave
    falls as e^(-k w^2 t) (5.40)-(5.42).
    """
    w = 2 * np.pi * np.fft.rfftfreq(len(p), dx)
    return np.fft.irfft(np.fft.rfft(p) * np.exp(-k * w**2 * t), len(p))
