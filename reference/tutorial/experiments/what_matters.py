"""Which choices matter, and which do not: one factor at a time from a base point, against the
breaking point that theory predicts.

The base point is DDPM with variance beta on the VP schedule in 100 steps from N(0, 1), with the
exact score of Ex 2.1's mixture.  Its distribution is carried from step to step.  Only the last
factor, the network, needs training.
"""

from types import SimpleNamespace

import numpy as np

from reference import ops as reference_ops
from reference.conformance.contract import OPS
from reference.diffusion.conversions import log_alpha_bar_of_sigma
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.mixtures import example_2_1, example_3_2
from reference.diffusion.schedules import SCHEDULES, Schedule, vp
from reference.networks import MLP
from reference.ops.random import Purpose
from reference.plotting import BLUE, GREY, VERMILION, subplots
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral
from reference.samplers.annealed_langevin import annealed_langevin
from reference.samplers.chain_density import gaussian_kernel
from reference.samplers.langevin import langevin, stability_limit
from reference.sde.sde import VE, SubVP
from reference.smld.smld import loss_floors
from reference.tutorial.experiments import Outcome
from reference.tutorial.experiments.chains import (
    DISTRIBUTION,
    X_GRID,
    cdf,
    distance_to_data,
    mean_and_shifted,
    propagate,
)
from reference.tutorial.experiments.training import trained

QUESTION = "Which choices matter, and at which value does each break?"
NEGLIGIBLE = 0.02
ANNEALING = (  # factor, levels, steps per level, base step over sigma_L^2
    ("base point", 10, 100, 0.2),
    ("5 levels", 5, 100, 0.2),
    ("20 levels", 20, 100, 0.2),
    ("5 steps a level", 10, 5, 0.2),
    ("20 steps a level", 10, 20, 0.2),
    ("base step 0.02", 10, 100, 0.02),
    ("base step 1", 10, 100, 1.0),
)


def run(quick=False, ops=reference_ops):
    T, particles, training = (50, 1000, 400) if quick else (100, 10_000, 2000)
    outcome = Outcome(settings={"steps": T, "particles": particles, "training steps": training})
    schedules(outcome, T, ops)
    lengths = (5, 10, 20, 50, 100)
    numbers_of_steps(outcome, lengths if quick else (*lengths, 200, 500, 1000), ops)
    elbo_gap(outcome)
    variances(outcome, T, ops)
    langevin_rows = langevin_steps(outcome, ops)
    annealing(outcome, particles, ops)
    network_rows = networks(outcome, training, ops)
    outcome.figure = figure(outcome, langevin_rows, network_rows)
    return outcome


def noise_to_signal(schedule):
    """sigma_t / alpha_t at t = 1 .. T."""
    t = np.arange(1, schedule.T + 1)
    return schedule.noise_scale(t) / schedule.signal(t)


def final_distribution(schedule, variance, ops):
    """The distribution of x_0 by DDPM on the schedule, with the exact denoiser."""
    distribution = example_2_1(ops)
    predict_noise = lambda x, t: distribution.expected_noise(
        x, schedule.signal(t), schedule.noise_scale(t)
    )
    mmse = None
    if variance == "exact":
        ratios = noise_to_signal(schedule)
        errors = ratios**2 * 2 * loss_floors(distribution, ratios, points=20_001)
        mmse = lambda t: float(errors[t - 1])
    walk = lambda times, x, seed, sample, ops: final_sample(
        ancestral(predict_noise, schedule, times, x, seed, sample, variance, mmse, ops=ops)
    )
    *_, end = propagate(walk, schedule.timesteps(schedule.T))
    return end


def variances(outcome, T, ops):
    rows = []
    for variance in ("posterior", "beta", "exact"):
        ends = (final_distribution(vp(steps), variance, ops) for steps in (T, T // 5))
        rows.append((variance, *map(distance_to_data, ends)))
    outcome.tables["Variance of a step"] = (
        ("variance", f"W1 in {T} steps", f"W1 in {T // 5}"),
        rows,
    )


def compared_schedules(T):
    """Name -> schedule: every kind, the variance-preserving equivalents of sub-VP and VE, and other
    ranges of beta.
    """
    compared = {name: make(T) for name, make in SCHEDULES.items()}
    # the same samples as the SDEs give: see discrete_and_continuous
    times = np.arange(1, T + 1) / T
    for name, sde in {"sub-VP": SubVP(), "VE": VE()}.items():
        sigmas = sde.noise_scale(times) / sde.signal(times)
        compared[name] = Schedule(np.concatenate(([0.0], log_alpha_bar_of_sigma(sigmas))))
    for largest in (1.0, 3.0, 10.0, 40.0):
        compared[f"vp, beta to {largest:g}"] = vp(T, 0.1, largest)
    return compared


def schedules(outcome, T, ops):
    """The mismatch between x_T and N(0, 1), and the distance of the samples from the data, for
    every schedule.
    """
    rows = []
    for name, schedule in compared_schedules(T).items():
        alpha_bar = schedule.signal_power(T)
        end = final_distribution(schedule, "beta", ops)
        rows.append(
            (
                name,
                alpha_bar,
                terminal_kl(schedule, ops),
                gaussian_terminal_kl(alpha_bar),
                distance_to_data(end),
                cdf(end, 0.0),
            )
        )
    header = (
        "schedule",
        "alpha_bar_T",
        "KL(x_T to N(0, 1))",
        "Gaussian formula",
        "W1",
        "mass below 0",
    )
    mass = float(DISTRIBUTION.cdf(0.0))
    outcome.tables[f"Schedules, {T} steps (mass below 0 of the data: {mass:.4f})"] = header, rows
    small = [row for row in rows if row[1] < 0.1]
    worst = max(abs(row[2] - row[3]) / row[3] for row in small if row[3] > 1e-12)
    outcome.check(
        "the mismatch of x_T is 1/2 (v_T + alpha_bar_T m^2 - 1 - log v_T) where alpha_bar_T < 0.1",
        f"relative difference {worst:.3f}",
        worst < 0.1,
    )
    masses = [min(row[5], 1 - row[5]) for row in rows]
    outcome.check(
        "no schedule loses a mode with the exact score",
        f"mass of the smaller mode {min(masses):.3f} at least",
        min(masses) > 0.15,
    )
    outcome.findings.append(
        "Does a bad schedule lose modes?  With the exact score, no schedule does.  Too little "
        "noise at the end is a mismatch between x_T and N(0, 1); it costs accuracy, not modes."
    )


def gaussian_terminal_kl(A):
    """KL to N(0, 1) of the Gaussian with x_T's mean and variance, A = alpha_bar_T."""
    m = float(DISTRIBUTION.mean[0])
    v = A * float(DISTRIBUTION.covariance[0, 0]) + 1 - A
    return (v + A * m**2 - 1 - np.log(v)) / 2


def terminal_kl(schedule, ops=reference_ops):
    """KL(x_T to N(0, 1)) by quadrature."""
    level = (schedule.signal(schedule.T), schedule.noise_scale(schedule.T))
    noised = example_2_1(ops).noised(*level)
    x = np.linspace(-12, 12, 4001)
    log_p = noised.log_density(x[:, None])
    return float(np.trapezoid(np.exp(log_p) * (log_p + x**2 / 2 + np.log(2 * np.pi) / 2), x))


def numbers_of_steps(outcome, lengths, ops):
    rows = []
    for T in lengths:
        ends = (final_distribution(vp(T), variance, ops) for variance in ("posterior", "beta"))
        rows.append((T, *map(distance_to_data, ends)))
    outcome.tables["Number of steps"] = ("T", "W1, posterior variance", "W1, variance beta"), rows


def elbo_gap(outcome, c=0.25):
    """-ELBO minus H + KL(x_T to N(0, 1)) for N(0, c) data with the exact denoiser, per dimension:
    closed forms over even steps of VP.

    The prior's term exceeds that KL by the mutual information of x_T and x_0, 1/2 log(1 + c SNR_T).
    """
    rows = []
    for T in (100, 1000, 10_000, 100_000, 1_000_000):
        log_alpha_bar = vp(T).log_alpha_bar[1:]
        snr = np.exp(log_alpha_bar) / -np.expm1(log_alpha_bar)
        mmse = c / (1 + c * snr)
        ends = 0.5 * np.log(mmse[0] / c) + 0.5 * np.log1p(c * snr[-1])
        # the KL of each step at the posterior variance; at the kernel's own it is 1/2 log(1 + 2 KL)
        steps = -0.5 * np.diff(snr) * mmse[1:]
        rows.append((T, steps.sum() + ends, 0.5 * np.log1p(2 * steps).sum() + ends))
    limit = float(np.euler_gamma) / 2
    title = f"Gap of the ELBO, N(0, {c}) data, nats per dimension (limit of the first: {limit:.6f})"
    outcome.tables[title] = (
        ("T", "gap, posterior variance", "gap, the kernel's own variance"),
        rows,
    )
    outcome.check(
        "with the posterior variance the ELBO's gap falls to Euler's gamma / 2 and stays there",
        f"{rows[-1][1]:.6f}",
        0 < rows[-1][1] - limit < 1e-3,
    )
    worst = max(abs(row[2]) for row in rows)
    outcome.check(
        "with the variance of the true kernel there is no gap for any T",
        f"{worst:.1e}",
        worst < 1e-9,
    )
    outcome.findings.append(
        "Do more steps close the ELBO's gap?  With the posterior variance they do not; with the "
        "variance of the true kernel there is no gap."
    )


def langevin_steps(outcome, ops):
    """The distribution of Langevin dynamics after infinitely many steps, and the largest stable
    step.
    """
    distribution, rows = example_3_2(ops), []
    for tau in (0.001, 0.005, 0.01, 0.02, 0.05, 0.07):
        mass = stationary_masses(
            lambda times, x, seed, sample, ops, tau=tau: final_sample(
                langevin(distribution.score, x, tau, 1, seed, sample, ops=ops)
            )
        )
        narrow = mass * (X_GRID < -0.82)
        mean = (narrow @ X_GRID) / narrow.sum()
        variance = narrow @ (X_GRID - mean) ** 2 / narrow.sum()
        rows.append((tau, float(mass[X_GRID > -0.82].sum()), float(variance / 0.04)))
    outcome.tables["Step of Langevin dynamics on the mixture of Ex 3.2"] = (
        ("tau", "long-run mass of the wide mode (exact: 0.6)", "narrow mode's variance / 0.04"),
        rows,
    )
    low, high = 0.01, 0.5
    while high / low > 1.01:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if diverges(middle) else (middle, high)
    limit = stability_limit(distribution)
    outcome.check(
        f"Langevin is stable below 2 s^2 = {limit:g} and not above",
        f"largest stable step {low:.4f}",
        low * 0.98 < limit < high * 1.02,
    )
    return rows


def diverges(tau, s2=0.04):
    """Whether Langevin steps of length tau on N(0, s^2) drive a particle away."""
    x = 100 * np.ones((1, 1))
    end = final_sample(langevin(lambda x: -x / s2, x, tau, 200, 0, np.array([0])))
    return abs(float(end[0, 0])) > 100


def stationary_masses(walk):
    """Masses on X_GRID of the chain's stationary distribution: the null vector of its transition
    matrix minus the identity.
    """
    mean, shifted = mean_and_shifted(walk, None, X_GRID)
    K = gaussian_kernel(X_GRID, mean, shifted - mean)
    K /= K.sum(axis=0)
    system = K - np.eye(len(X_GRID))
    system[-1] = 1.0
    return np.linalg.solve(system, np.eye(len(X_GRID))[-1])


def annealing(outcome, n, ops):
    """Annealed Langevin dynamics, one factor at a time: the mass of the mode at +2."""
    distribution, rows = example_3_2(ops), []
    score = lambda x, sigma: distribution.noised(1.0, sigma).score(x)
    sample = np.arange(n)
    for factor, levels, steps_per_level, base in ANNEALING:
        sigmas = np.geomspace(10, 0.05, levels)
        x = 10 * ops.normal(21, sample, 0, Purpose.PRIOR, (1,), np.float64)
        epsilon = base * 0.05**2
        states = annealed_langevin(score, sigmas, x, steps_per_level, 22, sample, epsilon, ops=ops)
        x = final_sample(states)
        rows.append((factor, levels * steps_per_level, float((x > -0.82).mean())))
    outcome.tables[f"Annealed Langevin: mass of the mode at +2 (exact: 0.6; {n} particles)"] = (
        ("", "evaluations", "mass"),
        rows,
    )
    error = abs(rows[0][2] - 0.6)
    allowed = 0.01 + 4 * (0.24 / n) ** 0.5
    outcome.check(
        f"annealing finds the modes' masses within .01 and 4 standard errors, {allowed:.3f}",
        f"{error:.4f}",
        error < allowed,
    )


def networks(outcome, steps, ops):
    """Loss above its floor after training with other widths and activations.  An activation is an
    op, so that another activation is another port.
    """
    relu = lambda x: np.maximum(x, 0)
    ports = {
        "silu": ops,
        "tanh": port_with_activation(ops, np.tanh, lambda x: 1 - np.tanh(x) ** 2),
        "relu": port_with_activation(ops, relu, lambda x: (x > 0).astype(x.dtype)),
        "none": port_with_activation(ops, lambda x: x, np.ones_like),
    }
    schedule = vp(100)
    floor = float(
        2 * loss_floors(example_2_1(ops), noise_to_signal(schedule), points=20_001).mean()
    )
    rows = []
    for width, activation in (
        (8, "silu"),
        (32, "silu"),
        (128, "silu"),
        (128, "tanh"),
        (128, "relu"),
        (128, "none"),
    ):
        loss = trained_loss(schedule, MLP((1,), width), ports[activation], steps)
        rows.append((width, activation, loss, floor))
    outcome.tables[f"Networks: loss of the predicted noise after {steps} steps, and its floor"] = (
        ("width", "activation", "loss", "floor"),
        rows,
    )
    linear = best_linear_loss(schedule)
    found = rows[-1][2]
    outcome.check(
        "without activation the loss is the least loss of a linear function of x",
        f"{found:.4f}, best {linear:.4f}",
        abs(found / linear - 1) < NEGLIGIBLE,
    )
    allowed = 0.25 if steps < 1000 else 0.05
    excess = rows[2][2] / floor - 1
    outcome.check(
        f"width 128 with SiLU comes within {100 * allowed:g} % of the floor",
        f"{100 * excess:.1f} %",
        excess < allowed,
    )
    return rows


def port_with_activation(ops, function, derivative):
    """The ops of a port with another function in place of SiLU."""
    replaced = {"silu": function, "silu_backward": lambda dy, x: dy * derivative(x)}
    return SimpleNamespace(**({name: getattr(ops, name) for name in OPS} | replaced))


def trained_loss(schedule, network, ops, steps, n=100_000):
    """The loss on n fresh draws after training."""
    distribution = example_2_1(ops)
    data = distribution.sample(23, np.arange(50_000))[0].astype(np.float32)
    model = Denoiser(network, schedule, "noise", float((data**2).mean()))
    weights = trained(model, data, steps, ops=ops)
    sample = np.arange(n)
    x0 = distribution.sample(24, sample)[0].astype(np.float32)
    noise = ops.normal(25, sample, 0, Purpose.EVALUATION, (1,), np.float32)
    t = 1 + sample % schedule.T
    return float(model.loss(weights, x0, t, noise, ops=ops)[0])


def best_linear_loss(schedule):
    """The least loss of y = w h_t x_t + g(t): a network without activation has one w for all times,
    and h_t scales its input.

    With the best g the loss at t is 1 - 2 w h_t sigma_t + w^2 h_t^2 v_t, where v_t is the variance
    of x_t.  Its mean over t is least at w = E[h sigma] / E[h^2 v].
    """
    t = np.arange(1, schedule.T + 1)
    power = float(DISTRIBUTION.mean[0] ** 2 + DISTRIBUTION.covariance[0, 0])
    h2 = 1 / (schedule.signal_power(t) * power + schedule.noise_power(t))
    v = schedule.signal_power(t) * DISTRIBUTION.covariance[0, 0] + schedule.noise_power(t)
    return float(1 - (np.sqrt(h2) * schedule.noise_scale(t)).mean() ** 2 / (h2 * v).mean())


def figure(outcome, langevin_rows, network_rows):
    drawing, axes = subplots(2, 2, 12.5, 9.5, f"{QUESTION}  One factor at a time")
    by_schedule, by_steps, by_tau, by_network = axes.flat
    title = next(title for title in outcome.tables if title.startswith("Schedules"))
    draw_schedules(by_schedule, outcome.tables[title][1])
    draw_numbers_of_steps(by_steps, outcome.tables["Number of steps"][1])
    draw_langevin_steps(by_tau, langevin_rows)
    draw_networks(by_network, network_rows)
    return drawing


def draw_schedules(axes, rows):
    axes.barh([row[0] for row in rows], [row[4] for row in rows], color=BLUE)
    axes.invert_yaxis()
    axes.set(
        xlabel="Wasserstein distance W1 to the data",
        ylabel="schedule",
        title="DDPM, variance beta, exact score: the schedule",
    )


def draw_numbers_of_steps(axes, rows):
    T, posterior, beta = np.array(rows).T
    axes.loglog(T, posterior, "o-", color=BLUE, label="posterior variance")
    axes.loglog(T, beta, "s-", color=VERMILION, label="variance beta")
    axes.set(
        xlabel="number of steps T",
        ylabel="Wasserstein distance W1 to the data",
        title="DDPM, exact score: the number of steps",
    )
    axes.legend(fontsize=9)


def draw_langevin_steps(axes, rows):
    tau, mass, variance = np.array(rows).T
    axes.loglog(tau, mass, "o-", color=BLUE, label="mass of the wide mode (exact: 0.6)")
    axes.axhline(0.6, color=BLUE, linestyle="--", linewidth=0.8)
    label = "variance of the narrow mode over 0.04 (exact: 1)"
    axes.loglog(tau, variance, "s-", color=VERMILION, label=label)
    axes.axhline(1.0, color=VERMILION, linestyle="--", linewidth=0.8)
    axes.axvline(0.08, color=GREY, linestyle=":", label="stability limit, 0.08")
    axes.set(
        xlabel="step tau",
        ylabel="mass, or ratio of variances",
        title="Langevin dynamics in the long run: its step",
    )
    axes.set_ylim(0.5, 4 * variance.max())
    axes.legend(fontsize=9)


def draw_networks(axes, rows):
    axes.bar(
        [f"{width}, {activation}" for width, activation, *_ in rows],
        [row[2] for row in rows],
        color=BLUE,
        label="trained network",
    )
    axes.axhline(rows[0][3], color=VERMILION, linestyle="--", label="floor: the exact denoiser")
    axes.set_ylim(top=1.3 * max(row[2] for row in rows))
    axes.set(
        xlabel="width, activation",
        ylabel="loss of the predicted noise",
        title="a trained network: its width and activation",
    )
    axes.tick_params(axis="x", labelsize=8)
    axes.legend(fontsize=9, loc="upper right")
