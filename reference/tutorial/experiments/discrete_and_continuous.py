"""Discrete chains and continuous equations: which are equal to rounding, and which only in the
limit of short steps?

Equalities are held to rounding, limits to their order.  All with exact scores; where both sides
draw noise they draw the same.
"""

from itertools import pairwise

import numpy as np
from scipy import stats

from reference.diffusion.mixtures import Mixture, example_2_1
from reference.diffusion.schedules import VarianceExplodingSchedule, from_betas, linear
from reference.ops import normal
from reference.ops.random import Purpose
from reference.plotting import GREY, PATHS, subplots
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral
from reference.samplers.ddim import ddim
from reference.samplers.grids import uniform_log_snr
from reference.samplers.indi import indi
from reference.samplers.ode import runge_kutta
from reference.samplers.sde import PREDICTORS, euler_maruyama, predictor_corrector
from reference.sde.sde import VE, VP
from reference.tutorial.experiments import Outcome

QUESTION = "N3: where are the discrete and the continuous views one, and where only nearly?"
DISTRIBUTION = example_2_1()
GAUSSIAN = Mixture(np.ones(1), np.array([[1.0]]), np.array([0.25]))
STEPS = (50, 100, 200, 400, 800)
# a few hundred steps, each wrong by a few hundred roundings (the mixture's own) of numbers of size
# 10
ROUNDING = 1e-11


def run(quick=False):
    n = 4000 if quick else 10_000
    outcome, x = (
        Outcome(settings={"steps": STEPS, "draws": n}),
        3 * normal(1, np.arange(200), 0, Purpose.PRIOR, (1,)),
    )
    limits = {
        "DDPM's chain and the VP SDE: log alpha_bar at t = 1/2": [chain_and_sde(N) for N in STEPS],
        "ancestral steps of variance beta and Euler-Maruyama: x at t = 1/10, same noise": [
            ancestral_and_euler_maruyama(N) for N in STEPS
        ],
        "SMLD's reverse step (4.21) and Euler-Maruyama with g(t)^2 dt: factor of the score": [
            ladder_and_sde(N) for N in STEPS
        ],
    }
    outcome.tables["Differences that fall with the number of steps"] = (
        ("", *(f"N = {N}" for N in STEPS)),
        [(k, *v) for k, v in limits.items()],
    )
    for name, values in limits.items():
        slope = np.polyfit(np.log(STEPS[1:]), np.log(values[1:]), 1)[0]
        outcome.check(f"{name}: O(1/N)", f"slope {slope:.3f}", abs(slope + 1) < 0.1)
    equal = {
        "DDIM and Euler's method in sigma": ddim_and_euler(x),
        "SMLD's reverse step and Euler-Maruyama with the exact increment of sigma^2": ladder_and_increments(),
        "VP and VE scores, through x / sqrt(alpha_bar)": vp_and_ve(x),
        "DDIM preserving the variance and DDIM letting it explode": ddim_in_both_views(x),
        "InDI and Euler's method for the flow of VE": indi_and_flow(x),
    }
    outcome.tables["Differences that are rounding"] = (
        ("", "largest difference"),
        list(equal.items()),
    )
    for name, value in equal.items():
        outcome.check(f"{name} are one", f"{value:.1e}", value < ROUNDING)
    for name, p_value in marginals(n).items():
        outcome.check(
            f"{name} has the law of the data, Kolmogorov-Smirnov with {n} draws, p > 0.001",
            f"p = {p_value:.3f}",
            p_value > 0.001,
        )
    outcome.findings.append(
        "The printed forms (4.17), (2.26), (1.35) and the corrector's sqrt(eps) are in none of these: each fails a test by its name."
    )
    outcome.figure = figure(limits)
    return outcome


def discrete(N):
    """The DDPM chain of N steps with beta_i = beta(i/N) / N."""
    return from_betas(VP().beta(np.arange(1, N + 1) / N) / N)


def chain_and_sde(N):
    return abs(float(discrete(N).log_alpha_bar[N // 2]) - float(VP().log_alpha_bar(0.5)))


def ancestral_and_euler_maruyama(N):
    """Root mean square difference over 1,000 trajectories from the same x and with the same noise,
    on Gaussian data.
    """
    schedule, sde, sample = discrete(N), VP(), np.arange(1000)
    x, steps = normal(2, sample, 0, Purpose.PRIOR, (1,)), N - N // 10
    noise = lambda x, t: GAUSSIAN.expected_noise(x, schedule.signal(t), schedule.noise_scale(t))
    score = lambda x, t: GAUSSIAN.noised(*sde.marginal(t)).score(x)
    chain = final_sample(
        ancestral(noise, schedule, range(N, N - steps - 1, -1), x, 3, sample, "beta")
    )
    times = np.arange(N, N - steps - 1, -1) / N
    drift, diffusion = sde.reverse(score)
    return float(
        ((chain - final_sample(euler_maruyama(drift, diffusion, times, x, 3, sample))) ** 2).mean()
        ** 0.5
    )


def ladder_and_sde(N):
    """Largest relative difference of g(t)^2 dt from the increment of sigma^2, over the steps of VE."""
    sde, times = VE(), np.linspace(1, 0.1, N + 1)
    euler, exact = (
        np.array([PREDICTORS[name](sde, t, s)[1] for t, s in pairwise(times)])
        for name in ("euler-maruyama", "reverse-diffusion")
    )
    return float(np.abs(euler / exact - 1).max())


def ladder_and_increments():
    """(4.21) is x + (sigma_i^2 - sigma_(i-1)^2) score + sqrt(sigma_i^2 - sigma_(i-1)^2) z."""
    sde, times, worst = VE(), np.linspace(1, 0.1, 101), 0.0
    for t, s in pairwise(times):
        increment = sde.noise_power(t) - sde.noise_power(s)
        c_x, c_score, deviation = PREDICTORS["reverse-diffusion"](sde, t, s)
        worst = max(
            worst, abs(c_x - 1), abs(c_score / increment - 1), abs(deviation / increment**0.5 - 1)
        )
    return worst


def ddim_and_euler(x):
    """In y = x / sqrt(alpha_bar) and sigma = sqrt((1 - alpha_bar) / alpha_bar): dy / dsigma = eps."""
    schedule = linear(1000)
    grid = schedule.timesteps(50)
    chain = final_sample(
        ddim(
            lambda x, t: DISTRIBUTION.expected_noise(
                x, schedule.signal(t), schedule.noise_scale(t)
            ),
            schedule,
            grid,
            x,
            0,
            np.arange(len(x)),
        )
    )
    ratio = [schedule.noise_scale(t) / schedule.signal(t) for t in grid]
    flow = final_sample(
        runge_kutta(
            lambda y, sigma: DISTRIBUTION.expected_noise(y, 1.0, sigma),
            ratio,
            x / schedule.signal(1000),
            "euler",
        )
    )
    return float(np.abs(chain - flow).max())


def vp_and_ve(x):
    sde, worst = VP(), 0.0
    for t in (0.05, 0.3, 0.7):
        alpha, sigma = sde.marginal(t)
        worst = max(
            worst,
            np.abs(
                DISTRIBUTION.noised(alpha, sigma).score(x)
                - DISTRIBUTION.noised(1.0, sigma / alpha).score(x / alpha) / alpha
            ).max(),
        )
    return float(worst)


def ddim_in_both_views(x):
    preserving = linear(1000)
    exploding, grid, sample = (
        VarianceExplodingSchedule(preserving.log_alpha_bar),
        preserving.timesteps(50),
        np.arange(len(x)),
    )
    ends = []
    for schedule, start in ((preserving, x), (exploding, x / preserving.signal(1000))):
        noise = lambda x, t, schedule=schedule: DISTRIBUTION.expected_noise(
            x, schedule.signal(t), schedule.noise_scale(t)
        )
        ends.append(final_sample(ddim(noise, schedule, grid, start, 0, sample)))
    return float(np.abs(ends[0] - ends[1]).max())


def indi_and_flow(y, deviation=2.0, N=50):
    """InDI restores y = x + noise along t = 1 .. 0, the flow of VE at sigma = t deviation;
    dx/dsigma = (x - E[x_0 | x]) / sigma.
    """
    denoise = lambda x, t: DISTRIBUTION.posterior_mean(x, 1.0, t * deviation)
    times = np.arange(N, -1, -1) / N
    restored = final_sample(indi(denoise, times, y, 0, np.arange(len(y))))
    flow = final_sample(
        runge_kutta(
            lambda x, sigma: DISTRIBUTION.expected_noise(x, 1.0, sigma),
            times * deviation,
            y,
            "euler",
        )
    )
    return float(np.abs(restored - flow).max())


def marginals(n):
    """p-values of the reverse SDE's and the flow's draws at the SDE's last time, both begun with
    the exact law.
    """
    sde, sample = VP(), np.arange(n)
    distribution = DISTRIBUTION.noised(*sde.marginal(sde.t_min))
    score = lambda x, t: DISTRIBUTION.noised(*sde.marginal(t)).score(x)
    x, _ = DISTRIBUTION.noised(*sde.marginal(1.0)).sample(5, sample)
    noisy = final_sample(
        predictor_corrector(sde, score, uniform_log_snr(sde, n // 10), x, 6, sample, "ancestral")
    )
    flow, _ = sde.reverse(score, 0.0)
    smooth = final_sample(runge_kutta(flow, uniform_log_snr(sde, 200), x))
    return {
        name: float(stats.kstest(x[:, 0], distribution.cdf).pvalue)
        for name, x in (("the reverse SDE", noisy), ("the probability flow", smooth))
    }


def figure(limits):
    drawing, ((axes,),) = subplots(1, 1, 9, 6.5, QUESTION)
    for (name, values), color, mark in zip(limits.items(), PATHS, "os^"):
        axes.loglog(STEPS, values, "-", marker=mark, color=color, label=name)
    axes.loglog(STEPS, [1 / N for N in STEPS], "--", color=GREY, label="1 / N")
    axes.set(
        xlabel="number of steps N",
        ylabel="difference of the discrete chain and the continuous equation",
    )
    axes.set_xticks(STEPS, map(str, STEPS))
    axes.minorticks_off()
    axes.set_ylim(top=axes.get_ylim()[1] * 30)
    axes.legend(fontsize=9, loc="upper right")
    return drawing
