"""Are samples distributed as the exact posterior?  Statistics of S = 19 samples for each of many
measurements, which have an x_0 each.

If the S samples given y have the posterior's distribution, then x_0 is one of S + 1 exchangeable
draws:

    an entry of x_0 lies between the least and the greatest of the samples with probability 18/20,
    a sample x has the residual ‖y - A x‖^2 / s_y^2 of x_0, chi^2 of m = dim y, whose mean is m,
    z = (x_0 - mean of the samples) / (their deviation sqrt(1 + 1/S)) has mean 0, and for a Gaussian
    posterior Student's distribution of deviation sqrt((S - 1) / (S - 3)) = 1.06.

The measurements are independent of each other, so each mean over them has a standard error.
"""

import numpy as np
from scipy.stats import t as student

SAMPLES = 19  # of each measurement
COVERAGE = (SAMPLES - 1) / (SAMPLES + 1)
FALSE_ALARM = 1e-6  # of all checks together
QUANTITIES = {  # name -> (title, value for the exact posterior or None)
    "bias": ("bias^2 / variance", 0.0),
    "variance": ("variance / exact", 1.0),
    "covariance": ("covariance error", None),
    "z mean": ("z: mean", 0.0),
    "z deviation": ("z: deviation", None),
    "coverage": ("coverage", COVERAGE),
    "chi2": ("chi^2 / m", 1.0),
}


def ratio(of, to=1.0):
    """(mean of[b] / mean to[b], its standard error) over independent b."""
    value = np.mean(of) / np.mean(to)
    residual = of - value * np.broadcast_to(to, np.shape(of))
    return float(value), float(residual.std(ddof=1) / len(of) ** 0.5 / np.mean(to))


def calibration(measured, x):
    """Name -> (value, standard error) for samples x[b,S,d].

    ``bias``: the square of the distance of the samples' mean from the posterior's mean, divided by
    the posterior's variance, so that 1 + bias is the mean square error of the samples' mean over
    the least possible.  ``covariance``: the Frobenius norm of the error of the covariance, averaged
    over y, over the norm of the exact one.  In both the part that is due to S or to b is
    subtracted.
    """
    b, S, _ = x.shape
    exact_mean = np.stack([each.mean for each in measured.posteriors])
    exact = np.stack([each.covariance for each in measured.posteriors])
    mean = x.mean(axis=1)
    centred = x - mean[:, None]
    covariance = np.einsum("bsi,bsj->bij", centred, centred, optimize=True) / (S - 1)
    variance, total = covariance.diagonal(axis1=1, axis2=2), np.trace(exact, axis1=1, axis2=2)
    squares = ((mean - exact_mean) ** 2).sum(axis=1) - variance.sum(axis=1) / S
    z = (measured.x0 - mean) / np.sqrt(variance * (1 + 1 / S))
    inside = (x.min(axis=1) <= measured.x0) & (measured.x0 <= x.max(axis=1))
    flat = x.reshape(b * S, *measured.operator.shape)
    residual = np.repeat(measured.y, S, axis=0) - measured.operator.forward(flat)
    chi2 = (residual.reshape(b, S, -1) ** 2).mean(axis=(1, 2)) / measured.noise**2
    power, error = ratio((z**2).mean(axis=1))
    return {
        "bias": ratio(squares, total),
        "variance": ratio(variance.sum(axis=1), total),
        "covariance": covariance_error(covariance, exact),
        "z mean": ratio(z.mean(axis=1)),
        "z deviation": (power**0.5, error / (2 * power**0.5)),
        "coverage": ratio(inside.mean(axis=1)),
        "chi2": ratio(chi2),
    }


def covariance_error(covariance, exact):
    """(‖mean of D‖ / ‖mean of exact‖, the error of this value if D is 0 but for noise) with
    D[b,d,d] = covariance - exact, by the Frobenius norm.
    """
    D, size = covariance - exact, np.linalg.norm(exact.mean(axis=0))
    noise = D.var(axis=0, ddof=1).sum() / len(D)  # of ‖mean of D‖^2
    square = (D.mean(axis=0) ** 2).sum() - noise
    return float(max(square, 0.0) ** 0.5 / size), float(noise**0.5 / size)


def bound(n, tests):
    """In standard errors of a mean over n measurements, for ``FALSE_ALARM`` in all ``tests``."""
    return student.isf(FALSE_ALARM / tests / 2, n - 1)
