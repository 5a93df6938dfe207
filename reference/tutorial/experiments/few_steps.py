"""Samplers on a mixture in a few steps: how far from the data do they end, and is it what the
theory of each chain says?

The score is exact, so that all error is that of the steps.  Each chain is followed twice: by
particles, and deterministically, its density on a grid being carried through one step after
another.
"""

import numpy as np
from scipy import stats

from reference import ops as reference_ops
from reference.diffusion.schedules import constant, vp
from reference.ops import normal
from reference.ops.random import Purpose
from reference.plotting import GREY, PATHS, density_map, subplots
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral
from reference.samplers.ddim import ddim
from reference.samplers.exact import exact_kernel
from reference.samplers.ode import runge_kutta
from reference.samplers.sde import euler_maruyama
from reference.sde.sde import VP
from reference.tutorial.experiments import Outcome
from reference.tutorial.experiments.chains import (
    DISTRIBUTION,
    LINE,
    cdf,
    density,
    distance,
    propagate,
)

QUESTION = "F1: how many denoising steps does a mixture need?"
STEPS = (5, 10, 20, 50, 100)
# times the expected distance of n draws from their own law: exceeded less than once in 10^6 times
MONTE_CARLO = 4.0


def run(quick=False):
    chains, n = {}, 20_000 if quick else 300_000
    outcome = Outcome(settings={"steps": STEPS, "particles": n})
    for title, samplers_of, count in (
        ("VP", vp_samplers, n),
        ("alpha = .97, T = 150", constant_samplers, n // 10),
    ):
        rows = []
        for sampler in samplers_of(1):
            for N in STEPS:
                walk, grid = samplers_of(N)[sampler]
                *_, chain = propagate(walk, grid)
                chains[title, sampler, N] = chain
                rows.append(
                    (
                        sampler,
                        N,
                        distance(chain),
                        cdf(chain, 0.0),
                        *compare(walk, grid, chain, count),
                    )
                )
        header = (
            "sampler",
            "steps",
            "W1 to data",
            "mass below 0",
            "W1 of particles to chain",
            "expected",
        )
        outcome.tables[
            f"{title}: chains, and {count} particles of each (of the data {float(DISTRIBUTION.cdf(0.0)):.4f} is below 0)"
        ] = (
            header,
            rows,
        )
        worst = max(row[4] / row[5] for row in rows)
        outcome.check(
            f"{title}: particles follow their chains within Monte Carlo error",
            f"{worst:.2f} of it",
            worst < MONTE_CARLO,
        )
    criteria(outcome, chains)
    p_value = exact(min(n, 100_000))
    outcome.check(
        "the exact reverse kernel makes no error in 10 steps: Kolmogorov-Smirnov at 5 %",
        f"p = {p_value:.3f}",
        p_value > 0.05,
    )
    kept, forgotten = (
        distance(chains["alpha = .97, T = 150", sampler, 100])
        for sampler in ("DDIM", "DDPM, variance beta")
    )
    outcome.findings.append(
        "With alpha = .97 x_150 is not yet N(0, 1).  DDIM, which adds no noise, keeps that mismatch however many steps it takes: "
        f"W1 {kept:.3f} in 100.  DDPM forgets it: {forgotten:.3f}."
    )
    outcome.figure = figure(chains)
    return outcome


def criteria(outcome, chains):
    for sampler in vp_samplers(1):
        errors = {N: distance(chains["VP", sampler, N]) for N in STEPS}
        slope = float(np.log2(errors[100] / errors[50]))
        outcome.check(
            f"{sampler}: W1 is of first order, 50 to 100 steps",
            f"slope {slope:.3f}",
            -1.15 <= slope <= -0.85,
        )
        for N, limit in ((50, 0.012), (100, 0.006)):
            error = abs(cdf(chains["VP", sampler, N], 0.0) - float(DISTRIBUTION.cdf(0.0)))
            outcome.check(
                f"{sampler}: the mass below 0 after {N} steps errs by less than {limit}",
                f"{error:.4f}",
                error < limit,
            )


def vp_samplers(N):
    """Sampler -> (walk(grid, x, seed, sample, ops), its whole grid), for N even steps of the VP
    SDE.
    """
    sde = VP()
    drift, diffusion = sde.reverse(lambda x, t: DISTRIBUTION.noised(*sde.marginal(t)).score(x))

    def walk(grid, x, seed, sample, ops):
        *noisy, end = grid if grid[-1] == 0 else (*grid, None)
        if len(noisy) > 1:
            x = final_sample(euler_maruyama(drift, diffusion, noisy, x, seed, sample, ops=ops))
        # no noise on the last step
        return x if end is None else final_sample(runge_kutta(drift, (noisy[-1], end), x, "euler"))

    return discrete_samplers(vp(N), N) | {
        "Euler-Maruyama": (walk, [i / N for i in range(N, -1, -1)])
    }


def constant_samplers(N):
    return discrete_samplers(constant(), N)


def discrete_samplers(schedule, N):
    best = lambda x, t: DISTRIBUTION.expected_noise(x, schedule.signal(t), schedule.noise_scale(t))
    walk = lambda sampler, **how: (
        lambda grid, x, seed, sample, ops: final_sample(
            sampler(best, schedule, grid, x, seed, sample, ops=ops, **how)
        )
    )
    walks = {
        "DDPM, posterior variance": walk(ancestral, variance="posterior"),
        "DDPM, variance beta": walk(ancestral, variance="beta"),
        "DDIM": walk(ddim),
    }
    return {name: (one, schedule.timesteps(N)) for name, one in walks.items()}


def compare(walk, grid, chain, n, batch=50_000):
    """(W1 of n particles to the chain, what n draws from the chain's own law are expected to
    score).
    """
    parts = []
    for first in range(0, n, batch):
        sample = np.arange(first, min(first + batch, n))
        x = normal(1, sample, 0, Purpose.PRIOR, (1,))
        parts.append(walk(grid, x, 1, sample, reference_ops)[:, 0])
    x, F = np.sort(np.concatenate(parts)), cdf(chain, LINE)
    found = np.trapezoid(np.abs(np.searchsorted(x, LINE) / n - F), LINE)
    return float(found), float(np.trapezoid(np.sqrt(2 / np.pi * F * (1 - F) / n), LINE))


def exact(n, N=10):
    """p-value of the Kolmogorov-Smirnov test of the exact reverse kernel's samples, begun with the
    exact law of x_N.
    """
    schedule, sample = vp(N), np.arange(n)
    x, _ = DISTRIBUTION.noised(schedule.signal(N), schedule.noise_scale(N)).sample(2, sample)
    return float(
        stats.kstest(
            final_sample(exact_kernel(DISTRIBUTION, schedule, schedule.timesteps(N), x, 3, sample))[
                :, 0
            ],
            DISTRIBUTION.cdf,
        ).pvalue
    )


def figure(chains):
    """How W1 falls with the number of steps, the law along one reverse chain, and what ten steps of
    each sampler end in.
    """
    drawing, axes = subplots(
        1, 3, 15, 5.2, f"{QUESTION}  Exact score of 0.3 N(-2, 0.2²) + 0.7 N(2, 1)"
    )
    falling, heat, ends = axes[0]
    for color, sampler in zip(PATHS, vp_samplers(1)):
        for title, line in (("VP", "o-"), ("alpha = .97, T = 150", "s:")):
            errors = [
                distance(chains[title, sampler, N]) for N in STEPS if (title, sampler, N) in chains
            ]
            if errors:
                falling.loglog(STEPS, errors, line, color=color, label=f"{sampler}; {title}")
        ends.plot(LINE, density(chains["VP", sampler, 10]), color=color, label=sampler)
    falling.loglog(STEPS, [1 / N for N in STEPS], "--", color=GREY, label="1 / steps")
    falling.set(
        xlabel="number of steps",
        ylabel="Wasserstein distance W1 to the data",
        title="error of the samples",
    )
    falling.set_ylim(top=40 * falling.get_ylim()[1])
    falling.legend(fontsize=8, loc="upper right")
    walk, grid = vp_samplers(20)["DDPM, variance beta"]
    laws = np.stack([density(chain) for chain in propagate(walk, grid)], axis=1)
    density_map(
        heat,
        np.arange(1, 21),
        LINE,
        laws,
        "density of x",
        largest=float(np.quantile(laws, 0.99).round(2)),
    )
    heat.set(
        xlabel="step of the reverse chain",
        ylabel="x",
        ylim=(-5, 5),
        xticks=range(1, 21, 3),
        title="20 steps of DDPM, variance beta",
    )
    ends.plot(LINE, np.exp(DISTRIBUTION.log_density(LINE[:, None])), "--", color=GREY, label="data")
    ends.set(
        xlabel="x",
        ylabel="density of x",
        xlim=(-4, 5.5),
        title="what 10 steps on the VP schedule end in",
    )
    ends.legend(fontsize=8)
    return drawing
