"""The loss of a run by noise level, beside denoisers that need no training (yardsticks.py).

Every prediction (noise, x_0, v) is converted to E[x_0 | x] by the model itself.  The loss is the
mean square of its error over sigma, that is of the predicted noise, at x = alpha x_0 + sigma eps
with alpha^2 + sigma^2 = 1.  So the losses of all runs on the same data can be compared.
"""

import numpy as np

from reference.diffusion.yardsticks import LinearDenoiser, memorising_denoiser, noise_loss
from reference.ops.random import Purpose, normal
from reference.runs.conditions import with_labels
from reference.runs.image_quality import spread
from reference.runs.views import largest_level_ratio, noise_range, posterior_mean_of

LEVELS = (0.05, 0.1, 0.3, 1.0, 3.0, 10.0)  # sigma / alpha
BATCH = 128  # samples that go through the network together

NETWORK, TRAINING = "network", "network, training data"
LINEAR, MEMORISING = "best linear denoiser", "memorising denoiser"
EXACT = "exact denoiser"


def losses_by_noise_level(run, ops, count=512, seed=4):
    """(levels [k], name -> (mean [k], standard error [k])): the losses of the network, of the best
    linear and of the memorising denoiser on ``count`` held-out samples, evenly spread, with the
    same noise; the loss of the network on as many training samples; and for data drawn from a
    mixture the loss of the exact denoiser, the least possible.

    ValueError for a run without a score.
    """
    data, levels = run.data, levels_of(run)
    linear, train = LinearDenoiser.fit(data.train), data.train.astype(np.float32, copy=False)
    found: dict[str, list] = {}
    for k, level in enumerate(levels):
        x0, labels, x = _noised(data.held_out, data.held_out_labels, count, level, seed, k)
        predictions = {
            NETWORK: _network(run, labels, x, level, ops),
            LINEAR: linear.posterior_mean(x, level),
            MEMORISING: memorising_denoiser(x, level, train),
        }
        if data.mixture:
            exact = data.mixture.posterior_mean(x.astype(np.float64), 1.0, level)
            predictions[EXACT] = exact
        losses = {name: noise_loss(x0_hat, x0, level) for name, x0_hat in predictions.items()}
        x0, labels, x = _noised(data.train, data.train_labels, count, level, seed + 1, k)
        losses[TRAINING] = noise_loss(_network(run, labels, x, level, ops), x0, level)
        for name, each in losses.items():
            found.setdefault(name, []).append((each.mean(), each.std() / len(each) ** 0.5))
    ordered = (name for name in (NETWORK, TRAINING, LINEAR, MEMORISING, EXACT) if name in found)
    return np.array(levels), {name: tuple(np.array(found[name]).T) for name in ordered}


def levels_of(run):
    """The LEVELS within the trained range; of a run with few noise levels the trained ones nearest
    to them, because its network is less exact between its levels.
    """
    low, high = noise_range(run)
    chosen = [level for level in LEVELS if low <= level <= high] or [high]
    if largest_level_ratio(run) == 1:
        return chosen
    schedule = run.model.schedule
    times = np.arange(1, schedule.last_with_signal + 1)
    trained = np.exp(-schedule.log_snr(times) / 2)
    return sorted({float(trained[abs(np.log(trained / level)).argmin()]) for level in chosen})


def _noised(samples, labels, count, level, seed, number):
    """(x0, labels, x = x0 + level eps) of ``count`` samples."""
    chosen = spread(len(samples), min(count, len(samples)))
    x0 = samples[chosen].astype(np.float32, copy=False)
    noise = normal(seed, chosen, number, Purpose.EVALUATION, x0.shape[1:], x0.dtype)
    return x0, labels[chosen], x0 + x0.dtype.type(level) * noise


def _network(run, labels, x, level, ops):
    """E[x_0 | x] [b,...] by the run's averaged weights, with its labels if it has classes."""
    alpha = (1 + level**2) ** -0.5
    parts = []
    for first in range(0, len(x), BATCH):
        batch = slice(first, first + BATCH)
        mean = posterior_mean_of(with_labels(run, labels[batch]), ops)
        parts.append(mean(x.dtype.type(alpha) * x[batch], alpha, alpha * level))
    return np.concatenate(parts)
