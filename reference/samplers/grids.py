"""Time grids of the solvers: n + 1 times that fall from ``t_max`` to ``t_min``, evenly spaced in t,
in the log-SNR or in a power of sigma / alpha.

``t_min`` and ``t_max`` default to those of the SDE.  ValueError unless 0 < t_min < t_max <=
sde.t_max and n is at least 1.
"""

import numpy as np


def uniform(sde, n, t_min=None, t_max=None):
    """Even in t."""
    t_max, t_min = _ends(sde, t_max, t_min)
    return np.linspace(t_max, t_min, _count(n))


def uniform_log_snr(sde, n, t_min=None, t_max=None):
    """Even in log-SNR, the grid of DPM-Solver."""
    t_max, t_min = _ends(sde, t_max, t_min)
    return _at_log_snr(
        sde, np.linspace(sde.log_snr(t_max), sde.log_snr(t_min), _count(n)), t_max, t_min
    )


def karras(sde, n, t_min=None, t_max=None, rho=7.0):
    """Even in (sigma / alpha)^{1/rho} (Karras et al. 2022): steps are shorter at low noise."""
    t_max, t_min = _ends(sde, t_max, t_min)
    high, low = (np.exp(-sde.log_snr(t) / (2 * rho)) for t in (t_max, t_min))
    roots = np.linspace(high, low, _count(n))
    return _at_log_snr(sde, -2 * rho * np.log(roots), t_max, t_min)


GRIDS = {"t": uniform, "log-snr": uniform_log_snr, "karras": karras}


def _ends(sde, t_max, t_min):
    t_max = sde.t_max if t_max is None else t_max
    t_min = sde.t_min if t_min is None else t_min
    if not 0 < t_min < t_max <= sde.t_max:
        raise ValueError(
            f"times must satisfy 0 < t_min < t_max <= {sde.t_max:g}, the t_max of the SDE,"
            f" got {t_min} and {t_max}"
        )
    return t_max, t_min


def _count(n):
    if n < 1:
        raise ValueError(f"steps must be at least 1, got {n}")
    return n + 1


def _at_log_snr(sde, log_snrs, t_max, t_min):
    return np.array([t_max, *(sde.time_of_log_snr(log_snr) for log_snr in log_snrs[1:-1]), t_min])
