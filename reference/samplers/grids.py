"""Where the steps of a solver go: n + 1 times from the noisy end of an SDE to near its data, even
in one measure or another.

``first`` and ``last`` are the SDE's own (``end``, ``last``) unless given.  ValueError unless 0 <
last < first <= end and n is at least 1.
"""

import numpy as np


def uniform(sde, n, last=None, first=None):
    """Even in t."""
    first, last = _ends(sde, first, last)
    return np.linspace(first, last, _count(n))


def uniform_log_snr(sde, n, last=None, first=None):
    """Even in log-SNR, where the steps of DPM-Solver are even."""
    first, last = _ends(sde, first, last)
    return _at_log_snr(
        sde, np.linspace(sde.log_snr(first), sde.log_snr(last), _count(n)), first, last
    )


def karras(sde, n, last=None, first=None, rho=7.0):
    """Even in (sigma / alpha)^(1/rho) (Karras et al. 2022): the shorter, the less noise."""
    first, last = _ends(sde, first, last)
    high, low = (np.exp(-sde.log_snr(t) / (2 * rho)) for t in (first, last))
    roots = np.linspace(high, low, _count(n))
    return _at_log_snr(sde, -2 * rho * np.log(roots), first, last)


GRIDS = {"t": uniform, "log-snr": uniform_log_snr, "karras": karras}


def _ends(sde, first, last):
    first, last = sde.t_max if first is None else first, sde.t_min if last is None else last
    if not 0 < last < first <= sde.t_max:
        raise ValueError(
            f"times must satisfy 0 < last < first <= {sde.t_max:g}, the end of the SDE, got {last} and {first}"
        )
    return first, last


def _count(n):
    if n < 1:
        raise ValueError(f"steps must be at least 1, got {n}")
    return n + 1


def _at_log_snr(sde, log_snrs, first, last):
    return np.array([first, *(sde.time_of_log_snr(log_snr) for log_snr in log_snrs[1:-1]), last])
