"""A loss, measured: the network's output is ours, so the loss is a function of the error alone.

A loss of a prediction p = r0 x_0 + r1 eps has the form

    loss = w(t) h(output - p),

with h the square, the absolute value, or Huber's function of each entry, averaged or summed.  Its
least value is 0, at output = p.  Probing with chosen outputs gives p, h and w(t).
"""

from dataclasses import dataclass

import numpy as np

from reference.audit.checks.noising import tolerance, tolerance_of_type
from reference.audit.levels import PREDICTIONS
from reference.audit.target import Denoiser, TargetError

MISTAKES = {  # text -> (alpha, sigma) -> (r0, r1)
    "the noise with its sign reversed": lambda alpha, sigma: (0.0, -1.0),
    "the score with its sign reversed, eps / sigma": lambda alpha, sigma: (0.0, 1 / sigma),
    "v with its sign reversed": lambda alpha, sigma: (sigma, -alpha),
    "v with alpha and sigma exchanged": lambda alpha, sigma: (-alpha, sigma),
    "alpha eps + sigma x_0": lambda alpha, sigma: (sigma, alpha),
    "x_t itself": lambda alpha, sigma: (alpha, sigma),
    "sigma eps, the noise in x_t": lambda alpha, sigma: (0.0, sigma),
    "eps / sigma^2": lambda alpha, sigma: (0.0, -1 / sigma**2),
}
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Draw:
    """One probe: x0 and noise [b,*shape] in the target's dtype."""

    x0: np.ndarray
    noise: np.ndarray

    def combined(self, r0, r1):
        return r0 * self.x0.astype(np.float64) + r1 * self.noise.astype(np.float64)


def draw(target, batch, seed=0, shape=None):
    rng = np.random.default_rng(seed)
    size = (batch, *(target.shape if shape is None else shape))
    x0, noise = (rng.standard_normal(size).astype(target.dtype) for _ in range(2))
    return Draw(x0, noise)


def run(target, draws, t, output):
    """(the loss as it is returned, the network's calls) where the network returns ``output``."""
    denoise = Denoiser(lambda *_: output, several=True)
    value = target.call("loss", denoise=denoise, x0=draws.x0, t=t, noise=draws.noise)
    if value.dtype.kind not in "iuf":
        raise TargetError(f"loss returns no number, its dtype is {value.dtype}")
    batch = len(draws.x0)
    if not (value.size == 1 or value.shape == (batch,) or value.shape == draws.x0.shape):
        raise TargetError(
            f"loss returns an array of shape {value.shape}, no number, and not one for each sample"
        )
    return value.astype(np.float64), denoise.calls


def value(target, draws, t, output):
    """The loss as one number: the mean where it is returned for each sample or entry."""
    return float(run(target, draws, t, output)[0].mean())


def size_of(r0, r1):
    """The size of a prediction of data and noise of size 1."""
    return max(abs(r0), abs(r1))


def ratio(target, levels, draws, t, row):
    """The loss of the output r0 x_0 + r1 eps over that of the output with an error of its size; NaN
    where both are 0.
    """
    exact = draws.combined(*row)
    least = value(target, draws, t, exact)
    with np.errstate(all="ignore"):
        return float(np.divide(least, value(target, draws, t, exact + size_of(*row))))


def largest_ratio(target, levels, t):
    """The ``ratio`` that rounding explains, for the absolute error; for the square it is less."""
    return 4 * (tolerance(levels, levels.at(t)[1]) + tolerance_of_type(target))


def fits(target, levels, draws, times, r):
    """Is the loss 0, up to rounding, for the prediction with the coefficients ``r(alpha, sigma)``
    at all these times?  Times of weight 0 say nothing.
    """
    seen = False
    for t in times:
        found = ratio(target, levels, draws, t, r(*levels.at(t)))
        if np.isnan(found):
            continue
        seen = True
        if not abs(found) <= largest_ratio(target, levels, t):
            return False
    return seen


def fitting_predictions(target, levels, draws, times):
    return [name for name, r in PREDICTIONS.items() if fits(target, levels, draws, times, r)]


def linear_target(target, levels, t):
    """(r0, r1) of any linear prediction for which the loss is 0 at t; None if there is none.

    A loss that grows with the error has its least value where the output is right: a search by the
    golden section with x0 alone, and with noise alone.
    """
    both = draw(target, 1)
    zero, one = np.zeros_like(both.x0), np.ones_like(both.x0)
    bound = 4 * max(1.0, 1 / levels.at(t)[1] ** 2)

    def least(alone):
        return _least(lambda a: value(target, alone, t, np.full(zero.shape, a)), bound)

    row = least(Draw(one, zero)), least(Draw(zero, one))
    # the square of the search's own relative error, 2^-26, and twice that for the absolute value
    good = abs(ratio(target, levels, both, t, row)) < 1e-6 if any(row) else False
    return row if good else None


def _least(f, bound):
    """The place of the least value of a convex function in [-bound, bound]."""
    low, high = -bound, bound
    a, b = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    fa, fb = f(a), f(b)
    for _ in range(90):
        if fa <= fb:
            high, b, fb = b, a, fa
            a = high - GOLDEN * (high - low)
            fa = f(a)
        else:
            low, a, fa = a, b, fb
            b = low + GOLDEN * (high - low)
            fb = f(b)
    return (low + high) / 2


@dataclass(frozen=True)
class Shape:
    """h: ``name``; ``power`` for small errors and ``far`` for large ones."""

    name: str
    power: float
    far: float


def shape_of_error(target, draws, t, row):
    """The ``Shape`` of h, from the growth of the loss with an error in all entries."""
    exact = draws.combined(*row)
    size = size_of(*row)

    def power(e):
        near, far = (value(target, draws, t, exact + d * size) for d in (e, 2 * e))
        with np.errstate(all="ignore"):
            return float(np.log2(np.divide(far, near)))

    # small: far above rounding; large: far above the 0.1 to 1 at which Huber's function turns
    small, large = power(1e-2 if target.dtype != np.float64 else 1e-4), power(1e2)
    if abs(small - 2) < 0.1 and abs(large - 2) < 0.1:
        return Shape("squared error", 2, 2)
    if abs(small - 1) < 0.1 and abs(large - 1) < 0.1:
        name = "absolute error"
        if exact[0].size > 1:
            one = np.zeros_like(exact)
            one[0].flat[0] = size
            share = value(target, draws, t, exact + one) / value(target, draws, t, exact + size)
            # 1/n of the sum of n entries, 1/sqrt(n) of their norm
            if abs(share * exact[0].size ** 0.5 - 1) < 0.01:
                name = "norm, the root of the squared error"
        return Shape(name, 1, 1)
    if abs(small - 2) < 0.1 and abs(large - 1) < 0.1:
        return Shape("Huber, squared for small errors and absolute for large ones", 2, 1)
    return Shape(f"error to the power {small:.3g}, and {large:.3g} for large errors", small, large)


def weight(target, draws, t, row, power):
    """w(t), the loss for an error of 1 in all entries, extrapolated from small errors for Huber."""
    exact = draws.combined(*row)
    e = 1e-2 * size_of(*row)
    return value(target, draws, t, exact + e) / e**power
