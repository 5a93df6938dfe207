"""Scores and densities made of data: Figs 3.5 to 3.7."""

import numpy as np

from reference import plotting
from reference.diffusion.mixtures import example_2_1, example_3_2
from reference.samplers.langevin import langevin
from reference.smld.kernel_density import kernel_density
from reference.tutorial.figures.common import chain, density, gaussian, mixture

PLANE = mixture(
    [0.6, 0.4], [[1.5, 1.0], [-1.5, -1.0]], [[[0.6, 0.3], [0.3, 0.5]], [[0.4, -0.2], [-0.2, 0.6]]]
)


def figure_3_5(quick=False):
    """Densities and their scores (3.3): a Gaussian and the mixture of Ex 3.2, with differences of
    log p beside the score.
    """
    laws = {
        "$N(1, 1)$": mixture([1.0], [[1.0]], [1.0]),
        r"$0.6\,N(2, 0.5^2) + 0.4\,N(-2, 0.2^2)$": example_3_2(),
    }
    figure, axes = plotting.subplots(
        2, 2, 11, 6.6, "Fig 3.5: densities and their scores", sharex="col"
    )
    x = np.linspace(-4, 4, 801)
    for (top, bottom), (name, distribution) in zip(axes.T, laws.items()):
        log_p = distribution.log_density(x[:, None])
        top.plot(x, np.exp(log_p), color=plotting.BLUE, label="density p(x)")
        top.set_title(name, fontsize=11)
        top.set(ylabel="p(x)", ylim=(0, None))
        bottom.plot(
            x,
            distribution.score(x[:, None])[:, 0],
            color=plotting.VERMILION,
            label=r"score $\partial_x \log p(x)$",
        )
        middle, slope = (x[1:] + x[:-1])[::20] / 2, (np.diff(log_p) / np.diff(x))[::20]
        bottom.plot(
            middle, slope, "o", color=plotting.BLACK, markersize=3, label="differences of log p"
        )
        bottom.axhline(0, color=plotting.GREY, linewidth=0.8)
        bottom.set(xlabel="x", ylabel="score")
        for panel in (top, bottom):
            panel.legend(fontsize=9)
    return figure


def figure_3_6(quick=False):
    """The score of two Gaussians in the plane as arrows on the contours of their density, and two
    Langevin chains.  All is chosen.
    """
    tau, T, start = 0.01, 300, np.array([[-3.0, 3.0], [3.2, -2.8]])
    paths = chain(langevin(PLANE.score, start, tau, T, 36, np.arange(2)), start)
    note = f"Chosen: all of the mixture, $\\tau$ = {tau}, T = {T}.  Arrows are as long as the score's square root, for the eye."
    title = "Fig 3.6: the score of a mixture in the plane, and two Langevin chains in it"
    figure, axes = plotting.subplots(1, 2, 12, 5.8, title, note, sharex=True, sharey=True)
    side = np.linspace(-4.4, 4.4, 81 if quick else 201)
    x, y = np.meshgrid(side, side)
    p = np.exp(PLANE.log_density(np.stack((x.ravel(), y.ravel()), axis=1))).reshape(x.shape)
    for panel in axes[0]:
        filled = panel.contourf(x, y, p, levels=12, cmap="Blues")
        panel.set(xlabel="first coordinate", aspect="equal")
        panel.grid(False)
    coarse = np.stack(
        np.meshgrid(np.linspace(-3.8, 3.8, 20), np.linspace(-3.8, 3.8, 20)), axis=-1
    ).reshape(-1, 2)
    s = PLANE.score(coarse)
    arrows = s / np.sqrt(np.linalg.norm(s, axis=1, keepdims=True))
    axes[0, 0].quiver(
        *coarse.T, *arrows.T, angles="xy", color=plotting.BLACK, width=0.0028, label="score"
    )
    axes[0, 0].set_ylabel("second coordinate")
    for path, color in zip(paths.swapaxes(0, 1), (plotting.VERMILION, plotting.GREEN)):
        label = f"chain from ({path[0, 0]:g}, {path[0, 1]:g})"
        axes[0, 1].plot(*path.T, "-o", color=color, markersize=2, linewidth=0.7, label=label)
        axes[0, 1].plot(*path[0], "s", color=color, markersize=8)
    figure.colorbar(filled, ax=axes[0], label="density p(x)", pad=0.02)
    axes[0, 0].set_title("density and score", fontsize=11)
    axes[0, 1].set_title("two chains, from the squares on", fontsize=11)
    axes[0, 1].legend(fontsize=9)
    return figure


def figure_3_7(quick=False):
    """A kernel density (3.5): of six points, kernel by kernel, and of draws from Ex 2.1 beside
    their histogram.

    The mean of q_h over all data sets is p convolved with the kernel, the mixture noised with sigma
    = h.  The tutorial's data are not given: all is chosen.
    """
    count, h, points = 400, 0.25, np.array([[-1.6], [-1.1], [-0.9], [0.4], [1.3], [1.5]])
    title, note = (
        "Fig 3.7: kernel density",
        f"Chosen: the points, h = {h} (left 0.4), {count} draws from the mixture of Ex 2.1.",
    )
    figure, axes = plotting.subplots(1, 2, 12, 4.8, title, note)
    cartoon, real = axes[0]
    x = np.linspace(-3.2, 3.2, 400)
    for i, point in enumerate(points):
        kernel = gaussian(x, point[0], 0.4) / len(points)
        cartoon.plot(
            x,
            kernel,
            color=plotting.SKY,
            linewidth=1,
            label=None if i else "a kernel on each point, / 6",
        )
    cartoon.plot(
        x,
        density(kernel_density(points, 0.4), x),
        color=plotting.VERMILION,
        label="their sum $q_h(x)$",
    )
    cartoon.plot(
        points[:, 0], np.zeros(6), "o", color=plotting.BLACK, label="points", clip_on=False
    )
    draws, x = example_2_1().sample(37, np.arange(count))[0], np.linspace(-4, 6, 801)
    plotting.histogram(real, draws[:, 0], np.linspace(-4, 6, 61), f"histogram of {count} draws")
    real.plot(
        x,
        density(kernel_density(draws, h), x),
        color=plotting.VERMILION,
        label="kernel density $q_h(x)$ of them",
    )
    real.plot(
        x,
        density(example_2_1().noised(1.0, h), x),
        color=plotting.GREEN,
        linestyle="--",
        label="its mean: p convolved with the kernel, exact",
    )
    real.plot(x, density(example_2_1(), x), color=plotting.BLACK, linestyle=":", label="p(x)")
    cartoon.set_title("a cartoon", fontsize=11)
    real.set_title("data", fontsize=11)
    for panel in axes[0]:
        panel.set(xlabel="x", ylabel="density", ylim=(0, None))
        panel.legend(fontsize=9)
    return figure
