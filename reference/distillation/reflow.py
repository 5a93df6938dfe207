"""Reflow (Liu, Gong and Liu 2023): train a flow again, on the pairs of noise and data that it has
itself drawn.

A flow is trained on pairs (x_0, eps) drawn apart from each other.  Its paths are curved: many lines
x_t = (1 - t) x_0 + t eps pass through a point, and the velocity is their mean.  Reflow draws eps,
integrates the flow to x_0 and trains a new flow on these pairs.  The distributions of x_t stay the
same, and the paths become straighter.  On the line they are straight after one reflow: x_0 is then
the increasing function F_0^{-1}(Phi(eps)) of eps, the lines of two pairs do not cross, and one
Euler step from eps is this function.
"""

from dataclasses import dataclass

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.denoiser import Denoiser
from reference.ops.random import Purpose


@dataclass(frozen=True)
class Reflow(Denoiser):
    """A ``Denoiser`` on the schedule ``Flow`` that is trained on pairs."""

    def sample_training_noise(self, seed, sample, step, shape, dtype, ops=reference_ops):
        """The times t[b] alone: the pairs hold the noise."""
        u = ops.uniform(seed, sample, step, Purpose.TIME, (), np.float64)
        return (self.schedule.sample_times(u),)

    def loss(self, params, pairs, t, labels=None, ops=reference_ops):  # type: ignore[override]
        """As ``Denoiser.loss``, on pairs[b,...,2c] of x_0 and noise, in this order on the last
        axis.
        """
        x0, noise = np.split(pairs, 2, axis=-1)
        return super().loss(params, x0, t, noise, labels=labels, ops=ops)


def join(x0, noise):
    """Pairs [n,...,2c] of x0[n,...,c] and the noise[n,...,c] that a flow leads to it."""
    return np.concatenate((x0, noise), axis=-1)
