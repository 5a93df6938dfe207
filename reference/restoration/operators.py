"""Linear measurements y = A x + s_y n, and what follows from the singular values of A.

A = U S Vᵀ maps samples x[b,*shape] with n entries to measurements y[b,*measured_shape].  An
operator gives A and Aᵀ directly, and the coordinates along the n right singular vectors:

    Vt(x) = Vᵀ x [b,n],   V(z) = V z [b,*shape],   Ut(y) = Uᵀ y [b,n].

``singular_values`` [n] is 0 where a direction is not measured.  Ut(y) means nothing there, and all
formulas give it the factor 0.  The part of y outside of the range of A, if there is one, says
nothing about x.

    A⁺ y = V S⁺ Uᵀ y                                                      ``pseudo_inverse``
    Aᵀ (r A Aᵀ + s I)^{-1} y = V S (r S^2 + s)^{-1} Uᵀ y                  ``regularised_inverse``
    argmin_x ‖y - A x‖^2 + rho ‖x - x_1‖^2
        = V (S^2 + rho)^{-1} (S Uᵀ y + rho Vᵀ x_1)                        ``proximal``

Arrays of the operator are in float64 on the host.  Each method converts them to the dtype and the
device of its argument.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from reference.ops.random import Key, Purpose


class Operator(ABC):
    """What all operators can do.  x and y of another shape are a ValueError."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of x, without the batch axis."""

    @property
    @abstractmethod
    def measured_shape(self) -> tuple[int, ...]:
        """Of y, without the batch axis."""

    @property
    @abstractmethod
    def all_singular_values(self) -> Any:
        """[n], as computed."""

    @abstractmethod
    def forward(self, x):
        """x[b,*shape] -> A x [b,*measured_shape]."""

    @abstractmethod
    def adjoint(self, y):
        """y[b,*measured_shape] -> Aᵀ y [b,*shape]."""

    @abstractmethod
    def Vt(self, x):
        """x[b,*shape] -> Vᵀ x [b,n]."""

    @abstractmethod
    def V(self, z):
        """z[b,n] -> V z [b,*shape]."""

    @abstractmethod
    def Ut(self, y):
        """y[b,*measured_shape] -> Uᵀ y [b,n], for the directions that are measured."""

    @cached_property
    def singular_values(self):
        """[n], 0 where rounding hides a value: below 2 u max(m, n) of the largest."""
        values = self.all_singular_values
        size = max(len(values), prod(self.measured_shape))
        least = size * np.finfo(np.float64).eps * values.max(initial=0)
        return np.where(values > least, values, 0.0)

    @cached_property
    def inverse_singular_values(self):
        """1 / ``singular_values`` [n], and 0 where they are 0: the diagonal of S⁺."""
        return _divided(1.0, self.singular_values)

    def pseudo_inverse(self, y):
        """A⁺ y, the least of all x with the least ‖y - A x‖."""
        return self.V(weighted(self.inverse_singular_values, self.Ut(y)))

    def regularised_inverse(self, y, r, s):
        """Aᵀ (r A Aᵀ + s I)^{-1} y for numbers r > 0 and s >= 0; A⁺ y / r at s = 0."""
        values = self.singular_values
        return self.V(weighted(_divided(values, r * values**2 + s), self.Ut(y)))

    def proximal(self, y, x, rho):
        """The minimum of ‖y - A x'‖^2 + rho ‖x' - x‖^2 over x', for a number rho >= 0.  At rho = 0
        it is the limit: x in the directions that are not measured.
        """
        values = self.singular_values
        of_y = _divided(values, values**2 + rho)
        of_x = 1 - values * of_y  # rho / (S^2 + rho)
        return self.V(weighted(of_y, self.Ut(y)) + weighted(of_x, self.Vt(x)))

    def measure(self, x, noise, seed, sample, ops):
        """y = A x + ``noise`` n, n standard normal for the seed and the indices ``sample`` [b]."""
        return ops.add_noise(self.forward(x), 1.0, noise, Key(seed, sample, 0, Purpose.MEASUREMENT))

    def matrix(self):
        """A [m,n] in float64."""
        n = prod(self.shape)
        return self.forward(np.eye(n).reshape(n, *self.shape)).reshape(n, -1).T

    def _flat(self, x):
        check(x, self.shape, "x")
        return x.reshape(len(x), -1)

    def _shaped(self, z):
        return z.reshape(len(z), *self.shape)


@dataclass(frozen=True, eq=False)
class Mask(Operator):
    """Some entries of x are known: y[b,m] holds them in C order.

    ``known``: booleans of the shape of x.  The singular vectors are unit vectors.
    """

    known: np.ndarray

    def __post_init__(self):
        known = np.array(self.known)
        if known.dtype != bool:
            raise ValueError(f"a mask must hold booleans, got {known.dtype}")
        object.__setattr__(self, "known", known)

    @property
    def shape(self):
        return self.known.shape

    @property
    def measured_shape(self):
        return (int(self.known.sum()),)

    @cached_property
    def all_singular_values(self):
        return -np.sort(-self.known.ravel().astype(np.float64))

    @cached_property
    def _order(self):
        """(The entries of x, the known ones first; the inverse of this permutation.)"""
        order = np.argsort(~self.known.ravel(), kind="stable")
        return order, np.argsort(order)

    def forward(self, x):
        return self.Vt(x)[:, : self.measured_shape[0]]

    def adjoint(self, y):
        return self.V(self.Ut(y))

    def Vt(self, x):
        return np.take(self._flat(x), np.asarray(self._order[0], like=x), axis=1)

    def V(self, z):
        return self._shaped(np.take(z, np.asarray(self._order[1], like=z), axis=1))

    def Ut(self, y):
        check(y, self.measured_shape, "y")
        return _padded(y, self.known.size)


@dataclass(frozen=True, eq=False)
class Matrix(Operator):
    """y[b,m] = A x for any ``A`` [m,n] and points x[b,n]."""

    A: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "A", np.array(self.A, np.float64))
        if self.A.ndim != 2 or not np.isfinite(self.A).all():
            raise ValueError(f"A must be a matrix of finite numbers, got shape {self.A.shape}")

    @property
    def shape(self):
        return self.A.shape[1:]

    @property
    def measured_shape(self):
        return self.A.shape[:1]

    @cached_property
    def _svd(self):
        return full_svd(self.A)

    @property
    def all_singular_values(self):
        return self._svd[1]

    def forward(self, x):
        return self._flat(x) @ like(self.A.T, x)

    def adjoint(self, y):
        check(y, self.measured_shape, "y")
        return y @ like(self.A, y)

    def Vt(self, x):
        return self._flat(x) @ like(self._svd[2].T, x)

    def V(self, z):
        return z @ like(self._svd[2], z)

    def Ut(self, y):
        check(y, self.measured_shape, "y")
        return y @ like(self._svd[0].T, y)


@dataclass(frozen=True, eq=False)
class Cropped(Operator):
    """``operator`` on a part of a larger x of the shape ``whole``, the shape of a network's input.
    The rest is not measured.  ``corner``: the row and the column where the part begins.
    """

    operator: Operator
    whole: tuple
    corner: tuple = (0, 0)

    def __post_init__(self):
        part, starts = self.operator.shape, (*self.corner, 0)
        fits = all(0 <= c and c + a <= b for c, a, b in zip(starts, part, self.whole))
        if len(part) != len(self.whole) or not fits:
            raise ValueError(
                f"x of shape {tuple(self.whole)} has no part of shape {part} at {self.corner}"
            )

    @cached_property
    def _part(self):
        inside = np.zeros(self.whole, bool)
        starts = (*self.corner, 0)
        inside[tuple(slice(c, c + size) for c, size in zip(starts, self.operator.shape))] = True
        return Mask(inside)

    @property
    def shape(self):
        return tuple(self.whole)

    @property
    def measured_shape(self):
        return self.operator.measured_shape

    @property
    def all_singular_values(self):
        values = self.operator.all_singular_values
        return np.concatenate((values, np.zeros(prod(self.whole) - len(values))))

    def forward(self, x):
        return self.operator.forward(self.operator._shaped(self._part.forward(x)))

    def adjoint(self, y):
        return self._part.adjoint(self.operator.adjoint(y).reshape(len(y), -1))

    def Vt(self, x):
        z = self._part.Vt(x)
        inside, outside = np.split(z, self._part.measured_shape, axis=1)
        return np.concatenate((self.operator.Vt(self.operator._shaped(inside)), outside), axis=1)

    def V(self, z):
        inside, outside = np.split(z, self._part.measured_shape, axis=1)
        inside = self.operator.V(inside).reshape(len(z), -1)
        return self._part.V(np.concatenate((inside, outside), axis=1))

    def Ut(self, y):
        return _padded(self.operator.Ut(y), prod(self.whole))


def weighted(weights, z):
    """weights[n] z[b,n], for coordinates z along the singular vectors."""
    return like(weights, z) * z


def full_svd(A):
    """(Uᵀ[n,m], s[n], Vᵀ[n,n]) of A[m,n], filled up with zeros if m < n."""
    m, n = A.shape
    U, s, Vt = np.linalg.svd(A)
    Ut, values = np.zeros((n, m)), np.zeros(n)
    values[: len(s)], Ut[: len(s)] = s, U[:, : len(s)].T
    return Ut, values, Vt


def _divided(a, b):
    """a / b, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros_like(b), where=b > 0)


def _padded(y, n):
    """y[b,m] with zeros up to n columns."""
    return np.concatenate((y, np.zeros_like(y, shape=(len(y), n - y.shape[1]))), axis=1)


def like(array, x):
    """``array`` in the dtype of x, where x is."""
    return np.asarray(array, x.dtype, like=x)


def check(x, shape, name):
    if x.shape[1:] != tuple(shape):
        raise ValueError(f"{name} must have shape [b, {', '.join(map(str, shape))}], got {x.shape}")
