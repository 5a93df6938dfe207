"""The coefficients of a reverse step, measured, and the prediction that they belong to.

A step is linear, x_prev = c_p prediction + c_x x + B z, and three calls give c_p, c_x and B.  With
x = alpha x_0 + sigma eps and prediction = r0 x_0 + r1 eps,

    x_prev = A0 x_0 + A1 eps + B z,   A0 = c_x alpha + c_p r0,   A1 = c_x sigma + c_p r1.

A step that leads to level t_prev has A0 = alpha_prev, and one of

    A1^2 + B^2 = sigma_prev^2                    DDIM with any eta, DDPM, exponential solvers
    A1 = that of DDPM, s <= B <= sqrt(beta)      DDPM with another variance

Euler's steps of an SDE or ODE in t have them to first order in their length.

s is the deviation of the posterior q(x_prev | x_t, x_0), beta the variance that the forward process
adds from t_prev to t.
"""

from dataclasses import dataclass

import numpy as np

from reference.audit.levels import PREDICTIONS
from reference.audit.target import TargetError

FITS = 1e-3  # a misfit, relative to the size of x_prev, below which a prediction explains a step


@dataclass(frozen=True)
class Measured:
    """One step: its times, the levels of both ends, c_p, c_x, B, and the rounding unit of the
    numbers that the target returned.
    """

    t: float
    t_prev: float
    alpha: float
    sigma: float
    alpha_prev: float
    sigma_prev: float
    c_p: float
    c_x: float
    B: float
    epsilon: float

    def means(self, prediction):
        """(A0, A1) if the step's prediction is of this kind."""
        r0, r1 = PREDICTIONS[prediction](self.alpha, self.sigma)
        return self.c_x * self.alpha + self.c_p * r0, self.c_x * self.sigma + self.c_p * r1

    @property
    def beta(self):
        """The variance that the forward process adds from t_prev to t, in units of x_t."""
        return max(self.sigma**2 - (self.alpha / self.alpha_prev * self.sigma_prev) ** 2, 0.0)

    @property
    def posterior_variance(self):
        return self.beta * (self.sigma_prev / self.sigma) ** 2

    @property
    def length(self):
        """The step in log(sigma / alpha), for a t_prev with noise."""
        ratio, ratio_prev = self.sigma / max(self.alpha, 1e-300), self.sigma_prev / self.alpha_prev
        return float(np.log(ratio / ratio_prev))

    @property
    def size(self):
        return max(1.0, self.sigma_prev)

    def tolerance(self, prediction):
        """The error of A0 and A1 that rounding explains: that of each product, and of sigma, whose
        square is a difference.
        """
        r0, r1 = PREDICTIONS[prediction](self.alpha, self.sigma)
        products = abs(self.c_x) * (self.alpha + self.sigma) + abs(self.c_p) * (abs(r0) + abs(r1))
        least = max(min(self.sigma, self.sigma_prev or self.sigma), self.epsilon**0.5)
        return 32 * self.epsilon * (1 + products) * (1 + 1 / least)

    def misfit(self, prediction):
        """The distance of A0 and A1 from a step to t_prev, relative to the size of x_prev."""
        A0, A1 = self.means(prediction)
        return (abs(A0 - self.alpha_prev) + min(abs(A1 - a) for a in self.allowed_A1())) / self.size

    def allowed_A1(self):
        """A1 of a step with the measured B, of DDPM's mean, and of a step without noise."""
        left = [self.sigma_prev**2 - B2 for B2 in (self.B**2, self.posterior_variance, 0.0)]
        # B^2 may exceed sigma_prev^2 by rounding alone
        return [max(value, 0.0) ** 0.5 for value in left if value > -1e-6 * self.size**2]


def measure(target, levels, t, t_prev):
    """The ``Measured`` step from t to t_prev.  TargetError if its results are not finite.

    The probes are small beside the signal, so that the x_0 that they imply stays below 0.01: a
    target that clips x_0 is linear there.
    """
    alpha, sigma = levels.at(t)
    alpha_prev, sigma_prev = levels.at(t_prev)
    small = 0.01 * max(alpha, 1e-3)
    shape = (1, *target.shape)

    def response(prediction, x, noise):
        arrays = {"prediction": prediction, "x": x, "noise": noise}
        given = {name: np.full(shape, value, target.dtype) for name, value in arrays.items()}
        result = target.call("step", shape, t=t, t_prev=t_prev, **given)
        if not np.isfinite(result.astype(np.float64)).all():
            raise TargetError(f"step from t = {t:g} to {t_prev:g} returns NaN or infinity")
        return float(result.flat[0]), result.dtype

    (c_p, kind), (c_x, _), (B, _) = (
        response(small, 0, 0),
        response(0, small, 0),
        response(0, 0, 1),
    )
    epsilon = levels.epsilon
    if kind.kind == "f":
        epsilon = max(epsilon, float(np.finfo(kind).eps))
    return Measured(
        t, t_prev, alpha, sigma, alpha_prev, sigma_prev, c_p / small, c_x / small, abs(B), epsilon
    )


def fitting_predictions(steps):
    """The predictions that explain the steps, and {prediction: its typical misfit}.  ``steps`` are
    ``Measured``; the typical misfit is the median.
    """
    misfits = {}
    for prediction in PREDICTIONS:
        with np.errstate(all="ignore"):
            try:
                values = [step.misfit(prediction) for step in steps]
            except ZeroDivisionError:
                continue
        misfits[prediction] = float(np.median(values))
    return [name for name, value in misfits.items() if value < FITS], misfits
