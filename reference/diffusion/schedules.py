"""Noise schedules: the signal and the noise in x_t = signal x_0 + noise_scale eps, for t = 0 .. T.

``Schedule`` preserves the variance: signal = sqrt(alpha_bar), noise_scale = sqrt(1 - alpha_bar)
(tutorial, Thm 2.2).  ``VarianceExplodingSchedule``, for score matching, has signal = 1 and
noise_scale = sigma (Thm 4.3).  Both use the same table: x of the first, divided by its signal, is x
of the second, with sigma^2 = (1 - alpha_bar) / alpha_bar (E20).  ``python -m reference errata``
lists E1 to E20, the tutorial's misprints.

The table holds log(alpha_bar) in float64, read-only, with alpha_bar_0 = 1 as its first entry, so
that every t >= 1 has a predecessor.  1 - alpha_bar is computed by expm1, which keeps all digits
even if alpha_bar is close to 1.  Methods return a Python float for a whole number t, and a float64
array for an array of whole numbers.

alpha_bar_T may be 0 (``zero_terminal_snr``).  x_T is then pure noise, and a network must predict
x_0 or v.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from reference.diffusion.conversions import (
    log_alpha_bar_of_betas,
    log_alpha_bar_of_sigma,
    log_snr,
    sigma_of_log_alpha_bar,
)
from reference.ops.checks import is_whole, outliers

# The largest sigma / alpha that sampling needs, in deviations of the data.  Beyond it alpha x_0 is
# less than a thousandth of x, so that the prior may leave out the data's mean.
MOST_NOISE = 1000


@dataclass(frozen=True, eq=False)
class Schedule:
    """``log_alpha_bar``[T+1] decreases strictly from 0.  If T >= 2, the last entry may be -inf."""

    log_alpha_bar: np.ndarray = field(repr=False)
    name: str = "custom"
    T: int = field(init=False)

    def __post_init__(self):
        table = np.array(self.log_alpha_bar, np.float64)
        if table.ndim != 1 or len(table) < 2:
            raise ValueError(f"T must be at least 1, got a table of shape {table.shape}")
        finite = table[:-1] if len(table) > 2 else table
        if table[0] != 0 or not (np.isfinite(finite).all() and (np.diff(table) < 0).all()):
            raise ValueError(
                "log_alpha_bar must begin with 0 and decrease strictly,"
                " and only its last value may be -inf"
            )
        table.flags.writeable = False
        object.__setattr__(self, "log_alpha_bar", table)
        object.__setattr__(self, "T", len(table) - 1)

    def _log(self, t):
        times = np.asarray(t)
        whole = times.dtype.kind in "iu" or np.array_equal(times, np.floor(times))
        if not whole or (times.size and not 0 <= times.min() <= times.max() <= self.T):
            raise ValueError(f"t must be a whole number from 0 to T = {self.T}, got {t}")
        return self.log_alpha_bar[times.astype(np.int64)]

    def signal_power(self, t):
        """alpha_bar_t = signal^2."""
        return as_float(np.exp(self._log(t)))

    def noise_power(self, t):
        """1 - alpha_bar_t = noise_scale^2, without cancellation."""
        return as_float(np.abs(np.expm1(self._log(t))))

    def signal(self, t):
        """sqrt(alpha_bar_t)."""
        return as_float(np.exp(self._log(t) / 2))

    def noise_scale(self, t):
        """sqrt(1 - alpha_bar_t)."""
        return as_float(np.sqrt(np.abs(np.expm1(self._log(t)))))

    def log_snr(self, t):
        """log(alpha_bar_t / (1 - alpha_bar_t)); infinite at t = 0."""
        return as_float(log_snr(self._log(t)))

    def log_ratio(self, t, t_prev):
        """log(alpha_bar_t / alpha_bar_prev) of the table, for t_prev < t.  ValueError otherwise."""
        if np.any(np.greater_equal(t_prev, t)):
            raise ValueError(f"t_prev must be smaller than t, got {t_prev} and {t}")
        return as_float(self._log(t) - self._log(t_prev))

    def beta(self, t, t_prev):
        """1 - alpha_bar_t / alpha_bar_prev: the variance that is added from t_prev to t."""
        return as_float(np.abs(np.expm1(self.log_ratio(t, t_prev))))

    def signal_ratio(self, t, t_prev):
        """sqrt(alpha_bar_t / alpha_bar_prev) for t_prev < t, correct even if both underflow."""
        return as_float(np.exp(self.log_ratio(t, t_prev) / 2))

    @property
    def prior_scale(self):
        """The standard deviation of the Gaussian that samplers draw x_T from: 1."""
        return 1.0

    @cached_property
    def last_with_signal(self):
        """The largest t with a signal other than 0."""
        return int(np.flatnonzero(self.signal(np.arange(self.T + 1)))[-1])

    def network_time(self, t):
        """The network's time input for t, 1000 t / T in [0, 1000].  t may be fractional.  EDM:
        c_noise.
        """
        return 1000 * t / self.T

    @property
    def is_dense(self):
        """Are neighbouring times at most 1 apart in network time?  The time embedding changes
        little over 1, so the network is then also trained between the times.
        """
        return self.T >= 1000

    def sample_times(self, u):
        """Training times for u[b] uniform on (0, 1): uniform on 1 .. T."""
        return 1 + np.floor(u * self.T).astype(np.int64)

    def to_schedule_scale(self, alpha, sigma):
        """(signal, noise_scale) of this schedule at the log-SNR of alpha x_0 + sigma eps, numbers
        or arrays.  The two samples differ by a factor only.
        """
        size = as_float(np.hypot(alpha, sigma))
        return alpha / size, sigma / size

    def noise_range(self, data_variance):
        """(smallest, largest) sigma / alpha at which samplers evaluate a network: the trained
        range, but at most ``MOST_NOISE`` deviations of the data.
        """
        first, last = (-self.log_snr(t) / 2 for t in (1, self.last_with_signal))
        last = min(last, max(first, np.log(MOST_NOISE * data_variance**0.5)))
        return float(np.exp(first)), float(np.exp(last))

    def time_of(self, alpha, sigma):
        """The real time t with the log-SNR of alpha x_0 + sigma eps, interpolated linearly in
        log-SNR between the entries of the table; arrays for arrays.

        alpha must be positive.  ValueError if the log-SNR is above that of t = 1, or below that of
        the last t with a signal.
        """
        times = np.arange(1, self.last_with_signal + 1)
        table = self.log_snr(times)
        wanted = 2 * np.log(alpha / sigma)
        slack = 1e-9 * (1 + abs(wanted))  # alpha and sigma are rounded
        for outside in outliers(wanted, table[-1] - slack, table[0] + slack):
            known = f"{table[-1]:.4g} to {table[0]:.4g}"
            raise ValueError(f"a log-SNR of {outside:.4g} is outside of what was trained, {known}")
        if np.ndim(wanted):  # perhaps on a device
            times, table = (np.asarray(array, like=wanted) for array in (times, table))
        return as_float(np.interp(-wanted, -table, times))

    def interpolation_nodes(self, alpha, sigma):
        """The trained levels that predict for alpha x_0 + sigma eps: [(weight, network time,
        signal, noise_scale)].  The weights sum to 1.

        If two training times are more than 1 apart in network time, the network is not trained
        between them.  It is then evaluated at both, with weights linear in log-SNR.
        interpolation.py derives the quantity that is interpolated, and its error.
        """
        t = self.time_of(alpha, sigma)
        low, share = divmod(t, 1)
        if min(share, 1 - share) < 1e-6 or self.is_dense:
            return [(1.0, self.network_time(t), *self.to_schedule_scale(alpha, sigma))]
        both = ((1 - share, int(low)), (share, int(low) + 1))
        return [(w, self.network_time(s), self.signal(s), self.noise_scale(s)) for w, s in both]

    def timesteps(self, steps):
        """``steps`` + 1 whole numbers from T down to 0, strictly decreasing and as evenly spaced as
        possible.  ValueError unless 1 <= steps <= T.
        """
        if not is_whole(steps) or not 1 <= steps <= self.T:
            raise ValueError(f"steps must be a whole number from 1 to T = {self.T}, got {steps}")
        return [self.T * (steps - i) // steps for i in range(steps + 1)]


class VarianceExplodingSchedule(Schedule):
    """x_t = x_0 + sigma_t eps.  ``log_alpha_bar`` is that of the variance-preserving form,
    x_t / sqrt(1 + sigma_t^2): alpha_bar = 1 / (1 + sigma_t^2).
    """

    def __post_init__(self):
        super().__post_init__()
        if not np.isfinite(self.log_alpha_bar[-1]):
            raise ValueError(
                "log_alpha_bar must be finite in a variance-exploding schedule: sigma_T would be"
                " infinite"
            )

    def signal_power(self, t):
        """1."""
        return as_float(np.ones_like(self._log(t)))

    signal = signal_power

    def signal_ratio(self, t, t_prev):
        """1."""
        return self.signal(t)

    def noise_power(self, t):
        """sigma_t^2."""
        return as_float(np.expm1(-self._log(t)))

    def noise_scale(self, t):
        """sigma_t."""
        return as_float(sigma_of_log_alpha_bar(self._log(t)))

    def beta(self, t, t_prev):
        """sigma_t^2 - sigma_prev^2: the variance that is added from t_prev to t (4.18)."""
        return as_float(np.exp(-self._log(t_prev)) * np.expm1(-self.log_ratio(t, t_prev)))

    @property
    def prior_scale(self):
        """sigma_T."""
        return self.noise_scale(self.T)

    def network_time(self, t):
        """1000 (t - 1) / (T - 1).  For geometric levels this is
        1000 log(sigma / sigma_min) / log(sigma_max / sigma_min).
        """
        return 1000 * (t - 1) / (self.T - 1)

    def to_schedule_scale(self, alpha, sigma):
        return alpha / alpha, sigma / alpha

    def noise_range(self, data_variance):
        """(smallest, largest) sigma: the trained range."""
        return tuple(float(np.exp(-self.log_snr(t) / 2)) for t in (1, self.T))


def as_float(value):
    """A number as a Python float, an array unchanged.  A Python float does not change the dtype of
    an array in a product; a NumPy scalar can.
    """
    return float(value) if getattr(value, "ndim", 0) == 0 else value


def _check_T(T):
    if not is_whole(T) or T < 1:
        raise ValueError(f"T must be a whole number from 1 on, got {T}")


def from_betas(betas, name="custom"):
    """The schedule of the one-step variances beta_1 .. beta_T, each in (0, 1):
    alpha_bar_t = prod_{i <= t} (1 - beta_i).
    """
    betas = np.asarray(betas, np.float64)
    inside = (betas > 0) & (betas < 1)
    if not inside.all():
        raise ValueError(f"beta must lie between 0 and 1, got {betas[~inside][0]}")
    return Schedule(log_alpha_bar_of_betas(betas), name)


def constant(T=150, beta=0.03):
    """The same beta at all t (tutorial, Ex 2.1: 1 - beta = 0.97)."""
    _check_T(T)
    return from_betas(np.full(T, beta), "constant")


def _check_ends(first, last):
    for beta in (first, last):
        if not 0 < beta < 1:
            raise ValueError(f"beta must lie between 0 and 1, got {beta}")


def _resampled(betas, T, name):
    """The schedule that takes T + 1 points of the curve log(alpha_bar) of ``betas``, a function of
    t/T in [0, 1].  alpha_bar_T does not depend on T.
    """
    native = from_betas(betas).log_alpha_bar
    steps = len(native) - 1
    table = np.interp(np.arange(T + 1) * (steps / T), np.arange(steps + 1), native)
    return Schedule(table, name)


def linear(T=1000, first=1e-4, last=0.02):
    """Ho et al. 2020: 1,000 equally spaced values of beta from ``first`` to ``last``.  Another T
    takes other points of the same curve of alpha_bar.
    """
    _check_T(T)
    _check_ends(first, last)
    return _resampled(np.linspace(first, last, 1000), T, "linear")


def scaled_linear(T=1000, first=0.00085, last=0.012):
    """Rombach et al. 2022: as ``linear``, but with equally spaced values of sqrt(beta)."""
    _check_T(T)
    _check_ends(first, last)
    return _resampled(np.linspace(first**0.5, last**0.5, 1000) ** 2, T, "scaled-linear")


def cosine(T=1000, offset=0.008, largest_beta=0.999):
    """Nichol and Dhariwal 2021: alpha_bar_t = cos(u_t)^2 / cos(u_0)^2 with
    u_t = (t/T + offset) / (1 + offset) pi/2.

    alpha_bar_T would be 0.  So beta is limited to ``largest_beta``, which changes the last step
    only.
    """
    _check_T(T)
    u = (np.arange(T + 1) / T + offset) / (1 + offset) * np.pi / 2
    step = np.pi / 2 / (1 + offset) / T
    # 1 - cos(u_t)^2 / cos(u_{t-1})^2, without cancellation
    betas = np.sin(step) * np.sin(u[1:] + u[:-1]) / np.cos(u[:-1]) ** 2
    return from_betas(np.minimum(betas, largest_beta), "cosine")


def zero_terminal_snr(schedule):
    """The schedule with s = sqrt(alpha_bar) shifted and scaled so that s_T = 0 and s_1 is unchanged
    (Lin et al. 2024, Algorithm 1):

        s̃_t = (s_t - s_T) s_1 / (s_1 - s_T) = s_1 (1 - (s_1 - s_t) / (s_1 - s_T)).

    Samplers start from pure noise; with this schedule, so does training.  The network must predict
    x_0 or v: at T the noise is x itself.
    """
    if schedule.T < 2:
        raise ValueError(f"a schedule with zero terminal SNR needs T at least 2, got {schedule.T}")
    log_s = schedule.log_alpha_bar[1:] / 2
    fallen = np.expm1(log_s - log_s[0])  # (s_t - s_1) / s_1
    rescaled = log_s[0] + np.log1p(-fallen[:-1] / fallen[-1])
    return Schedule(np.concatenate(([0.0], 2 * rescaled, [-np.inf])), schedule.name)


@dataclass(frozen=True)
class ContinuousVP:
    """The schedule of the variance-preserving SDE (Song et al. 2021) for t in [0, 1]:
    beta(t) = beta_min + t (beta_max - beta_min).
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self):
        if not 0 < self.beta_min <= self.beta_max:
            raise ValueError(
                "beta_min and beta_max must satisfy 0 < beta_min <= beta_max,"
                f" got {self.beta_min} and {self.beta_max}"
            )

    def beta(self, t):
        """beta(t)."""
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def log_alpha_bar(self, t):
        """Minus the integral of beta from 0 to t."""
        return -(self.beta_min * t + (self.beta_max - self.beta_min) * t * t / 2)


def vp(T=1000, beta_min=0.1, beta_max=20.0):
    """``ContinuousVP`` at t = 0, 1/T .. 1."""
    _check_T(T)
    return Schedule(ContinuousVP(beta_min, beta_max).log_alpha_bar(np.arange(T + 1) / T), "vp")


def geometric(T=10, sigma_min=0.05, sigma_max=10.0):
    """T noise levels sigma_1 = sigma_min < .. < sigma_T = sigma_max in geometric progression (Song
    and Ermon 2019).

    The tutorial numbers them in decreasing order.  Here t grows with the noise, as in all
    schedules.
    """
    _check_T(T)
    if T < 2:
        raise ValueError(
            f"T must be at least 2 levels, of the smallest and the largest noise, got {T}"
        )
    if not 0 < sigma_min < sigma_max < float("inf"):
        raise ValueError(
            "sigma_min and sigma_max must satisfy 0 < sigma_min < sigma_max,"
            f" got {sigma_min} and {sigma_max}"
        )
    if sigma_min < 1e-100 or sigma_max > 1e100:
        raise ValueError(
            "sigma_min and sigma_max must lie between 1e-100 and 1e100,"
            f" got {sigma_min} and {sigma_max}"
        )
    return of_sigmas(np.geomspace(sigma_min, sigma_max, T), "geometric")


def of_sigmas(sigmas, name="custom"):
    """The variance-exploding schedule of rising levels sigma_1 .. sigma_T, after sigma_0 = 0."""
    table = np.concatenate(([0.0], log_alpha_bar_of_sigma(sigmas)))
    return VarianceExplodingSchedule(table, name)


SCHEDULES = {
    "constant": constant,
    "linear": linear,
    "scaled-linear": scaled_linear,
    "cosine": cosine,
    "vp": vp,
}
