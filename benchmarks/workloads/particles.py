"""Many particles that follow the reverse SDE with an exact score."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from benchmarks.workloads.work import SEED, Workload, normal_array, place_noise
from reference.diffusion.mixtures import Mixture
from reference.ops.random import Key, Purpose
from reference.runs.devices import to_device
from reference.samplers.grids import uniform
from reference.samplers.sde import euler_maruyama_predictor
from reference.sde.sde import VP


@dataclass(frozen=True)
class Particles(Workload):
    """Euler-Maruyama steps of the reverse VP SDE in the plane, with the exact score of a mixture with full covariances.

    ``own``: every implementation draws the noise with its own generator.  Otherwise the noise is given, as ten arrays used in turns: an
    array for each step would measure memory only.
    """

    count: int
    steps: int
    own: bool
    components = 8
    given = 10

    def mixture(self):
        angles = 2 * np.pi * np.arange(self.components) / self.components
        means = 2 * np.stack((np.cos(angles), np.sin(angles)), axis=1)
        along, across = 0.4, 0.1  # standard deviations tangential and normal to the circle
        axes = np.stack((means[:, ::-1] * (-1, 1), means), axis=2) / 2
        covariances = np.einsum("kia,a,kja->kij", axes, np.square((along, across)), axes)
        weights = np.array((1, 2, 3, 4, 5, 6, 7, 4)) / 32  # exact in float32: they sum to 1 in any dtype
        return Mixture(weights, means, covariances)

    def tables(self, dtype=np.float32):
        """For every step: weights, means and covariances of the noised mixture, and (a, b, c) of x <- a x + b score + c noise."""
        sde, rows = VP(), []
        for t, t_prev in pairwise(uniform(sde, self.steps)):
            noised = self.mixture().noised(*sde.marginal(t))
            arrays = (array.astype(dtype) for array in (noised.weights, noised.means, noised.covariances))
            rows.append((*arrays, euler_maruyama_predictor(sde, t, t_prev)))
        return rows

    def prior(self, dtype=np.float32):
        return normal_array(Purpose.PRIOR, 0, self.count, (2,), dtype)

    def noises(self, dtype=np.float32):
        """Keys or arrays of noise; step n uses number n modulo their count."""
        if self.own:
            sample = np.arange(self.count)
            return [Key(SEED, sample, step, Purpose.STEP_NOISE) for step in range(self.steps)]
        return [normal_array(Purpose.STEP_NOISE, step, self.count, (2,), dtype) for step in range(min(self.given, self.steps))]

    def run(self, ops, x, tables, noises):
        for step, (weights, means, covariances, coefficients) in enumerate(tables):
            score = ops.mixture_score(x, weights, means, covariances)
            x = ops.reverse_step(x, score, *coefficients, noises[step % len(noises)])
        return x

    def results(self, ops, dtype=np.float32):
        return {"particles": {"x": self.run(ops, self.prior(dtype), self.tables(dtype), self.noises(dtype))}}

    def call(self, ops):
        x, tables, noises = to_device(self.prior(), ops), self.tables(), [place_noise(noise, ops) for noise in self.noises()]
        return lambda: self.run(ops, x, tables, noises)

    def subset(self):
        return replace(self, count=min(self.count, 10_000))

    def single_step(self):
        return replace(self, steps=1), self.steps
