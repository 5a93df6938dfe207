"""Rectified flow (Liu et al. 2022), which is flow matching (Lipman et al. 2023) on this path: a
straight line from data to noise,

    x_t = (1 - t) x_0 + t eps,   dx/dt = eps - x_0 (the prediction "velocity").

The ODE dx/dt = E[eps - x_0 | x_t] has the marginals of x_t at every t: it is the probability flow
of the SDE with f = -1 / (1 - t) and g^2 = 2 t / (1 - t), for

    d alpha/dt = -1 = f alpha,   d sigma^2/dt = 2 t = 2 f t^2 + g^2,
    f x - g^2/2 ∇ log p = -x / (1 - t) + E[eps | x] / (1 - t) = E[eps - x_0 | x],

with ∇ log p = -E[eps | x] / t and x = (1 - t) E[x_0 | x] + t E[eps | x].

DDIM is Euler's method of this ODE.  With the predicted velocity v, x̂_0 = x - t v and
ê = x + (1 - t) v, and the step from t to s is

    (1 - s) x̂_0 + s ê = x + ((1 - t) s - t (1 - s)) v = x + (s - t) v.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtr, ndtri

from reference.diffusion.schedules import as_float
from reference.sde.sde import SDE

STEEPNESS = 4.0  # of the times called u-shaped

# name -> (the distribution function F of training times on (0, 1), its inverse)
TIMES = {
    "uniform": (lambda t: t, lambda u: u),
    # log(t / (1 - t)) is standard normal (Esser et al. 2024)
    "logit-normal": (lambda t: float(ndtr(np.log(t / (1 - t)))), lambda u: expit(ndtri(u))),
    # density ∝ cosh(a (t - 1/2)), most at both ends: for reflow (Lee et al. 2024)
    "u-shaped": (
        lambda t: float(0.5 + np.sinh(STEEPNESS * (t - 0.5)) / np.sinh(STEEPNESS / 2) / 2),
        lambda u: 0.5 + np.arcsinh((2 * u - 1) * np.sinh(STEEPNESS / 2)) / STEEPNESS,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Flow(SDE):
    """alpha = 1 - t, sigma = t, on [0, ``t_max``]; t_max < 1, because f and g are infinite at 1.

    ``times``: the distribution of training times, a name of ``TIMES``, restricted to
    [t_min, t_max].
    """

    t_max: float = 0.999
    times: str = "uniform"

    def __post_init__(self):
        if self.times not in TIMES:
            raise ValueError(f"times must be one of {', '.join(TIMES)}, got {self.times!r}")
        super().__post_init__()

    def drift_coefficient(self, t):
        return as_float(-1 / np.subtract(1.0, t))

    def diffusion(self, t):
        return as_float(np.sqrt(2 * t / np.subtract(1.0, t)))

    def signal(self, t):
        return as_float(np.subtract(1.0, t))

    def noise_scale(self, t):
        return as_float(np.multiply(t, 1.0))

    def time_of_log_snr(self, log_snr):
        """t = 1 / (1 + e^{log_snr / 2}), for sigma / alpha = t / (1 - t)."""
        self.check_log_snr(log_snr)
        return as_float(np.minimum(1 / (1 + np.exp(log_snr / 2)), self.t_max))

    def network_time(self, t):
        """1000 t, whatever t_max is."""
        return 1000 * t

    def sample_times(self, u):
        """Training times for u uniform on (0, 1), distributed as ``times`` says: by the inverse
        distribution function between those of t_min and t_max.
        """
        F, inverse = TIMES[self.times]
        low, high = F(self.t_min), F(self.t_max)
        return inverse(low + u * (high - low))
