"""Workloads of networks: a training step, a forward pass, a backward pass, sampling."""

from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.workloads.work import SEED, Workload, normal_array
from reference import ops as reference_ops
from reference.conformance.tolerances import FEW_ENTRIES
from reference.data import datasets
from reference.ddpm.ddim import ddim_kernel
from reference.diffusion import training
from reference.diffusion.conversions import conversion
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.guidance import drop_labels, fixed_labels, null_label
from reference.diffusion.interpolation import network_terms
from reference.diffusion.schedules import linear
from reference.networks.blocks import init_params
from reference.ops.random import Purpose
from reference.runs import devices
from reference.runs.devices import to_device, to_host
from reference.runs.views import sde_of
from reference.samplers import final_sample
from reference.samplers.ddim import ddim
from reference.samplers.dpm_solver import dpm_solver_plus_plus
from reference.samplers.grids import uniform_log_snr


@cache
def digits():
    return datasets.load_dataset("digits", SEED)


@dataclass(frozen=True)
class NetworkWorkload(Workload):
    """A network that predicts the noise on DDPM's linear schedule, on data of variance 1/2."""

    network: Any
    batch: int

    def labels(self, count):
        """The classes in turn [count]; None for a network without classes."""
        return np.arange(count) % null_label(self.network) if self.network.classes else None

    @cached_property
    def model(self):
        return Denoiser(self.network, linear(1000), data_variance=0.5)

    def parameters(self, dtype=np.float32):
        """Initial parameters plus noise: zeros and ones, as at the start of training, would hide faults."""
        params = init_params(self.network.shapes(), (), SEED, np.float32)
        perturbed = lambda index, p: p + np.float32(0.1) * normal_array(Purpose.INIT, index + 1, 1, p.shape)[0]
        return {name: perturbed(index, p).astype(dtype) for index, (name, p) in enumerate(params.items())}


@dataclass(frozen=True)
class Training(NetworkWorkload):
    """A training step: draws, noising, forward, loss, backward, Adam, moving average.  A network with classes trains with label dropout.

    Results: the losses of two steps, Adam's first moments, as these hold the gradients, and the averaged weights.  Adam divides a gradient
    by its own size, so where a gradient is nearly 0 rounding decides the direction of the update.  The gradients of the biases of attention
    keys are 0 up to rounding, so these averaged weights are no results.  The larger the work, the more gradients are nearly 0, so
    ``compare_weights=False`` removes all averaged weights from the results.
    """

    steps: int = 2
    digits: bool = False  # train on the training digits from the initial weights; else on normal numbers from perturbed ones
    shards: int = 1  # of a batch; ``draws`` needs 1
    compare_weights: bool = True  # averaged weights and gradients of few entries, sums over all pixels and samples, are results
    examples = 1024

    @cached_property
    def settings(self):
        dropout = 0.1 if self.network.classes else 0.0
        return training.Settings(batch=self.batch, seed=SEED, warmup=0, label_dropout=dropout, shards=self.shards)

    def parameters(self, dtype=np.float32):
        return self.network.init(SEED, dtype) if self.digits else super().parameters(dtype)

    def data(self, dtype=np.float32):
        if self.digits:
            return digits().train.astype(dtype)
        return normal_array(Purpose.DATA, 0, self.examples, self.network.sample_shape, dtype) * dtype(0.5**0.5)

    def draws(self, step):
        """Indices of examples [b], times [b], noise [b,...] and, for a network with classes, labels [b] of a step."""
        indices, t, noise = training.draw_batch(self.model, self.data(), self.settings, step)
        if not self.network.classes:
            return indices, t, noise
        return indices, t, noise, drop_labels(self.labels(self.examples)[indices], self.network, self.settings, step)

    def tables(self):
        """The schedule for peers: signal, noise scale, input scale and condition at every time 0 .. T, in float32."""
        schedule, t = self.model.schedule, np.arange(self.model.schedule.T + 1)
        columns = schedule.signal(t), schedule.noise_scale(t), self.model.input_scale(schedule.signal_power(t), schedule.noise_power(t))
        return [column.astype(np.float32) for column in (*columns, schedule.network_time(t))]

    def states(self, ops, dtype, steps, team=training.ALONE):
        params = self.parameters(dtype)
        zeros = {name: np.zeros_like(p) for name, p in params.items()}
        state = training.State(params, params, zeros, zeros)
        return devices.train(self.model, self.data(dtype), self.labels(self.examples), self.settings, state, steps, ops, team)

    def results(self, ops, dtype=np.float32, team=training.ALONE):
        losses = []
        for state in self.states(ops, dtype, self.steps, team):
            losses.append(float(state.loss))
        average, m = dict(state.ema), dict(state.m)
        average = {name: array for name, array in average.items() if not name.endswith("to_k.b")}
        found = {"losses": {"loss": np.array(losses, dtype)}, "gradients": m, "average": average}
        if not self.compare_weights:
            found = found | {"gradients": {name: array for name, array in m.items() if array.size >= FEW_ENTRIES}}
            del found["average"]
        return found

    def call(self, ops):
        states = self.states(ops, np.float32, float("inf"))
        return lambda: next(states)


@dataclass(frozen=True)
class Forward(NetworkWorkload):
    def inputs(self, dtype=np.float32):
        """x [b,...] and conditions c [b]."""
        u = reference_ops.uniform(SEED, np.arange(self.batch), 0, Purpose.TIME, (), np.float32)
        return normal_array(Purpose.DATA, 1, self.batch, self.network.sample_shape, dtype), (1000 * u).astype(dtype)

    def results(self, ops, dtype=np.float32):
        return {"output": {"y": self.network.forward(self.parameters(dtype), *self.inputs(dtype), ops, keep=False)[0]}}

    def call(self, ops):
        params, inputs = to_device(self.parameters(), ops), [to_device(array, ops) for array in self.inputs()]
        return lambda: self.network.forward(params, *inputs, ops, keep=False)

    def subset(self):
        return replace(self, batch=min(self.batch, 8))


@dataclass(frozen=True)
class Backward(Forward):
    """The gradients of all parameters and of x from a random upstream gradient; the forward pass is done beforehand."""

    def upstream(self, dtype=np.float32):
        """dy [b,...]."""
        return normal_array(Purpose.DATA, 2, self.batch, self.network.sample_shape, dtype)

    def call(self, ops, dtype=np.float32):
        params, dy, *inputs = (to_device(array, ops) for array in (self.parameters(dtype), self.upstream(dtype), *self.inputs(dtype)))
        _, saved = self.network.forward(params, *inputs, ops)
        return lambda: self.network.backward(params, dy, saved, ops)

    def results(self, ops, dtype=np.float32):
        dx, gradients = self.call(ops, dtype)()
        return {"input": {"dx": to_host(dx, ops)}, "gradients": to_host(gradients, ops)}

    def subset(self):
        return self


@dataclass(frozen=True)
class Sampling(NetworkWorkload):
    """Deterministic DDIM from the prior."""

    steps: int

    def prior(self, dtype=np.float32):
        return normal_array(Purpose.PRIOR, 0, self.batch, self.network.sample_shape, dtype)

    @property
    def timesteps(self):
        return self.model.schedule.timesteps(self.steps)

    def coefficients(self):
        """(scale, condition, a, b) of each DDIM step, written as x <- a x + b network(scale x, condition)."""
        schedule, rows = self.model.schedule, []
        for t, t_prev in pairwise(self.timesteps):
            scale = self.model.input_scale(schedule.signal_power(t), schedule.noise_power(t))
            a, b = conversion("noise", "x0", schedule.signal(t), schedule.noise_scale(t))
            c_x, c_x0 = ddim_kernel(schedule, t, t_prev, 0.0)
            rows.append((scale, schedule.network_time(t), c_x + c_x0 * a, c_x0 * b))
        return rows

    def sample(self, model, params, x, ops):
        predict_noise = model.noise_predictor(params, ops=ops)
        return final_sample(ddim(predict_noise, model.schedule, self.timesteps, x, SEED, np.arange(len(x), like=x), ops=ops))

    def results(self, ops, dtype=np.float32):
        return {"samples": {"x": self.sample(self.model, self.parameters(dtype), self.prior(dtype), ops)}}

    def call(self, ops):
        model = devices.prepare(self.model, ops)
        params, x = to_device(self.parameters(), ops), to_device(self.prior(), ops)
        return lambda: self.sample(model, params, x, ops)

    def subset(self):
        return replace(self, batch=1)

    def single_step(self):
        return replace(self, steps=1), self.steps


@dataclass(frozen=True)
class GuidedSampling(Sampling):
    """The multistep DPM-Solver++ with guidance from the prior, in steps that are even in log-SNR; a class for each image in turn."""

    guidance: float = 2.0

    @cached_property
    def grid(self):
        return uniform_log_snr(sde_of(self), self.steps)

    def coefficients(self):
        """(scale, condition, a, b, slope, c, d) of each step.  With the guided output y of network(scale x, condition),

        x_0 = a x + b y,   x <- c x + d (x_0 + slope (x_0 - the previous x_0)).
        """
        sde, rows, h_before = sde_of(self), [], float("inf")
        for s, t in pairwise(self.grid):
            (_, sigma_s), (alpha_t, sigma_t) = sde.marginal(s), sde.marginal(t)
            h = (sde.log_snr(t) - sde.log_snr(s)) / 2
            scale, a, [(b, condition)] = network_terms(self.model, "x0", *sde.marginal(s))
            rows.append((scale, condition, a, b, h / (2 * h_before), sigma_t / sigma_s, -alpha_t * np.expm1(-h)))
            h_before = h
        return rows

    def sample(self, model, params, x, ops):
        sde, labels = sde_of(self), to_device(self.labels(len(x)), ops)
        score = fixed_labels(model, labels, self.guidance).score_function(params, ops=ops)
        predict_noise = lambda x, t: score(x, *sde.marginal(t)) * -sde.noise_scale(t)
        return final_sample(dpm_solver_plus_plus(sde, predict_noise, self.grid, x))

    def subset(self):
        return replace(self, batch=min(self.batch, 2))
