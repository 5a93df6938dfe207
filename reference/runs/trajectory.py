"""One sampler on one trained run, as a generator of its states."""

from dataclasses import replace

import numpy as np

from reference.ddpm.indi import brownian_deviation
from reference.ops.random import Purpose
from reference.runs import conditions, solvers
from reference.runs.devices import to_device, to_host
from reference.runs.sampler_options import langevin_limit
from reference.runs.views import noise_range, schedule_of
from reference.samplers.ancestral import ancestral, prior
from reference.samplers.annealed_langevin import annealed_langevin
from reference.samplers.clipping import Clip
from reference.samplers.consistency import consistency, levels
from reference.samplers.ddim import ddim
from reference.samplers.indi import indi
from reference.samplers.langevin import langevin


def trajectory(run, ops, sample, sampler, seed, clip="data", start=None, **own):
    """The sampler as a generator of (t, x, x0), for the samples of the indices ``sample`` [b].

    ``own``: the sampler's options, all of them, and the options of conditions.py
    (``sampler_options``).  ``clip``: data, none, or a ``Clip`` for the predictions of x_0.
    ``start``[b,...]: where ``ddpm`` and ``ddim`` begin, in place of noise.
    """
    condition = {name: own.pop(name) for name in conditions.OPTIONS if name in own}
    run = conditions.conditioned(run, sample, **condition)
    model, weights = run.model, run.state.ema
    clip = data_clip(run, clip) if isinstance(clip, str) else clip
    if sampler == "decoder":
        noise = len(model.network.sample_shape) == 1  # points: draws; images: the decoder's mean
        return iter([(0, model.sample(weights, seed, sample, noise, ops=ops), None)])
    if sampler in solvers.STEPS:
        return solvers.solve(run, ops, sample, sampler, seed, clip=clip, **own)
    steps = own["steps"]
    if sampler in ("ddpm", "ddim"):
        schedule, predict, prediction = schedule_of(run, ops, steps)
        scale = schedule.prior_scale
        x = initial_sample(run, ops, sample, sampler, seed, scale) if start is None else start
        steps_of, option = (ancestral, "variance") if sampler == "ddpm" else (ddim, "eta")
        how = {"clip": clip, "ops": ops, "prediction": prediction, option: own[option]}
        return steps_of(predict, schedule, schedule.timesteps(steps), x, seed, sample, **how)
    x = initial_sample(run, ops, sample, sampler, seed, **own)
    if sampler == "indi":
        return _restore(model, weights, ops, x, sample, seed, **own)
    smallest, largest = noise_range(run)
    if sampler == "consistency":
        f = model.consistency_function(weights, ops=ops)
        return consistency(f, levels(steps, smallest, largest), x, seed, sample, ops)
    score = solvers.clipped_score(run, ops, clip)
    if sampler == "langevin":
        at_smallest = lambda x: score(x, 1.0, smallest)
        limit = langevin_limit(run)
        return langevin(at_smallest, x, own["step_size"], steps, seed, sample, limit, ops)
    sigmas = np.geomspace(largest, smallest, own["levels"])
    at_level = lambda x, sigma: score(x, 1.0, sigma)
    return annealed_langevin(at_level, sigmas, x, steps, seed, sample, own["base_step"], ops=ops)


def _restore(model, weights, ops, x, sample, seed, steps, noise, blur):
    start = model.degradation.start_time(noise, blur)
    deviation = brownian_deviation(model.epsilon) if model.epsilon else None
    if deviation:
        z = ops.normal(seed, sample, 0, Purpose.LATENT, x.shape[1:], x.dtype)
        x = ops.add_noise(x, 1.0, deviation(start), z)
    grid = [start * (steps - k) / steps for k in range(steps + 1)]
    return indi(model.denoise_function(weights, ops), grid, x, seed, sample, deviation, ops)


def initial_sample(run, ops, sample, sampler, seed, scale=1.0, **own):
    """The x from which the sampler starts, for the indices ``sample`` [b]: degraded held-out data
    for ``indi``, else Gaussian noise.  ``scale`` is the standard deviation of that noise for
    ``ddpm`` and ``ddim``; the other samplers have their own.
    """
    if sampler == "indi":
        y, _ = degraded(run, ops, to_host(sample, ops), seed, own["noise"], own["blur"])
        return to_device(y, ops)
    if sampler == "langevin":
        scale = (run.model.data_variance + noise_range(run)[0] ** 2) ** 0.5
    elif run.method.restores:  # its largest noise may be no larger than the data
        return solvers.prior_sample(run, sample, seed, ops)
    elif sampler in ("annealed-langevin", "consistency"):
        scale = noise_range(run)[1]
    return prior(seed, sample, run.model.network.sample_shape, scale=scale, ops=ops)


def degraded(run, ops, sample, seed, noise=None, blur=None):
    """(degraded, clean): held-out data of the indices ``sample``, modulo their number.  The
    degradation is the run's; ``noise`` and ``blur`` replace its levels where they are given.
    """
    level, clean = run.model.degradation, run.data.held_out
    given = {"noise": noise, "blur": blur}
    level = replace(level, **{name: value for name, value in given.items() if value is not None})
    chosen = clean[sample % len(clean)]
    n = ops.normal(seed, sample, 0, Purpose.PRIOR, chosen.shape[1:], chosen.dtype)
    return level(chosen, n), chosen


def data_clip(run, clip):
    """The ``Clip`` of the run's data, active unless ``clip`` is "none".

    Runs without a recorded range of points have no clip.
    """
    is_image = len(run.model.network.sample_shape) == 3
    default = (-1.0, 1.0) if is_image else (-np.inf, np.inf)
    low, high = run.config.get("data_range") or default
    return Clip(low, high, clip != "none")


def length(sampler, steps=1, levels=1, **own):
    """The number of states that ``trajectory`` yields."""
    solver = sampler in solvers.STEPS and sampler != "edm"
    denoised = solver or sampler == "annealed-langevin"
    return levels * steps + denoised


def describe(
    sampler,
    seed,
    steps=None,
    levels=None,
    evaluations=None,
    label=None,
    caption=None,
    guidance=1.0,
    guidance_interval=None,
    **own,
):
    """``ddim, 50 steps, seed 0``, and where given ``, label 3, guidance 2, 100 network
    evaluations``.
    """
    count = f"{steps} step{'' if steps == 1 else 's'}{' each' if levels else ''}" if steps else ""
    plural = "" if evaluations == 1 else "s"
    cost = f"{evaluations:.4g} network evaluation{plural}" if evaluations else ""
    kind = "" if label is None else f"label {label}"
    if caption == conditions.OWN:
        kind = "the captions of held-out images"
    elif caption:
        kind = f"caption {caption[0]!r}" if len(caption) == 1 else f"{len(caption)} captions"
    weight = "" if guidance == 1 else f"guidance {guidance:g}"
    if weight and guidance_interval:
        weight += " at noise {:g} to {:g}".format(*guidance_interval)
    levels = f"{levels} levels" if levels else ""
    parts = [sampler, levels, count, f"seed {seed}", kind, weight, cost]
    return ", ".join(filter(None, parts))
