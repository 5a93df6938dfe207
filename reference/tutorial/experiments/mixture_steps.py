"""Samplers on a mixture in a few steps: how far from the data do they end, and does the theory of
each chain predict that distance?

The score is exact, so that the steps cause all of the error.  Each chain is followed twice: by
particles, and deterministically, by its density on a grid.
"""

import numpy as np
from scipy import stats

from reference import ops as reference_ops
from reference.diffusion.mixtures import example_2_1
from reference.diffusion.schedules import constant, vp
from reference.ops.random import Purpose
from reference.plotting import GREY, PATH_COLORS, density_map, subplots
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
    X_GRID,
    cdf,
    density,
    distance_to_data,
    propagate,
)

QUESTION = "How many denoising steps does a mixture need?"
STEPS = (5, 10, 20, 50, 100)
CONSTANT = "alpha = .97, T = 150"
# a multiple of the expected distance of n exact draws; exceeded less than once in 10^6 times
MONTE_CARLO = 4.0


def run(quick=False, ops=reference_ops):
    n = 20_000 if quick else 300_000
    outcome = Outcome(settings={"steps": STEPS, "particles": n})
    chains = follow(outcome, "VP", vp_samplers, n, ops)
    chains |= follow(outcome, CONSTANT, constant_samplers, n // 10, ops)
    criteria(outcome, chains)
    p_value = exact_kernel_p_value(min(n, 100_000), ops)
    outcome.check(
        "the exact reverse kernel makes no error in 10 steps: Kolmogorov-Smirnov at 5 %",
        f"p = {p_value:.3f}",
        p_value > 0.05,
    )
    with_ddim = distance_to_data(chains[CONSTANT, "DDIM", 100])
    with_ddpm = distance_to_data(chains[CONSTANT, "DDPM, variance beta", 100])
    outcome.findings.append(
        "With alpha = .97, x_150 is not yet N(0, 1).  DDIM adds no noise and keeps that mismatch "
        f"for any number of steps: W1 {with_ddim:.3f} in 100.  DDPM removes it: {with_ddpm:.3f}."
    )
    outcome.figure = figure(chains, ops)
    return outcome


def follow(outcome, title, samplers_of, n, ops):
    """The final distribution of every chain, (title, sampler, steps) -> atoms, and a table that
    compares it with the data and with n particles.
    """
    chains, rows = {}, []
    for sampler in samplers_of(1):
        for N in STEPS:
            walk, times = samplers_of(N, ops)[sampler]
            *_, chain = propagate(walk, times)
            chains[title, sampler, N] = chain
            distances = particles_to_chain(walk, times, chain, n, ops)
            rows.append((sampler, N, distance_to_data(chain), cdf(chain, 0.0), *distances))
    header = (
        "sampler",
        "steps",
        "W1 to data",
        "mass below 0",
        "W1 of particles to chain",
        "expected",
    )
    mass = float(DISTRIBUTION.cdf(0.0))
    outcome.tables[f"{title}: chains and {n} particles (mass below 0 of the data: {mass:.4f})"] = (
        header,
        rows,
    )
    worst = max(row[4] / row[5] for row in rows)
    outcome.check(
        f"{title}: particles follow their chains within Monte Carlo error",
        f"{worst:.2f} times the expected distance",
        worst < MONTE_CARLO,
    )
    return chains


def criteria(outcome, chains):
    for sampler in vp_samplers(1):
        errors = {N: distance_to_data(chains["VP", sampler, N]) for N in STEPS}
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


def vp_samplers(N, ops=reference_ops):
    """Sampler -> (walk(times, x, seed, sample, ops), all its times), for N even steps of the VP
    SDE.
    """
    sde, distribution = VP(), example_2_1(ops)
    drift, diffusion = sde.reverse(lambda x, t: distribution.noised(*sde.marginal(t)).score(x))

    def walk(times, x, seed, sample, ops):
        *noisy, end = times if times[-1] == 0 else (*times, None)
        if len(noisy) > 1:
            x = final_sample(euler_maruyama(drift, diffusion, noisy, x, seed, sample, ops=ops))
        # the last step adds no noise
        return x if end is None else final_sample(runge_kutta(drift, (noisy[-1], end), x, "euler"))

    euler = walk, [i / N for i in range(N, -1, -1)]
    return discrete_samplers(vp(N), N, ops) | {"Euler-Maruyama": euler}


def constant_samplers(N, ops=reference_ops):
    return discrete_samplers(constant(), N, ops)


def discrete_samplers(schedule, N, ops):
    """Sampler -> (walk, times), for N steps on the schedule with the exact denoiser."""
    distribution = example_2_1(ops)
    predict_noise = lambda x, t: distribution.expected_noise(
        x, schedule.signal(t), schedule.noise_scale(t)
    )
    walk = lambda sampler, **options: (
        lambda times, x, seed, sample, ops: final_sample(
            sampler(predict_noise, schedule, times, x, seed, sample, ops=ops, **options)
        )
    )
    walks = {
        "DDPM, posterior variance": walk(ancestral, variance="posterior"),
        "DDPM, variance beta": walk(ancestral, variance="beta"),
        "DDIM": walk(ddim),
    }
    return {name: (walk, schedule.timesteps(N)) for name, walk in walks.items()}


def particles_to_chain(walk, times, chain, n, ops, batch=50_000):
    """(W1 of n particles to the chain, its expected value for n exact draws from the chain)."""
    parts = []
    for first in range(0, n, batch):
        sample = np.arange(first, min(first + batch, n))
        x = ops.normal(1, sample, 0, Purpose.PRIOR, (1,), np.float64)
        parts.append(walk(times, x, 1, sample, ops)[:, 0])
    x = np.sort(np.concatenate(parts))
    F = cdf(chain, X_GRID)
    measured = np.trapezoid(np.abs(np.searchsorted(x, X_GRID) / n - F), X_GRID)
    expected = np.trapezoid(np.sqrt(2 / np.pi * F * (1 - F) / n), X_GRID)
    return float(measured), float(expected)


def exact_kernel_p_value(n, ops=reference_ops, N=10):
    """p-value of the Kolmogorov-Smirnov test of samples by the exact reverse kernel, from the exact
    distribution of x_N.
    """
    schedule, distribution = vp(N), example_2_1(ops)
    sample = np.arange(n)
    x, _ = distribution.noised(schedule.signal(N), schedule.noise_scale(N)).sample(2, sample)
    states = exact_kernel(distribution, schedule, schedule.timesteps(N), x, 3, sample, ops)
    return float(stats.kstest(final_sample(states)[:, 0], distribution.cdf).pvalue)


def figure(chains, ops=reference_ops):
    """Three panels: W1 over the number of steps, the density along one reverse chain, and the final
    densities of all samplers after ten steps.
    """
    title = f"{QUESTION}  Exact score of 0.3 N(-2, 0.2²) + 0.7 N(2, 1)"
    drawing, axes = subplots(1, 3, 15, 5.2, title)
    errors, path, ends = axes[0]
    draw_errors(errors, chains)
    draw_path(path, ops)
    for color, sampler in zip(PATH_COLORS, vp_samplers(1)):
        ends.plot(X_GRID, density(chains["VP", sampler, 10]), color=color, label=sampler)
    data = np.exp(example_2_1(ops).log_density(X_GRID[:, None]))
    ends.plot(X_GRID, data, "--", color=GREY, label="data")
    ends.set(
        xlabel="x",
        ylabel="density of x",
        xlim=(-4, 5.5),
        title="samples after 10 steps, VP schedule",
    )
    ends.legend(fontsize=8)
    return drawing


def draw_errors(axes, chains):
    for color, sampler in zip(PATH_COLORS, vp_samplers(1)):
        for title, style in (("VP", "o-"), (CONSTANT, "s:")):
            if (title, sampler, STEPS[0]) in chains:
                errors = [distance_to_data(chains[title, sampler, N]) for N in STEPS]
                axes.loglog(STEPS, errors, style, color=color, label=f"{sampler}; {title}")
    axes.loglog(STEPS, [1 / N for N in STEPS], "--", color=GREY, label="1 / steps")
    axes.set(
        xlabel="number of steps",
        ylabel="Wasserstein distance W1 to the data",
        title="error of the samples",
    )
    axes.set_ylim(top=40 * axes.get_ylim()[1])
    axes.legend(fontsize=8, loc="upper right")


def draw_path(axes, ops):
    walk, times = vp_samplers(20, ops)["DDPM, variance beta"]
    densities = np.stack([density(chain) for chain in propagate(walk, times)], axis=1)
    largest = float(np.quantile(densities, 0.99).round(2))
    density_map(axes, np.arange(1, 21), X_GRID, densities, "density of x", largest)
    axes.set(
        xlabel="step of the reverse chain",
        ylabel="x",
        ylim=(-5, 5),
        xticks=range(1, 21, 3),
        title="20 steps of DDPM, variance beta",
    )
