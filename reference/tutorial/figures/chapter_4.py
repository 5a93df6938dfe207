"""Differential equations: Figs 4.1 to 4.4."""

import numpy as np

from reference import ops as reference_ops
from reference import plotting
from reference.ops.random import Purpose
from reference.samplers.ode import runge_kutta
from reference.sde.sde import Brownian, OrnsteinUhlenbeck
from reference.tutorial.figures.common import draw_paths, forward_sde, gaussian, paths_of


def figure_4_1(quick=False, ops=reference_ops):
    """x_i = (1 - beta dt/2) x_{i-1} (4.1), Euler's method, beside e^{-beta t/2} (4.3), dt = 0.1.
    The tutorial does not state beta and the length.

    The tutorial calls the two exactly the same (E13c); they differ by O(dt).
    """
    grid = np.arange(51) * 0.1
    title = r"Fig 4.1: an iteration and its differential equation, $\Delta t$ = 0.1"
    note = (
        "Chosen: both values of β, 50 steps.  The points are near the curves, not on them: the "
        "error of Euler's method is O(Δt)."
    )
    figure, axes = plotting.subplots(1, 2, 12, 4.6, title, note)
    curve, error = axes[0]
    fine = np.linspace(0, 5, 401)
    for beta, color in ((1.0, plotting.BLUE), (2.0, plotting.VERMILION)):
        decay = lambda x, t, beta=beta: -beta / 2 * x
        x = np.array([1.0, *(x for _, x, _ in runge_kutta(decay, grid, 1.0, "euler"))])
        value = rf"$\beta$ = {beta:g}"
        label = rf"$e^{{-\beta t/2}}$, {value}"
        curve.plot(fine, np.exp(-beta * fine / 2), color=color, label=label)
        label = rf"$x_i = (1 - \beta\Delta t/2)\,x_{{i-1}}$, {value}"
        curve.plot(grid, x, "o", color=color, markersize=3.5, label=label)
        difference = np.exp(-beta * grid / 2) - x
        error.plot(grid, difference, "o-", color=color, markersize=3.5, linewidth=1, label=value)
    curve.set(xlabel="time t", ylabel="x(t)")
    error.set(xlabel="time t", ylabel=r"$e^{-\beta t/2} - x_i$")
    error.set_title("exact solution minus iteration", fontsize=11)
    curve.set_title("both", fontsize=11)
    for panel in axes[0]:
        panel.legend(fontsize=9)
    return figure


def figure_4_2(quick=False, ops=reference_ops):
    """Paths of dx = a dw, a = 0.05 (Ex 4.3), with increments a sqrt(dt) z.  The tutorial's a z
    implies dt = 1 (E13).  dt and the length are chosen.
    """
    sde = Brownian(a=0.05, t_max=100.0)
    grid = np.linspace(0, 100, 201 if quick else 1001)
    count = 500 if quick else 5000
    paths = paths_of(forward_sde(sde), grid, 0.0, count, 42, ops)
    title = "Fig 4.2: $dx = a\\,dw$, a = 0.05, x(0) = 0"
    note = (
        f"Chosen: Δt = {grid[1]:g}, 100 units of time.  "
        "Increments are $a\\sqrt{\\Delta t}\\,z$; the text's $a\\,z$ is right for Δt = 1 only."
    )
    figure, axes = plotting.subplots(1, 2, 12, 4.8, title, note, width_ratios=(2, 1))
    line, side = axes[0]
    label = r"$\pm 2 a\sqrt{t}$, exact"
    plotting.confidence_band(line, grid, np.zeros(len(grid)), sde.noise_scale(grid), label=label)
    draw_paths(line, grid, paths, "paths")
    x = np.linspace(-2.2, 2.2, 401)
    plotting.histogram(side, paths[-1], np.linspace(-2.2, 2.2, 45), f"{count} paths")
    p = gaussian(x, 0.0, sde.noise_scale(100.0))
    side.plot(x, p, color=plotting.VERMILION, label=r"$N(0, a^2 t)$, exact")
    side.set(xlabel="x(100)", ylabel="density", ylim=(0, 1.05))
    side.set_title("t = 100", fontsize=11)
    line.legend(loc="upper left", fontsize=9)
    side.legend(fontsize=9)
    return figure


def figure_4_3(quick=False, ops=reference_ops):
    """Paths of dx = -(alpha/2) x dt + beta dw, alpha = 1, beta = 0.1 (Ex 4.4), with steps dt and
    increments sqrt(dt) z.

    The tutorial implies dt = 1 (E13).  The stationary variance of that chain is beta^2 / (1 - 1/4)
    = 0.0133, that of the SDE 0.01.  The tutorial does not state x(0).
    """
    sde = OrnsteinUhlenbeck(gamma=0.5, q=0.01, t_max=20.0)
    dt = 0.05 if quick else 0.02
    count = 2500 if quick else 10_000
    grid = np.linspace(0, 20, round(20 / dt) + 1)
    paths = paths_of(forward_sde(sde), grid, 0.5, count, 43, ops)
    printed = paths_of(forward_sde(sde), np.arange(21.0), 0.5, count, 44, ops)
    title = r"Fig 4.3: $dx = -\frac{\alpha}{2} x\,dt + \beta\,dw$, $\alpha$ = 1, $\beta$ = 0.1"
    note = (
        f"Chosen: x(0) = 0.5, Δt = {dt:g}.  The text's chain has Δt = 1 without stating it: its "
        "variance tends to 0.0133, not to 0.01."
    )
    figure, axes = plotting.subplots(1, 2, 12, 4.8, title, note, width_ratios=(2, 1))
    line, side = axes[0]
    mean = 0.5 * sde.signal(grid)
    label = "mean ± 2 deviations, exact"
    plotting.confidence_band(line, grid, mean, sde.noise_scale(grid), label=label)
    draw_paths(line, grid, paths, "paths")
    x = np.linspace(-0.45, 0.45, 401)
    edges = np.linspace(-0.45, 0.45, 46)
    plotting.histogram(side, paths[-1], edges, f"Δt = {dt:g}, {count} paths")
    plotting.histogram(side, printed[-1], edges, "Δt = 1, as printed", plotting.PURPLE, fill=False)
    p = gaussian(x, 0.0, sde.prior_scale)
    side.plot(x, p, color=plotting.VERMILION, label="stationary for the SDE, $N(0, 0.01)$")
    p = gaussian(x, 0.0, (0.01 / (1 - 0.25)) ** 0.5)
    label = "stationary for Δt = 1, $N(0, 0.0133)$"
    side.plot(x, p, color=plotting.BLACK, linestyle=":", label=label)
    side.set(xlabel="x(20)", ylabel="density", ylim=(0, 6.2))
    side.set_title("t = 20", fontsize=11)
    line.legend(loc="upper right", fontsize=9)
    side.legend(fontsize=8.5, loc="upper center")
    return figure


def figure_4_4(quick=False, ops=reference_ops):
    """dx = a dw backward in time (Ex 4.5): as printed, without a score, and by (4.11), with the
    score of the distribution of Fig 4.2.

    Without the score, paths spread again, by a sqrt(T - t).  With it, drift -a^2 s = x / t, they
    return to x(0) = 0.
    """
    sde = Brownian(a=0.05, t_max=100.0)
    grid = np.linspace(100, 0, 201 if quick else 1001)
    count = 500 if quick else 5000
    bare = paths_of(forward_sde(sde), grid, 0.0, count, 45, ops)
    start = sde.prior_scale * ops.normal(46, np.arange(count), 0, Purpose.PRIOR, (1,), np.float64)
    full = paths_of(sde.reverse(lambda x, t: -x / sde.noise_power(t)), grid, start, count, 46, ops)
    title = r"Fig 4.4: $dx = a\,d\bar{w}$ backward in time, a = 0.05"
    note = (
        f"Chosen: T = 100, Δt = {grid[0] - grid[1]:g}, x(T).  "
        "By Ex 4.5, paths spread in either direction of time; the score is needed to return them."
    )
    figure, axes = plotting.subplots(1, 2, 12, 4.8, title, note, sharey=True)
    for panel, paths, root, subject, label, corner in (
        (
            axes[0, 0],
            bare,
            (grid[0] - grid) ** 0.5,
            r"as in Ex 4.5: $dx = a\,d\bar{w}$ from x(T) = 0",
            r"$\pm 2 a\sqrt{T - t}$, exact",
            "lower left",
        ),
        (
            axes[0, 1],
            full,
            grid**0.5,
            r"by (4.11): $dx = -a^2\,\partial_x \log p_t\,dt + a\,d\bar{w}$",
            r"$\pm 2 a\sqrt{t}$, exact",
            "lower right",
        ),
    ):
        plotting.confidence_band(panel, grid, np.zeros(len(grid)), sde.a * root, label=label)
        draw_paths(panel, grid, paths, subject)
        panel.set(xlim=(102, -2), ylim=(-1.6, 1.6))
        panel.legend(fontsize=9, loc=corner)
    return figure
