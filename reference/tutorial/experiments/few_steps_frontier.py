"""Error against network evaluations for samplers with exact scores, on mixtures in 1 to 64
dimensions.

All samplers (few_steps_samplers.py) begin with the exact law at sigma / alpha = 80 and end with the
mean of x_0 at 0.002.  This evaluation moves x by about 1e-6 deviations from the data, for every
sampler, and is left out.  The error of the steps has three measures, all divided by the deviation
of the data:

    W1 on the line.  A sampler without noise is a function of the start, and W1 follows from its
    values on a grid (``exact.wasserstein``), without particles.
    The coupled error E‖x - x*‖ of samplers without noise in more dimensions, x* the exact flow from
    the same start.  A coupling bounds W1 from above; on the line it is W1, for steps short enough
    to preserve order.  The few particles that end in another mode than x* make up much of it; its
    median tells the order.
    The sliced distance: the mean of W1 along directions, for which the data are a mixture on the
    line with known quantiles.  It serves all samplers, but is bounded from below by the sampling
    error of the particles; the floor is the distance of as many exact draws.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.mixtures import Mixture, example_2_1
from reference.distillation.exact import data_mesh, quantile_map, wasserstein
from reference.ops.random import Purpose
from reference.runs.solvers import integrate
from reference.samplers import final_sample
from reference.tutorial.experiments.few_steps_exact import FINE, ORDER_SLACK
from reference.tutorial.experiments.few_steps_samplers import METHODS, PROCESS, SEED
from reference.tutorial.experiments.restoration_mixtures import SHAPES, Posteriors, mixture

START_SEED, FLOOR_SEED = 2, 3
DIRECTIONS = 16
LINE_BUDGETS = (6, 12, 24, 48, 96, 192, 384)
FLOW_ERROR, MEDIAN, SLICED = "coupled", "coupled, median", "sliced"
TARGETS = (0.1, 0.01)
ABOVE_FLOOR = 3.0  # errors below three floors are mostly sampling error
APART = 0.5  # tells one order from the next, where particles leave errors of a third
# stands for the exact flow
FLOW = {"sampler": "ode-rk4", "seed": SEED, "steps": 200, "grid": "karras"}


@dataclass(frozen=True)
class Problem:
    """Data of this ``score``(x, alpha, sigma) and this deviation, and starts x[n,d].

    ``flowing`` [m,d]: the starts of samplers without noise.  On the line the exact flow leads from
    them to ``grid`` [m]; in more dimensions they are x.  ``exact`` [m,d]: the end of the flow from
    them, with the last evaluation.  ``axes`` [j,d]: directions.  ``quantiles`` [j,n]: those of the
    data along the axes, in units of their deviation there.
    """

    mixture: Mixture
    score: Callable
    deviation: float
    x: np.ndarray
    flowing: np.ndarray
    exact: np.ndarray
    grid: np.ndarray | None
    axes: np.ndarray
    quantiles: np.ndarray

    def flow_error(self, samples):
        """The error of a sampler without noise from ``flowing``."""
        if self.grid is None:
            distance = np.linalg.norm(samples - self.exact, axis=1).mean()
        else:
            distance = wasserstein(self.mixture, self.grid, samples[:, 0], self.exact[:, 0])
        return float(distance) / self.deviation

    def sliced(self, samples):
        """The mean over directions of W1 along them."""
        sorted_samples = np.sort(self.axes @ samples.T, axis=1)
        return float(np.abs(sorted_samples - self.quantiles).mean())


def problem(d, n, ops=reference_ops):
    """Ex 2.1, or three Gaussians in d dimensions, with n particles."""
    data = example_2_1(ops) if d == 1 else mixture(SHAPES[d], ops)
    score, sample, grid = fast_score(data), np.arange(n), None
    alpha, sigma = PROCESS.marginal(PROCESS.t_max)
    eps = ops.normal(START_SEED, sample, 0, Purpose.PRIOR, (d,), np.float64)
    flowing = x = alpha * data.sample(START_SEED, sample)[0] + sigma * eps
    if d == 1:
        grid = data_mesh(data, FINE)
        flowing = quantile_map(data, data.noised(alpha, sigma), grid)[:, None]
    at = lambda x, t: score(x, *PROCESS.marginal(t))
    exact = final_sample(integrate(PROCESS, at, flowing, np.arange(len(flowing)), **FLOW))
    axes = ops.normal(
        SEED, np.arange(DIRECTIONS if d > 1 else 1), 0, Purpose.PROBE, (d,), np.float64
    )
    axes /= np.sqrt(np.einsum("ji,ik,jk->j", axes, data.covariance, axes))[:, None]
    along = [Mixture(data.weights, data.means @ a[:, None], a @ data.full @ a) for a in axes]
    quantiles = np.stack([line.quantile((sample + 0.5) / n) for line in along])
    deviation = float(np.trace(data.covariance)) ** 0.5
    return Problem(data, score, deviation, x, flowing, exact, grid, axes, quantiles)


def fast_score(data):
    """score(x, alpha, sigma) of a mixture, by the eigenvectors of its covariances."""
    prior = Posteriors(data.weights[:, None], data.means[:, None], data.full)
    return lambda x, alpha, sigma: (alpha * prior.denoise(x, alpha, sigma) - x) * (1 / sigma**2)


def floor(data, n, draws=4):
    """The mean sliced distance of n exact draws."""
    sample = np.arange(draws * n).reshape(draws, n)
    return np.mean([data.sliced(data.mixture.sample(FLOOR_SEED, each)[0]) for each in sample])


def measure(data, method, steps, ops=reference_ops):
    """(evaluations, measure -> error) of a sampler."""
    calls = 0

    def score(x, alpha, sigma):
        nonlocal calls
        calls += 1
        return data.score(x, alpha, sigma)

    start = data.x if method.noisy else data.flowing
    with np.errstate(over="ignore", invalid="ignore"):  # steps far too long
        x = final_sample(method.states(score, steps, start, np.arange(len(start)), ops))
    found = {} if method.noisy else {FLOW_ERROR: data.flow_error(x)}
    if method.noisy or data.grid is None:
        found[SLICED] = data.sliced(x)
    if not method.noisy and data.grid is None:
        distances = np.linalg.norm(x - data.exact, axis=1)
        found[MEDIAN] = float(np.median(distances)) / data.deviation
    return calls, found


def frontier(outcome, sizes, budgets, ops=reference_ops):
    """Tables and checks for ``sizes``, dimension -> particles; returns (d, sampler, measure) ->
    [(evaluations, error)], and d -> floor.

    ``budgets``: evaluations but the last; the line takes all of LINE_BUDGETS for samplers without
    noise, because they have no particles there.
    """
    found: dict = {}
    floors = {}
    for d, n in sizes.items():
        data = problem(d, n, ops)
        floors[d] = floor(data, n)
        for name, method in METHODS.items():
            chosen = LINE_BUDGETS if d == 1 and not method.noisy else budgets
            for B in chosen:
                if B % method.stages == 0:
                    evaluations, errors = measure(data, method, B // method.stages, ops)
                    for kind, error in errors.items():
                        found.setdefault((d, name, kind), []).append((evaluations, error))
        report(outcome, found, d, n, floors[d])
    check(outcome, found, floors)
    return found, floors


def report(outcome, found, d, n, least):
    columns = sorted({count for key, points in found.items() if key[0] == d for count, _ in points})
    rows = []
    for (dimension, name, kind), points in found.items():
        if dimension == d:
            errors = dict(points)
            floor = least if kind == SLICED else 0.0
            rows.append(
                (
                    name,
                    kind if d > 1 else "W1",
                    *(errors.get(count, "") for count in columns),
                    last_order(points, floor),
                    *(reached(points, target, floor) for target in TARGETS),
                )
            )
    header = ("sampler", "measure", *map(str, columns), "last slope")
    targets = [f"evaluations to {target:g}" for target in TARGETS]
    title = f"d = {d}: error / deviation by evaluations, {n} particles with floor {least:.2g}"
    outcome.tables[title] = (*header, *targets), rows


def last_order(points, floor=0.0):
    """The slope of the last two errors well above the floor over the number of steps, to which the
    last evaluation does not belong; "" if there are less than two.
    """
    above = [point for point in points if point[1] > ABOVE_FLOOR * floor]
    if len(above) < 2:
        return ""
    (few, before), (many, last) = above[-2:]
    return float(np.log(before / last) / np.log((many - 1) / (few - 1)))


def reached(points, target, floor=0.0):
    """The evaluations at which the error falls to ``target`` for good, interpolated between their
    logarithms; "" where it does not, or where the floor hides it.
    """
    if floor > target / 2 or points[-1][1] > target:
        return ""
    crossed = None
    for (few, before), (many, after) in pairwise(points):
        if before > target >= after:
            share = np.log(before / target) / np.log(before / after)
            crossed = float(few * (many / few) ** share)
    return points[0][0] if crossed is None else crossed


def check(outcome, found, floors):
    """Orders: without noise on the line, and in more dimensions up to 2, higher ones begin later;
    with noise those of order 1 on the line, because errors of order 2 reach the floor before their
    order shows (they are tested on Gaussians, where nothing hides them).
    """
    for name, method in METHODS.items():
        if method.order is None or (method.noisy and method.order > 1):
            continue
        orders, slack = {}, {}
        for d, least in floors.items():
            if method.noisy and d == 1:
                orders[d], slack[d] = last_order(found[d, name, SLICED], least), APART
            elif not method.noisy and (d == 1 or method.order <= 2):
                kind = FLOW_ERROR if d == 1 else MEDIAN
                orders[d] = last_order(found[d, name, kind])
                slack[d] = ORDER_SLACK if d == 1 else 2 * ORDER_SLACK
        known = {d: order or np.nan for d, order in orders.items()}
        outcome.check(
            f"{name}: the error falls with order {method.order}",
            ", ".join(f"{order:.2f} (d = {d})" for d, order in known.items()),
            all(abs(order - method.order) < slack[d] for d, order in known.items()),
        )
