"""Students of a sampler on data for which their optimum is known: a Gaussian and Ex 2.1.

Consistency training has a loss floor E[Var[f_n(x_n) | x_{n+1}]] at each level.  By the law of total
variance the floors sum to the variance that the samples lack, for any data:

    Var[f_n(x_n)] = Var[f_{n+1}(x_{n+1})] + floor,   sum of the floors = Var[x_0] - Var[f_N(x_N)].

For many levels the deviation of a Gaussian's samples over the exact one is 1 - A/N.  A step from b
to a = b - h multiplies by (c + a b) / (c + b^2), the flow by sqrt((c + a^2) / (c + b^2)); their
logarithms differ by -c h^2 / (2 (c + b^2)^2) + O(h^3).  With h = t'(u) / N for the levels t(u),

    A = 1/2 int c t'(u) / (c + t^2)^2 dt.
"""

from dataclasses import dataclass

import numpy as np

from reference.diffusion.mixtures import example_2_1
from reference.distillation.exact import (
    consistency_floors,
    consistency_gains,
    consistency_training,
    data_mesh,
    distilled,
    heun_gain,
    mesh,
    power,
    wasserstein,
)
from reference.samplers.edm import sigmas

NUMBERS = (10, 20, 40, 80, 160, 320)  # of levels, N
LOW, HIGH, RHO = 0.002, 80.0, 7.0
VARIANCE = 0.25  # of the Gaussian
TRAINING = "consistency training"
EULER, HEUN = "distillation, Euler", "distillation, Heun"
STUDENTS = {TRAINING: None, EULER: "euler", HEUN: "heun"}
ORDERS = {EULER: 1.0, HEUN: 2.0}
FINE = 0.01  # spacing of the points of data where maps have no further cost
ORDER_SLACK = 0.1
SPLINES = 1e-5  # relative error of 320 interpolations by splines with 0.02 between points
ROUNDING = 1e-12  # of some hundred steps of a few roundings each


def karras(N):
    """The N + 1 rising noise levels of N steps."""
    return sigmas(N + 1, LOW, HIGH, RHO)[-2::-1]


@dataclass(frozen=True)
class Answers:
    """For a law of the data: student -> a number for each of NUMBERS, and the floors for each N."""

    values: dict
    floors: list


def gaussian():
    """The deviation of one-step samples over the exact one, for N(0, VARIANCE)."""
    found: dict = {name: [] for name in STUDENTS}
    floors = []
    for N in NUMBERS:
        levels = karras(N)
        gain = float(consistency_gains(VARIANCE, levels)[-1])
        exact = (power(VARIANCE, (1.0, levels[0])) / power(VARIANCE, (1.0, levels[-1]))) ** 0.5
        for name, factor in zip(found, (gain, gain, heun_gain(VARIANCE, levels))):
            found[name].append(factor / exact)
        floors.append(consistency_floors(VARIANCE, levels))
    return Answers(found, floors)


def mixture():
    """W1 of one-step samples to Ex 2.1, and the variance that consistency training's samples lack.
    Samples begin with the exact law at the highest level.
    """
    data, floors, lacking = example_2_1(), [], []
    found: dict = {name: [] for name in STUDENTS}
    y, fine = data_mesh(data), data_mesh(data, FINE)
    density, start = np.exp(data.log_density(y[:, None])), mesh(data, HIGH, fine)
    variance = lambda x: np.trapezoid(density * x**2, y) - np.trapezoid(density * x, y) ** 2
    for N in NUMBERS:
        trained = consistency_training(data, karras(N))
        first, *_, last = trained.values
        floors.append(trained.floors)
        lacking.append(variance(first) - variance(last))
        found[TRAINING].append(wasserstein(data, y, last))
        for name in ORDERS:
            samples = distilled(data, karras(N), start, STUDENTS[name])
            found[name].append(wasserstein(data, fine, samples))
    return Answers(found, floors), lacking


def fitted_order(errors, numbers=NUMBERS):
    """The slope of log |error| over log N on the last three of ``numbers``, with the sign of an
    order.
    """
    x, y = np.log(numbers[-3:]), np.log(np.abs(errors[-3:]))
    return float(-np.polyfit(x, y, 1)[0])


def first_order_constant(variance, points=20_000):
    """A of the derivation, by the midpoint rule in u."""
    u = (np.arange(points) + 0.5) / points
    span = HIGH ** (1 / RHO) - LOW ** (1 / RHO)
    root = LOW ** (1 / RHO) + u * span
    slope = RHO * root ** (RHO - 1) * span
    return float((variance * slope**2 / (variance + root ** (2 * RHO)) ** 2).mean() / 2)


def answers(outcome):
    """Tables and checks; returns the W1 to Ex 2.1 of each student."""
    line = gaussian()
    on_mixture, lacking = mixture()
    report(outcome, line, on_mixture)
    check_gaussian(outcome, line)
    check_mixture(outcome, on_mixture, lacking)
    return on_mixture.values


def report(outcome, line, on_mixture):
    header = ("student", *(f"N = {N}" for N in NUMBERS), "order")
    deviations = [
        (name, *values, fitted_order(np.subtract(values, 1)))
        for name, values in line.values.items()
    ]
    title = f"One-step samples of N(0, {VARIANCE}): deviation / exact"
    outcome.tables[title] = header, deviations
    distances = [
        (name, *values, fitted_order(values)) for name, values in on_mixture.values.items()
    ]
    outcome.tables["One-step samples of Ex 2.1: W1 to the data"] = header, distances
    rows = [
        (title, name, *values, fitted_order(values))
        for title, law in ((f"N(0, {VARIANCE})", line), ("Ex 2.1", on_mixture))
        for name, values in (
            ("sum", [floors.sum() for floors in law.floors]),
            ("mean", [floors.mean() for floors in law.floors]),
        )
    ]
    outcome.tables["Loss floor of consistency training"] = (
        ("data", "of the levels", *header[1:]),
        rows,
    )


def check_gaussian(outcome, line):
    deviations = line.values
    for name, order in {TRAINING: 1.0, **ORDERS}.items():
        found = fitted_order(np.subtract(deviations[name], 1))
        outcome.check(
            f"Gaussian, {name}: the deviation tends to the exact one with order {order:g}",
            f"order {found:.3f}",
            abs(found - order) < ORDER_SLACK,
        )
    # the terms of order 1/N^2 cancel in twice the last minus the one before
    before, last = (N * (1 - value) for N, value in zip(NUMBERS[-2:], deviations[TRAINING][-2:]))
    A, found = first_order_constant(VARIANCE), 2 * last - before
    outcome.check(
        "Gaussian, consistency training: N (1 - deviation / exact) tends to A",
        f"{found:.4f}, A = {A:.4f}",
        abs(found / A - 1) < 1 / NUMBERS[-1],
    )
    low = power(VARIANCE, (1.0, LOW))
    worst = max(
        abs(floors.sum() - low * (1 - ratio**2))
        for floors, ratio in zip(line.floors, deviations[TRAINING])
    )
    outcome.check(
        "Gaussian: the floors sum to the variance that the samples lack, for every N",
        f"differences of {worst:.1e}",
        worst < ROUNDING,
    )


def check_mixture(outcome, found, lacking):
    for name, order in ORDERS.items():
        slope = fitted_order(found.values[name])
        outcome.check(
            f"Ex 2.1, {name}: W1 falls with order {order:g}",
            f"order {slope:.3f}",
            abs(slope - order) < ORDER_SLACK,
        )
    slope = fitted_order(found.values[TRAINING])
    outcome.check(
        "Ex 2.1, consistency training: W1 falls with an order below Euler's",
        f"order {slope:.3f}",
        slope < ORDERS[EULER] - 2 * ORDER_SLACK,
    )
    training, euler, heun = (np.array(found.values[name]) for name in STUDENTS)
    outcome.check(
        "Ex 2.1: at every N Euler's steps are nearer to the data than training, Heun's nearest",
        f"training / Euler {(training / euler).min():.2f} or more,"
        f" Euler / Heun {(euler / heun).min():.2f} or more",
        (training > euler).all() and (euler > heun).all(),
    )
    sums = np.array([floors.sum() for floors in found.floors])
    worst = np.abs(sums / lacking - 1).max()
    outcome.check(
        "Ex 2.1: the floors sum to the variance that the samples lack, for every N",
        f"relative differences of {worst:.1e}",
        worst < SPLINES,
    )
