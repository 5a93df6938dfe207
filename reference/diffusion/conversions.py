"""Conversions between the predictions of a network, and between measures of the noise level.

A noised sample is x = alpha x_0 + sigma eps.  Each prediction is a linear combination
r0 x_0 + r1 eps with the coefficients (r0, r1):

    noise  eps                     (0, 1)
    x0     x_0                     (1, 0)
    v      alpha eps - sigma x_0   (-sigma, alpha)     Salimans and Ho 2022
    score  -eps / sigma            (0, -1/sigma)       E[-eps/sigma | x] = ∇log p(x) (Tweedie)
    velocity  eps - x_0            (-1, 1)             dx/dt for alpha = 1 - t, sigma = t (Liu et
                                                       al. 2022)
    F      (x_0 - c_skip x) / c_out                    the output of EDM's network, below

x and one prediction p are two equations for x_0 and eps.  With D = alpha r1 - sigma r0,

    x_0 = (r1 x - sigma p) / D,   eps = (alpha p - r0 x) / D,

and any other prediction q = s0 x_0 + s1 eps follows as

    q = (s0 r1 - s1 r0)/D x + (s1 alpha - s0 sigma)/D p.

alpha is 0 at the end of a schedule with zero terminal signal-to-noise ratio.  x_0, v, velocity and
F can then be converted as usual (for sigma = 1, |D| = 1 but for F).  A prediction of the noise
cannot: x is the noise itself, and D = 0.

EDM's preconditioning (Karras et al. 2022, Table 1) is given for alpha = 1 and data of variance
sigma_data^2.  From a network F it makes the denoiser

    D(x) = c_skip x + c_out F(c_in x, c_noise),
    c_skip = sigma_data^2 / (sigma^2 + sigma_data^2),
    c_out = sigma sigma_data / sqrt(sigma^2 + sigma_data^2),
    c_in = 1 / sqrt(sigma^2 + sigma_data^2),   c_noise = log(sigma) / 4.

So F predicts (x_0 - c_skip x) / c_out = (sigma x_0 / sigma_data - sigma_data eps) c_in, of unit
variance at every sigma.  For any alpha,

    F = (sigma x_0 / sigma_data - alpha sigma_data eps) / sqrt(alpha^2 sigma_data^2 + sigma^2),

which is a function of sigma / alpha.  For alpha^2 + sigma^2 = 1 and sigma_data = 1, F = -v.  Every
``Denoiser`` has c_in; its network time is that of the schedule, in place of c_noise.
"""

import numpy as np

PREDICTIONS = ("noise", "x0", "v", "score", "velocity", "F")


def prediction_coefficients(prediction, alpha, sigma, data_variance=None):
    """(r0, r1) with prediction = r0 x_0 + r1 eps.  ``data_variance``: sigma_data^2, which only F
    depends on; ValueError where it is missing.
    """
    match prediction:
        case "noise":
            return 0.0, 1.0
        case "x0":
            return 1.0, 0.0
        case "v":
            return -sigma, alpha
        case "score":
            return 0.0, -1 / sigma
        case "velocity":
            return -1.0, 1.0
        case "F" if data_variance is None:
            raise ValueError("prediction F needs data_variance")
        case "F":
            c_in = (alpha**2 * data_variance + sigma**2) ** -0.5
            return c_in * sigma * data_variance**-0.5, -c_in * alpha * data_variance**0.5
    raise ValueError(f"prediction must be one of {', '.join(PREDICTIONS)}, got {prediction!r}")


def conversion(source, target, alpha, sigma, data_variance=None):
    """(a, b) with target = a x + b source.  alpha >= 0, sigma > 0: numbers, or float64 arrays with
    one entry per sample.  ``data_variance``: as in ``prediction_coefficients``.

    alpha must be positive if the source is the noise or the score, and the target another
    prediction: for alpha = 0, D = 0.
    """
    p = prediction_coefficients(source, alpha, sigma, data_variance)
    q = prediction_coefficients(target, alpha, sigma, data_variance)
    return (0.0, 1.0) if source == target else solve_rows((alpha, sigma), p, q)


def solve_rows(x, p, q):
    """(a, b) with q = a x + b p.  Each of x, p and q is given as (r0, r1), for r0 x_0 + r1 eps."""
    D = x[0] * p[1] - x[1] * p[0]
    return (q[0] * p[1] - q[1] * p[0]) / D, (x[0] * q[1] - x[1] * q[0]) / D


def convert(prediction, x, source, target, alpha, sigma, data_variance=None):
    """A prediction [b,...] at x[b,...] = alpha x_0 + sigma eps, converted from ``source`` to
    ``target``, each one of ``PREDICTIONS``.  The other arguments are those of ``conversion``.
    """
    a, b = conversion(source, target, alpha, sigma, data_variance)
    a = per_sample_column(cast_like(a, x), x)
    b = per_sample_column(cast_like(b, x), x)
    return a * x + b * prediction


def per_sample_column(value, x):
    """A number unchanged; an array [b] in a shape that broadcasts against x[b,...]."""
    return value if getattr(value, "ndim", 0) == 0 else value.reshape(-1, *[1] * (x.ndim - 1))


def cast_like(value, x):
    """A number or an array in x's dtype."""
    return x.dtype.type(value) if np.isscalar(value) else value.astype(x.dtype)


def log_snr(log_alpha_bar):
    """log(alpha_bar / (1 - alpha_bar)): twice DPM-Solver's lambda = log(alpha / sigma)."""
    with np.errstate(divide="ignore"):
        return log_alpha_bar - np.log(-np.expm1(log_alpha_bar))


def sigma_of_log_alpha_bar(log_alpha_bar):
    """sqrt((1 - alpha_bar) / alpha_bar), the noise scale of x / sqrt(alpha_bar), which is the same
    sample in the variance-exploding form.
    """
    return np.sqrt(np.expm1(np.negative(log_alpha_bar, dtype=np.float64)))


def log_alpha_bar_of_sigma(sigma):
    """-log(1 + sigma^2), the inverse of ``sigma_of_log_alpha_bar``."""
    return -np.log1p(np.square(sigma))


def betas_of_log_alpha_bar(log_alpha_bar):
    """log(alpha_bar) [T+1], first 0 -> beta_t = 1 - alpha_bar_t / alpha_bar_{t-1}, [T]."""
    return -np.expm1(np.diff(log_alpha_bar))


def log_alpha_bar_of_betas(betas):
    """beta [T] -> log(alpha_bar) [T+1], first 0: alpha_bar_t = prod_{i <= t} (1 - beta_i)."""
    return np.concatenate(([0.0], np.cumsum(np.log1p(-np.asarray(betas, np.float64)))))
