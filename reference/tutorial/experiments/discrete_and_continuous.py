"""Discrete chains and continuous equations: which are equal to rounding, and which only in the
limit of short steps?

Equalities are tested to rounding, limits by their order of convergence.  All scores are exact.
Where both sides draw noise, they draw the same noise.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy import stats

from reference import ops as reference_ops
from reference.diffusion.mixtures import Mixture, example_2_1
from reference.diffusion.schedules import VarianceExplodingSchedule, from_betas, linear
from reference.ops.random import Purpose
from reference.plotting import GREY, PATH_COLORS, subplots
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral
from reference.samplers.ddim import ddim
from reference.samplers.grids import uniform_log_snr
from reference.samplers.indi import indi
from reference.samplers.ode import runge_kutta
from reference.samplers.sde import PREDICTORS, euler_maruyama, predictor_corrector
from reference.sde.sde import VE, VP
from reference.tutorial.experiments import Outcome

QUESTION = "Where are the discrete and the continuous views equal, and where only approximately?"
GAUSSIAN = Mixture(np.ones(1), np.array([[1.0]]), np.array([0.25]))
STEPS = (50, 100, 200, 400, 800)
# a few hundred steps; each has a few hundred roundings of the mixture at numbers of size 10
ROUNDING = 1e-11


def run(quick=False, ops=reference_ops):
    n = 4000 if quick else 10_000
    outcome = Outcome(settings={"steps": STEPS, "draws": n})
    x = 3 * ops.normal(1, np.arange(200), 0, Purpose.PRIOR, (1,), np.float64)
    limits = {
        "DDPM's chain and the VP SDE: log alpha_bar at t = 1/2": [chain_and_sde(N) for N in STEPS],
        "ancestral steps of variance beta and Euler-Maruyama: x at t = 1/10, same noise": [
            ancestral_and_euler_maruyama(N, ops) for N in STEPS
        ],
        "SMLD's reverse step (4.21) and Euler-Maruyama with g(t)^2 dt: factor of the score": [
            smld_and_euler_maruyama(N) for N in STEPS
        ],
    }
    outcome.tables["Differences that fall with the number of steps"] = (
        ("", *(f"N = {N}" for N in STEPS)),
        [(name, *values) for name, values in limits.items()],
    )
    for name, values in limits.items():
        slope = np.polyfit(np.log(STEPS[1:]), np.log(values[1:]), 1)[0]
        outcome.check(f"{name}: O(1/N)", f"slope {slope:.3f}", abs(slope + 1) < 0.1)
    equal = {
        "DDIM and Euler's method in sigma": ddim_and_euler(x, ops),
        "SMLD's reverse step and Euler-Maruyama with the exact increment of sigma^2": (
            smld_and_increments()
        ),
        "VP and VE scores, through x / sqrt(alpha_bar)": vp_and_ve(x, ops),
        "variance-preserving and variance-exploding DDIM": ddim_in_both_views(x, ops),
        "InDI and Euler's method for the probability flow of VE": indi_and_flow(x, ops),
    }
    outcome.tables["Differences that are rounding"] = (
        ("", "largest difference"),
        list(equal.items()),
    )
    for name, value in equal.items():
        outcome.check(f"{name} are equal", f"{value:.1e}", value < ROUNDING)
    for name, p_value in marginal_p_values(n, ops).items():
        outcome.check(
            f"{name} has the data distribution, Kolmogorov-Smirnov with {n} draws, p > 0.001",
            f"p = {p_value:.3f}",
            p_value > 0.001,
        )
    outcome.findings.append(
        "None of these uses the printed forms (4.17), (2.26), (1.35), or sqrt(eps) in the "
        "corrector: each of them fails a test by its name."
    )
    outcome.figure = figure(limits)
    return outcome


def ddpm_schedule(N):
    """The DDPM chain of N steps with beta_i = beta(i/N) / N."""
    return from_betas(VP().beta(np.arange(1, N + 1) / N) / N)


def noise_predictor(distribution, schedule):
    """The exact predict_noise(x, t) for data from ``distribution``."""
    return lambda x, t: distribution.expected_noise(x, schedule.signal(t), schedule.noise_scale(t))


def chain_and_sde(N):
    discrete = float(ddpm_schedule(N).log_alpha_bar[N // 2])
    return abs(discrete - float(VP().log_alpha_bar(0.5)))


def ancestral_and_euler_maruyama(N, ops=reference_ops):
    """Root mean square difference over 1,000 trajectories on Gaussian data, from the same x and
    with the same noise.
    """
    schedule = ddpm_schedule(N)
    sde = VP()
    sample = np.arange(1000)
    x = ops.normal(2, sample, 0, Purpose.PRIOR, (1,), np.float64)
    gaussian = replace(GAUSSIAN, ops=ops)
    grid = range(N, N // 10 - 1, -1)
    predict_noise = noise_predictor(gaussian, schedule)
    chain = final_sample(ancestral(predict_noise, schedule, grid, x, 3, sample, "beta", ops=ops))
    score = lambda x, t: gaussian.noised(*sde.marginal(t)).score(x)
    drift, diffusion = sde.reverse(score)
    times = np.array(grid) / N
    path = final_sample(euler_maruyama(drift, diffusion, times, x, 3, sample, ops))
    return float(((chain - path) ** 2).mean() ** 0.5)


def smld_and_euler_maruyama(N):
    """Largest relative difference between g(t)^2 dt and the increment of sigma^2, over the steps of
    VE.
    """
    sde = VE()
    times = np.linspace(1, 0.1, N + 1)
    euler, exact = (
        np.array([PREDICTORS[name](sde, t, t_prev)[1] for t, t_prev in pairwise(times)])
        for name in ("euler-maruyama", "reverse-diffusion")
    )
    return float(np.abs(euler / exact - 1).max())


def smld_and_increments():
    """(4.21) is x + (sigma_i^2 - sigma_{i-1}^2) score + sqrt(sigma_i^2 - sigma_{i-1}^2) z."""
    sde = VE()
    worst = 0.0
    for t, t_prev in pairwise(np.linspace(1, 0.1, 101)):
        increment = sde.noise_power(t) - sde.noise_power(t_prev)
        c_x, c_score, deviation = PREDICTORS["reverse-diffusion"](sde, t, t_prev)
        differences = (c_x - 1, c_score / increment - 1, deviation / increment**0.5 - 1)
        worst = max(worst, *map(abs, differences))
    return worst


def ddim_and_euler(x, ops=reference_ops):
    """In y = x / sqrt(alpha_bar) and sigma = sqrt((1 - alpha_bar) / alpha_bar): dy/dsigma = eps."""
    schedule = linear(1000)
    grid = schedule.timesteps(50)
    predict_noise = noise_predictor(example_2_1(ops), schedule)
    chain = final_sample(ddim(predict_noise, schedule, grid, x, 0, np.arange(len(x)), ops=ops))
    sigmas = [schedule.noise_scale(t) / schedule.signal(t) for t in grid]
    return largest_difference(chain, euler_flow(x / schedule.signal(1000), sigmas, ops))


def euler_flow(y, sigmas, ops=reference_ops):
    """Euler's method for dy/dsigma = eps, the probability flow of VE."""
    distribution = example_2_1(ops)
    slope = lambda y, sigma: distribution.expected_noise(y, 1.0, sigma)
    return final_sample(runge_kutta(slope, sigmas, y, "euler"))


def largest_difference(x, y):
    return float(np.abs(x - y).max())


def vp_and_ve(x, ops=reference_ops):
    sde, distribution = VP(), example_2_1(ops)
    worst = 0.0
    for t in (0.05, 0.3, 0.7):
        alpha, sigma = sde.marginal(t)
        preserving = distribution.noised(alpha, sigma).score(x)
        exploding = distribution.noised(1.0, sigma / alpha).score(x / alpha) / alpha
        worst = max(worst, largest_difference(preserving, exploding))
    return worst


def ddim_in_both_views(x, ops=reference_ops):
    preserving = linear(1000)
    exploding = VarianceExplodingSchedule(preserving.log_alpha_bar)
    grid = preserving.timesteps(50)
    ends = []
    for schedule, start in ((preserving, x), (exploding, x / preserving.signal(1000))):
        predict_noise = noise_predictor(example_2_1(ops), schedule)
        states = ddim(predict_noise, schedule, grid, start, 0, np.arange(len(x)), ops=ops)
        ends.append(final_sample(states))
    return largest_difference(*ends)


def indi_and_flow(y, ops=reference_ops, deviation=2.0, N=50):
    """InDI restores y = x + noise along t = 1 .. 0.  That is the flow of VE at sigma = t deviation:
    dx/dsigma = (x - E[x_0 | x]) / sigma.
    """
    data = example_2_1(ops)
    denoise = lambda x, t: data.posterior_mean(x, 1.0, t * deviation)
    times = np.arange(N, -1, -1) / N
    restored = final_sample(indi(denoise, times, y, 0, np.arange(len(y)), ops=ops))
    return largest_difference(restored, euler_flow(y, times * deviation, ops))


def marginal_p_values(n, ops=reference_ops):
    """p-values of draws by the reverse SDE and by the probability flow at time t_min, both from the
    exact distribution at t = 1.
    """
    sde, data = VP(), example_2_1(ops)
    sample = np.arange(n)
    distribution = data.noised(*sde.marginal(sde.t_min))
    score = lambda x, t: data.noised(*sde.marginal(t)).score(x)
    x, _ = data.noised(*sde.marginal(1.0)).sample(5, sample)
    times = uniform_log_snr(sde, n // 10)
    stochastic = predictor_corrector(sde, score, times, x, 6, sample, "ancestral", ops=ops)
    drift, _ = sde.reverse(score, 0.0)
    flow = runge_kutta(drift, uniform_log_snr(sde, 200), x)
    return {
        name: float(stats.kstest(final_sample(states)[:, 0], distribution.cdf).pvalue)
        for name, states in (("the reverse SDE", stochastic), ("the probability flow", flow))
    }


def figure(limits):
    drawing, ((axes,),) = subplots(1, 1, 9, 6.5, QUESTION)
    for (name, values), color, mark in zip(limits.items(), PATH_COLORS, "os^"):
        axes.loglog(STEPS, values, "-", marker=mark, color=color, label=name)
    axes.loglog(STEPS, [1 / N for N in STEPS], "--", color=GREY, label="1 / N")
    axes.set(
        xlabel="number of steps N",
        ylabel="difference between the discrete chain and the continuous equation",
    )
    axes.set_xticks(STEPS, map(str, STEPS))
    axes.minorticks_off()
    axes.set_ylim(top=axes.get_ylim()[1] * 30)
    axes.legend(fontsize=9, loc="upper right")
    return drawing
