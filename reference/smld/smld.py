"""Score matching at many noise levels with one network (tutorial, Sec. 3.3, (3.13); Song and Ermon
2019).

The network predicts the noise, eps = -sigma s: dividing by sigma is the scaling that the score
itself has across levels.  The loss of a level is weighted by lambda = sigma^2, so that none
outweighs the others: sigma^2 times the denoising loss is

    sigma^2 1/2 |s(x + sigma z) + z/sigma|^2 = 1/2 |z - eps|^2,

with a floor of 1/2 (d - sigma^2 E|grad log p_sigma|^2), between 0 and d/2 whatever sigma.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.conversions import per_sample_column
from reference.diffusion.denoiser import Denoiser, exact_prediction
from reference.diffusion.forward_process import forward
from reference.diffusion.schedules import VarianceExplodingSchedule
from reference.ops.random import Purpose
from reference.smld import score_matching

MATCHINGS = ("denoising", "explicit", "implicit", "sliced")


@dataclass(frozen=True)
class ScoreModel(Denoiser):
    """``matching``: the loss, of ``score_matching``.  "explicit" needs ``law``, the data's density
    or a kernel density in its place.
    """

    matching: str = "denoising"
    distribution: Any = None

    def __post_init__(self):
        super().__post_init__()
        if self.matching not in MATCHINGS:
            raise ValueError(
                f"matching must be one of {', '.join(MATCHINGS)}, got {self.matching!r}"
            )
        if not isinstance(self.schedule, VarianceExplodingSchedule) or self.prediction != "noise":
            raise ValueError(
                "score matching needs a schedule of growing noise, such as geometric, and predicts the noise"
            )
        if self.matching in ("implicit", "sliced") and not hasattr(self.network, "jvp"):
            raise ValueError(
                f"{self.matching} score matching needs the derivative of the network along a direction: take --net mlp"
            )

    def sample_training_noise(self, seed, sample, step, shape, dtype, ops=reference_ops):
        """The levels t[b], uniform on 1 .. L, the noise and the probe [b,*shape] of a training
        step.
        """
        probe = (
            score_matching.signs(ops.uniform(seed, sample, step, Purpose.PROBE, shape, dtype))
            if self.matching == "sliced"
            else None
        )
        return *super().sample_training_noise(seed, sample, step, shape, dtype, ops), probe

    def loss(self, params, x0, t, noise, probe=None, labels=None, ops=reference_ops):  # type: ignore[override]
        """sigma^2 times the loss of ``matching``, per example: mean, per_sample[b], the gradients
        of the mean by name.
        """
        x = forward(self.schedule, x0, t, noise, ops)
        scale = self.input_scale(1.0, self.schedule.noise_power(t))
        inputs = x * per_sample_column(scale.astype(x.dtype), x)
        c, weight = (
            self.schedule.network_time(t).astype(x.dtype),
            (-self.schedule.noise_scale(t) * scale).astype(x.dtype),
        )
        if self.matching == "implicit":
            return score_matching.implicit(self.network, params, inputs, c, weight, ops)
        if self.matching == "sliced":
            return score_matching.sliced(self.network, params, inputs, c, probe, weight, ops)
        if self.matching == "explicit" and self.distribution is None:
            raise ValueError(
                "explicit score matching needs law, the density of the data or a kernel density in its place"
            )
        target = (
            noise
            if self.matching == "denoising"
            else exact_prediction(self.distribution, self.schedule, x, t).astype(x.dtype)
        )
        return score_matching.explicit(self.network, params, inputs, c, target, ops)


def floors(distribution, sigmas, points=200_001, tails=12.0):
    """The least denoising loss 1/2 (1 - sigma^2 J) at each sigma, weighted by sigma^2, for data of
    a one-dimensional law.

    J = E (grad log p_sigma)^2 by the trapezoidal rule over ``tails`` deviations to either side.
    """
    found = []
    for sigma in sigmas:
        noised = distribution.noised(1.0, sigma)
        reach = tails * float(np.sqrt(noised.full.max()))
        x = np.linspace(noised.means.min() - reach, noised.means.max() + reach, points)[:, None]
        J = np.trapezoid(np.exp(noised.log_density(x)) * noised.score(x)[:, 0] ** 2, x[:, 0])
        found.append((1 - sigma**2 * J) / 2)
    return np.array(found)
