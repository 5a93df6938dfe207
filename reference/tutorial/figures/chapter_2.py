"""Denoising diffusion: Figs 2.5, 2.7, 2.10 and 2.11."""

import numpy as np

from reference import ops as reference_ops
from reference import plotting
from reference.ddpm.ddpm import posterior
from reference.diffusion.forward_process import forward
from reference.diffusion.mixtures import example_2_1
from reference.diffusion.schedules import constant
from reference.ops.random import Purpose
from reference.samplers.ancestral import ancestral
from reference.tutorial.figures.common import (
    chain,
    density,
    forward_paths,
    gaussian,
    map_with_paths,
    noised,
)

EX_2_1 = r"$p_0 = 0.3\,N(-2, 0.2^2) + 0.7\,N(2, 1)$"
TIMES = (0, 5, 10, 20, 35, 50, 100, 200)


def figure_2_5(quick=False, ops=reference_ops):
    """p_t of Ex 2.1 for growing t by (2.13), over histograms of particles that the chain (2.1)
    carries.

    The tutorial does not state the eight times.  t = 35 is the first at which p_t has a single
    mode.
    """
    count = 4000 if quick else 40_000
    mixture, schedule = example_2_1(ops), constant(TIMES[-1], 0.03)
    particles = forward_paths(mixture, schedule, TIMES, count, 25)
    title = rf"Fig 2.5: a mixture turns into noise.  {EX_2_1}, $\alpha_t = 0.97$"
    note = "Chosen: the times; t = 35 is the first with one mode only."
    figure, axes = plotting.subplots(2, 4, 12.5, 6.2, title, note, sharex=True, sharey=True)
    x = np.linspace(-5.5, 5.5, 600)
    edges = np.linspace(-5.5, 5.5, 67 if quick else 111)
    for panel, t, draws in zip(axes.flat, TIMES, particles):
        plotting.histogram(panel, draws, edges, f"{count} particles")
        p = density(noised(mixture, schedule, t), x)
        panel.plot(x, p, color=plotting.VERMILION, label="$p_t(x)$, exact")
        panel.plot(x, gaussian(x, 0.0, 1.0), color=plotting.BLACK, linestyle=":", label="$N(0, 1)$")
        panel.set_title(f"t = {t}", fontsize=11)
    for panel in axes[:, 0]:
        panel.set_ylabel("density")
    for panel in axes[-1]:
        panel.set_xlabel("$x_t$")
    axes[0, 0].legend(fontsize=9, loc="upper right")
    return figure


def figure_2_7(quick=False, ops=reference_ops):
    """p_t of Ex 2.2 (2.13) as a map over t and x, with paths of the chain (2.1).  The tutorial
    states neither T nor the number of paths.
    """
    mixture, schedule = example_2_1(ops), constant(150, 0.03)
    times = range(schedule.T + 1)
    paths = forward_paths(mixture, schedule, times, 6, 308)
    title = rf"Fig 2.7: the forward process.  {EX_2_1}, $\alpha_t = 0.97$"
    figure, axes = plotting.subplots(1, 1, 9, 5, title, "Chosen: T = 150, six paths.")
    map_with_paths(axes[0, 0], mixture, schedule, quick, paths, times)
    axes[0, 0].legend(loc="upper right")
    return figure


def figure_2_10(quick=False, ops=reference_ops):
    """The coefficients of x_t and x_0 in the mean of q(x_{t-1} | x_t, x_0) (2.25) for alpha_t =
    0.9.

    Their sum is below 1: the mean does not lie on the segment from x_t to x_0, contrary to the text
    on Fig 2.9 (E4c).
    """
    schedule = constant(50, 0.1)
    t = np.arange(1, schedule.T + 1)
    c_x, c_x0, _ = posterior(schedule, t, t - 1)
    title = r"Fig 2.10: coefficients of the mean of $q(x_{t-1}|x_t, x_0)$.  $\alpha_t = 0.9$"
    note = (
        "Chosen: T = 50.  The sum is below 1: the mean does not lie on the segment from $x_t$ to "
        "$x_0$, where the text puts it."
    )
    figure, ((axes,),) = plotting.subplots(1, 1, 8, 4.8, title, note)
    for values, label, color, style in (
        (c_x, "coefficient of $x_t$", plotting.BLUE, "o-"),
        (c_x0, "coefficient of $x_0$", plotting.VERMILION, "s-"),
        (c_x + c_x0, "their sum", plotting.GREY, "-"),
    ):
        axes.plot(t, values, style, color=color, markersize=3.5, linewidth=1.2, label=label)
    label = r"$\sqrt{\alpha_t}$, limit of the coefficient of $x_t$"
    axes.axhline(0.9**0.5, color=plotting.BLUE, linestyle=":", label=label)
    axes.set(xlabel="step t", ylabel="coefficient", ylim=(-0.03, 1.06))
    axes.legend(loc="center right")
    return figure


def figure_2_11(quick=False, ops=reference_ops):
    """A path of q(x_{t-1} | x_t, x_0) with known x_0, circles of radius sigma_q about its means,
    and sigma_q(t) (2.32) beside the deviation of many paths.

    The tutorial states neither x_0 nor T.  The schedule is that of Fig 2.10.
    """
    schedule = constant(30, 0.1)
    count = 500 if quick else 5000
    sample = np.arange(count)
    x0 = np.tile([2.0, 1.0], (count, 1))
    x = forward(
        schedule, x0, schedule.T, ops.normal(211, sample, 0, Purpose.PRIOR, (2,), np.float64), ops
    )
    # x_0 is known, and with it the noise
    predict_noise = lambda x, t: (x - schedule.signal(t) * x0) / schedule.noise_scale(t)
    grid = schedule.timesteps(schedule.T)
    states = chain(ancestral(predict_noise, schedule, grid, x, 211, sample, ops=ops), x)
    t = np.array(grid[:-1])
    c_x, c_x0, variance = posterior(schedule, t, t - 1)
    means = c_x[:, None, None] * states[:-1] + c_x0[:, None, None] * x0
    title = r"Fig 2.11: back to a known $x_0$ by $q(x_{t-1}|x_t, x_0)$.  $\alpha_t = 0.9$"
    note = "Chosen: $x_0$ = (2, 1), T = 30."
    figure, axes = plotting.subplots(1, 2, 12, 5, title, note)
    plane, line = axes[0]
    _draw_plane(plane, states[:, 0], means[:, 0], variance**0.5, x0[0])
    spread = np.sqrt(((states[1:] - means) ** 2).mean(axis=(1, 2)))
    line.plot(t, variance**0.5, color=plotting.VERMILION, label=r"$\sigma_q(t)$, exact")
    label = f"deviation from the mean, {count} paths"
    line.plot(t, spread, "o", color=plotting.BLUE, markersize=4, label=label)
    line.set(xlabel="step t", ylabel=r"radius $\sigma_q(t)$")
    line.set(xlim=(schedule.T + 1, 0), ylim=(0, None))
    for panel in (plane, line):
        panel.legend(fontsize=9, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.13))
    return figure


def _draw_plane(axes, path, means, radii, x0):
    """A path [T+1,2] to x0[2], with circles about every third of its means [T,2]."""
    angle = 2j * np.pi * np.linspace(0, 1, 100)
    for k in range(0, len(means), 3):
        circle = np.exp(angle) * radii[k] + complex(*means[k])
        label = None if k else r"radius $\sigma_q(t)$ about the mean, every third step"
        axes.plot(circle.real, circle.imag, color=plotting.SKY, linewidth=1, label=label)
    label = "$x_T$ to $x_0$"
    axes.plot(*path.T, "o-", color=plotting.BLUE, markersize=3, linewidth=1, label=label)
    axes.plot(*path[0], "s", color=plotting.BLACK, label="$x_T$")
    axes.plot(*x0, "*", color=plotting.VERMILION, markersize=15, label="$x_0$")
    axes.set(xlabel="first coordinate", ylabel="second coordinate", aspect="equal")
