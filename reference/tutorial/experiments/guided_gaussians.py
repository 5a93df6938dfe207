"""Guidance on Gaussian data, where every sampler is linear and its samples have an exact variance.

The scores are -k(s) x with s the variance of the noise (``diffusion.guided_gaussian``), for x_t =
x_0 + sigma eps from sigma = 80 down to 0.002.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise

import numpy as np

from reference.diffusion.conversions import log_alpha_bar_of_sigma
from reference.diffusion.guidance import guide
from reference.diffusion.guided_gaussian import (
    composed_variance,
    interval_variance,
    ode_variance,
    product_variance,
    sde_variance,
    tilted_variance,
)
from reference.diffusion.schedules import VarianceExplodingSchedule
from reference.samplers.ancestral import ancestral
from reference.samplers.ddim import ddim
from reference.samplers.dpm_solver import dpm_solver_plus_plus
from reference.samplers.grids import karras
from reference.samplers.ode import runge_kutta
from reference.samplers.sde import euler_maruyama, predictor_corrector
from reference.sde.sde import Brownian
from reference.tutorial.experiments.linear_samplers import variance

# unconditional variance A, variance B of the class, weight w; in the last, w/B + (1-w)/A = 0
CASES = (
    *((2.0, 1.0, w) for w in (1, 2, 3, 5)),
    *((1.0, 0.25, w) for w in (1, 2, 3, 5)),
    (1.0, 2.0, 2),
)
STEPS = (128, 256, 512)
ORDERS = {
    "DDIM": 1,
    "Heun": 2,
    "DPM-Solver++ 2M": 2,
    "Euler-Maruyama": 1,
    "DDPM": 1,
}
STOCHASTIC = ("Euler-Maruyama", "DDPM")
ORDER_SLACK = 0.1
ROUNDING = 1e-12  # of a thousand steps of a few roundings each
CORRECTIONS = (0, 1, 4, 16, 64, 256, 1024)
CORRECTOR_STEP = 0.5  # divided by sigma^2


@dataclass(frozen=True)
class Levels:
    """N steps on Karras's grid from sigma = ``high`` to ``low``; the SDE's time is sigma^2."""

    N: int
    low: float = 0.002
    high: float = 80.0

    @property
    def ends(self):
        """The variances of the noise at both ends."""
        return self.high**2, self.low**2

    @property
    def sde(self):
        return Brownian(t_max=self.high**2, min_noise_ratio=self.low)

    @cached_property
    def times(self):
        return karras(self.sde, self.N)

    @cached_property
    def schedule(self):
        table = log_alpha_bar_of_sigma(np.sqrt(self.times[::-1]))
        return VarianceExplodingSchedule(np.concatenate(([0.0], table)))


levels = cache(Levels)
ENDS = Levels(1).ends
CORRECTED = Levels(20, low=0.1)


def guided_precision(A, B, w):
    """k(s) of the guided score."""
    return lambda s: guide(1 / (B + s), 1 / (A + s), w)


def sampler(name, k, grid):
    """The sampler as a function of (x, sample, ops), with the score -k(s) x."""
    sde, times, schedule = grid.sde, grid.times, grid.schedule
    score = lambda x, t: -k(t) * x
    predict_noise = lambda x, t: t**0.5 * k(t) * x
    slope = lambda x, sigma: sigma * k(sigma**2) * x  # dx/dsigma = -sigma score
    at_level = lambda x, n: schedule.noise_scale(n) * k(schedule.noise_power(n)) * x
    chain = range(grid.N + 1, 0, -1)
    match name:
        case "DDIM":
            return lambda x, sample, ops: ddim(at_level, schedule, chain, x, 0, sample, ops=ops)
        case "Heun":
            return lambda x, sample, ops: runge_kutta(slope, np.sqrt(times), x, "heun")
        case "DPM-Solver++ 2M":
            return lambda x, sample, ops: dpm_solver_plus_plus(sde, predict_noise, times, x)
        case "Euler-Maruyama":
            drift, diffusion = sde.reverse(score)
            return lambda x, sample, ops: euler_maruyama(drift, diffusion, times, x, 0, sample, ops)
        case "DDPM":
            return lambda x, sample, ops: ancestral(
                at_level, schedule, chain, x, 0, sample, ops=ops
            )
    raise ValueError(f"sampler must be one of {', '.join(ORDERS)}, got {name!r}")


def sampled_variances(name, k):
    """The variances of the sampler's samples from N(0, 80^2), for each of ``STEPS``."""
    grids = [levels(N) for N in STEPS]
    draws = [N if name in STOCHASTIC else 0 for N in STEPS]
    return np.array([variance(sampler(name, k, g), g.high**2, n) for g, n in zip(grids, draws)])


def orders(errors):
    """Observed orders of |errors| from each number of steps to its double."""
    return np.log2(np.abs(errors[:-1]) / np.abs(errors[1:]))


def closed_forms(outcome):
    """The three variances from infinite noise, and the change by a start from N(0, 80^2)."""
    rows = []
    for A, B, w in CASES:
        exists = w / B + (1 - w) / A > 0
        ode, sde = (form(B, A, w) for form in (ode_variance, sde_variance))
        starts = [
            float(np.log(form(B, A, w, *ENDS) / value))
            for form, value in ((ode_variance, ode), (sde_variance, sde))
        ]
        rows.append((A, B, w, tilted_variance(B, A, w) if exists else "none", ode, sde, *starts))
    outcome.tables["Guided Gaussians: variance in closed form"] = (
        ("A", "B", "w", "tilted", "ODE", "SDE", "log change by the ends, ODE", "SDE"),
        rows,
    )


def convergence(outcome):
    """Log errors of the samplers against the closed form at the finite ends; returns (A, B, w,
    sampler) -> [variances of ``STEPS``].
    """
    rows, found, worst = [], {}, dict.fromkeys(ORDERS, 0.0)
    for A, B, w in CASES:
        for name, order in ORDERS.items():
            exact = (sde_variance if name in STOCHASTIC else ode_variance)(B, A, w, *ENDS)
            values = sampled_variances(name, guided_precision(A, B, w))
            errors = np.log(values / exact)
            last = float(orders(errors)[-1])
            worst[name] = max(worst[name], abs(last - order))
            rows.append((A, B, w, name, *errors.tolist(), last))
            found[A, B, w, name] = values
    outcome.tables["Guided Gaussians: log (variance of the samples / closed form)"] = (
        ("A", "B", "w", "sampler", *(f"N = {N}" for N in STEPS), "order"),
        rows,
    )
    for name, order in ORDERS.items():
        outcome.check(
            f"{name} converges to the closed form with order {order} for every A, B and w",
            f"orders differ by {worst[name]:.3f} at most",
            worst[name] < ORDER_SLACK,
        )
    return found


def composition(outcome):
    """The score s_1 + s_2 - s of two conditions, by DDIM."""
    rows, worst = [], 0.0
    for A, first, second in ((2.0, 1.0, 0.5), (1.0, 0.25, 0.25), (1.0, 0.5, 0.8)):
        k = lambda s, A=A, first=first, second=second: (
            1 / (first + s) + 1 / (second + s) - 1 / (A + s)
        )
        high, low = ENDS
        exact = high * np.prod([(C + low) / (C + high) for C in (first, second)])
        exact *= (A + high) / (A + low)
        errors = np.log(sampled_variances("DDIM", k) / exact)
        worst = max(worst, abs(orders(errors)[-1] - 1))
        limits = composed_variance(first, second, A), product_variance(first, second, A)
        rows.append((A, first, second, *limits, *errors.tolist()))
    outcome.tables["Composition s_1 + s_2 - s: variance, and log errors of DDIM"] = (
        ("A", "B_1", "B_2", "ODE", "product", *(f"N = {N}" for N in STEPS)),
        rows,
    )
    outcome.check(
        "DDIM with s_1 + s_2 - s converges to variance B_1 B_2 / A with order 1",
        f"orders differ by {worst:.3f} at most",
        worst < ORDER_SLACK,
    )


def interval_precision(A, B, w, low, high):
    """k(s) with guidance for ``low`` <= s <= ``high``, and of the conditional score elsewhere."""
    return lambda s: guided_precision(A, B, w if low <= s <= high else 1)(s)


def intervals(outcome):
    """Guidance within an interval of noise, by DDIM.  The bounds are levels of every grid."""
    rows, worst = [], 0.0
    A, B, w = 1.0, 0.25, 3
    coarse = levels(16).times[::-1]
    for first, last in ((3, 8), (0, 8), (6, 16), (0, 16)):
        low, high = coarse[first] * (1 - 1e-9), coarse[last] * (1 + 1e-9)
        k = interval_precision(A, B, w, low, high)
        exact = ode_variance(B, A, 1, ENDS[0], high)
        exact = ode_variance(B, A, w, high, low, exact)
        exact = ode_variance(B, A, 1, low, ENDS[1], exact)
        errors = np.log(sampled_variances("DDIM", k) / exact)
        worst = max(worst, abs(orders(errors)[-1] - 1))
        limit = interval_variance(B, A, w, low, high)
        rows.append((low**0.5, high**0.5, limit, float(exact), *errors.tolist()))
    title = "Guidance w = 3 within an interval of sigma, A = 1, B = 1/4: log errors of DDIM"
    outcome.tables[title] = (
        ("low", "high", "variance", "with ends", *(f"N = {N}" for N in STEPS)),
        rows,
    )
    outcome.check(
        "DDIM with guidance in an interval converges to the closed form with order 1",
        f"orders differ by {worst:.3f} at most",
        worst < ORDER_SLACK,
    )


def corrected_variance(k, corrections):
    """The variance by a predictor for the reverse SDE and ``corrections`` Langevin steps at every
    level.  A pair of levels is a linear sampler of its own.
    """
    sde, score = CORRECTED.sde, lambda x, t: -k(t) * x
    value = CORRECTED.high**2
    for pair in pairwise(CORRECTED.times):
        step = lambda x, sample, ops, pair=pair: predictor_corrector(
            sde, score, pair, x, 0, sample, "reverse-diffusion", corrections, CORRECTOR_STEP, ops
        )
        value = variance(step, value, 1 + corrections)
    return value


def correctors(outcome):
    """Langevin steps at every level carry the samples of the SDE to the tilted distribution.

    With the step eps and the tilted variance T = 1 / k at the last level, the variance of a
    corrector's samples tends to T / (1 - eps / (2 T)): m steps multiply the difference by g^{2m},
    g = 1 - eps / T.
    """
    rows, largest = [], 0.0
    eps = CORRECTOR_STEP * CORRECTED.low**2
    for A, B, w in ((2.0, 1.0, 2), (1.0, 0.25, 3)):
        k = guided_precision(A, B, w)
        values = [corrected_variance(k, m) for m in CORRECTIONS]
        T = 1 / k(CORRECTED.low**2)
        limit = T / (1 - eps / (2 * T))
        allowed = (1 - eps / T) ** (2 * CORRECTIONS[-1]) + ROUNDING
        largest = max(largest, abs(values[-1] / limit - 1) / allowed)
        rows.append((A, B, w, *values, limit, T, tilted_variance(B, A, w)))
    ends = ("limit", f"tilted at {CORRECTED.low}", "tilted")
    outcome.tables[f"m Langevin steps at each of {CORRECTED.N} levels: variance of the samples"] = (
        ("A", "B", "w", *(f"m = {m}" for m in CORRECTIONS), *ends),
        rows,
    )
    outcome.check(
        "Langevin correctors reach the tilted variance T / (1 - eps / (2 T)) of Langevin steps",
        f"{largest:.3f} of the remainder g^(2m)",
        largest < 1,
    )
