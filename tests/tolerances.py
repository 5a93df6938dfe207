"""Every number by which two results of the reference may differ, with its reason; a port's stand in reference/conformance/tolerances.py.

Those that closed forms are held to stand in oracle_tolerances.py; a discretisation's error that one comparison alone knows stands there.
"""

import numpy as np

from reference.conformance.tolerances import UNIT_ROUNDOFF, max_abs, rms

# Gradients.

STEPS = 2.0 ** -np.arange(2, 21)  # of directions whose entries have the size of the data
NETWORK_STEPS = STEPS[4:11]  # a network is dear to evaluate, and smooth enough
VACUOUS = 1e-7  # a numeric derivative that is known no better than this proves nothing
ADJOINT = 1e-12  # two sums of the same products, of at most some thousands: sqrt(n) u is 1e-14


def derivative(f, magnitude, steps=STEPS):
    """f'(0) and how far off it may be, by central differences, once extrapolated (Ridders 1982).

    D(h) has an error in h^2; R(h) = (4 D(h) - D(2h)) / 3 one in h^4, and a rounding error of about u magnitude / h, where
    ``magnitude`` bounds the sum of absolute values that f adds up.  A step is as good as its R is near those of the two larger steps:
    the last change is 15 times the h^4 error, the change before 240 times.  The best step of the ladder is taken.
    """
    d = np.array([(f(h) - f(-h)) / (2 * h) for h in steps])
    r = (4 * d[1:] - d[:-1]) / 3
    change = np.abs(np.diff(r))
    rounding = 8 * UNIT_ROUNDOFF[np.dtype(np.float64)] * magnitude / steps[3:]
    errors = 8 * change[1:] + change[:-1] + 8 * rounding
    best = np.argmin(errors)
    return r[best + 2], errors[best]


def gradient_agrees(analytic, f, magnitude, scale=0.0, steps=STEPS):
    """``analytic`` is f'(0).  ``magnitude``: the sum of absolute values in f; ``scale``: that in the analytic number."""
    numeric, error = derivative(f, magnitude, steps)
    error += 64 * UNIT_ROUNDOFF[np.dtype(np.float64)] * scale
    assert error <= VACUOUS * max(magnitude, scale), f"the numeric derivative is known to {error:.3g} only"
    assert abs(analytic - numeric) <= error, f"analytic {analytic:.12g}, numeric {numeric:.12g}, may differ by {error:.3g}"


def adjoint(one, other):
    """Two lists of terms have the same sum, on the scale of their absolute values."""
    one, other = np.ravel(one), np.ravel(other)
    scale = max(np.abs(one).sum(), np.abs(other).sum())
    assert abs(one.sum() - other.sum()) <= ADJOINT * scale, f"{one.sum():.15g} and {other.sum():.15g} differ"


def close(result, expected, scale=None):
    """Two computations of the same numbers in float64, by different formulas: 64 roundings apart at most.

    A rounding is of the size u ``scale``: that of the largest number expected, or of what cancelled on the way to it.
    """
    result, expected = np.asarray(result), np.asarray(expected)
    assert result.shape == expected.shape, f"shape {result.shape}, expected {expected.shape}"
    bound = 64 * UNIT_ROUNDOFF[np.dtype(np.float64)] * (max_abs(expected) if scale is None else scale)
    assert np.abs(result - expected).max(initial=0) <= bound, f"an error of {max_abs(result - expected):.3g} exceeds {bound:.3g}"


def of_unit_size(array, silus=0):
    """Activations that neither fade nor grow but by what is inherent: a SiLU takes a factor of 0.6, a sum of two branches gives 1.4."""
    size = rms(array) / 0.6**silus
    assert 1 / 4 <= size <= 4, f"an rms of {rms(array):.3g}"
