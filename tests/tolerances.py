"""Tolerances between two results of the reference, each with its derivation; for ports they are in reference/conformance/tolerances.py.

Tolerances for closed forms are in oracle_tolerances.py.  A discretisation error that only one test has is derived in that test.
"""

import numpy as np

from reference.conformance.tolerances import UNIT_ROUNDOFF, max_abs, rms

# Gradients.

STEPS = 2.0 ** -np.arange(2, 21)  # for directions with entries of the size of the data
NETWORK_STEPS = STEPS[4:11]  # networks are slow to evaluate, and smooth
VACUOUS = 1e-7  # a numeric derivative with a larger relative error proves nothing
ADJOINT = 1e-12  # two sums of the same products, at most some thousands: sqrt(n) u is 1e-14


def derivative(f, magnitude, steps=STEPS):
    """f'(0) and a bound on its error, by central differences with one extrapolation (Ridders 1982).

    D(h) has an error of order h^2, R(h) = (4 D(h) - D(2h)) / 3 one of order h^4 and a rounding error of about u magnitude / h.
    ``magnitude`` bounds the sum of absolute values in f.  The error of a step is estimated from the changes of R over the two larger
    steps: the last change is 15 times the h^4 error, the change before 240 times.  The step with the smallest estimate is used.
    """
    d = np.array([(f(h) - f(-h)) / (2 * h) for h in steps])
    r = (4 * d[1:] - d[:-1]) / 3
    change = np.abs(np.diff(r))
    rounding = 8 * UNIT_ROUNDOFF[np.dtype(np.float64)] * magnitude / steps[3:]
    errors = 8 * change[1:] + change[:-1] + 8 * rounding
    best = np.argmin(errors)
    return r[best + 2], errors[best]


def assert_gradient(analytic, f, magnitude, scale=0.0, steps=STEPS):
    """``analytic`` equals f'(0).  ``magnitude`` and ``scale``: sums of absolute values in f and in the analytic number."""
    numeric, error = derivative(f, magnitude, steps)
    error += 64 * UNIT_ROUNDOFF[np.dtype(np.float64)] * scale
    assert error <= VACUOUS * max(magnitude, scale), f"the numeric derivative is known to {error:.3g} only: too rough to compare"
    assert abs(analytic - numeric) <= error, f"analytic {analytic:.12g}, numeric {numeric:.12g}, may differ by {error:.3g}"


def assert_adjoint(one, other):
    """Two lists of terms have the same sum, relative to the sum of their absolute values."""
    one, other = np.ravel(one), np.ravel(other)
    scale = max(np.abs(one).sum(), np.abs(other).sum())
    assert abs(one.sum() - other.sum()) <= ADJOINT * scale, f"{one.sum():.15g} and {other.sum():.15g} differ"


def assert_equal_to_rounding(result, expected, scale=None):
    """Two computations of the same numbers in float64 differ by at most 64 roundings of size u ``scale``.

    ``scale``: the largest expected number (default), or the size of the terms that cancelled.
    """
    result, expected = np.asarray(result), np.asarray(expected)
    assert result.shape == expected.shape, f"shape {result.shape}, expected {expected.shape}"
    bound = 64 * UNIT_ROUNDOFF[np.dtype(np.float64)] * (max_abs(expected) if scale is None else scale)
    assert np.abs(result - expected).max(initial=0) <= bound, f"an error of {max_abs(result - expected):.3g} exceeds {bound:.3g}"


def assert_unit_size(array, silus=0):
    """Activations have about unit size, apart from known factors: 0.6 for a SiLU, 1.4 for a sum of two branches."""
    size = rms(array) / 0.6**silus
    assert 1 / 4 <= size <= 4, f"an rms of {rms(array):.3g}"
