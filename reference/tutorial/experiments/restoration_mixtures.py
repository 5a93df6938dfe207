"""Restoration of small images with a Gaussian mixture as the prior: are the samples of each method
distributed as the exact posterior?
"""

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.mixtures import Mixture
from reference.restoration.operators import Mask, Matrix
from reference.restoration.posterior import posterior
from reference.restoration.separable import Separable, block_mean, blur
from reference.samplers import final_sample
from reference.samplers.ancestral import prior
from reference.samplers.edm import edm, sigmas
from reference.tutorial.experiments.posterior_calibration import (
    QUANTITIES,
    SAMPLES,
    bound,
    calibration,
)
from reference.tutorial.experiments.restoration_methods import (
    DPS,
    DPS_OF_CODE,
    DPS_OF_PAPER,
    EXACT_ODE,
    HIGH,
    LIKELIHOOD,
    METHODS,
    Problem,
)

SHAPES = {2: (1, 2, 1), 16: (4, 4, 1), 64: (8, 8, 1)}  # dimension -> images
NOISES = (0.1, 0.3)
HEUN_LEVELS = 64
DIRECT, HEUN = "exact posterior, drawn directly", "exact score, Heun"
APPROXIMATE = tuple(name for name in METHODS if name not in (EXACT_ODE, DPS, LIKELIHOOD))
HALVES = {DPS_OF_PAPER: 1.0, DPS_OF_CODE: 0.5}  # of the step of the paper
SEED, DIRECT_SEED = 1, 2  # the second for draws that must not repeat those of x_0


def mixture(shape, ops=reference_ops):
    """Three Gaussians for images of this shape: the means are waves in three directions, the
    covariances smooth, C(p, q) = s^2 (exp(-‖p - q‖^2 / (2 l^2)) + [p = q] / 20), for pixels in
    units of the image's width.
    """
    height, width, _ = shape
    u, v = ((np.arange(n) + 0.5) / n for n in (width, height))
    pixels = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
    angles = np.pi * np.arange(3) / 3
    means = np.cos(np.pi * np.stack((np.cos(angles), np.sin(angles)), axis=1) @ pixels.T)
    squares = ((pixels[:, None] - pixels) ** 2).sum(axis=-1)
    deviations, lengths = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.4, 0.8])
    smooth = np.exp(-squares / (2 * lengths[:, None, None] ** 2))
    covariances = deviations[:, None, None] ** 2 * (smooth + np.eye(len(pixels)) / 20)
    return Mixture(np.array([0.5, 0.3, 0.2]), means, covariances, ops)


def operators(shape):
    """Name -> operator on images of this shape; the matrix takes them as points."""
    height, width, _ = shape
    n = height * width
    known = (np.add.outer(np.arange(height), np.arange(width)) % 2 == 0)[..., None]
    half = Separable(np.ones((1, 1)), np.full((1, 2), 0.5)) if height == 1 else block_mean(shape, 2)
    i, j = np.arange(n // 2)[:, None], np.arange(n)
    cosines = (2 / n) ** 0.5 * np.cos(np.pi * (2 * i + 1) * (2 * j + 1) / (4 * n))
    return {
        "mask": Mask(known),
        "blur": blur(shape, 0.5 if height == 1 else 1.0),
        "block mean": half,
        "matrix": Matrix(np.geomspace(1, 0.1, n // 2)[:, None] * cosines),
    }


@dataclass(frozen=True)
class Posteriors:
    """p(x_0 | y_b) of a mixture for each of many y: weights[k,b], means[k,b,d], and covariances
    [k,d,d], which are the same for all y.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    @cached_property
    def _eigen(self):
        return np.linalg.eigh(self.covariances)

    def denoise(self, x, alpha, sigma):
        """E[x_0 | x, y] [b,*shape] for x = alpha x_0 + sigma eps, one x for each y."""
        values, vectors = self._eigen
        V = (alpha**2 * values + sigma**2)[:, None]  # [k,1,d], of x along the eigenvectors
        z = (x.reshape(len(x), -1) - alpha * self.means) @ vectors
        with np.errstate(divide="ignore"):
            logs = np.log(self.weights) - (z**2 / V + np.log(V)).sum(axis=2) / 2
        means = self.means + (alpha * values[:, None] / V * z) @ vectors.swapaxes(1, 2)
        r = reference_ops.softmax(logs.T)
        return np.einsum("bk,kbd->bd", r, means).reshape(x.shape)


@dataclass(frozen=True)
class Measured:
    """Measurements y[b,...] of x_0[b,d] by an operator with noise, and the exact posteriors."""

    mixture: Mixture
    operator: object
    noise: float
    x0: np.ndarray
    y: np.ndarray
    posteriors: list

    def problem(self):
        """With each y ``SAMPLES`` times."""
        repeated = lambda name: np.repeat(
            np.stack([getattr(each, name) for each in self.posteriors], axis=1), SAMPLES, axis=1
        )
        exact = Posteriors(repeated("weights"), repeated("means"), self.posteriors[0].full)
        flat = lambda x: x.reshape(len(x), -1)

        def denoise_and_pullback(x, alpha, sigma):
            mean, pullback = self.mixture.posterior_mean_and_pullback(flat(x), alpha, sigma)
            return mean.reshape(x.shape), lambda v: pullback(flat(v)).reshape(v.shape)

        return Problem(
            self.operator,
            np.repeat(self.y, SAMPLES, axis=0),
            self.noise,
            lambda x, *level: self.mixture.posterior_mean(flat(x), *level).reshape(x.shape),
            denoise_and_pullback,
            exact.denoise,
            float(np.trace(self.mixture.covariance)) / self.mixture.dimension,
        )


def measure(shape, operator, noise, n, ops=reference_ops):
    """n measurements of samples of the mixture."""
    data = mixture(shape, ops)
    x0, _ = data.sample(SEED, np.arange(n))
    images = x0.reshape(n, *operator.shape)
    y = operator.measure(images, noise, SEED, np.arange(n), ops)
    posteriors = [posterior(data, operator, each, noise) for each in y]
    return Measured(data, operator, noise, x0, y, posteriors)


def samples(measured, name, N, ops=reference_ops):
    """``SAMPLES`` samples for each measurement, [b,S,d]."""
    sample = np.arange(len(measured.y) * SAMPLES)
    shaped = lambda x: x.reshape(len(measured.y), SAMPLES, -1)
    if name == DIRECT:
        pairs = zip(measured.posteriors, np.split(sample, len(measured.y)))
        return np.stack([each.sample(DIRECT_SEED, indices)[0] for each, indices in pairs])
    problem = measured.problem()
    x = prior(SEED, sample, measured.operator.shape, np.float64, HIGH, ops)
    if name == HEUN:
        denoise = lambda x, sigma: problem.exact(x, 1.0, sigma)
        return shaped(final_sample(edm(denoise, sigmas(HEUN_LEVELS, sigma_max=HIGH), x)))
    return shaped(final_sample(METHODS[name](problem, N, x, SEED, sample, ops)))


def calibrations(outcome, sizes, noises, N, ops=reference_ops):
    """Tables and checks for ``sizes``, dimension -> number of measurements; returns (d, operator,
    s_y, method) -> ``calibration``.
    """
    found = {}
    for d, n in sizes.items():
        for title, operator in operators(SHAPES[d]).items():
            for noise in noises:
                measured = measure(SHAPES[d], operator, noise, n, ops)
                for name in (DIRECT, HEUN, *APPROXIMATE):
                    x = samples(measured, name, N, ops)
                    found[d, title, noise, name] = calibration(measured, x)
    report(outcome, found, N)
    residuals(outcome, found)
    check_exact(outcome, found, sizes)
    return found


def report(outcome, found, N):
    """A table for each dimension, and one of the extremes over all problems."""
    columns = [part for title, _ in QUANTITIES.values() for part in (title, "±")]
    for d in dict.fromkeys(key[0] for key in found):
        rows = [
            (*problem, *sum((values[name] for name in QUANTITIES), ()))
            for (dimension, *problem), values in found.items()
            if dimension == d
        ]
        header = ("operator", "s_y", "method", *columns)
        outcome.tables[f"Mixture in {d} dimensions, N = {N}, ± one standard error"] = header, rows
    titles = [title for title, _ in QUANTITIES.values()]
    header = ("method", *(f"{title}, {end}" for title in titles for end in ("least", "most")))
    rows = [
        (method, *(end for name in QUANTITIES for end in extremes(found, method, name)))
        for method in (DIRECT, HEUN, *APPROXIMATE)
    ]
    outcome.tables["Mixtures: the least and the most over all problems"] = header, rows


def residuals(outcome, found):
    """The residual r = y - A x of DPS with zeta = 1.  Where J is I, a step of the paper changes r
    by -2 zeta A Aᵀ r / ‖r‖.  For the singular value s it takes ‖r‖ = zeta s^2 to -r, and back.
    """
    rows = []
    for (d, title, noise, method), values in found.items():
        if method in HALVES:
            operator = operators(SHAPES[d])[title]
            m, s = prod(operator.measured_shape), operator.singular_values.max()
            norm = noise * (m * values["chi2"][0]) ** 0.5
            rows.append((d, title, noise, method, norm, HALVES[method] * s**2, noise * m**0.5))
    outcome.tables["Mixtures: root mean square of the norm of y - A x, by DPS with ζ = 1"] = (
        (
            "d",
            "operator",
            "s_y",
            "method",
            "residual",
            "of the step: ζ s^2 or half",
            "of the noise",
        ),
        rows,
    )


def extremes(found, method, name):
    """The least and the greatest value of a quantity over all problems."""
    values = [each[name][0] for (*_, key), each in found.items() if key == method]
    return min(values), max(values)


def check_exact(outcome, found, sizes):
    """Samples of the exact posterior are calibrated, by Student's distribution of a mean over the
    measurements.
    """
    known = {name: exact for name, (_, exact) in QUANTITIES.items() if exact is not None}
    tests = len(known) * sum(key[-1] in (DIRECT, HEUN) for key in found)
    for method in (DIRECT, HEUN):
        worst = max(
            abs(values[name][0] - exact) / values[name][1] / bound(sizes[d], tests)
            for (d, *_, key), values in found.items()
            if key == method
            for name, exact in known.items()
        )
        outcome.check(
            f"mixtures, {method}: calibrated in every problem",
            f"{worst:.2f} of the bound for one false alarm in 10^6",
            worst < 1,
        )
