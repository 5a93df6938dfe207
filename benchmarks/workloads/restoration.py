"""Workloads of restoration: images from the means of their blocks, with a network as the prior."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from benchmarks.workloads.networks import Sampling
from benchmarks.workloads.work import SEED, normal_array
from reference.ddpm.ddpm import posterior
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.interpolation import network_terms
from reference.diffusion.schedules import linear
from reference.ops.random import Purpose
from reference.restoration.ddrm import ddrm, ddrm_weights
from reference.restoration.guided_denoisers import pigdm_denoiser
from reference.restoration.separable import block_mean
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral


@dataclass(frozen=True)
class Restoration(Sampling, ABC):
    """Images from the prior, given the means of blocks of 2x2 pixels, y, with noise.

    The network predicts v: a network that is not trained then leaves the samples finite.  Peers write A⁺ as a repetition of pixels; A⁺ A is
    the projection to images that are constant on each block.
    """

    factor = 2
    noise = 0.05  # of the measurement

    @cached_property
    def model(self):
        return Denoiser(self.network, linear(1000), "v", data_variance=0.5)

    @cached_property
    def operator(self):
        return block_mean(self.network.sample_shape, self.factor)

    @cached_property
    def measurement(self):
        """y [b,h/2,w/2,c], with the variance of means of independent pixels."""
        deviation = np.float32(self.model.data_variance**0.5 / self.factor)
        return normal_array(Purpose.MEASUREMENT, 0, self.batch, self.operator.measured_shape) * deviation

    def noises(self):
        """The noise [b,...] of each step, in pixels."""
        return [normal_array(Purpose.STEP_NOISE, step, self.batch, self.operator.shape) for step in range(self.steps)]

    def posterior_means(self):
        """(t, t_prev, r) of each step, with r = (scale, condition, a, b) of the posterior mean a x + b network(scale x, condition)."""
        for t, t_prev in pairwise(self.timesteps):
            level = self.model.schedule.signal(t), self.model.schedule.noise_scale(t)
            scale, a, [(b, condition)] = network_terms(self.model, "x0", *level)
            yield t, t_prev, (scale, condition, a, b)

    @abstractmethod
    def states(self, model, params, x, y, sample, ops):
        """The states (t, x, x0) of the sampler for measurements y [b,...]; ``sample`` [b]: indices."""

    def sample(self, model, params, x, ops):
        y = np.asarray(self.measurement, x.dtype, like=x)
        return final_sample(self.states(model, params, x, y, np.arange(len(x), like=x), ops))


class PiGDM(Restoration):
    """Ancestral sampling with the denoiser of PiGDM: a forward and a backward pass of the network in each step."""

    def states(self, model, params, x, y, sample, ops):
        schedule, mean = model.schedule, model.posterior_mean_and_pullback(params, ops=ops)
        guided = pigdm_denoiser(mean, self.operator, y, self.noise, model.data_variance)
        predict = lambda x, t: guided(x, schedule.signal(t), schedule.noise_scale(t))
        return ancestral(predict, schedule, self.timesteps, x, SEED, sample, ops=ops, prediction="x0")

    def coefficients(self):
        """(scale, condition, a, b, g, c_x, c_x0, deviation) of each step.  With D = a x + b network(scale x, condition) and J = dD/dx,

        x <- c_x x + c_x0 (D + g Jᵀ A⁺ (y - A D)) + deviation z.
        """
        schedule, rows, c = self.model.schedule, [], self.model.data_variance
        for t, t_prev, mean in self.posterior_means():
            alpha, power = schedule.signal(t), schedule.noise_power(t) / schedule.signal_power(t)
            r2 = c * power / (c + power)
            g = schedule.noise_power(t) / alpha / (r2 + (self.factor * self.noise) ** 2)
            c_x, c_x0, variance = posterior(schedule, t, t_prev)
            rows.append((*mean, g, c_x, c_x0, variance**0.5))
        return rows


class DDRM(Restoration):
    eta, eta_b = 0.85, 1.0

    def states(self, model, params, x, y, sample, ops):
        mean = model.posterior_mean_function(params, ops=ops)
        return ddrm(mean, self.operator, y, self.noise, model.schedule, self.timesteps, x, SEED, sample, self.eta, self.eta_b, ops)

    def noises(self):
        """In pixels: the sampler draws it along the singular vectors."""
        return [self.operator.V(noise.reshape(self.batch, -1)) for noise in super().noises()]

    def coefficients(self):
        """(scale, condition, a, b, e_x, e_D, e_z, p_y, p_z, alpha_prev) of each step.  With D = a x + b network(scale x, condition) and
        e = e_x x + e_D D + e_z z, the noise in the directions that are not measured,

        x <- alpha_prev (D + e + A⁺ (p_y (y - A D) - A e + p_z A z)).
        """
        schedule, rows = self.model.schedule, []
        for t, t_prev, mean in self.posterior_means():
            alpha, sigma = schedule.signal(t), schedule.noise_scale(t)
            u = schedule.noise_scale(t_prev) / schedule.signal(t_prev)
            singular_values = np.array((1 / self.factor, 0.0))
            _, (p_y, _), (_, known), (p_z, e_z) = ddrm_weights(singular_values, self.noise, u, self.eta, self.eta_b)
            rows.append((*mean, known / sigma, -known * alpha / sigma, e_z, p_y, p_z, schedule.signal(t_prev)))
        return rows
