"""Scores, and densities estimated from data: Figs 3.5 to 3.7."""

from dataclasses import replace

import numpy as np

from reference import ops as reference_ops
from reference import plotting
from reference.diffusion.mixtures import example_2_1, example_3_2
from reference.samplers.langevin import langevin
from reference.smld.kernel_density import kernel_density
from reference.tutorial.figures.common import chain, density, gaussian, mixture

PLANE = mixture(
    [0.6, 0.4], [[1.5, 1.0], [-1.5, -1.0]], [[[0.6, 0.3], [0.3, 0.5]], [[0.4, -0.2], [-0.2, 0.6]]]
)


def figure_3_5(quick=False, ops=reference_ops):
    """Densities and their scores (3.3): a Gaussian and the mixture of Ex 3.2.  Differences of log p
    confirm the score.
    """
    distributions = {
        "$N(1, 1)$": mixture([1.0], [[1.0]], [1.0], ops),
        r"$0.6\,N(2, 0.5^2) + 0.4\,N(-2, 0.2^2)$": example_3_2(ops),
    }
    title = "Fig 3.5: densities and their scores"
    figure, axes = plotting.subplots(2, 2, 11, 6.6, title, sharex="col")
    x = np.linspace(-4, 4, 801)
    for (top, bottom), (name, distribution) in zip(axes.T, distributions.items()):
        log_p = distribution.log_density(x[:, None])
        top.plot(x, np.exp(log_p), color=plotting.BLUE, label="density p(x)")
        top.set_title(name, fontsize=11)
        top.set(ylabel="p(x)", ylim=(0, None))
        score = distribution.score(x[:, None])[:, 0]
        label = r"score $\partial_x \log p(x)$"
        bottom.plot(x, score, color=plotting.VERMILION, label=label)
        middle = (x[1:] + x[:-1])[::20] / 2
        slope = (np.diff(log_p) / np.diff(x))[::20]
        label = "differences of log p"
        bottom.plot(middle, slope, "o", color=plotting.BLACK, markersize=3, label=label)
        bottom.axhline(0, color=plotting.GREY, linewidth=0.8)
        bottom.set(xlabel="x", ylabel="score")
        for panel in (top, bottom):
            panel.legend(fontsize=9)
    return figure


def figure_3_6(quick=False, ops=reference_ops):
    """The score of two Gaussians in the plane as arrows on the contours of their density, and two
    Langevin chains.  The tutorial states none of the values.
    """
    plane = replace(PLANE, ops=ops)
    tau, T = 0.01, 300
    start = np.array([[-3.0, 3.0], [3.2, -2.8]])
    paths = chain(langevin(plane.score, start, tau, T, 36, np.arange(2), ops=ops), start)
    title = "Fig 3.6: the score of a mixture in the plane, and two Langevin chains in it"
    note = (
        f"Chosen: the whole mixture, $\\tau$ = {tau}, T = {T}.  "
        "The length of an arrow is the square root of the score's norm."
    )
    figure, axes = plotting.subplots(1, 2, 12, 5.8, title, note, sharex=True, sharey=True)
    score_panel, chain_panel = axes[0]
    side = np.linspace(-4.4, 4.4, 81 if quick else 201)
    x, y = np.meshgrid(side, side)
    p = np.exp(plane.log_density(np.stack((x.ravel(), y.ravel()), axis=1))).reshape(x.shape)
    for panel in axes[0]:
        contours = panel.contourf(x, y, p, levels=12, cmap="Blues")
        panel.set(xlabel="first coordinate", aspect="equal")
        panel.grid(False)
    _draw_arrows(score_panel, plane)
    score_panel.set_ylabel("second coordinate")
    for path, color in zip(paths.swapaxes(0, 1), (plotting.VERMILION, plotting.GREEN)):
        label = f"chain from ({path[0, 0]:g}, {path[0, 1]:g})"
        chain_panel.plot(*path.T, "-o", color=color, markersize=2, linewidth=0.7, label=label)
        chain_panel.plot(*path[0], "s", color=color, markersize=8)
    figure.colorbar(contours, ax=axes[0], label="density p(x)", pad=0.02)
    score_panel.set_title("density and score", fontsize=11)
    chain_panel.set_title("two chains; squares mark their starts", fontsize=11)
    chain_panel.legend(fontsize=9)
    return figure


def _draw_arrows(axes, plane):
    side = np.linspace(-3.8, 3.8, 20)
    points = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    s = plane.score(points)
    arrows = s / np.sqrt(np.linalg.norm(s, axis=1, keepdims=True))
    options = {"color": plotting.BLACK, "width": 0.0028, "label": "score"}
    axes.quiver(*points.T, *arrows.T, angles="xy", **options)


def figure_3_7(quick=False, ops=reference_ops):
    """Kernel densities (3.5): of six points, kernel by kernel, and of draws from Ex 2.1 beside
    their histogram.

    The mean of q_h over all data sets is p convolved with the kernel: the mixture with noise sigma
    = h.  The tutorial does not give its data.
    """
    data, count, h = example_2_1(ops), 400, 0.25
    points = np.array([[-1.6], [-1.1], [-0.9], [0.4], [1.3], [1.5]])
    title = "Fig 3.7: kernel density"
    note = f"Chosen: the points, h = {h} (left 0.4), {count} draws from the mixture of Ex 2.1."
    figure, axes = plotting.subplots(1, 2, 12, 4.8, title, note)
    few, many = axes[0]
    _draw_kernels(few, points, 0.4, ops)
    few.set_title("six points", fontsize=11)
    draws, _ = data.sample(37, np.arange(count))
    x = np.linspace(-4, 6, 801)
    plotting.histogram(many, draws[:, 0], np.linspace(-4, 6, 61), f"histogram of {count} draws")
    estimate = density(kernel_density(draws, h, ops), x)
    many.plot(x, estimate, color=plotting.VERMILION, label="kernel density $q_h(x)$ of the draws")
    mean = density(data.noised(1.0, h), x)
    label = "its mean: p convolved with the kernel, exact"
    many.plot(x, mean, color=plotting.GREEN, linestyle="--", label=label)
    many.plot(x, density(data, x), color=plotting.BLACK, linestyle=":", label="p(x)")
    many.set_title(f"{count} draws", fontsize=11)
    for panel in axes[0]:
        panel.set(xlabel="x", ylabel="density", ylim=(0, None))
        panel.legend(fontsize=9)
    few.set_ylim(top=0.5)  # room for the legend
    return figure


def _draw_kernels(axes, points, h, ops):
    x = np.linspace(-3.2, 3.2, 400)
    for i, point in enumerate(points):
        kernel = gaussian(x, point[0], h) / len(points)
        label = None if i else f"a kernel on each point, / {len(points)}"
        axes.plot(x, kernel, color=plotting.SKY, linewidth=1, label=label)
    total = density(kernel_density(points, h, ops), x)
    axes.plot(x, total, color=plotting.VERMILION, label="their sum $q_h(x)$")
    axes.plot(
        points, np.zeros(len(points)), "o", color=plotting.BLACK, label="points", clip_on=False
    )
