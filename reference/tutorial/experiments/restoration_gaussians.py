"""Restoration of one number: x_0 ~ N(0, 1), y = s x_0 + s_y n.  The posterior is N(a y, V) with

    V = 1 / (1 + s^2 / s_y^2),   a = s V / s_y^2.

The denoiser is linear, and so are most samplers: their samples are N(a' y, v), exactly, for each
singular value s of an operator.
"""

import numpy as np

from reference.diffusion.mixtures import Mixture
from reference.restoration.operators import Matrix
from reference.restoration.posterior import posterior, wiener
from reference.tutorial.experiments.linear_samplers import law
from reference.tutorial.experiments.restoration_methods import (
    DDRM,
    DIFFPIR,
    DPS,
    EXACT,
    EXACT_ODE,
    HIGH,
    LIKELIHOOD,
    METHODS,
    NOT_LINEAR,
    PIGDM,
    Problem,
)

CASES = ((1.0, 0.1), (0.3, 0.1), (1.0, 1.0), (0.0, 0.1))  # s, s_y
STEPS = (20, 100, 1000)
LINEAR = tuple(name for name in METHODS if name not in NOT_LINEAR)
ROUNDING = 1e-12  # of a thousand steps of a few roundings each
ORDER_SLACK = 0.1


def exact_law(s, noise):
    """(a, V) of the posterior N(a y, V)."""
    V = 1 / (1 + (s / noise) ** 2)
    return s * V / noise**2, V


def gaussian_problem(operator, y, noise):
    """The prior N(0, 1) and measurements y[b,1] by an operator of one number."""
    unit = Mixture(np.ones(1), np.zeros((1, 1)), np.ones(1))
    V = posterior(unit, operator, y[0], noise).covariance
    mean = wiener(unit.mean, unit.covariance, operator, y, noise)
    gain = lambda alpha, sigma, V: alpha * V / (alpha**2 * V + sigma**2)
    return Problem(
        operator,
        y,
        noise,
        denoise=lambda x, alpha, sigma: gain(alpha, sigma, 1.0) * x,
        denoise_and_pullback=lambda x, alpha, sigma: (
            gain(alpha, sigma, 1.0) * x,
            lambda v: gain(alpha, sigma, 1.0) * v,
        ),
        exact=lambda x, alpha, sigma: mean + gain(alpha, sigma, V) * (x - alpha * mean),
        data_variance=1.0,
    )


def sampler_law(name, s, noise, N):
    """(a', v) of the samples N(a' y, v) of a linear sampler in N steps."""
    operator = Matrix(np.full((1, 1), s))
    walk = lambda x, y, sample, ops: METHODS[name](
        gaussian_problem(operator, y, noise), N, x, 0, sample, ops
    )
    return law(walk, HIGH**2, N)


def relative_law(name, s, noise, N):
    """(mean gain / exact, variance / exact); the gain itself where the exact gain is 0."""
    (a, v), (exact_a, V) = sampler_law(name, s, noise, N), exact_law(s, noise)
    return a / (exact_a or 1.0), v / V


def laws(outcome):
    """The table of all laws, with its checks; returns (name, s, s_y) -> ([gains], [variances])
    relative to the exact posterior, for ``STEPS``.
    """
    found = {}
    for s, noise in CASES:
        for name in LINEAR:
            pairs = [relative_law(name, s, noise, N) for N in STEPS]
            found[name, s, noise] = tuple(map(list, zip(*pairs)))
    rows = [
        (*case, name, *(v for values in found[name, *case] for v in values))
        for case in CASES
        for name in LINEAR
    ]
    header = [f"{what}, N = {N}" for what in ("gain", "variance") for N in STEPS]
    title = "y = s x_0 + s_y n, x_0 ~ N(0, 1): gain and variance / exact (at s = 0 the gain itself)"
    outcome.tables[title] = (("s", "s_y", "sampler", *header), rows)
    check_exact(outcome, found)
    check_approximate(outcome, found)
    return found


def check_exact(outcome, found):
    """PiGDM presumes the variance of these data, so it is the exact sampler."""
    difference = max(
        np.abs(np.subtract(found[PIGDM, *case], found[EXACT, *case])).max() for case in CASES
    )
    outcome.check(
        "PiGDM equals the exact ancestral sampler for every s, s_y and N",
        f"gains and variances differ by {difference:.1e} at most",
        difference < ROUNDING,
    )
    for name in (EXACT, EXACT_ODE):
        check_order(outcome, found, name, 1.0)
    check_start(outcome, found)


def check_order(outcome, found, name, limit):
    """The relative variances tend to ``limit`` with order 1."""
    worst = 0.0
    for case in CASES:
        _, variances = found[name, *case]
        *_, before, last = np.abs(np.log(np.divide(variances, limit)))
        order = np.log(before / last) / np.log(STEPS[-1] / STEPS[-2])
        worst = max(worst, abs(order - 1))
    outcome.check(
        f"{name}: variance / exact tends to {limit:g} with order 1 for every s and s_y",
        f"orders differ by {worst:.3f} at most",
        worst < ORDER_SLACK,
    )


def check_start(outcome, found):
    """The start N(0, 80^2) lacks the mean of x_0 given y.  The ODE multiplies deviations from that
    mean by the factor b of x_T, with the samples' variance v = b^2 80^2.
    """
    worst = 0.0
    for s, noise in CASES[:-1]:
        gains, variances = found[EXACT_ODE, s, noise]
        b = np.sqrt(np.multiply(variances, exact_law(s, noise)[1])) / HIGH
        worst = max(worst, np.abs(gains - (1 - b)).max())
    outcome.check(
        f"{EXACT_ODE}: gain / exact is 1 - sqrt(v) / 80 for every s > 0 and N",
        f"gains differ by {worst:.1e} at most",
        worst < ROUNDING,
    )


def check_approximate(outcome, found):
    """DPS takes a step of the same length at each level, DDRM draws new noise at each level: more
    levels draw x to y / s and away from the noise that the posterior has.  DiffPIR with zeta 1
    also draws new noise: at small t a step is x <- (1 - t^2 / V) x + t z, in the limit of many
    steps with the variance v = V / 2 of 2 (t^2 / V) v = t^2.
    """
    measured = CASES[:-1]
    for name in (DPS, DDRM):
        gains, variances = zip(*(found[name, *case] for case in measured))
        outcome.check(
            f"{name}: more steps make the samples narrower for every s > 0",
            f"variance / exact at N = {STEPS[-1]}: {texts(v[-1] for v in variances)}",
            (np.diff(variances) < 0).all(),
        )
        slopes = [np.multiply(g, s * exact_law(s, r)[0]) for g, (s, r) in zip(gains, measured)]
        outcome.check(
            f"{name}: more steps bring the mean to y / s, as without a prior",
            f"mean s / y at N = {STEPS[-1]}: {texts(slope[-1] for slope in slopes)}",
            (np.diff(np.abs(np.subtract(slopes, 1))) < 0).all(),
        )
    first, *_, last = found[DPS, *CASES[0]][1]
    outcome.check(
        f"{DPS}: too wide with few steps, too narrow with many (s = 1, s_y = .1)",
        f"variance / exact {first:.3g} and {last:.3g}",
        first > 1 > last,
    )
    check_order(outcome, found, DIFFPIR, 0.5)
    few = sampler_law(LIKELIHOOD, *CASES[0], STEPS[0])[1]
    outcome.check(
        f"{LIKELIHOOD}: diverges in {STEPS[0]} steps (s = 1, s_y = .1)",
        f"variance {few:.3g}, of the start {HIGH**2:g}",
        few > HIGH**2,
    )


def texts(values):
    return ", ".join(f"{value:.3g}" for value in values)
