"""One thing under several names: what a network may predict, and how the amount of noise may be
stated.

A noised sample is x = alpha x0 + sigma eps.  Each prediction is a row (r0, r1), meaning r0 x0 + r1
eps:

    noise  eps                    (0, 1)
    x0                            (1, 0)
    v      alpha eps - sigma x0   (-sigma, alpha)      Salimans and Ho 2022
    score  -eps / sigma           (0, -1/sigma)        Tweedie's formula: grad log p(x) has this mean

x and one prediction p are two equations for x0 and eps.  With D = alpha r1 - sigma r0,

    x0 = (r1 x - sigma p) / D,   eps = (alpha p - r0 x) / D,

and any other prediction q = s0 x0 + s1 eps is then  q = (s0 r1 - s1 r0)/D x + (s1 alpha - s0
sigma)/D p.

alpha may be 0, the end of a schedule with zero terminal signal-to-noise ratio: x0 and v are then
predictions like any other (D = 1 for both if sigma = 1), but x is the noise itself, and a
prediction of the noise tells nothing about x0 (D = 0).
"""

import numpy as np

from reference.diffusion.devices import cast_like, is_numpy

PREDICTIONS = ("noise", "x0", "v", "score")


def prediction_coefficients(prediction, alpha, sigma):
    """(r0, r1) with  prediction = r0 x0 + r1 eps."""
    match prediction:
        case "noise":
            return 0.0, 1.0
        case "x0":
            return 1.0, 0.0
        case "v":
            return -sigma, alpha
        case "score":
            return 0.0, -1 / sigma
    raise ValueError(f"prediction must be one of {', '.join(PREDICTIONS)}, got {prediction!r}")


def conversion(source, target, alpha, sigma):
    """(a, b) with  target = a x + b source.  alpha, sigma: numbers or float64 arrays of one entry a
    sample, sigma > 0, alpha >= 0.

    alpha must be positive where the source is the noise or the score and the target is not.
    """
    p, q = (
        prediction_coefficients(source, alpha, sigma),
        prediction_coefficients(target, alpha, sigma),
    )
    return (0.0, 1.0) if source == target else solve_rows((alpha, sigma), p, q)


def solve_rows(x, p, q):
    """(a, b) with  q = a x + b p, for three quantities given as rows: (r0, r1) means r0 x0 + r1
    eps.
    """
    D = x[0] * p[1] - x[1] * p[0]
    return (q[0] * p[1] - q[1] * p[0]) / D, (x[0] * q[1] - x[1] * q[0]) / D


def convert(prediction, x, source, target, alpha, sigma):
    """The prediction ``source`` at x = alpha x0 + sigma eps, restated as ``target``: one of noise,
    x0, v, score.
    """
    a, b = (
        per_sample_column(cast_like(value, x), x)
        for value in conversion(source, target, alpha, sigma)
    )
    return a * x + b * prediction


def per_sample_column(value, x):
    """A number as it is; one entry a sample, [b], shaped to broadcast against x[b,...]."""
    return value if getattr(value, "ndim", 0) == 0 else value.reshape(-1, *[1] * (x.ndim - 1))


def log_snr(log_alpha_bar):
    """log(alpha_bar / (1 - alpha_bar)).  DPM-Solver's lambda, log(alpha / sigma), is half of it."""
    with np.errstate(divide="ignore"):
        return log_alpha_bar - np.log(-np.expm1(log_alpha_bar))


def log_alpha_bar_of_log_snr(log_snr):
    """log(alpha_bar) = -log(1 + e^(-log_snr))."""
    return -np.logaddexp(0, -np.asarray(log_snr, np.float64))


def sigma_of_log_alpha_bar(log_alpha_bar):
    """sqrt((1 - alpha_bar) / alpha_bar), the noise scale of x / sqrt(alpha_bar): the
    variance-exploding view of the same sample.
    """
    return np.sqrt(
        np.expm1(
            -(np.asarray(log_alpha_bar, np.float64) if is_numpy(log_alpha_bar) else log_alpha_bar)
        )
    )


def log_alpha_bar_of_sigma(sigma):
    """-log(1 + sigma^2), the inverse of ``sigma_of_log_alpha_bar``."""
    return -np.log1p(np.square(sigma))


def betas_of_log_alpha_bar(log_alpha_bar):
    """log_alpha_bar [T+1] from 0 -> beta [T], 1 - alpha_bar_t / alpha_bar_(t-1)."""
    return -np.expm1(np.diff(log_alpha_bar))


def log_alpha_bar_of_betas(betas):
    """beta [T] -> log_alpha_bar [T+1] from 0: alpha_bar_t = prod (1 - beta_i)."""
    return np.concatenate(([0.0], np.cumsum(np.log1p(-np.asarray(betas, np.float64)))))
