"""Samples with the target's own ``guided``, against the closed forms for Gaussian data.

Unconditional data N(0, A), data of the class N(0, B): the probability-flow ODE has samples of
variance B^w A^(1-w), the reverse SDE (A B - A^(2-2w) B^(2w)) / ((2w-1) (A-B)), from noise of
infinite variance; guided_gaussian.py has both for a start at a finite one.
"""

import numpy as np
from scipy import stats

from reference.audit.checks.monte_carlo import FALSE_ALARMS
from reference.audit.checks.trajectories import Gaussian, exact_prediction, start_noise
from reference.diffusion.guided_gaussian import ode_variance, sde_variance

A, B = 0.04, 0.02
WEIGHT = 2.0


def check_guided(context, sampler, verdict):
    target = context.target
    if "guided" not in target:
        return
    name, equation = "sample with guidance", "variance B^w A^(1-w) by the ODE; its SDE form"
    faults = [check.name for check in context.report.faults]
    broken = [fault for fault in faults if fault.startswith(("guid", "sample"))]
    if broken:
        context.add(name, "not decidable", equation, "", f"because of {broken[0]}")
        return
    weight = _effective_weight(target)
    if weight is None:
        context.add(name, "not decidable", equation, "", "guided is not c w + u (1 - w) of any w")
        return
    steps = [context.steps, min(4 * context.steps, sampler.limit)]
    values = [_variance(context, sampler, n, weight) for n in steps]
    errors = [abs(came / wanted - 1) for came, wanted, _ in values]
    noise = 0.0
    if sampler.stochastic:
        noise = stats.norm.isf(FALSE_ALARMS / 2) * np.sqrt(8 / sampler.entries)
    # The closed form ends at the data.  At noise of variance s, log V differs by k(0) s, and so
    # does that of the x_0 that is predicted there.
    ends = 2 * abs(weight / B + (1 - weight) / A) * values[1][2]
    wrong = not errors[1] <= 0.6 * errors[0] + 1.6 * noise + ends + 1e3 * sampler.unit
    came, wanted, _ = values[1]
    context.add(
        name,
        "fault" if wrong else "right",
        equation,
        f"variance {wanted:.5g} for w = {weight:g}, A = {A:g}, B = {B:g}",
        f"{came:.5g} at {steps[1]} steps, {values[0][0]:.5g} at {steps[0]}",
        "guidance acts more or less than its weight says",
        details=[{"steps": n, "variance": a, "expected": b} for n, (a, b, _) in zip(steps, values)],
    )


def _effective_weight(target):
    """w with guided = w c + (1 - w) u for the target's weight ``WEIGHT``; None if there is none."""
    one, zero = np.ones((1, *target.shape)), np.zeros((1, *target.shape))
    call = lambda c, u: target.call(
        "guided", one.shape, conditional=c, unconditional=u, weight=WEIGHT
    )
    of_c, of_u = call(one, zero), call(zero, one)
    if np.ptp(of_c) > 1e-6 or np.abs(of_c + of_u - 1).max() > 1e-6:
        return None
    return float(of_c.flat[0])


def _variance(context, sampler, steps, weight):
    """(variance of the samples, expected, variance of the noise at the last evaluation)."""
    target, at = sampler.target, sampler.at
    conditional, unconditional = (
        exact_prediction(Gaussian(0.0, c), sampler.prediction, at) for c in (B, A)
    )
    predict = lambda x, t: target.call(
        "guided",
        x.shape,
        conditional=conditional(x, t),
        unconditional=unconditional(x, t),
        weight=WEIGHT,
    )
    alpha, sigma = sampler.first_level(steps)
    start = alpha**2 * A + sigma**2
    high = (sigma / alpha) ** 2 if alpha else np.inf
    law = sde_variance if sampler.stochastic else ode_variance
    wanted = law(B, A, weight, high=high, start=start / alpha**2 if alpha else None)
    if sampler.stochastic:
        count = max(16, sampler.entries // 4 // int(np.prod(target.shape)))
        z = start_noise(23, (count, *target.shape))
    else:
        z = np.ones((1, *target.shape))
    spread = np.sqrt(max(start - sampler.start_noise, 0.0))
    run = sampler.call(predict, spread * z / sampler.gain, steps, seed=29)
    alpha, sigma = at(float(run.times[-1]))
    return float(np.mean(run.result**2)), float(wanted), (sigma / alpha) ** 2
