"""Langevin dynamics and scores: Figs 3.2 to 3.7.  Each function takes ``quick`` and returns a matplotlib figure, as in chapter 2."""

import numpy as np

from reference import figures
from reference.mixtures import Mixture, example_2_1, example_3_2
from reference.ops import uniform
from reference.ops.random import Purpose
from reference.samplers.langevin import gradient_ascent, langevin
from reference.samplers.law import propagate
from reference.smld.kernel_density import kernel_density
from reference.tutorial_figures.chapter_2 import density

LAW = r"$p = 0.6\,N(2, 0.5^2) + 0.4\,N(-2, 0.2^2)$"
SHOWN = (0, 1, 10, 100)
PLANE = Mixture([0.6, 0.4], [[1.5, 1.0], [-1.5, -1.0]], [[[0.6, 0.3], [0.3, 0.5]], [[0.4, -0.2], [-0.2, 0.6]]])


def chain(states, x):
    """The states of a sampler from x[n,d] on, [steps+1,n,d]."""
    return np.array([x, *(x for _, x, _ in states)])


def figure_3_2(quick=False):
    """500 steps of ascent and of Langevin (3.1) from x_0 = 0, tau = 0.05, as the points (x_t, p(x_t)) on the density (Ex 3.2)."""
    mixture, start = example_3_2(), np.zeros((1, 1))
    walks = {
        r"Ascent, $x + \tau\,\nabla\log p$: all end on one mode": gradient_ascent(mixture.score, start, 0.05, 500),
        r"Langevin, with $\sqrt{2\tau}\,z$: a sample of that mode": langevin(mixture.score, start, 0.05, 500, 32, np.arange(1)),
    }
    note = "One chain of 500 steps stays where it began to climb.  The colour tells the step."
    title = rf"Fig 3.2: going up, and drawing samples.  {LAW}, $x_0 = 0$, $\tau$ = 0.05, T = 500"
    figure, axes = figures.panels(1, 2, 12, 4.8, title, note, sharey=True)
    x = np.linspace(-3.5, 4.5, 801)
    for panel, (subject, walk) in zip(axes[0], walks.items()):
        path = chain(walk, start)[:, 0, 0]
        panel.plot(x, density(mixture, x), color=figures.GREY, linewidth=1.2, label="p(x)")
        points = panel.scatter(path, density(mixture, path), c=np.arange(len(path)), cmap="plasma", s=16, zorder=3, label="$(x_t, p(x_t))$")
        panel.set(xlabel="x", ylabel="density p(x)")
        panel.set_title(subject, fontsize=11)
        panel.legend(loc="upper right")
    figure.colorbar(points, ax=axes[0], label="step t", pad=0.01)
    return figure


def figure_3_3(quick=False):
    """Long Langevin chains, tau = 0.001, coloured by the mode that is likelier to have made the point.

    The tutorial does not state T, and has one chain.  One chain shows one mode: the relaxation rate is 1.8e-6, so that a crossing takes
    1e9 steps on average.  So there are two, from either side of the density's minimum at -0.82, and beside them the mode alone.
    """
    mixture, tau, T = example_3_2(), 0.001, 4000 if quick else 20_000
    start = np.array([[0.0], [-1.0]])
    paths = chain(langevin(mixture.score, start, tau, T, 33, np.arange(2)), start)[..., 0]
    title = rf"Fig 3.3: Langevin chains stay in their mode.  {LAW}, $\tau$ = 0.001"
    note = f"Chosen: T = {T}, starts 0 and -1.  A crossing takes about $10^9$ steps on average: from either start only one mode is seen."
    figure, axes = figures.panels(1, 2, 12, 4.8, title, note, sharey=True, width_ratios=(3, 1))
    line, side = axes[0]
    colors = np.array([figures.VERMILION, figures.BLUE])
    for path in paths.T:
        mode = mixture.responsibilities(path[:, None]).argmax(axis=1)
        line.scatter(np.arange(T + 1), path, c=colors[mode], s=1.5, linewidths=0, rasterized=True)
    x = np.linspace(-3, 4, 701)
    for k, label in enumerate(("mode at 2", "mode at -2")):
        line.plot([], [], "o", color=colors[k], label=label)
        figures.histogram(
            side, paths[500:, k], np.linspace(-3, 4, 141), f"chain from {start[k, 0]:g}", colors[k], horizontal=True, fill=False
        )
        own = Mixture([1.0], mixture.means[k : k + 1], mixture.covariances[k : k + 1])
        side.plot(density(own, x), x, color=figures.BLACK, linestyle="--", linewidth=1, label=None if k else "mode alone, exact")
    line.set(xlabel="step t", ylabel="$x_t$")
    side.set(xlabel="density")
    for panel in axes[0]:
        panel.legend(loc="center right", fontsize=9)
    return figure


def langevin_laws(mixture, x, tau, shown):
    """The densities of the chain from U[-3, 3] at the steps ``shown``, on the points x; what the tutorial's particles tend to."""
    mean, laws = x + tau * mixture.score(x[:, None])[:, 0], {}
    p = np.where(np.abs(x) < 3, 1 / 6, 0.0)
    for step in range(max(shown) + 1):
        if step in shown:
            laws[step] = p
        p = propagate(p, x, mean, (2 * tau) ** 0.5)
    return laws


def figure_3_4(quick=False):
    """10,000 particles from U[-3, 3] through 100 Langevin steps (Ex 3.3), the target, and the law that the chain really has.

    The tutorial does not state tau; here it is that of Ex 3.2.  100 steps do not reach the target (E9): no particle crosses from basin to
    basin, and such a step is too long for the narrow mode.
    """
    mixture, tau, count = example_3_2(), 0.05, 10_000
    sample = np.arange(count)
    start = 6 * uniform(34, sample, 0, Purpose.PRIOR, (1,)) - 3
    states = chain(langevin(mixture.score, start, tau, max(SHOWN), 34, sample), start)[..., 0]
    x = np.arange(-6, 6, 0.02) + 0.01  # -3 and 3, where the density jumps, are midway between points
    laws = langevin_laws(mixture, x, tau, SHOWN)
    title = rf"Fig 3.4: {count} particles from U[-3, 3] by Langevin, and where they really are.  {LAW}"
    left = {name: p[x < -0.82].sum() * 0.02 for name, p in (("target", density(mixture, x)), ("chain", laws[100]))}
    note = (
        f"Chosen: $\\tau$ = 0.05, as in Ex 3.2, and the steps shown.  After 100 steps the left mode holds {left['chain']:.3f} instead of "
        f"{left['target']:.3f} of the mass, nearly what began on that side,\nand is too wide (variance 0.107 instead of 0.04): "
        "contrary to what the text suggests, the target is not reached."
    )
    figure, axes = figures.panels(1, 4, 14, 4.6, title, note, sharex=True, sharey=True)
    for panel, step in zip(axes[0], SHOWN):
        figures.histogram(panel, states[step], np.linspace(-3.5, 4.5, 81 if quick else 121), "particles")
        panel.plot(x, density(mixture, x), color=figures.BLACK, linestyle=":", label="target p(x)")
        panel.plot(x, laws[step], color=figures.VERMILION, label="law of the chain")
        panel.set(xlabel="$x_t$", xlim=(-3.6, 4.2))
        panel.set_title(f"step {step}", fontsize=11)
    axes[0, 0].set_ylabel("density")
    axes[0, -1].legend(fontsize=9)
    return figure


def figure_3_5(quick=False):
    """Densities and their scores (3.3): a Gaussian and the mixture of Ex 3.2, with differences of log p beside the score."""
    laws = {"$N(1, 1)$": Mixture([1.0], [[1.0]], [1.0]), LAW[:1] + LAW[5:]: example_3_2()}
    figure, axes = figures.panels(2, 2, 11, 6.6, "Fig 3.5: densities and their scores", sharex="col")
    x = np.linspace(-4, 4, 801)
    for (top, bottom), (name, law) in zip(axes.T, laws.items()):
        log_p = law.log_density(x[:, None])
        top.plot(x, np.exp(log_p), color=figures.BLUE, label="density p(x)")
        top.set_title(name, fontsize=11)
        top.set(ylabel="p(x)", ylim=(0, None))
        bottom.plot(x, law.score(x[:, None])[:, 0], color=figures.VERMILION, label=r"score $\partial_x \log p(x)$")
        middle, slope = (x[1:] + x[:-1])[::20] / 2, (np.diff(log_p) / np.diff(x))[::20]
        bottom.plot(middle, slope, "o", color=figures.BLACK, markersize=3, label="differences of log p")
        bottom.axhline(0, color=figures.GREY, linewidth=0.8)
        bottom.set(xlabel="x", ylabel="score")
        for panel in (top, bottom):
            panel.legend(fontsize=9)
    return figure


def figure_3_6(quick=False):
    """The score of two Gaussians in the plane as arrows on the contours of their density, and two Langevin chains.  All is chosen."""
    tau, T, start = 0.01, 300, np.array([[-3.0, 3.0], [3.2, -2.8]])
    paths = chain(langevin(PLANE.score, start, tau, T, 36, np.arange(2)), start)
    note = f"Chosen: all of the mixture, $\\tau$ = {tau}, T = {T}.  Arrows are as long as the score's square root, for the eye."
    title = "Fig 3.6: the score of a mixture in the plane, and two Langevin chains in it"
    figure, axes = figures.panels(1, 2, 12, 5.8, title, note, sharex=True, sharey=True)
    side = np.linspace(-4.4, 4.4, 81 if quick else 201)
    x, y = np.meshgrid(side, side)
    p = np.exp(PLANE.log_density(np.stack((x.ravel(), y.ravel()), axis=1))).reshape(x.shape)
    for panel in axes[0]:
        filled = panel.contourf(x, y, p, levels=12, cmap="Blues")
        panel.set(xlabel="first coordinate", aspect="equal")
        panel.grid(False)
    coarse = np.stack(np.meshgrid(np.linspace(-3.8, 3.8, 20), np.linspace(-3.8, 3.8, 20)), axis=-1).reshape(-1, 2)
    s = PLANE.score(coarse)
    arrows = s / np.sqrt(np.linalg.norm(s, axis=1, keepdims=True))
    axes[0, 0].quiver(*coarse.T, *arrows.T, angles="xy", color=figures.BLACK, width=0.0028, label="score")
    axes[0, 0].set_ylabel("second coordinate")
    for path, color in zip(paths.swapaxes(0, 1), (figures.VERMILION, figures.GREEN)):
        label = f"chain from ({path[0, 0]:g}, {path[0, 1]:g})"
        axes[0, 1].plot(*path.T, "-o", color=color, markersize=2, linewidth=0.7, label=label)
        axes[0, 1].plot(*path[0], "s", color=color, markersize=8)
    figure.colorbar(filled, ax=axes[0], label="density p(x)", pad=0.02)
    axes[0, 0].set_title("density and score", fontsize=11)
    axes[0, 1].set_title("two chains, from the squares on", fontsize=11)
    axes[0, 1].legend(fontsize=9)
    return figure


def figure_3_7(quick=False):
    """A kernel density (3.5): of six points, kernel by kernel, and of draws from Ex 2.1 beside their histogram.

    The mean of q_h over all data sets is p convolved with the kernel, the mixture noised with sigma = h.  The tutorial's data are not
    given: all is chosen.
    """
    count, h, points = 400, 0.25, np.array([[-1.6], [-1.1], [-0.9], [0.4], [1.3], [1.5]])
    title, note = "Fig 3.7: kernel density", f"Chosen: the points, h = {h} (left 0.4), {count} draws from the mixture of Ex 2.1."
    figure, axes = figures.panels(1, 2, 12, 4.8, title, note)
    cartoon, real = axes[0]
    x = np.linspace(-3.2, 3.2, 400)
    for i, point in enumerate(points):
        kernel = density(Mixture([1.0], [point], [0.4**2]), x) / len(points)
        cartoon.plot(x, kernel, color=figures.SKY, linewidth=1, label=None if i else "a kernel on each point, / 6")
    cartoon.plot(x, density(kernel_density(points, 0.4), x), color=figures.VERMILION, label="their sum $q_h(x)$")
    cartoon.plot(points[:, 0], np.zeros(6), "o", color=figures.BLACK, label="points", clip_on=False)
    draws, x = example_2_1().sample(37, np.arange(count))[0], np.linspace(-4, 6, 801)
    figures.histogram(real, draws[:, 0], np.linspace(-4, 6, 61), f"histogram of {count} draws")
    real.plot(x, density(kernel_density(draws, h), x), color=figures.VERMILION, label="kernel density $q_h(x)$ of them")
    real.plot(
        x,
        density(example_2_1().noised(1.0, h), x),
        color=figures.GREEN,
        linestyle="--",
        label="its mean: p convolved with the kernel, exact",
    )
    real.plot(x, density(example_2_1(), x), color=figures.BLACK, linestyle=":", label="p(x)")
    cartoon.set_title("a cartoon", fontsize=11)
    real.set_title("data", fontsize=11)
    for panel in axes[0]:
        panel.set(xlabel="x", ylabel="density", ylim=(0, None))
        panel.legend(fontsize=9)
    return figure
