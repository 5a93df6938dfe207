"""Langevin dynamics: Figs 3.2 to 3.4."""

import numpy as np

from reference import plotting
from reference.diffusion.mixtures import example_3_2
from reference.ops import uniform
from reference.ops.random import Purpose
from reference.samplers.chain_density import transition
from reference.samplers.langevin import gradient_ascent, langevin
from reference.tutorial.figures.common import chain, density, gaussian

DISTRIBUTION = r"$p = 0.6\,N(2, 0.5^2) + 0.4\,N(-2, 0.2^2)$"
SHOWN = (0, 1, 10, 100)


def figure_3_2(quick=False):
    """500 steps of ascent and of Langevin (3.1) from x_0 = 0, tau = 0.05, as the points (x_t,
    p(x_t)) on the density (Ex 3.2).
    """
    mixture, start = example_3_2(), np.zeros((1, 1))
    walks = {
        r"Ascent, $x + \tau\,\nabla\log p$: all end on one mode": gradient_ascent(
            mixture.score, start, 0.05, 500
        ),
        r"Langevin, with $\sqrt{2\tau}\,z$: a sample of that mode": langevin(
            mixture.score, start, 0.05, 500, 32, np.arange(1)
        ),
    }
    note = "One chain of 500 steps stays where it began to climb.  The colour tells the step."
    title = rf"Fig 3.2: going up, and drawing samples.  {DISTRIBUTION}, $x_0 = 0$, $\tau$ = 0.05, T = 500"
    figure, axes = plotting.subplots(1, 2, 12, 4.8, title, note, sharey=True)
    x = np.linspace(-3.5, 4.5, 801)
    for panel, (subject, walk) in zip(axes[0], walks.items()):
        path = chain(walk, start)[:, 0, 0]
        panel.plot(x, density(mixture, x), color=plotting.GREY, linewidth=1.2, label="p(x)")
        points = panel.scatter(
            path,
            density(mixture, path),
            c=np.arange(len(path)),
            cmap="plasma",
            s=16,
            zorder=3,
            label="$(x_t, p(x_t))$",
        )
        panel.set(xlabel="x", ylabel="density p(x)")
        panel.set_title(subject, fontsize=11)
        panel.legend(loc="upper right")
    figure.colorbar(points, ax=axes[0], label="step t", pad=0.01)
    return figure


def figure_3_3(quick=False):
    """Long Langevin chains, tau = 0.001, coloured by the mode that is likelier to have made the
    point.

    The tutorial does not state T, and has one chain.  One chain shows one mode: the relaxation rate
    is 1.8e-6, so that a crossing takes 1e9 steps on average.  So there are two, from either side of
    the density's minimum at -0.82, and beside them the mode alone.  In the wide mode a chain
    forgets where it was in 250 steps: it takes many chains, not one, to fill the histogram.  The
    density at the starts is a thousand times that at the minimum and more, so that hardly any chain
    begins by climbing into the other mode.
    """
    mixture, tau, (T, count) = example_3_2(), 0.001, (2000, 1000) if quick else (20_000, 100)
    start = np.repeat([[0.0], [-1.2]], count, axis=0)
    paths = chain(langevin(mixture.score, start, tau, T, 33, np.arange(2 * count)), start).reshape(
        T + 1, 2, count
    )
    title = rf"Fig 3.3: Langevin chains stay in their mode.  {DISTRIBUTION}, $\tau$ = 0.001"
    note = (
        f"Chosen: T = {T}, starts 0 and -1.2, one chain of {count} drawn from each.  "
        "A crossing takes about $10^9$ steps on average: from either start only one mode is seen."
    )
    figure, axes = plotting.subplots(1, 2, 12, 4.8, title, note, sharey=True, width_ratios=(3, 1))
    line, side = axes[0]
    colors = np.array([plotting.VERMILION, plotting.BLUE])
    for path in paths[:, :, 0].T:
        mode = mixture.responsibilities(path[:, None]).argmax(axis=1)
        line.scatter(np.arange(T + 1), path, c=colors[mode], s=1.5, linewidths=0, rasterized=True)
    x = np.linspace(-3, 4, 701)
    for k, label in enumerate(("mode at 2", "mode at -2")):
        line.plot([], [], "o", color=colors[k], label=label)
        late, chains = paths[T // 2 :, k], f"{count} chains from {start[k * count, 0]:g}"
        plotting.histogram(
            side, late, np.linspace(-3, 4, 141), chains, colors[k], horizontal=True, fill=False
        )
        side.plot(
            gaussian(x, mixture.means[k, 0], mixture.covariances[k] ** 0.5),
            x,
            color=plotting.BLACK,
            linestyle="--",
            linewidth=1,
            label=None if k else "mode alone, exact",
        )
    line.set(xlabel="step t", ylabel="$x_t$")
    side.set(xlabel="density")
    side.set_title(f"the last {T // 2} steps", fontsize=11)
    for panel in axes[0]:
        panel.legend(loc="center right", fontsize=9)
    return figure


def langevin_distributions(mixture, x, tau, shown):
    """The densities of the chain from U[-3, 3] at the steps ``shown``, on the points x; what the
    tutorial's particles tend to.
    """
    step = transition(x, x + tau * mixture.score(x[:, None])[:, 0], (2 * tau) ** 0.5)
    p, laws = np.where(np.abs(x) < 3, 1 / 6, 0.0), {}
    for n in range(max(shown) + 1):
        if n in shown:
            laws[n] = p
        p = step @ p
    return laws


def left_mode(x, p):
    """(mass, variance) of a density on this side of -0.82, where that of Ex 3.2 is smallest."""
    x, p = x[x < -0.82], p[x < -0.82] * (x[1] - x[0])
    mean = x @ p / p.sum()
    return p.sum(), (x - mean) ** 2 @ p / p.sum()


def figure_3_4(quick=False):
    """10,000 particles from U[-3, 3] through 100 Langevin steps (Ex 3.3), the target, and the law
    that the chain really has.

    The tutorial does not state tau; here it is that of Ex 3.2.  100 steps do not reach the target
    (E9): hardly any particle crosses from basin to basin, and such a step is too long for the
    narrow mode.
    """
    mixture, tau, count = example_3_2(), 0.05, 10_000
    sample = np.arange(count)
    start = 6 * uniform(34, sample, 0, Purpose.PRIOR, (1,)) - 3
    states = chain(langevin(mixture.score, start, tau, max(SHOWN), 34, sample), start)[..., 0]
    h = 0.005
    # -3 and 3, where the density jumps, are midway between points
    x = np.arange(-5, 5.5, h) + h / 2
    laws = langevin_distributions(mixture, x, tau, SHOWN)
    title = rf"Fig 3.4: {count} particles from U[-3, 3] by Langevin, and where they really are.  {DISTRIBUTION}"
    (mass, variance), (target, _) = (left_mode(x, p) for p in (laws[100], density(mixture, x)))
    note = (
        f"Chosen: $\\tau$ = 0.05, as in Ex 3.2, and the steps shown.  After 100 steps the left mode holds {mass:.3f} instead of "
        f"{target:.3f} of the mass, nearly what began on that side,\nand is too wide (variance {variance:.3f} instead of 0.04): "
        "contrary to what the text suggests, the target is not reached."
    )
    figure, axes = plotting.subplots(1, 4, 14, 4.6, title, note, sharex=True, sharey=True)
    for panel, step in zip(axes[0], SHOWN):
        plotting.histogram(
            panel, states[step], np.linspace(-3.5, 4.5, 81 if quick else 121), "particles"
        )
        panel.plot(x, density(mixture, x), color=plotting.BLACK, linestyle=":", label="target p(x)")
        panel.plot(x, laws[step], color=plotting.VERMILION, label="law of the chain")
        panel.set(xlabel="$x_t$", xlim=(-3.6, 4.2))
        panel.set_title(f"step {step}", fontsize=11)
    axes[0, 0].set_ylabel("density")
    axes[0, -1].legend(fontsize=9)
    return figure
