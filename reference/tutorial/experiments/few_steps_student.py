"""A small network trained by consistency training on Ex 2.1, beside the exact optimum
(distillation/exact.py).

Training weights the squared error of the levels r < t by 1 / (t - r), so its floor is the mean of
floor / (t - r) over the levels.  Two numbers tell how far the student is from the optimum, both on
draws that it was not trained on and divided by the floor:

    its loss minus the floor.  The target is the student's own at the lower level: a student that
    ignored x would have a loss below the floor;
    its weighted mean squared distance to the exact f_n, the excess of its loss with exact targets:
    E|f - f_n|^2 = floor + E|f - E[f_n | x]|^2.
"""

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.mixtures import example_2_1
from reference.distillation.consistency import ConsistencyModel
from reference.distillation.exact import consistency_training, data_mesh, mesh, wasserstein
from reference.networks import MLP
from reference.samplers.edm import sigmas
from reference.sde.sde import VE
from reference.tutorial.experiments.few_steps_exact import HIGH, LOW
from reference.tutorial.experiments.training import trained

NETWORK = MLP((1,), 64, 3)
DRAWS = 1_000_000  # to train on
DATA_SEED, HELD_OUT_SEED = 1, 7
PART = 50_000  # of the held-out draws at once


def consistency_model(levels):
    """The model trained with the squared error at ``levels`` noise levels and 0."""
    variance = float(example_2_1().covariance[0, 0])
    schedule = VE(sigma_min=LOW, sigma_max=HIGH, min_noise_ratio=LOW)
    return ConsistencyModel(
        NETWORK, schedule, "F", data_variance=variance, objective="squared", levels=levels
    )


def noise_levels(model):
    """The rising levels [N+1] of training, from 0."""
    return sigmas(model.levels, *model.schedule.noise_range(model.data_variance))[::-1]


def compare(outcome, numbers, steps, draws, allowed, ops=reference_ops):
    """A student for each number of levels: a table, and checks that both excesses are at most the
    share ``allowed`` of the floor.
    """
    data, rows = example_2_1(ops), []
    y = data_mesh(data)
    x = data.sample(DATA_SEED, np.arange(DRAWS))[0].astype(np.float32)
    for N in numbers:
        model = consistency_model(N)
        levels = noise_levels(model)
        exact = consistency_training(data, levels)
        floor = float((exact.floors / np.diff(levels)).mean())
        params = trained(model, x, steps, ops=ops)
        loss, error, distance = held_out(model, params, exact, draws, ops)
        start = mesh(data, levels[-1], y).astype(np.float32)
        one_step = model.consistency_function(params, ops=ops)
        samples = one_step(start[:, None], float(levels[-1]))[:, 0]
        distances = (wasserstein(data, y, each) for each in (samples, exact.values[-1]))
        excess, far = loss / floor - 1, distance / floor
        rows.append((N, floor, loss, error, excess, far, *distances))
        outcome.check(
            f"consistency training, N = {N}: the student's loss exceeds the floor by at most"
            f" {allowed:.0%} on {draws} held-out draws",
            f"{excess:.2%} ± {error / floor:.2%}",
            abs(excess) < allowed,
        )
        outcome.check(
            f"consistency training, N = {N}: with exact targets, too",
            f"{far:.2%}",
            far < allowed,
        )
    header = ("N", "floor", "loss", "± one standard error", "excess / floor", "to optimum / floor")
    title = f"Students of Ex 2.1, {steps} steps of consistency training"
    outcome.tables[title] = (*header, "W1 of samples", "W1 of the optimum"), rows


def held_out(model, params, exact, draws, ops=reference_ops):
    """(loss, its standard error, weighted mean squared distance to the ``exact`` functions) on as
    many new draws.
    """
    data, levels = example_2_1(ops), noise_levels(model)
    losses, distance = [], 0.0
    for first in range(0, draws, PART):
        sample = np.arange(first, min(first + PART, draws))
        y = data.sample(HELD_OUT_SEED, sample)[0].astype(np.float32)
        drawn = model.sample_training_noise(HELD_OUT_SEED, sample, 1, (1,), y.dtype, ops)
        t, r, at_t, at_r, noise = drawn
        x = ops.add_noise(y, 1.0, t.astype(y.dtype), noise)
        target = model.target_of(params, x, y, t, r, at_t, at_r, noise, ops=ops)
        found, *_ = model.evaluate(params, x, at_t, ops=ops, keep=False)
        losses.append(((found - target)[:, 0].astype(np.float64)) ** 2 / (t - r))
        for n, level in enumerate(levels[1:], 1):
            own = t == level
            error = found[own, 0] - exact.function(n)(x[own, 0])
            distance += float((error**2).sum() / (level - levels[n - 1]))
    loss = np.concatenate(losses)
    return float(loss.mean()), float(loss.std() / draws**0.5), distance / draws
