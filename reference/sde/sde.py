"""Diffusion as a stochastic differential equation (tutorial, Sec. 4.2 and 4.3; Song et al. 2021).

All SDEs here are linear in x, and their noise does not depend on x:

    dx = f(t) x dt + g(t) dw,   w a standard Wiener process, in Ito's sense,

with the drift coefficient f = ``drift_coefficient`` and the diffusion coefficient g =
``diffusion``.  Therefore x_t = alpha x_0 + sigma eps with alpha = ``signal`` and sigma =
``noise_scale``,

    d alpha/dt = f alpha,   d sigma^2/dt = 2 f sigma^2 + g^2.

An SDE is given by drift, diffusion, marginal (alpha, sigma) and the prior N(0, ``prior_scale``^2 I)
from which sampling starts at t = ``t_max``.  The rest follows, for x of any shape:

    transition from s to t:  N(a x_s, (sigma_t^2 - a^2 sigma_s^2) I),  a = alpha_t / alpha_s,
    reverse SDE, backward in time (Anderson 1982):
        dx = [ f x - (1 + lambda^2)/2 g^2 ∇ log p_t(x) ] dt + lambda g dw.

lambda >= 0 is the reverse noise, the argument ``reverse_noise`` of ``SDE.reverse``.  lambda = 1 is
the reverse SDE (4.11), lambda = 0 the probability-flow ODE.  Every lambda has the marginals p_t.

An SDE is a schedule in continuous time: it has the methods of ``schedules.Schedule`` that a
``Denoiser`` and the samplers need, with real times t.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from reference.diffusion.schedules import ContinuousVP, as_float
from reference.ops.checks import is_whole, outliers

SLACK = 1e-9  # relative rounding error of the conversion from a time to its log-SNR and back


@dataclass(frozen=True, kw_only=True)
class SDE(ABC):
    """A linear SDE on [0, ``t_max``].  A subclass defines ``drift_coefficient``, ``diffusion``,
    ``signal``, ``noise_scale`` and, if not the default, ``prior_scale``.  Times are numbers or
    arrays.

    ``min_noise_ratio``: the ratio sigma / alpha below which data count as clean.  Training and
    sampling stop at the time ``t_min`` of this ratio, because the log-SNR is infinite at t = 0.
    """

    t_max: float = 1.0
    min_noise_ratio: float = 0.01

    def __post_init__(self):
        if not 0 < self.t_max < float("inf"):
            raise ValueError(f"t_max must be a positive number, got {self.t_max}")
        alpha, sigma = self.signal(self.t_max), self.noise_scale(self.t_max)
        if not (alpha > 0 and sigma < float("inf")):
            raise ValueError(
                "t_max must leave a positive signal and finite noise,"
                f" got {self.t_max} with {alpha:.4g} and {sigma:.4g}"
            )
        if not 0 < self.min_noise_ratio < sigma / alpha:
            raise ValueError(
                "min_noise_ratio must be positive and below the ratio at t_max,"
                f" {sigma / alpha:.4g}, got {self.min_noise_ratio}"
            )

    @abstractmethod
    def drift_coefficient(self, t):
        """f(t): the drift is f(t) x."""

    @abstractmethod
    def diffusion(self, t):
        """g(t), the diffusion coefficient."""

    @abstractmethod
    def signal(self, t):
        """alpha of x_t = alpha x_0 + sigma eps."""

    @abstractmethod
    def noise_scale(self, t):
        """sigma of x_t = alpha x_0 + sigma eps."""

    @property
    def prior_scale(self):
        """The standard deviation of the prior, the Gaussian from which sampling starts at t_max:
        noise_scale(t_max), the standard deviation of x given x_0.
        """
        return self.noise_scale(self.t_max)

    def marginal(self, t):
        """(alpha, sigma) at time t.  ValueError for a time outside of [0, t_max]."""
        if not np.all(np.greater_equal(t, 0) & np.less_equal(t, self.t_max * (1 + SLACK))):
            raise ValueError(f"t must lie in [0, {self.t_max:g}], the time of the SDE, got {t}")
        return self.signal(t), self.noise_scale(t)

    def signal_power(self, t):
        """alpha^2."""
        return self.signal(t) ** 2

    def noise_power(self, t):
        """sigma^2."""
        return self.noise_scale(t) ** 2

    def transition(self, t, t_prev):
        """(a, deviation) of x_t given x_prev, N(a x_prev, deviation^2 I), for t_prev <= t."""
        alpha, sigma = self.marginal(t)
        alpha_prev, sigma_prev = self.marginal(t_prev)
        a = alpha / alpha_prev
        return a, max(sigma**2 - (a * sigma_prev) ** 2, 0.0) ** 0.5

    def log_snr(self, t):
        """log(alpha^2 / sigma^2), falling from infinity at t = 0."""
        alpha, sigma = self.marginal(t)
        with np.errstate(divide="ignore"):
            return as_float(2 * (np.log(alpha) - np.log(sigma)))

    def time_of_log_snr(self, log_snr):
        """The time with this log-SNR, a number or an array, by bisection to the last bit.
        ValueError below the log-SNR of t_max.
        """
        self.check_log_snr(log_snr)
        if np.ndim(log_snr):
            low, high = np.zeros_like(log_snr), np.full_like(log_snr, self.t_max)
            while np.any((low < (middle := (low + high) / 2)) & (middle < high)):
                above = self.log_snr(middle) > log_snr
                low, high = np.where(above, middle, low), np.where(above, high, middle)
            return high
        low, high = 0.0, float(self.t_max)
        while low < (middle := (low + high) / 2) < high:
            low, high = (middle, high) if self.log_snr(middle) > log_snr else (low, middle)
        return high

    def check_log_snr(self, log_snr):
        """ValueError for a log-SNR below that of t_max."""
        lowest = self.log_snr(self.t_max)
        most = np.finfo(np.float64).max
        for unknown in outliers(log_snr, lowest - SLACK * (1 + abs(lowest)), most):
            raise ValueError(
                f"the log-SNR falls to {lowest:.4g} at t = {self.t_max:g},"
                f" and never to {unknown:.4g}"
            )

    @property
    def t_min(self):
        """The time at which sigma / alpha is ``min_noise_ratio``."""
        return self.time_of_log_snr(-2 * float(np.log(self.min_noise_ratio)))

    def time_of(self, alpha, sigma):
        """The time at which this SDE has the log-SNR of alpha x_0 + sigma eps; arrays for arrays.
        ValueError outside of [t_min, t_max].
        """
        wanted = as_float(2 * np.log(alpha / sigma))
        highest, lowest = -2 * float(np.log(self.min_noise_ratio)), self.log_snr(self.t_max)
        slack = SLACK * (1 + abs(wanted))
        for outside in outliers(wanted, lowest - slack, highest + slack):
            raise ValueError(
                f"a log-SNR of {outside:.4g} is outside of the trained range,"
                f" {lowest:.4g} to {highest:.4g}"
            )
        return self.time_of_log_snr(wanted)

    def to_schedule_scale(self, alpha, sigma):
        """(signal, noise_scale) of this SDE at the log-SNR of alpha x_0 + sigma eps, numbers or
        arrays.
        """
        return self.marginal(self.time_of(alpha, sigma))

    def noise_range(self, data_variance):
        """(smallest, largest) sigma / alpha: the trained range."""
        return self.min_noise_ratio, self.noise_scale(self.t_max) / self.signal(self.t_max)

    def interpolation_nodes(self, alpha, sigma):
        """Where to evaluate a network for alpha x_0 + sigma eps, as
        ``Schedule.interpolation_nodes``: one node, the time of the same log-SNR.
        """
        t = self.time_of(alpha, sigma)
        return [(1.0, self.network_time(t), *self.marginal(t))]

    def network_time(self, t):
        """The network's time input for t: 1000 t / t_max."""
        return 1000 * t / self.t_max

    def sample_times(self, u):
        """Training times for u uniform on (0, 1): uniform on [t_min, t_max]."""
        return self.t_min + u * (self.t_max - self.t_min)

    def timesteps(self, steps):
        """``steps`` + 1 evenly spaced times from t_max down to 0, as ``Schedule.timesteps``.  The
        last before 0 is at least t_min; if it were smaller, the times are even down to t_min.
        """
        if not is_whole(steps) or steps < 1:
            raise ValueError(f"steps must be a whole number from 1 on, got {steps}")
        first = max(self.t_min, self.t_max / steps)
        return [*np.linspace(self.t_max, first, steps).tolist(), 0.0]

    def reverse(self, score_at_t, reverse_noise=1.0):
        """(drift(x, t), diffusion(x, t)) of the reverse SDE with lambda = ``reverse_noise``;
        ``score_at_t(x, t)`` is ∇ log p_t(x).
        """
        if not reverse_noise >= 0:
            raise ValueError(f"reverse_noise must not be negative, got {reverse_noise}")

        def drift(x, t):
            score_weight = (1 + reverse_noise**2) / 2 * self.diffusion(t) ** 2
            return self.drift_coefficient(t) * x - score_weight * score_at_t(x, t)

        return drift, lambda x, t: reverse_noise * self.diffusion(t)


@dataclass(frozen=True, kw_only=True)
class VP(ContinuousVP, SDE):
    """Variance preserving, the limit of DDPM (4.13)-(4.15): dx = -beta/2 x dt + sqrt(beta) dw.

    alpha^2 = A = exp(-int_0^t beta ds) and sigma^2 = 1 - A.  The tutorial's beta_i of a chain of N
    steps is beta(i/N) / N, and its marginals equal the marginals of the SDE only up to O(1/N)
    (E13c).
    """

    def __post_init__(self):
        ContinuousVP.__post_init__(self)
        SDE.__post_init__(self)

    @property
    def prior_scale(self):
        return 1.0

    def drift_coefficient(self, t):
        return -self.beta(t) / 2

    def diffusion(self, t):
        return self.beta(t) ** 0.5

    def signal(self, t):
        return as_float(np.exp(self.log_alpha_bar(t) / 2))

    def noise_scale(self, t):
        return as_float(np.sqrt(-np.expm1(self.log_alpha_bar(t))))


@dataclass(frozen=True, kw_only=True)
class SubVP(VP):
    """sub-VP (Song et al. 2021), not in the tutorial: the drift of VP, but g^2 = beta (1 - A^2),
    and therefore sigma = 1 - A.
    """

    def diffusion(self, t):
        return as_float(np.sqrt(self.beta(t) * -np.expm1(2 * self.log_alpha_bar(t))))

    def noise_scale(self, t):
        return as_float(-np.expm1(self.log_alpha_bar(t)))


@dataclass(frozen=True, kw_only=True)
class VE(SDE):
    """Variance exploding, the limit of score matching's noise levels (4.18)-(4.19): dx =
    sqrt(d s^2/dt) dw.

    s = sigma_min (sigma_max / sigma_min)^t.  The noise added by time t has the variance s(t)^2 -
    s(0)^2, so there is no noise at time 0.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self):
        if not 0 < self.sigma_min < self.sigma_max < float("inf"):
            raise ValueError(
                "sigma_min and sigma_max must satisfy 0 < sigma_min < sigma_max,"
                f" got {self.sigma_min} and {self.sigma_max}"
            )
        super().__post_init__()

    @property
    def _growth(self):
        return float(np.log(self.sigma_max / self.sigma_min))

    def drift_coefficient(self, t):
        return 0.0

    def diffusion(self, t):
        return as_float(self.sigma_min * np.exp(self._growth * t) * (2 * self._growth) ** 0.5)

    def signal(self, t):
        return as_float(np.ones_like(t, np.float64))

    def noise_scale(self, t):
        return as_float(self.sigma_min * np.sqrt(np.expm1(2 * self._growth * t)))


@dataclass(frozen=True, kw_only=True)
class OrnsteinUhlenbeck(SDE):
    """dx = -gamma x dt + sqrt(q) dw (Ex 4.4, Def 5.1).  The distribution of x tends to N(0, q / (2
    gamma)) (Thm 5.3).
    """

    gamma: float = 1.0
    q: float = 2.0
    t_max: float = 5.0

    def __post_init__(self):
        if not (self.gamma > 0 and self.q > 0):
            raise ValueError(f"gamma and q must be positive, got {self.gamma} and {self.q}")
        super().__post_init__()

    @property
    def prior_scale(self):
        return (self.q / (2 * self.gamma)) ** 0.5

    def drift_coefficient(self, t):
        return -self.gamma

    def diffusion(self, t):
        return self.q**0.5

    def signal(self, t):
        return as_float(np.exp(-self.gamma * np.asarray(t)))

    def noise_scale(self, t):
        return as_float(self.prior_scale * np.sqrt(-np.expm1(-2 * self.gamma * np.asarray(t))))


@dataclass(frozen=True, kw_only=True)
class Brownian(SDE):
    """dx = a dw (Ex 4.3): x_t = x_0 + a sqrt(t) eps."""

    a: float = 1.0

    def __post_init__(self):
        if not self.a > 0:
            raise ValueError(f"a must be positive, got {self.a}")
        super().__post_init__()

    def drift_coefficient(self, t):
        return 0.0

    def diffusion(self, t):
        return self.a

    def signal(self, t):
        return as_float(np.ones_like(t, np.float64))

    def noise_scale(self, t):
        return as_float(self.a * np.sqrt(t))


SDES: dict[str, type[SDE]] = {"vp": VP, "ve": VE, "subvp": SubVP}
