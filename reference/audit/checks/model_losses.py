"""The loss of a trained model and the loss of the best linear denoiser at chosen levels.

Both are losses of the noise: the mean square of eps_hat - eps over the entries of a sample.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from reference.audit.checks.schedule import LARGEST_PRIOR_TERM
from reference.audit.checks.statistics import paired
from reference.audit.levels import PREDICTIONS
from reference.diffusion.yardsticks import noise_loss

COUNT = 8  # levels
ENTRIES = 2**15  # of all samples of a level together; their number decides how exact its loss is
FEWEST, MOST = 16, 256  # samples of a level
PART = 64  # samples of one call
LOG_SNR = 10.0  # levels with an SNR between e^-10 and e^10: samplers end about there
TOLERATED = LARGEST_PRIOR_TERM  # nats an entry that a model may cost beyond the linear denoiser


@dataclass(frozen=True)
class Outputs:
    """``times``[k], ``alpha``, ``sigma``; samples x0[n,...] and their noise, the same at all
    levels; the model's ``x`` and ``output``[k,n,...].
    """

    times: list
    alpha: np.ndarray
    sigma: np.ndarray
    x0: np.ndarray
    noise: np.ndarray
    x: np.ndarray
    output: np.ndarray

    def noise_hat(self, k, prediction):
        """The noise that the model predicts at level k, if its output is this ``prediction``."""
        alpha, sigma = self.alpha[k], self.sigma[k]
        r0, r1 = PREDICTIONS[prediction](alpha, sigma)
        if r0 == 0:  # also for alpha = 0
            return self.output[k] / r1
        return (alpha * self.output[k] - r0 * self.x[k]) / (alpha * r1 - sigma * r0)


def outputs(target, levels, data, seed=0):
    """``Outputs`` of a target's ``denoise`` for random samples of ``data``."""
    rng = np.random.default_rng(seed)
    samples = min(max(ENTRIES // data[0].size, FEWEST), MOST)
    x0 = data[rng.permutation(len(data))[:samples]].astype(np.float64)
    noise = rng.standard_normal(x0.shape)
    times = chosen_times(levels)
    alpha, sigma = np.array([levels.at(t) for t in times]).T
    x = np.array([a * x0 + s * noise for a, s in zip(alpha, sigma)]).astype(data.dtype)
    output = np.array([_in_parts(target, x_t, t) for x_t, t in zip(x, times)])
    return Outputs(times, alpha, sigma, x0, noise, x.astype(np.float64), output)


def _in_parts(target, x, t):
    parts = [x[first : first + PART] for first in range(0, len(x), PART)]
    results = [target.call("denoise", part.shape, x=part, t=t) for part in parts]
    return np.concatenate(results).astype(np.float64)


@dataclass(frozen=True)
class Losses:
    """``times``[k], ``alpha``, ``sigma``; ``model`` and ``linear``[k,n]: each sample's loss."""

    times: list
    alpha: np.ndarray
    sigma: np.ndarray
    model: np.ndarray
    linear: np.ndarray

    def cost(self):
        """What the excess over the linear denoiser costs at each level, in nats an entry.

        A wrong score moves the law of the samples by a Kullback-Leibler divergence of at most
        1/2 int E|eps_hat - eps|^2 d log(SNR), the integral of Girsanov's theorem; the part of each
        level reaches half-way to its neighbours (the trapezoidal rule).
        """
        gaps = np.abs(np.diff(2 * np.log(self.alpha / self.sigma)))
        width = (np.append(gaps, 0) + np.append(0, gaps)) / 2
        return (self.model.mean(axis=1) - self.linear.mean(axis=1)) * width / 2

    def worse_than_linear(self):
        return np.array([paired(a - b, len(self.times)) for a, b in zip(self.model, self.linear)])

    def better_than_linear(self):
        return np.array([paired(b - a, len(self.times)) for a, b in zip(self.model, self.linear)])

    def rows(self):
        names = ("t", "alpha", "sigma", "model", "best linear")
        columns = (self.times, self.alpha, self.sigma, self.model.mean(1), self.linear.mean(1))
        return [{n: float(v) for n, v in zip(names, row)} for row in zip(*columns)]


def losses(seen, prediction, linear):
    """``Losses`` of ``Outputs`` read as ``prediction``, beside those of a ``LinearDenoiser``."""
    rows: Any = ([], [])
    for k, scale in enumerate(seen.sigma / seen.alpha):
        error = (seen.noise_hat(k, prediction) - seen.noise).reshape(len(seen.x0), -1)
        rows[0].append((error**2).mean(axis=1))
        x0_hat = linear.posterior_mean(seen.x0 + scale * seen.noise, scale)
        rows[1].append(noise_loss(x0_hat, seen.x0, scale))
    return Losses(seen.times, seen.alpha, seen.sigma, np.array(rows[0]), np.array(rows[1]))


def excess(seen, prediction, linear):
    """What the model costs beyond the linear denoiser, in nats an entry; infinite if it is NaN."""
    total = float(losses(seen, prediction, linear).cost().sum())
    return total if np.isfinite(total) else np.inf


def chosen_times(levels, count=COUNT, within=LOG_SNR):
    """Training times, evenly spaced in log(SNR)."""
    probes = levels.times[:: max(1, len(levels.times) // 500)]
    pairs = np.array([levels.at(t.item()) for t in probes])
    with np.errstate(divide="ignore"):
        log_snr = 2 * np.log(pairs[:, 0] / pairs[:, 1])
    inside = np.flatnonzero(np.abs(log_snr) <= within)
    if len(inside) == 0:
        return []
    wanted = np.linspace(log_snr[inside[0]], log_snr[inside[-1]], count)
    nearest = {int(inside[np.argmin(np.abs(log_snr[inside] - w))]) for w in wanted}
    return [probes[i].item() for i in sorted(nearest)]
