"""Restoration with a trained run as the prior: the methods by name, on Karras's levels of noise, or
for DPS on the run's own schedule, as in its paper.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from reference.data import mnist
from reference.diffusion.schedules import of_sigmas
from reference.diffusion.yardsticks import moments
from reference.restoration import guided_denoisers
from reference.restoration.ddrm import ddrm
from reference.restoration.diffpir import diffpir
from reference.restoration.dps import dps
from reference.restoration.operators import Cropped, Mask
from reference.restoration.point_estimates import pnp_admm, total_variation
from reference.restoration.posterior import check_noise, wiener
from reference.restoration.separable import block_mean, blur
from reference.runs.conditions import conditioned
from reference.runs.devices import to_device, to_host
from reference.runs.sampling import BATCH, CountingNetwork, on_device
from reference.runs.views import noise_range, posterior_mean_of, schedule_of
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral, prior
from reference.samplers.edm import sigmas

TASKS = ("inpaint", "deblur", "superres")
LEAST_NOISE = 1e-6  # some roundings of images in float32
HIGHEST = 80.0  # the largest level, as in EDM
TV_WEIGHT = 8.0  # of the total variation, in units of s_y^2: the best of 1, 2, 4 .. 32 in PSNR


@dataclass(frozen=True)
class Problem:
    """A batch on the device: the measurements y[b,...] of x_0 with this noise, and the run."""

    run: Any
    ops: Any
    operator: Any
    y: Any
    noise: float
    sample: Any
    seed: int
    steps: int | None

    def denoise(self):
        return posterior_mean_of(self.run, self.ops)

    def denoise_and_pullback(self):
        model, weights = self.run.model, self.run.state.ema
        return model.posterior_mean_and_pullback(weights, ops=self.ops)

    def start(self, schedule):
        """x at the end of the schedule: noise, with the data's own variance where the signal is
        left as it is.
        """
        shape, T = self.run.model.network.sample_shape, schedule.T
        of_data = schedule.signal(T) * self.run.model.data_variance**0.5
        scale = float(np.hypot(of_data, schedule.noise_scale(T)))
        return prior(self.seed, self.sample, shape, scale=scale, ops=self.ops)

    def on_levels(self):
        """(schedule, grid, x) of the ``steps`` levels of Karras et al."""
        low, high = noise_range(self.run)
        levels = sigmas(self.steps, low, min(high, HIGHEST))[-2::-1]
        schedule = of_sigmas(levels)
        return schedule, schedule.timesteps(self.steps), self.start(schedule)


def _ancestral(denoiser, needs_pullback):
    """Ancestral sampling with a guided denoiser."""

    def states(problem):
        schedule, grid, x = problem.on_levels()
        model = problem.denoise_and_pullback() if needs_pullback else problem.denoise()
        guided = denoiser(problem, model)
        predict = lambda x, t: guided(x, schedule.signal(t), schedule.noise_scale(t))
        how = {"prediction": "x0", "ops": problem.ops}
        return ancestral(predict, schedule, grid, x, problem.seed, problem.sample, **how)

    return states


def _pigdm(problem, model):
    measurement = problem.operator, problem.y, problem.noise
    variance = problem.run.model.data_variance
    return guided_denoisers.pigdm_denoiser(model, *measurement, variance)


def _dmps(problem, model):
    return guided_denoisers.dmps_denoiser(model, problem.operator, problem.y, problem.noise)


def _dps(rule, zeta):
    def states(problem):
        schedule, *_ = schedule_of(problem.run, problem.ops, problem.steps)
        grid, x = schedule.timesteps(problem.steps), problem.start(schedule)
        how = {"zeta": zeta, "rule": rule, "ops": problem.ops}
        of = problem.denoise_and_pullback(), problem.operator, problem.y
        return dps(*of, schedule, grid, x, problem.seed, problem.sample, **how)

    return states


def _with_levels(sampler, **options):
    """DDRM and DiffPIR."""

    def states(problem):
        of = problem.denoise(), problem.operator, problem.y, problem.noise
        ends = problem.seed, problem.sample
        return sampler(*of, *problem.on_levels(), *ends, ops=problem.ops, **options)

    return states


def _pnp_admm(problem):
    """From noise of a few deviations of the data down to that of the measurement."""
    low, high = noise_range(problem.run)
    first = min(high, 3 * problem.run.model.data_variance**0.5)
    levels = np.geomspace(first, min(first, max(low, problem.noise)), problem.steps)
    of = problem.operator, problem.y, problem.noise
    return _one_state(pnp_admm(problem.denoise(), *of, levels))


def _wiener(problem):
    """With the mean and the covariance of the run's training data."""
    y, (mean, covariance) = to_host(problem.y, problem.ops), _moments_of(problem.run.data)
    x = wiener(mean, covariance, problem.operator, y, problem.noise)
    return _one_state(to_device(x.astype(y.dtype), problem.ops))


@lru_cache(maxsize=1)  # some seconds for large images
def _moments_of(data):
    return moments(data.train)


def _total_variation(problem):
    weight = TV_WEIGHT * problem.noise**2
    return _one_state(total_variation(problem.operator, problem.y, weight))


def _one_state(x):
    return iter([(0.0, x, None)])


@dataclass(frozen=True)
class Method:
    """``states(problem)`` yields (t, x, x0).  ``samples``: it draws from an approximate posterior;
    else it returns one estimate.  ``backward``: each step needs a backward pass of the network.
    """

    title: str
    states: Callable
    samples: bool = True
    backward: bool = False
    needs_noise: bool = False
    steps: int | None = 100  # by default; None: it evaluates no network


# The parameters were chosen on six held-out images of Fashion-MNIST that the experiment does not
# use, the same for all tasks: by the PSNR of a sample.  zeta = 1 in both rules of DPS, so that the
# steps of the paper are twice as long: they have a higher PSNR by .1 dB, and half of the residual.
METHODS = {
    "pigdm": Method("PiGDM", _ancestral(_pigdm, True), backward=True),
    "dps": Method("DPS, step of the paper", _dps("normalised", zeta=1.0), backward=True),
    "dps-norm": Method("DPS, step of the code", _dps("norm", zeta=1.0), backward=True),
    "dmps": Method("DMPS", _ancestral(_dmps, False)),
    "ddrm": Method("DDRM", _with_levels(ddrm)),
    "diffpir": Method("DiffPIR", _with_levels(diffpir, weight=1.0, zeta=1.0)),
    "pnp-admm": Method("PnP-ADMM", _pnp_admm, samples=False, needs_noise=True, steps=30),
    "wiener": Method("Wiener filter", _wiener, samples=False, needs_noise=True, steps=None),
    "total-variation": Method(
        "total variation", _total_variation, samples=False, needs_noise=True, steps=None
    ),
}


def operator_of(task, shape, known=None, deviation=1.5, factor=2):
    """The operator of a task on images of this shape (h, w, c).  ``known``[h,w]: the pixels that
    ``inpaint`` knows.  ``deviation``: of ``deblur``'s kernel, in pixels.  ``factor``: of
    ``superres``.
    """
    if task == "inpaint":
        return Mask(np.broadcast_to(known[..., None], shape))
    if task == "deblur":
        return blur(shape, deviation)
    if task == "superres":
        return block_mean(shape, factor)
    raise ValueError(f"task must be one of {', '.join(TASKS)}, got {task!r}")


def picture_part(run):
    """The rows and the columns of the network's images that hold a picture, as slices: without
    padding, and without the border of mnist and fashion-mnist.
    """
    height, width = run.config.get("crop") or run.model.network.sample_shape[:2]
    border = mnist.BORDER if run.config["data"] in mnist.SOURCES else 0
    return slice(border, height - border), slice(border, width - border)


def restore(
    run, ops, operator, y, noise, method, seed, sample, steps=None, watch=iter, **condition
):
    """(x[b,...], network evaluations of a sample) for measurements y[b,...] of images by
    ``operator``: a restored image for each y, in the network's shape.  The operator takes images of
    that shape, or pictures, their ``picture_part``.

    ``sample``[b]: indices, each with noise of its own.  ``method``: of METHODS.  ``watch``: passes
    on the states of each batch, and may show the progress.  ``condition``: as in
    ``conditions.conditioned``.  ValueError for noise 0 where the method needs noise.  Other methods
    take noise below ``LEAST_NOISE`` as that: y is rounded to float32.
    """
    how = METHODS[method]
    if how.needs_noise:
        check_noise(noise, how.title)
    noise = max(noise, LEAST_NOISE)
    shape = run.model.network.sample_shape
    if operator.shape != shape:
        corner = tuple(part.start for part in picture_part(run))
        operator = Cropped(operator, shape, corner)
    run = on_device(run, ops)
    network = CountingNetwork(run.model.network)
    run = replace(run, model=replace(run.model, network=network))
    parts = []
    with np.errstate(over="ignore", invalid="ignore"):  # reported below
        for first in range(0, len(y), BATCH["images"]):
            batch = slice(first, first + BATCH["images"])
            indices = to_device(np.asarray(sample[batch]), ops)
            measured = to_device(y[batch].astype(np.float32), ops)
            prior_run = conditioned(run, indices, **condition)
            problem = Problem(
                prior_run, ops, operator, measured, noise, indices, seed, steps or how.steps
            )
            parts.append(to_host(final_sample(watch(how.states(problem))), ops))
    x = np.concatenate(parts)
    if not np.isfinite(x).all():
        raise ValueError(f"{how.title} diverged: more steps may help")
    return x, network.evaluations / len(y)
