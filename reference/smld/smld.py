"""Score matching at many noise levels with one network (tutorial, Sec. 3.3, (3.13); Song and Ermon
2019).

The network predicts the noise eps = -sigma s, because the score itself scales as 1/sigma across
the levels.  The loss of each level is weighted by sigma^2, so that all levels have losses of the
same size: sigma^2 times the denoising loss is

    sigma^2 1/2 ‖s(x + sigma z) + z/sigma‖^2 = 1/2 ‖z - eps‖^2.

Its smallest mean is 1/2 (d - sigma^2 E[‖∇ log p_sigma‖^2]), between 0 and d/2 for every sigma.
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

OBJECTIVES = ("denoising", "explicit", "implicit", "sliced")


@dataclass(frozen=True)
class ScoreModel(Denoiser):
    """``objective``: the loss, one of smld/score_matching.py.  "explicit" needs ``distribution``,
    the exact density of the data or a kernel density estimate: a ``Mixture``.
    """

    objective: str = "denoising"
    distribution: Any = None

    def __post_init__(self):
        super().__post_init__()
        if self.objective not in OBJECTIVES:
            raise ValueError(
                f"objective must be one of {', '.join(OBJECTIVES)}, got {self.objective!r}"
            )
        chosen = self.prediction, self.loss_weight
        if not isinstance(self.schedule, VarianceExplodingSchedule) or chosen != (
            "noise",
            "simple",
        ):
            raise ValueError(
                "score matching needs a variance-exploding schedule, such as geometric, and"
                " prediction noise with loss-weight simple"
            )
        if self.objective in ("implicit", "sliced") and not hasattr(self.network, "jvp"):
            raise ValueError(
                f"{self.objective} score matching needs the derivative of the network along a"
                " direction: take --net mlp"
            )

    def sample_training_noise(self, seed, sample, step, shape, dtype, ops=reference_ops):
        """The levels t[b], uniform on 1 .. L, the noise [b,*shape] and the probe [b,*shape] (None
        unless the objective is sliced) of a training step.
        """
        probe = (
            score_matching.rademacher(ops.uniform(seed, sample, step, Purpose.PROBE, shape, dtype))
            if self.objective == "sliced"
            else None
        )
        return *super().sample_training_noise(seed, sample, step, shape, dtype, ops), probe

    def loss(self, params, x0, t, noise, probe=None, labels=None, ops=reference_ops):  # type: ignore[override]
        """sigma^2 times the loss named by ``objective``, per example: mean, per_sample[b], the
        gradients of the mean by name.
        """
        x = forward(self.schedule, x0, t, noise, ops)
        scale = self.input_scale(1.0, self.schedule.noise_power(t))
        inputs = x * per_sample_column(scale.astype(x.dtype), x)
        c = self.schedule.network_time(t).astype(x.dtype)
        weight = (-self.schedule.noise_scale(t) * scale).astype(x.dtype)
        if self.objective == "implicit":
            return score_matching.implicit(self.network, params, inputs, c, weight, ops)
        if self.objective == "sliced":
            return score_matching.sliced(self.network, params, inputs, c, probe, weight, ops)
        if self.objective == "explicit" and self.distribution is None:
            raise ValueError(
                "explicit score matching needs distribution, the density of the data or a kernel"
                " density estimate of it"
            )
        target = (
            noise
            if self.objective == "denoising"
            else exact_prediction(self.distribution, self.schedule, x, t).astype(x.dtype)
        )
        return score_matching.explicit(self.network, params, inputs, c, target, ops)


def loss_floors(distribution, sigmas, points=200_001, tails=12.0):
    """The smallest denoising loss at each sigma, weighted by sigma^2, for data with a
    one-dimensional ``distribution``: 1/2 (1 - sigma^2 J).

    J = E[(∇ log p_sigma)^2], by the trapezoidal rule over ``tails`` standard deviations to either
    side.
    """
    found = []
    for sigma in sigmas:
        noised = distribution.noised(1.0, sigma)
        reach = tails * float(np.sqrt(noised.full.max()))
        x = np.linspace(noised.means.min() - reach, noised.means.max() + reach, points)[:, None]
        J = np.trapezoid(np.exp(noised.log_density(x)) * noised.score(x)[:, 0] ** 2, x[:, 0])
        found.append((1 - sigma**2 * J) / 2)
    return np.array(found)
