"""Diffusion as a stochastic differential equation (tutorial, Sec. 4.2 and 4.3; Song et al. 2021).

All SDEs here are linear in x with noise that does not depend on it,

    dx = rate(t) x dt + diffusion(t) dw,   w of unit intensity, in Ito's sense,

so that x_t = signal(t) x_0 + noise_scale(t) eps with

    d signal / dt = rate signal,   d noise_scale^2 / dt = 2 rate noise_scale^2 + diffusion^2.

An SDE is therefore four things: drift (``rate``), ``diffusion``, marginal (``signal``,
``noise_scale``) and the prior N(0, ``prior_scale``^2 I) that stands for x at the end.  All else
follows, for any number of dimensions: nothing here knows the shape of x.

    the transition from s to t,      N(a x_s, (sigma_t^2 - a^2 sigma_s^2) I), a = signal_t / signal_s,
    the reverse family (Anderson 1982; reverse_noise = 1 is (4.11), reverse_noise = 0 the probability flow),

        dx = [ rate x - (1 + reverse_noise^2)/2 diffusion^2 grad log p_t(x) ] dt + reverse_noise
        diffusion dw backward in time,

which has the marginals p_t whatever reverse_noise.  An SDE is a schedule in continuous time: it has
the methods of ``schedules.Schedule`` that a ``Denoiser`` and the samplers need, with times that are
real.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from reference.diffusion.schedules import ContinuousVP, as_float

SLACK = 1e-9  # relative: the way from a time to its log-SNR and back rounds


@dataclass(frozen=True, kw_only=True)
class SDE(ABC):
    """What follows from ``rate``, ``diffusion``, ``signal``, ``noise_scale`` and ``prior_scale``.
    Times are numbers or arrays in [0, end].

    ``smallest``: the noise scale, relative to the signal, below which data count as clean.
    Networks are trained, and samplers go, down to the time ``last`` at which it is reached, where
    the log-SNR, infinite at 0, is still a number.
    """

    t_max: float = 1.0
    min_noise_ratio: float = 0.01

    def __post_init__(self):
        if not 0 < self.t_max < float("inf"):
            raise ValueError(f"end must be a positive number, got {self.t_max}")
        alpha, sigma = self.signal(self.t_max), self.noise_scale(self.t_max)
        if not (alpha > 0 and sigma < float("inf")):
            raise ValueError(
                f"end must leave some of the signal and finite noise, got {self.t_max} with {alpha:.4g} and {sigma:.4g}"
            )
        if not 0 < self.min_noise_ratio < sigma / alpha:
            raise ValueError(
                f"smallest must be positive and below the noise at the end, {sigma / alpha:.4g} of the signal, got {self.min_noise_ratio}"
            )

    @abstractmethod
    def drift_coefficient(self, t):
        """f(x, t) / x."""

    @abstractmethod
    def diffusion(self, t):
        """g(t)."""

    @abstractmethod
    def signal(self, t):
        """alpha of x_t = alpha x_0 + sigma eps."""

    @abstractmethod
    def noise_scale(self, t):
        """sigma of x_t = alpha x_0 + sigma eps."""

    @property
    def prior_scale(self):
        """The deviation of the Gaussian that stands for x at the end: that of x_end without its
        mean, noise_scale(end).
        """
        return self.noise_scale(self.t_max)

    def marginal(self, t):
        """(alpha, sigma) at time t.  ValueError for a time outside of [0, end]."""
        if not np.all(np.greater_equal(t, 0) & np.less_equal(t, self.t_max * (1 + SLACK))):
            raise ValueError(f"t must lie in [0, {self.t_max:g}], the time of the SDE, got {t}")
        return self.signal(t), self.noise_scale(t)

    def signal_power(self, t):
        """Power of the signal."""
        return self.signal(t) ** 2

    def noise_power(self, t):
        return self.noise_scale(t) ** 2

    def transition(self, t, t_prev):
        """(a, deviation) of x_t given x_prev, N(a x_prev, deviation^2 I), for t_prev <= t."""
        (alpha, sigma), (alpha_prev, sigma_prev) = self.marginal(t), self.marginal(t_prev)
        a = alpha / alpha_prev
        return a, max(sigma**2 - (a * sigma_prev) ** 2, 0.0) ** 0.5

    def log_snr(self, t):
        """log(alpha^2 / sigma^2), falling from infinity at t = 0."""
        alpha, sigma = self.marginal(t)
        with np.errstate(divide="ignore"):
            return as_float(2 * (np.log(alpha) - np.log(sigma)))

    def time_of_log_snr(self, log_snr):
        """The time at which the log-SNR is that, by bisection to the last bit.  ValueError for less
        than that of the end.
        """
        lowest = self.log_snr(self.t_max)
        if not lowest - SLACK * (1 + abs(lowest)) <= log_snr < float("inf"):
            raise ValueError(
                f"the log-SNR falls to {lowest:.4g} at t = {self.t_max:g}, and never to {log_snr:.4g}"
            )
        low, high = 0.0, float(self.t_max)
        while low < (middle := (low + high) / 2) < high:
            low, high = (middle, high) if self.log_snr(middle) > log_snr else (low, middle)
        return high

    @property
    def t_min(self):
        """The time at which noise / signal is ``smallest``."""
        return self.time_of_log_snr(-2 * float(np.log(self.min_noise_ratio)))

    def time_of(self, alpha, sigma):
        """The time at which this SDE has the log-SNR of alpha x_0 + sigma eps.  ValueError outside
        of [last, end].
        """
        wanted = 2 * float(np.log(alpha / sigma))
        highest, lowest = -2 * float(np.log(self.min_noise_ratio)), self.log_snr(self.t_max)
        slack = SLACK * (1 + abs(wanted))
        if not lowest - slack <= wanted <= highest + slack:
            raise ValueError(
                f"a log-SNR of {wanted:.4g} is outside of what was trained, {lowest:.4g} to {highest:.4g}"
            )
        return self.time_of_log_snr(wanted)

    def interpolation_nodes(self, alpha, sigma):
        """Where to ask a network about alpha x_0 + sigma eps, as ``Schedule.interpolation_nodes``:
        the time of the same log-SNR.
        """
        t = self.time_of(alpha, sigma)
        return [(1.0, self.network_time(t), *self.marginal(t))]

    def network_time(self, t):
        """What a network is told for time t: 1000 t / end."""
        return 1000 * t / self.t_max

    def sample_times(self, u):
        """Training times for u uniform on (0, 1): uniform on [last, end]."""
        return self.t_min + u * (self.t_max - self.t_min)

    def reverse(self, score, reverse_noise=1.0):
        """(drift(x, t), diffusion(x, t)) of the reverse family; ``score(x, t)`` is grad log p_t."""
        if not reverse_noise >= 0:
            raise ValueError(f"reverse_noise must not be negative, got {reverse_noise}")

        def drift(x, t):
            return self.drift_coefficient(t) * x - (
                (1 + reverse_noise**2) / 2 * self.diffusion(t) ** 2
            ) * score(x, t)

        return drift, lambda x, t: reverse_noise * self.diffusion(t)


@dataclass(frozen=True, kw_only=True)
class VP(ContinuousVP, SDE):
    """Variance preserving, the limit of DDPM (4.13)-(4.15): dx = -beta/2 x dt + sqrt(beta) dw.

    signal^2 = A = e^-int beta and noise_scale^2 = 1 - A.  The tutorial's beta_i of a chain of N
    steps is beta(i/N) / N, and its marginals are those of the SDE up to O(1/N), not exactly (E13c).
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
    """sub-VP (Song et al. 2021), not in the tutorial: the drift of VP, but diffusion^2 = beta (1 -
    A^2) and so noise_scale = 1 - A.
    """

    def diffusion(self, t):
        return as_float(np.sqrt(self.beta(t) * -np.expm1(2 * self.log_alpha_bar(t))))

    def noise_scale(self, t):
        return as_float(-np.expm1(self.log_alpha_bar(t)))


@dataclass(frozen=True, kw_only=True)
class VE(SDE):
    """Variance exploding, the limit of score matching's ladder (4.18)-(4.19): dx = sqrt(d s^2/dt)
    dw.

    s = sigma_min (sigma_max / sigma_min)^t.  What is added by time t has the variance s(t)^2 -
    s(0)^2: there is no noise at time 0.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self):
        if not 0 < self.sigma_min < self.sigma_max < float("inf"):
            raise ValueError(
                f"sigma_min and sigma_max must satisfy 0 < sigma_min < sigma_max, got {self.sigma_min} and {self.sigma_max}"
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
    """dx = -gamma x dt + sqrt(q) dw (Ex 4.4, Def 5.1), whose law tends to N(0, q / (2 gamma)) (Thm
    5.3).
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
