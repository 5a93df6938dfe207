"""What matters and what does not: one factor at a time from a base point, against what theory
predicts of each breaking point.

The base point is DDPM with variance beta on the VP schedule in 100 steps from N(0, 1), with the
exact score of Ex 2.1's mixture, its law carried from step to step.  Only the last factor, the
network, is trained.
"""

from types import SimpleNamespace

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.conversions import log_alpha_bar_of_sigma
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.mixtures import example_3_2
from reference.diffusion.schedules import SCHEDULES, Schedule, vp
from reference.networks import MLP
from reference.ops import normal
from reference.ops.random import Purpose
from reference.plotting import BLUE, GREY, VERMILION, subplots
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral
from reference.samplers.annealed_langevin import annealed_langevin
from reference.samplers.chain_density import gaussian_kernel
from reference.samplers.langevin import langevin, stability_limit
from reference.sde.sde import VE, SubVP
from reference.smld.smld import floors
from reference.tutorial.experiments import Outcome
from reference.tutorial.experiments.chains import DISTRIBUTION, LINE, cdf, distance, held, propagate
from reference.tutorial.experiments.training import trained

QUESTION = "N2: what matters, and where does it break?"
NEGLIGIBLE = 0.02


def run(quick=False):
    T, particles, training = (50, 1000, 400) if quick else (100, 10_000, 2000)
    outcome = Outcome(settings={"steps": T, "particles": particles, "training steps": training})
    schedules(outcome, T)
    numbers_of_steps(
        outcome, (5, 10, 20, 50, 100) if quick else (5, 10, 20, 50, 100, 200, 500, 1000)
    )
    elbo_gap(outcome)
    rows = [
        (choice, distance(chain(vp(T), choice)), distance(chain(vp(T // 5), choice)))
        for choice in ("posterior", "beta", "exact")
    ]
    outcome.tables["Variance of a step"] = ("choice", f"W1 in {T} steps", f"W1 in {T // 5}"), rows
    steps = langevin_steps(outcome, quick)
    annealing(outcome, particles)
    found = networks(outcome, training)
    outcome.figure = figure(outcome, steps, found)
    return outcome


def chain(schedule, variance="beta"):
    """The law that DDPM ends in on the schedule, with the exact denoiser."""
    best = lambda x, t: DISTRIBUTION.expected_noise(x, schedule.signal(t), schedule.noise_scale(t))
    mmse = None
    if variance == "exact":
        ratios = schedule.noise_scale(np.arange(1, schedule.T + 1)) / schedule.signal(
            np.arange(1, schedule.T + 1)
        )
        errors = ratios**2 * 2 * floors(DISTRIBUTION, ratios, points=20_001)
        mmse = lambda t: float(errors[t - 1])
    walk = lambda grid, x, seed, sample, ops: final_sample(
        ancestral(best, schedule, grid, x, seed, sample, variance, mmse, ops=ops)
    )
    *_, end = propagate(walk, schedule.timesteps(schedule.T))
    return end


def schedules(outcome, T):
    """Every kind of schedule, and ranges of beta: the mismatch of x_T and N(0, 1), and where the
    samples end.
    """
    tables = {name: make(T) for name, make in SCHEDULES.items()}
    # their twins that preserve the variance: the same samples (N3)
    for name, sde in {"sub-VP": SubVP(), "VE": VE()}.items():
        times = np.arange(1, T + 1) / T
        tables[name] = Schedule(
            np.concatenate(
                ([0.0], log_alpha_bar_of_sigma(sde.noise_scale(times) / sde.signal(times)))
            )
        )
    tables |= {f"vp, beta to {top:g}": vp(T, 0.1, top) for top in (1.0, 3.0, 10.0, 40.0)}
    rows = []
    for name, schedule in tables.items():
        A, end = schedule.signal_power(T), chain(schedule)
        rows.append(
            (name, A, mismatch(schedule), gaussian_mismatch(A), distance(end), cdf(end, 0.0))
        )
    header = (
        "schedule",
        "alpha_bar_T",
        "KL(x_T to N(0, 1))",
        "Gaussian formula",
        "W1",
        "mass below 0",
    )
    outcome.tables[
        f"Schedules, {T} steps (mass below 0 of the data: {float(DISTRIBUTION.cdf(0.0)):.4f})"
    ] = header, rows
    small = [row for row in rows if row[1] < 0.1]
    apart = max(abs(row[2] - row[3]) / row[3] for row in small if row[3] > 1e-12)
    outcome.check(
        "the mismatch of x_T is 1/2 (v_T + A_T m^2 - 1 - log v_T) where alpha_bar_T < 0.1",
        f"{apart:.3f} of it apart",
        apart < 0.1,
    )
    masses = [min(row[5], 1 - row[5]) for row in rows]
    outcome.check(
        "no schedule loses a mode with the exact score",
        f"smaller mode's mass {min(masses):.3f} at least",
        min(masses) > 0.15,
    )
    outcome.findings.append(
        "It is said that a bad schedule makes modes collapse.  With the exact score none does: too little noise at the end is a mismatch "
        "of x_T and N(0, 1), and that costs accuracy, not modes."
    )


def gaussian_mismatch(A):
    """KL to N(0, 1) of the Gaussian with x_T's mean and variance."""
    m, v = float(DISTRIBUTION.mean[0]), A * float(DISTRIBUTION.covariance[0, 0]) + 1 - A
    return (v + A * m**2 - 1 - np.log(v)) / 2


def mismatch(schedule):
    distribution, x = (
        DISTRIBUTION.noised(schedule.signal(schedule.T), schedule.noise_scale(schedule.T)),
        np.linspace(-12, 12, 4001),
    )
    log_p = distribution.log_density(x[:, None])
    return float(np.trapezoid(np.exp(log_p) * (log_p + x**2 / 2 + np.log(2 * np.pi) / 2), x))


def numbers_of_steps(outcome, lengths):
    rows = [
        (T, distance(chain(vp(T), "posterior")), distance(chain(vp(T), "beta"))) for T in lengths
    ]
    outcome.tables["Number of steps"] = ("T", "W1, posterior variance", "W1, variance beta"), rows


def elbo_gap(outcome, c=0.25):
    """-ELBO minus H + KL(x_T to N(0, 1)) for N(0, c) data with the best denoiser, per dimension:
    closed forms over even steps of VP.

    The prior's term exceeds that KL by the information that x_T has of x_0, 1/2 log(1 + c SNR_T).
    """
    rows = []
    for T in (100, 1000, 10_000, 100_000, 1_000_000):
        table = vp(T).log_alpha_bar[1:]
        snr = np.exp(table) / -np.expm1(table)
        mmse = c / (1 + c * snr)
        ends = 0.5 * np.log(mmse[0] / c) + 0.5 * np.log1p(c * snr[-1])
        # the KL of each at the posterior variance; at the kernel's own it is 1/2 log(1 + 2 KL)
        steps = -0.5 * np.diff(snr) * mmse[1:]
        rows.append((T, steps.sum() + ends, 0.5 * np.log1p(2 * steps).sum() + ends))
    limit = float(np.euler_gamma) / 2
    header = ("T", "gap, posterior variance", "gap, the kernel's own variance")
    outcome.tables[
        f"What the ELBO misses, N(0, {c}) data, nats a dimension (limit of the first: {limit:.6f})"
    ] = header, rows
    outcome.check(
        "with the posterior variance the ELBO's gap falls to Euler's gamma / 2 and stays there",
        f"{rows[-1][1]:.6f}",
        0 < rows[-1][1] - limit < 1e-3,
    )
    worst = max(abs(row[2]) for row in rows)
    outcome.check(
        "with the variance of the true kernel there is no gap, whatever T",
        f"{worst:.1e}",
        worst < 1e-9,
    )
    outcome.findings.append(
        "It is said that more steps close the ELBO's gap.  With the posterior variance they do not; the right variance closes it at once."
    )


def langevin_steps(outcome, quick):
    """The law that Langevin ends in after infinitely many steps, and the step at which it stops
    being stable.
    """
    distribution, rows = example_3_2(), []
    for tau in (0.001, 0.005, 0.01, 0.02, 0.05, 0.07):
        mass = stationary(
            lambda grid, x, seed, sample, ops, tau=tau: final_sample(
                langevin(distribution.score, x, tau, 1, seed, sample, ops=ops)
            )
        )
        narrow = mass * (LINE < -0.82)
        mean = (narrow @ LINE) / narrow.sum()
        rows.append(
            (
                tau,
                float(mass[LINE > -0.82].sum()),
                float(narrow @ (LINE - mean) ** 2 / narrow.sum() / 0.04),
            )
        )
    header = ("tau", "long-run mass of the wide mode (0.6)", "narrow mode's variance / 0.04")
    outcome.tables["Step of Langevin dynamics on the mixture of Ex 3.2"] = header, rows
    low, high = 0.01, 0.5
    while high / low > 1.01:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if grows(middle) else (middle, high)
    limit = stability_limit(distribution)
    outcome.check(
        f"Langevin is stable below 2 s^2 = {limit:g} and not above",
        f"the step found is {low:.4f}",
        low * 0.98 < limit < high * 1.02,
    )
    return rows


def grows(tau, s2=0.04):
    """Does a Langevin step of that length on N(0, s^2) drive particles away?"""
    x = 100 * np.ones((1, 1))
    return (
        abs(float(final_sample(langevin(lambda x: -x / s2, x, tau, 200, 0, np.array([0])))[0, 0]))
        > 100
    )


def stationary(walk):
    """Masses on LINE of the chain's long-run law: the null vector of its transition matrix minus 1."""
    mean, moved = (
        walk(None, LINE[:, None], 0, np.arange(len(LINE)), held(value))[:, 0]
        for value in (0.0, 1.0)
    )
    K = gaussian_kernel(LINE, mean, moved - mean)
    K /= K.sum(axis=0)
    system = K - np.eye(len(LINE))
    system[-1] = 1.0
    return np.linalg.solve(system, np.eye(len(LINE))[-1])


def annealing(outcome, n):
    """Annealed Langevin, one factor at a time from 10 levels of 100 steps with base step 0.2
    sigma_L^2: the mass of the mode at +2.
    """
    distribution, rows = example_3_2(), []
    for what, levels, steps_per_level, base in (
        ("base point", 10, 100, 0.2), ("5 levels", 5, 100, 0.2), ("20 levels", 20, 100, 0.2), ("5 steps a level", 10, 5, 0.2),
        ("20 steps a level", 10, 20, 0.2), ("base step 0.02", 10, 100, 0.02), ("base step 1", 10, 100, 1.0),
    ):  # fmt: skip
        sigmas, sample = np.geomspace(10, 0.05, levels), np.arange(n)
        x = 10 * normal(21, sample, 0, Purpose.PRIOR, (1,))
        x = final_sample(
            annealed_langevin(
                lambda x, s: distribution.noised(1.0, s).score(x),
                sigmas,
                x,
                steps_per_level,
                22,
                sample,
                base * 0.05**2,
            )
        )
        rows.append((what, levels * steps_per_level, float((x > -0.82).mean())))
    outcome.tables[f"Annealed Langevin: mass of the mode at +2 (0.6 is right; {n} particles)"] = (
        ("", "evaluations", "mass"),
        rows,
    )
    error, allowed = abs(rows[0][2] - 0.6), 0.01 + 4 * (0.24 / n) ** 0.5
    outcome.check(
        f"annealing finds the modes' masses within .01 and 4 standard errors, {allowed:.3f}",
        f"{error:.4f}",
        error < allowed,
    )


def networks(outcome, steps):
    """Loss above its floor after training with other widths and activations.  An activation is an
    op: another one is another port.
    """
    relu = lambda x: np.maximum(x, 0)
    ports = {
        "silu": reference_ops,
        "tanh": port(np.tanh, lambda x: 1 - np.tanh(x) ** 2),
        "relu": port(relu, lambda x: (x > 0).astype(x.dtype)),
        "none": port(lambda x: x, np.ones_like),
    }
    schedule = vp(100)
    t = np.arange(1, 101)
    ratios = schedule.noise_scale(t) / schedule.signal(t)
    floor, rows = float(2 * floors(DISTRIBUTION, ratios, points=20_001).mean()), []
    for width, activation in (
        (8, "silu"),
        (32, "silu"),
        (128, "silu"),
        (128, "tanh"),
        (128, "relu"),
        (128, "none"),
    ):
        rows.append(
            (
                width,
                activation,
                loss_of(schedule, MLP((1,), width), ports[activation], steps),
                floor,
            )
        )
    outcome.tables[f"Networks: loss of the noise after {steps} steps, and its floor"] = (
        ("width", "activation", "loss", "floor"),
        rows,
    )
    linear, found = best_linear_loss(schedule), rows[-1][2]
    outcome.check(
        "without activation the loss is that of the best linear function of x",
        f"{found:.4f} for {linear:.4f}",
        abs(found / linear - 1) < NEGLIGIBLE,
    )
    allowed, excess = 0.25 if steps < 1000 else 0.05, rows[2][2] / floor - 1
    outcome.check(
        f"width 128 with SiLU comes within {100 * allowed:g} % of the floor",
        f"{100 * excess:.1f} %",
        excess < allowed,
    )
    return rows


def port(function, slope):
    return SimpleNamespace(
        **(vars(reference_ops) | {"silu": function, "silu_backward": lambda dy, x: dy * slope(x)})
    )


def loss_of(schedule, network, ops, steps, n=100_000):
    data = DISTRIBUTION.sample(23, np.arange(50_000))[0].astype(np.float32)
    model = Denoiser(network, schedule, "noise", float((data**2).mean()))
    weights = trained(model, data, steps, ops=ops)
    sample = np.arange(n)
    x0, noise = (
        DISTRIBUTION.sample(24, sample)[0].astype(np.float32),
        normal(25, sample, 0, Purpose.EVALUATION, (1,), np.float32),
    )
    t = 1 + sample % schedule.T
    return float(model.loss(weights, x0, t, noise, ops=ops)[0])


def best_linear_loss(schedule):
    """Of y = w h_t x_t + g(t), one w for all times as a network without activation has it, h_t the
    scaling of its input.

    With the best g the loss at t is 1 - 2 w h_t sigma_t + w^2 h_t^2 v_t, v_t the variance of x_t,
    and its mean over t least at w = E h sigma / E h^2 v.
    """
    t = np.arange(1, schedule.T + 1)
    power = float(DISTRIBUTION.mean[0] ** 2 + DISTRIBUTION.covariance[0, 0])
    h2 = 1 / (schedule.signal_power(t) * power + schedule.noise_power(t))
    v = schedule.signal_power(t) * DISTRIBUTION.covariance[0, 0] + schedule.noise_power(t)
    return float(1 - (np.sqrt(h2) * schedule.noise_scale(t)).mean() ** 2 / (h2 * v).mean())


def figure(outcome, steps, nets_found):
    drawing, axes = subplots(2, 2, 12.5, 9.5, f"{QUESTION}  One factor at a time")
    kinds, lengths, langevin_axes, nets = axes.flat
    title = next(title for title in outcome.tables if title.startswith("Schedules"))
    rows = outcome.tables[title][1]
    kinds.barh([row[0] for row in rows], [row[4] for row in rows], color=BLUE)
    kinds.invert_yaxis()
    kinds.set(
        xlabel="Wasserstein distance W1 to the data",
        ylabel="schedule",
        title="DDPM, variance beta, exact score: the schedule",
    )
    T, posterior, beta = np.array(outcome.tables["Number of steps"][1]).T
    lengths.loglog(T, posterior, "o-", color=BLUE, label="posterior variance")
    lengths.loglog(T, beta, "s-", color=VERMILION, label="variance beta")
    lengths.set(
        xlabel="number of steps T",
        ylabel="Wasserstein distance W1 to the data",
        title="DDPM, exact score: the number of steps",
    )
    tau, mass, variance = np.array(steps).T
    langevin_axes.loglog(tau, mass, "o-", color=BLUE, label="mass of the wide mode, 0.6 is right")
    langevin_axes.axhline(0.6, color=BLUE, linestyle="--", linewidth=0.8)
    langevin_axes.loglog(
        tau,
        variance,
        "s-",
        color=VERMILION,
        label="variance of the narrow mode over the right one, 1 is right",
    )
    langevin_axes.axhline(1.0, color=VERMILION, linestyle="--", linewidth=0.8)
    langevin_axes.axvline(0.08, color=GREY, linestyle=":", label="stability limit, 0.08")
    langevin_axes.set(
        xlabel="step tau",
        ylabel="mass, or ratio of variances",
        title="Langevin dynamics in the long run: its step",
    )
    langevin_axes.set_ylim(0.5, 4 * variance.max())
    nets.bar(
        [f"{width}, {name}" for width, name, *_ in nets_found],
        [row[2] for row in nets_found],
        color=BLUE,
        label="trained network",
    )
    nets.axhline(
        nets_found[0][3], color=VERMILION, linestyle="--", label="floor: the exact denoiser"
    )
    nets.set_ylim(top=1.3 * max(row[2] for row in nets_found))
    nets.set(
        xlabel="width, activation",
        ylabel="loss of the predicted noise",
        title="a trained network: its width and activation",
    )
    nets.tick_params(axis="x", labelsize=8)
    for panel in (lengths, langevin_axes, nets):
        panel.legend(fontsize=9, loc="upper right" if panel is nets else "best")
    return drawing
