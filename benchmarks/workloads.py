"""The work that is timed: each piece once, on the ops of a port, with inputs that are functions of a seed and serve every peer.

    workload.results(ops, dtype)   {group: {name: array}}: in what an implementation must agree with the reference
    workload.call(ops)             a function without arguments: the work once, as it is timed
    workload.part()                the same work on fewer samples, since each sample's results are its own
    workload.share                 how many times the work of ``part().results`` a call is, in operations of the contract

All in float32 but for the Fokker-Planck equation.
"""

from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from reference import cases, datasets, training
from reference import ops as reference_ops
from reference.budgets import FEW
from reference.calls import backward_arguments, outputs, result_names
from reference.conversions import conversion
from reference.ddpm.ddim import ddim_kernel
from reference.denoiser import Denoiser
from reference.mixtures import Mixture
from reference.networks import MLP, UNet
from reference.networks.blocks import initial
from reference.ops.random import Key, Purpose
from reference.placement import fetch, place
from reference.samplers import last
from reference.samplers.ddim import ddim
from reference.samplers.grids import uniform
from reference.samplers.sde import euler_maruyama_predictor
from reference.schedules import linear
from reference.sde.sde import VP

SEED = 1


def numbers(purpose, step, n, shape, dtype=np.float32):
    """Normal numbers [n,*shape] that float32 holds, whatever the dtype; those of fewer samples are the first ones of more."""
    return reference_ops.normal(SEED, np.arange(n), step, purpose, shape, np.float32).astype(dtype)


@cache
def digits():
    return datasets.load("digits", SEED)


def place_noise(noise, ops):
    """An array, or the samples of a key, where a port works."""
    return noise._replace(sample=place(noise.sample, ops)) if isinstance(noise, Key) else place(noise, ops)


class Work:
    dtype: np.dtype = np.dtype(np.float32)

    def part(self):
        return self

    @property
    def share(self) -> float:
        return 1


@dataclass(frozen=True)
class OfNetwork(Work):
    """A network that predicts the noise on DDPM's linear schedule, on data of variance 1/2."""

    network: Any
    batch: int

    @cached_property
    def model(self):
        return Denoiser(self.network, linear(1000), data_variance=0.5)

    def parameters(self, dtype=np.float32):
        """None of them 0 or 1, as they are when training begins: that would hide faults."""
        params = initial(self.network.shapes(), (), SEED, np.float32)
        moved = lambda index, p: p + np.float32(0.1) * numbers(Purpose.INIT, index + 1, 1, p.shape)[0]
        return {name: moved(index, p).astype(dtype) for index, (name, p) in enumerate(params.items())}

    @property
    def share(self):
        return self.batch / self.part().batch


@dataclass(frozen=True)
class Training(OfNetwork):
    """A step: draws, noising, forward, loss, backward, Adam, moving average.  Results: two steps' losses, and where they lead.

    Gradients are those that Adam's first moment holds.  Adam divides each by its own size: where that leads is no result for the bias of
    an attention's key, whose gradient is 0 but for rounding, and for a scale of sizes (``ends=False``) for none, since the larger the
    work, the more gradients lie so near 0 that roundings decide.
    """

    steps: int = 2
    digits: bool = False  # held-out ones excepted, from the network's own beginning; else normal numbers and parameters moved from there
    ends: bool = True  # whether where Adam leads is a result, and gradients of few entries, sums over all pixels of all samples
    examples = 1024

    @property
    def share(self):
        return 1 / self.steps

    @cached_property
    def settings(self):
        return training.Settings(batch=self.batch, seed=SEED, warmup=0)

    def parameters(self, dtype=np.float32):
        return self.network.init(SEED, dtype) if self.digits else super().parameters(dtype)

    def data(self, dtype=np.float32):
        if self.digits:
            return digits().train.astype(dtype)
        return numbers(Purpose.DATA, 0, self.examples, self.network.sample_shape, dtype) * dtype(0.5**0.5)

    def draws(self, step):
        """Indices of examples [b], times [b] and noise [b,...] of a step."""
        return training.batch(self.model, self.data(), self.settings, step)

    def tables(self):
        """signal, noise scale, input scale and condition of every time 0 .. T, in float32: what a peer needs of the schedule."""
        schedule, t = self.model.schedule, np.arange(self.model.schedule.T + 1)
        columns = schedule.signal(t), schedule.noise_scale(t), self.model.input_scale(schedule.alpha_bar(t), schedule.noise_power(t))
        return [column.astype(np.float32) for column in (*columns, schedule.condition(t))]

    def states(self, ops, dtype, steps):
        params = self.parameters(dtype)
        zeros = {name: np.zeros_like(p) for name, p in params.items()}
        state = training.State(params, params, zeros, zeros)
        return training.train(self.model, self.data(dtype), None, self.settings, state, steps, ops)

    def results(self, ops, dtype=np.float32):
        losses = []
        for state in self.states(ops, dtype, self.steps):
            losses.append(float(state.loss))
        average, m = fetch(dict(state.ema)), fetch(dict(state.m))
        average = {name: array for name, array in average.items() if not name.endswith("to_k.b")}
        found = {"losses": {"loss": np.array(losses, dtype)}, "gradients": m, "average": average}
        if not self.ends:
            found = found | {"gradients": {name: array for name, array in m.items() if array.size >= FEW}}
            del found["average"]
        return found

    def call(self, ops):
        states = self.states(ops, np.float32, float("inf"))
        return lambda: next(states)


@dataclass(frozen=True)
class Forward(OfNetwork):
    def inputs(self, dtype=np.float32):
        """x [b,...] and conditions c [b]."""
        u = reference_ops.uniform(SEED, np.arange(self.batch), 0, Purpose.TIME, (), np.float32)
        return numbers(Purpose.DATA, 1, self.batch, self.network.sample_shape, dtype), (1000 * u).astype(dtype)

    def results(self, ops, dtype=np.float32):
        return {"output": {"y": self.network.forward(self.parameters(dtype), *self.inputs(dtype), ops, keep=False)[0]}}

    def call(self, ops):
        params, inputs = place(self.parameters(), ops), [place(array, ops) for array in self.inputs()]
        return lambda: self.network.forward(params, *inputs, ops, keep=False)

    def part(self):
        return replace(self, batch=min(self.batch, 8))


@dataclass(frozen=True)
class Sampling(OfNetwork):
    """DDIM without noise of its own, from the prior."""

    steps: int

    def prior(self, dtype=np.float32):
        return numbers(Purpose.PRIOR, 0, self.batch, self.network.sample_shape, dtype)

    @property
    def grid(self):
        return self.model.schedule.grid(self.steps)

    def coefficients(self):
        """(input scale, condition, a, b) of each step x <- a x + b network(scale x, condition): ``ddim`` in one line."""
        schedule, rows = self.model.schedule, []
        for t, t_prev in pairwise(self.grid):
            scale = self.model.input_scale(schedule.alpha_bar(t), schedule.noise_power(t))
            a, b = conversion("noise", "x0", schedule.signal(t), schedule.noise_scale(t))
            c_x, c_x0 = ddim_kernel(schedule, t, t_prev, 0.0)
            rows.append((scale, schedule.condition(t), c_x + c_x0 * a, c_x0 * b))
        return rows

    def sample(self, params, x, ops):
        noise_of = self.model.noise_of(params, ops=ops)
        return last(ddim(noise_of, self.model.schedule, self.grid, x, SEED, np.arange(len(x), like=x), ops=ops))

    def results(self, ops, dtype=np.float32):
        return {"samples": {"x": self.sample(self.parameters(dtype), self.prior(dtype), ops)}}

    def call(self, ops):
        params, x = place(self.parameters(), ops), place(self.prior(), ops)
        return lambda: self.sample(params, x, ops)

    def part(self):
        return replace(self, batch=1)


@dataclass(frozen=True)
class Particles(Work):
    """Euler-Maruyama of the reverse VP SDE in the plane by the exact score of a mixture with full covariances.

    ``own``: every implementation draws the noise of each step by its own generator; else it is given, ten arrays in turns (one for
    each step would measure the memory alone).
    """

    count: int
    steps: int
    own: bool
    components = 8
    given = 10

    def law(self):
        angles = 2 * np.pi * np.arange(self.components) / self.components
        means = 2 * np.stack((np.cos(angles), np.sin(angles)), axis=1)
        along, across = 0.4, 0.1  # deviations, on the circle and off it
        turns = np.stack((means[:, ::-1] * (-1, 1), means), axis=2) / 2
        covariances = np.einsum("kia,a,kja->kij", turns, np.square((along, across)), turns)
        weights = np.array((1, 2, 3, 4, 5, 6, 7, 4)) / 32  # exact in float32: they sum to 1 in any dtype
        return Mixture(weights, means, covariances)

    def tables(self, dtype=np.float32):
        """Of every step: the noised law's weights, means and covariances, and a, b, c of x <- a x + b score + c noise."""
        sde, rows = VP(), []
        for t, t_prev in pairwise(uniform(sde, self.steps)):
            law = self.law().noised(*sde.marginal(t))
            arrays = (array.astype(dtype) for array in (law.weights, law.means, law.covariances))
            rows.append((*arrays, euler_maruyama_predictor(sde, t, t_prev)))
        return rows

    def prior(self, dtype=np.float32):
        return numbers(Purpose.PRIOR, 0, self.count, (2,), dtype)

    def noises(self, dtype=np.float32):
        """What stands for the noise of each step in turns."""
        if self.own:
            sample = np.arange(self.count)
            return [Key(SEED, sample, step, Purpose.STEP_NOISE) for step in range(self.steps)]
        return [numbers(Purpose.STEP_NOISE, step, self.count, (2,), dtype) for step in range(min(self.given, self.steps))]

    def run(self, ops, x, tables, noises):
        for step, (weights, means, covariances, coefficients) in enumerate(tables):
            score = ops.mixture_score(x, weights, means, covariances)
            x = ops.reverse_step(x, score, *coefficients, noises[step % len(noises)])
        return x

    def results(self, ops, dtype=np.float32):
        return {"particles": {"x": self.run(ops, self.prior(dtype), self.tables(dtype), self.noises(dtype))}}

    def call(self, ops):
        x, tables, noises = place(self.prior(), ops), self.tables(), [place_noise(noise, ops) for noise in self.noises()]
        return lambda: self.run(ops, x, tables, noises)

    def part(self):
        return replace(self, count=min(self.count, 10_000))

    @property
    def share(self):
        return self.count / self.part().count


@dataclass(frozen=True)
class FokkerPlanck(Work):
    """Steps of the motion in a double well, each from the last one's p."""

    cells: int
    steps = 3
    dtype = np.dtype(np.float64)

    @property
    def share(self):
        return 1 / self.steps

    def inputs(self, dtype=np.float64):
        """p [n], drift [n+1], diffusion [n+1], dx, dt."""
        faces = np.linspace(-3, 3, self.cells + 1)
        centres, dx = (faces[1:] + faces[:-1]) / 2, 6 / self.cells
        p = np.exp(-((centres - 1) ** 2)) / np.pi**0.5
        return p.astype(dtype), (faces - faces**3).astype(dtype), np.full(self.cells + 1, 0.5, dtype), dx, dx

    def results(self, ops, dtype=np.float64):
        p, *rest = self.inputs(dtype)
        for _ in range(self.steps):
            p = ops.fokker_planck_step(p, *rest)
        return {"density": {"p": p}}

    def call(self, ops):
        p, drift, diffusion, *rest = (place(value, ops) if isinstance(value, np.ndarray) else value for value in self.inputs())

        def step():
            nonlocal p
            p = ops.fokker_planck_step(p, drift, diffusion, *rest)

        return step


@dataclass(frozen=True)
class Op(Work):
    """One op, forward and backward at a random gradient; ``sizes`` as reference/cases.py takes them.

    Gradients of few entries, sums over all samples and pixels, are no results: the rule for networks measures them by the others.
    """

    op: str
    sizes: tuple

    def arguments(self, dtype=np.float32):
        """Of the forward, and of the backward."""
        args = getattr(cases, self.op)(cases.Numbers(SEED, 1.0, 0.0, dtype), *self.sizes)
        y = outputs(self.op, getattr(reference_ops, self.op), args)[0]
        return args, backward_arguments(self.op, args, cases.Numbers(SEED + 1, 1.0, 0.0, dtype)(*y.shape))

    def results(self, ops, dtype=np.float32):
        (args, back), name = self.arguments(dtype), f"{self.op}_backward"
        y = outputs(self.op, getattr(ops, self.op), args)[0]
        gradients = dict(zip(result_names(name), outputs(name, getattr(ops, name), back)))
        large = {word: array for word, array in gradients.items() if array is not None and array.size >= FEW}
        return {"forward": {"y": y}, "backward": large}

    def call(self, ops):
        args, back = ([place(a, ops) if isinstance(a, np.ndarray) else a for a in group] for group in self.arguments())
        return lambda: (getattr(ops, self.op)(*args), getattr(ops, f"{self.op}_backward")(*back))


@dataclass(frozen=True)
class Product(Work):
    """Two square matrices and a bias: the fastest implementation of it is the machine's matrix-product rate."""

    n: int

    def inputs(self, dtype=np.float32):
        """x [n,n], w [n,n], b [n]."""
        x, w = (numbers(Purpose.DATA, step, self.n, (self.n,), dtype) for step in range(2))
        return x, w, np.ones(self.n, dtype)

    def results(self, ops, dtype=np.float32):
        return {"product": {"y": ops.linear(*self.inputs(dtype))}}

    def call(self, ops):
        inputs = [place(array, ops) for array in self.inputs()]
        return lambda: ops.linear(*inputs)


def _workloads(product, points, small, large, images, steps, particles, cells, ops):
    """``points``, ``small`` and ``large``: a network and a batch of each."""
    return {
        "product": Product(product),
        "mlp-step": Training(*points),
        "mlp-forward": Forward(*points),
        "unet8-step": Training(*small),
        "unet8-forward": Forward(*small),
        "unet32-step": Training(*large),
        "unet32-forward": Forward(*large),
        "unet32-ddim": Sampling(large[0], images, steps),
        "particles-given": Particles(particles, 2 * steps, own=False),
        "particles-own": Particles(particles, 2 * steps, own=True),
        "fokker-planck": FokkerPlanck(cells),
        "fokker-planck-fine": FokkerPlanck(100 * cells),
        **{f"op-{op}": Op(op, sizes) for op, sizes in ops.items()},
    }


WORKLOADS = {
    "full": _workloads(
        product=1024,
        points=(MLP(), 512),
        small=(UNet(), 128),
        large=(UNet(size=(32, 32), channels=(32, 64, 64)), 32),
        images=16,
        steps=50,
        particles=1_000_000,
        cells=1_000,
        ops={
            "linear": (4096, 256, 256),
            "conv2d": (32, 32, 32, 32, 32, 3, 1, None),
            "group_norm_silu": (32, (32, 32), 8, 4, 1e-5),
            "attention": (32, 64, 64, 8, 8),
            "silu": (32, 32, 32, 32),
        },
    ),
    "tiny": _workloads(  # for tests
        product=16,
        points=(MLP(width=16, depth=2, embedding=8), 32),
        small=(UNet(size=(4, 4), channels=(8, 16), groups=4), 4),
        large=(UNet(size=(8, 8), channels=(8, 8, 16), groups=4), 2),
        images=2,
        steps=5,
        particles=500,
        cells=20,
        ops={
            "linear": (16, 8, 8),
            "conv2d": (2, 4, 4, 4, 4, 3, 1, None),
            "group_norm_silu": (2, (4, 4), 2, 4, 1e-5),
            "attention": (2, 4, 4, 2, 4),
            "silu": (2, 4, 4, 4),
        },
    ),
}


def _axes(batches, sizes, channels, steps, particles, cells):
    """axis -> value -> the workload there."""
    image = lambda size: UNet(size=(size, size), channels=(32, 64, 64) if size > 8 else (32, 64))
    return {
        "batch": {n: Training(UNet(), n, ends=False) for n in batches},
        "size": {n: Forward(image(n), 8) for n in sizes},
        "channels": {n: Training(UNet(channels=(n, 2 * n)), 32, ends=False) for n in channels},
        "steps": {n: Sampling(MLP(), 256, n) for n in steps},
        "particles": {n: Particles(n, 10, own=False) for n in particles},
        "cells": {n: FokkerPlanck(n) for n in cells},
    }


AXES = {
    "full": _axes(
        batches=(1, 4, 16, 64, 256),
        sizes=(8, 16, 32, 64),
        channels=(16, 32, 64, 128),
        steps=(10, 40, 160),
        particles=(1_000, 10_000, 100_000, 1_000_000),
        cells=(100, 1_000, 10_000, 100_000),
    ),
    "tiny": _axes(batches=(1, 2), sizes=(8,), channels=(8, 16), steps=(2, 4), particles=(100, 200), cells=(20, 40)),
}
for _size, _of in AXES.items():
    WORKLOADS[f"scaling-{_size}"] = {f"{axis}-{value}": workload for axis, works in _of.items() for value, workload in works.items()}

RUNS = {"full": Training(UNet(), 64, steps=1000, digits=True), "tiny": Training(UNet(channels=(8, 16), groups=4), 2, steps=2, digits=True)}
for _size, _run in RUNS.items():
    WORKLOADS[f"runs-{_size}"] = {"digits": _run}
