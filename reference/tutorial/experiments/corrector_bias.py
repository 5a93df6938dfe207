"""Euler-Maruyama against predictor-corrector, on a Gaussian, where every sampler is a recursion of
two moments.

With data N(m, c) the score is -(x - alpha m) / v, v = alpha^2 c + sigma^2, so that a step c_x x +
c_score score + deviation z takes

    mean <- (c_x - c_score / v) mean + c_score alpha m / v,   variance <- (c_x - c_score / v)^2 variance + deviation^2,

and no simulation is needed to know the error of a sampler; particles confirm the recursion.  A
corrector adds evaluations and has an error of its own: it is right to ask what it is worth at equal
cost.
"""

from itertools import pairwise

import numpy as np

from reference.diffusion.mixtures import Mixture
from reference.ops import normal
from reference.ops.random import Purpose
from reference.plotting import GREY, PATHS, subplots
from reference.samplers import final_sample
from reference.samplers.grids import uniform
from reference.samplers.sde import PREDICTORS, euler_maruyama, predictor_corrector
from reference.sde.sde import VP, OrnsteinUhlenbeck
from reference.tutorial.experiments import Outcome

QUESTION = "F2: is a corrector worth its evaluations?"
M, C = 1.0, 0.25
DISTRIBUTION = Mixture(np.ones(1), np.array([[M]]), np.array([C]))
SDE = VP()
STEPS = (10, 20, 40, 80, 160, 320, 640)
CORRECTIONS = (0, 1, 2)
STEP = 0.1  # of the corrector, over sigma^2
Z = 4.9  # two-sided normal quantile of a false alarm in 10^6


def run(quick=False):
    n = 20_000 if quick else 200_000
    outcome = Outcome(
        settings={
            "steps": STEPS,
            "corrections": CORRECTIONS,
            "corrector's step over sigma^2": STEP,
            "particles": n,
        }
    )
    errors = {
        (predictor, k, N): error(*moments(predictor, k, N))
        for predictor in PREDICTORS
        for k in CORRECTIONS
        for N in STEPS
    }
    rows = [
        (predictor, k, *(errors[predictor, k, N] for N in STEPS))
        for predictor in PREDICTORS
        for k in CORRECTIONS
    ]
    outcome.tables["W2 to the data's law with its last noise, by the recursion"] = (
        ("predictor", "corrections", *(f"N = {N}" for N in STEPS)),
        rows,
    )
    for predictor in PREDICTORS:
        slope = np.polyfit(
            np.log(STEPS[2:]), np.log([errors[predictor, 0, N] for N in STEPS[2:]]), 1
        )[0]
        outcome.check(
            f"{predictor} alone is of first order", f"slope {slope:.3f}", abs(slope + 1) < 0.15
        )
    worst = max(simulated(predictor, k, 40, n) for predictor in PREDICTORS for k in CORRECTIONS)
    outcome.check(
        "the recursion is what particles do, mean and variance",
        f"{worst:.2f} standard errors at most",
        worst < Z,
    )
    corrector_bias(outcome)
    forward(outcome, n)
    outcome.findings += verdicts(errors)
    outcome.figure = figure(errors)
    return outcome


def affine(step, t, mean, variance):
    """One step (c_x, c_score, deviation) on the moments, the score being that of time t."""
    c_x, c_score, deviation = step
    alpha, sigma = SDE.marginal(t)
    v = alpha**2 * C + sigma**2
    gain = c_x - c_score / v
    return gain * mean + c_score * alpha * M / v, gain**2 * variance + deviation**2


def moments(predictor, corrections, N):
    """(mean, variance) of x at the SDE's last time after N steps from the exact law at its end."""
    times = uniform(SDE, N)
    alpha, sigma = SDE.marginal(times[0])
    mean, variance = alpha * M, alpha**2 * C + sigma**2
    for t, t_prev in pairwise(times):
        mean, variance = affine(PREDICTORS[predictor](SDE, t, t_prev), t, mean, variance)
        step = STEP * SDE.noise_power(t_prev)
        for _ in range(corrections):
            mean, variance = affine((1.0, step, (2 * step) ** 0.5), t_prev, mean, variance)
    return mean, variance


def error(mean, variance):
    """W2 of two Gaussians on the line: sqrt((difference of means)^2 + (difference of
    deviations)^2).
    """
    alpha, sigma = SDE.marginal(SDE.t_min)
    return float(np.hypot(mean - alpha * M, variance**0.5 - (alpha**2 * C + sigma**2) ** 0.5))


def simulated(predictor, corrections, N, n):
    """How many standard errors the mean and the variance of n particles are from the recursion, the
    larger.
    """
    sample, times = np.arange(n), uniform(SDE, N)
    alpha, sigma = SDE.marginal(times[0])
    x = alpha * M + (alpha**2 * C + sigma**2) ** 0.5 * normal(1, sample, 0, Purpose.PRIOR, (1,))
    score = lambda x, t: DISTRIBUTION.noised(*SDE.marginal(t)).score(x)
    x = final_sample(
        predictor_corrector(SDE, score, times, x, 2, sample, predictor, corrections, STEP)
    )[:, 0]
    mean, variance = moments(predictor, corrections, N)
    return max(
        abs(x.mean() - mean) / (variance / n) ** 0.5,
        abs(x.var() - variance) / (variance * (2 / n) ** 0.5),
    )


def corrector_bias(outcome):
    """A corrector alone, repeated at one time: its variance settles above v by the share eps / (2
    v) + ..., eps its step.
    """
    t, rows = 0.3, []
    alpha, sigma = SDE.marginal(t)
    v = alpha**2 * C + sigma**2
    for step in (0.4, 0.2, 0.1, 0.05):
        eps, mean, variance = step * sigma**2, alpha * M, v
        for _ in range(2000):
            mean, variance = affine((1.0, eps, (2 * eps) ** 0.5), t, mean, variance)
        rows.append((eps, variance / v - 1, 1 / (1 - eps / (2 * v)) - 1, eps / (2 * v)))
    outcome.tables["A corrector's own error: excess of its stationary variance at t = 0.3"] = (
        ("eps", "measured", "exact", "eps / (2 v)"),
        rows,
    )
    apart = max(abs(row[1] / row[2] - 1) for row in rows)
    outcome.check(
        "the corrector's bias is 1 / (1 - eps / (2 v)) - 1",
        f"{apart:.1e} of it apart",
        apart < 1e-9,
    )


def forward(outcome, n):
    """Ex 4.4, dx = -x/2 dt + 0.1 dw from x = 1, to t = 2: Euler-Maruyama against the exact law, by
    moments and by particles.
    """
    sde, rows, worst = (
        OrnsteinUhlenbeck(gamma=0.5, q=0.01, t_max=2.0, min_noise_ratio=1e-3),
        [],
        0.0,
    )
    alpha, sigma = sde.marginal(2.0)
    for N in (4, 8, 16, 32, 64):
        h, mean, variance = 2.0 / N, 1.0, 0.0
        for _ in range(N):
            mean, variance = (1 - h / 2) * mean, (1 - h / 2) ** 2 * variance + 0.01 * h
        drift, diffusion = lambda x, t: -x / 2, lambda x, t: 0.1
        x = final_sample(
            euler_maruyama(
                drift, diffusion, np.linspace(0, 2, N + 1), np.ones((n, 1)), 3, np.arange(n)
            )
        )
        worst = max(
            worst,
            abs(x.mean() - mean) / (variance / n) ** 0.5,
            abs(x.var() - variance) / (variance * (2 / n) ** 0.5),
        )
        rows.append((N, mean, variance, float(np.hypot(mean - alpha, variance**0.5 - sigma))))
    outcome.tables[
        f"The forward SDE of Ex 4.4 at t = 2 (exact: mean {alpha:.6f}, variance {sigma**2:.6f})"
    ] = (
        ("steps", "mean", "variance", "W2"),
        rows,
    )
    slope = np.polyfit(
        np.log([row[0] for row in rows[1:]]), np.log([row[3] for row in rows[1:]]), 1
    )[0]
    outcome.check(
        "forward Euler-Maruyama is of first order", f"slope {slope:.3f}", abs(slope + 1) < 0.15
    )
    outcome.check(
        "forward particles follow their recursion",
        f"{worst:.2f} standard errors at most",
        worst < Z,
    )


def verdicts(errors):
    """Who is nearer to the data at the same number of evaluations: one correction in N steps
    against the predictor alone in 2 N.
    """
    lines = [
        "It is said that a corrector helps.  At equal cost, N steps with one correction against 2 N steps without:"
    ]
    for predictor in PREDICTORS:
        wins = [
            N
            for N in STEPS
            if 2 * N in STEPS and errors[predictor, 1, N] < errors[predictor, 0, 2 * N]
        ]
        asked = [N for N in STEPS if 2 * N in STEPS]
        if not wins:
            said = "never helps"
        elif wins == asked:
            said = "always helps"
        else:
            said = f"helps at N = {', '.join(map(str, wins))} of {', '.join(map(str, asked))}"
        lines.append(f"  {predictor}: a corrector {said}")
    return lines


def figure(errors):
    title = f"{QUESTION}  Data N(1, 0.25), VP SDE, exact score, exact law at the start"
    drawing, axes = subplots(1, 3, 14, 5, title, sharey=True)
    for panel, predictor in zip(axes[0], PREDICTORS):
        for k, color in zip(CORRECTIONS, PATHS):
            cost = [N * (1 + k) for N in STEPS]
            panel.loglog(
                cost,
                [errors[predictor, k, N] for N in STEPS],
                "o-",
                color=color,
                label=f"{k} correction{'s' * (k != 1)} a step",
            )
        panel.loglog(STEPS, [2 / N for N in STEPS], "--", color=GREY, label="2 / evaluations")
        panel.set(xlabel="number of score evaluations", title=f"predictor: {predictor}")
        panel.legend(fontsize=9)
    axes[0, 0].set_ylabel("Wasserstein distance W2 to the data's law")
    return drawing
