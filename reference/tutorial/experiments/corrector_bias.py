"""Euler-Maruyama against predictor-corrector on Gaussian data, where every sampler is a recursion
of two moments.

With data N(m, c) the score is -(x - alpha m) / v, v = alpha^2 c + sigma^2.  A step c_x x + c_score
score + deviation z therefore takes

    mean     <- (c_x - c_score / v) mean + c_score alpha m / v,
    variance <- (c_x - c_score / v)^2 variance + deviation^2.

The error of a sampler follows without simulation; particles confirm the recursion.  A corrector
needs more evaluations and has an error of its own.  It is therefore compared at equal cost.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.mixtures import Mixture
from reference.ops.random import Purpose
from reference.plotting import GREY, PATH_COLORS, subplots
from reference.samplers import final_sample
from reference.samplers.grids import uniform
from reference.samplers.sde import PREDICTORS, euler_maruyama, predictor_corrector
from reference.sde.sde import VP, OrnsteinUhlenbeck
from reference.tutorial.experiments import Outcome

QUESTION = "Is a corrector worth its evaluations?"
MEAN, VARIANCE = 1.0, 0.25
DISTRIBUTION = Mixture(np.ones(1), np.array([[MEAN]]), np.array([VARIANCE]))
SDE = VP()
STEPS = (10, 20, 40, 80, 160, 320, 640)
CORRECTIONS = (0, 1, 2)
CORRECTOR_STEP = 0.1  # divided by sigma^2
Z_SCORE = 4.9  # two-sided normal quantile for one false alarm in 10^6


def run(quick=False, ops=reference_ops):
    n = 20_000 if quick else 200_000
    outcome = Outcome(
        settings={
            "steps": STEPS,
            "corrections": CORRECTIONS,
            "corrector step over sigma^2": CORRECTOR_STEP,
            "particles": n,
        }
    )
    errors = {
        (predictor, k, N): wasserstein_error(*moments(predictor, k, N))
        for predictor in PREDICTORS
        for k in CORRECTIONS
        for N in STEPS
    }
    rows = [
        (predictor, k, *(errors[predictor, k, N] for N in STEPS))
        for predictor in PREDICTORS
        for k in CORRECTIONS
    ]
    outcome.tables["W2 to the data distribution with its remaining noise, by the recursion"] = (
        ("predictor", "corrections", *(f"N = {N}" for N in STEPS)),
        rows,
    )
    for predictor in PREDICTORS:
        slope = log_slope(STEPS[2:], [errors[predictor, 0, N] for N in STEPS[2:]])
        outcome.check(
            f"{predictor} alone is of first order", f"slope {slope:.3f}", abs(slope + 1) < 0.15
        )
    worst = max(
        particle_error(predictor, k, 40, n, ops) for predictor in PREDICTORS for k in CORRECTIONS
    )
    outcome.check(
        "particles have the mean and variance of the recursion",
        f"{worst:.2f} standard errors at most",
        worst < Z_SCORE,
    )
    stationary_bias(outcome)
    forward_process(outcome, n, ops)
    outcome.findings += equal_cost_comparison(errors)
    outcome.figure = figure(errors)
    return outcome


def log_slope(steps, errors):
    """The slope of log error on log steps: -1 for a method of first order."""
    return np.polyfit(np.log(steps), np.log(errors), 1)[0]


def affine_moments(step, t, mean, variance):
    """(mean, variance) after one step (c_x, c_score, deviation) with the score at time t."""
    c_x, c_score, deviation = step
    alpha, sigma = SDE.marginal(t)
    v = alpha**2 * VARIANCE + sigma**2
    gain = c_x - c_score / v
    return gain * mean + c_score * alpha * MEAN / v, gain**2 * variance + deviation**2


def moments(predictor, corrections, N):
    """(mean, variance) of x at time t_min after N steps from the exact distribution at t_max."""
    times = uniform(SDE, N)
    alpha, sigma = SDE.marginal(times[0])
    mean, variance = alpha * MEAN, alpha**2 * VARIANCE + sigma**2
    for t, t_prev in pairwise(times):
        mean, variance = affine_moments(PREDICTORS[predictor](SDE, t, t_prev), t, mean, variance)
        step = CORRECTOR_STEP * SDE.noise_power(t_prev)
        for _ in range(corrections):
            mean, variance = affine_moments((1.0, step, (2 * step) ** 0.5), t_prev, mean, variance)
    return mean, variance


def wasserstein_error(mean, variance):
    """W2 of two Gaussians on the line: sqrt((difference of means)^2 + (difference of
    deviations)^2).
    """
    alpha, sigma = SDE.marginal(SDE.t_min)
    exact = alpha**2 * VARIANCE + sigma**2
    return float(np.hypot(mean - alpha * MEAN, variance**0.5 - exact**0.5))


def standard_errors(x, mean, variance):
    """The deviation of the sample mean or the sample variance of x[n] in standard errors, whichever
    is larger.
    """
    n = len(x)
    return max(
        abs(x.mean() - mean) / (variance / n) ** 0.5,
        abs(x.var() - variance) / (variance * (2 / n) ** 0.5),
    )


def particle_error(predictor, corrections, N, n, ops=reference_ops):
    """``standard_errors`` of n particles against the recursion."""
    sample = np.arange(n)
    times = uniform(SDE, N)
    alpha, sigma = SDE.marginal(times[0])
    deviation = (alpha**2 * VARIANCE + sigma**2) ** 0.5
    x = alpha * MEAN + deviation * ops.normal(1, sample, 0, Purpose.PRIOR, (1,), np.float64)
    distribution = replace(DISTRIBUTION, ops=ops)
    score = lambda x, t: distribution.noised(*SDE.marginal(t)).score(x)
    states = predictor_corrector(
        SDE, score, times, x, 2, sample, predictor, corrections, CORRECTOR_STEP, ops
    )
    return standard_errors(final_sample(states)[:, 0], *moments(predictor, corrections, N))


def stationary_bias(outcome):
    """A corrector alone, repeated at one time: its stationary variance exceeds v by the share
    eps / (2 v) + ..., with its step eps.
    """
    t, rows = 0.3, []
    alpha, sigma = SDE.marginal(t)
    v = alpha**2 * VARIANCE + sigma**2
    for step in (0.4, 0.2, 0.1, 0.05):
        eps, mean, variance = step * sigma**2, alpha * MEAN, v
        for _ in range(2000):
            mean, variance = affine_moments((1.0, eps, (2 * eps) ** 0.5), t, mean, variance)
        rows.append((eps, variance / v - 1, 1 / (1 - eps / (2 * v)) - 1, eps / (2 * v)))
    outcome.tables["Bias of a corrector: excess of its stationary variance at t = 0.3"] = (
        ("eps", "measured", "exact", "eps / (2 v)"),
        rows,
    )
    worst = max(abs(row[1] / row[2] - 1) for row in rows)
    outcome.check(
        "the corrector's bias is 1 / (1 - eps / (2 v)) - 1",
        f"relative difference {worst:.1e}",
        worst < 1e-9,
    )


def forward_process(outcome, n, ops=reference_ops):
    """Ex 4.4, dx = -x/2 dt + 0.1 dw from x = 1 to t = 2: Euler-Maruyama against the exact
    distribution, by moments and by particles.
    """
    sde = OrnsteinUhlenbeck(gamma=0.5, q=0.01, t_max=2.0, min_noise_ratio=1e-3)
    rows, worst = [], 0.0
    alpha, sigma = sde.marginal(2.0)
    drift = lambda x, t: -x / 2
    diffusion = lambda x, t: 0.1
    for N in (4, 8, 16, 32, 64):
        h, mean, variance = 2.0 / N, 1.0, 0.0
        for _ in range(N):
            mean, variance = (1 - h / 2) * mean, (1 - h / 2) ** 2 * variance + 0.01 * h
        times = np.linspace(0, 2, N + 1)
        start, sample = np.ones((n, 1)), np.arange(n)
        x = final_sample(euler_maruyama(drift, diffusion, times, start, 3, sample, ops))
        worst = max(worst, standard_errors(x, mean, variance))
        rows.append((N, mean, variance, float(np.hypot(mean - alpha, variance**0.5 - sigma))))
    exact = f"exact: mean {alpha:.6f}, variance {sigma**2:.6f}"
    outcome.tables[f"The forward SDE of Ex 4.4 at t = 2 ({exact})"] = (
        ("steps", "mean", "variance", "W2"),
        rows,
    )
    slope = log_slope([row[0] for row in rows[1:]], [row[3] for row in rows[1:]])
    outcome.check(
        "forward Euler-Maruyama is of first order", f"slope {slope:.3f}", abs(slope + 1) < 0.15
    )
    outcome.check(
        "forward particles follow their recursion",
        f"{worst:.2f} standard errors at most",
        worst < Z_SCORE,
    )


def equal_cost_comparison(errors):
    """For each predictor: the N for which N steps with one correction end closer to the data than 2
    N steps without, at equal cost.
    """
    lines = [
        "Does a corrector help at equal cost?  N steps with one correction against 2 N without:"
    ]
    compared = [N for N in STEPS if 2 * N in STEPS]
    for predictor in PREDICTORS:
        wins = [N for N in compared if errors[predictor, 1, N] < errors[predictor, 0, 2 * N]]
        if not wins:
            verdict = "never helps"
        elif wins == compared:
            verdict = "always helps"
        else:
            verdict = f"helps at N = {', '.join(map(str, wins))} of {', '.join(map(str, compared))}"
        lines.append(f"  {predictor}: a corrector {verdict}")
    return lines


def figure(errors):
    title = f"{QUESTION}  Data N(1, 0.25), VP SDE, exact score, exact distribution at the start"
    drawing, axes = subplots(1, 3, 14, 5, title, sharey=True)
    for panel, predictor in zip(axes[0], PREDICTORS):
        for k, color in zip(CORRECTIONS, PATH_COLORS):
            cost = [N * (1 + k) for N in STEPS]
            error = [errors[predictor, k, N] for N in STEPS]
            label = f"{k} correction{'s' * (k != 1)} a step"
            panel.loglog(cost, error, "o-", color=color, label=label)
        panel.loglog(STEPS, [2 / N for N in STEPS], "--", color=GREY, label="2 / evaluations")
        panel.set(xlabel="number of score evaluations", title=f"predictor: {predictor}")
        panel.legend(fontsize=9)
    axes[0, 0].set_ylabel("Wasserstein distance W2 to the data distribution")
    return drawing
