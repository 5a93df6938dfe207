"""Langevin dynamics: Figs 3.2 to 3.4."""

import numpy as np

from reference import ops as reference_ops
from reference import plotting
from reference.diffusion.mixtures import example_3_2
from reference.ops.random import Purpose
from reference.samplers.chain_density import transition
from reference.samplers.langevin import gradient_ascent, langevin
from reference.tutorial.figures.common import chain, density, gaussian

EX_3_2 = r"$p = 0.6\,N(2, 0.5^2) + 0.4\,N(-2, 0.2^2)$"
STEPS = (0, 1, 10, 100)


def figure_3_2(quick=False, ops=reference_ops):
    """500 steps of ascent and of Langevin dynamics (3.1) from x_0 = 0, tau = 0.05, as the points
    (x_t, p(x_t)) on the density (Ex 3.2).
    """
    mixture, start = example_3_2(ops), np.zeros((1, 1))
    ascent = gradient_ascent(mixture.score, start, 0.05, 500, ops)
    dynamics = langevin(mixture.score, start, 0.05, 500, 32, np.arange(1), ops=ops)
    walks = {
        r"Ascent, $x + \tau\,\nabla\log p$: it ends on a mode": ascent,
        r"Langevin, with $\sqrt{2\tau}\,z$: a sample of that mode": dynamics,
    }
    parameters = rf"{EX_3_2}, $x_0 = 0$, $\tau$ = 0.05, T = 500"
    title = f"Fig 3.2: going up, and drawing samples.  {parameters}"
    note = "One chain of 500 steps stays on its first mode.  The colour is the step."
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


def figure_3_3(quick=False, ops=reference_ops):
    """Long Langevin chains, tau = 0.001.  The colour of a point is the mode that it more probably
    belongs to.

    The tutorial does not state T, and shows one chain.  One chain stays in one mode: the relaxation
    rate is 1.8e-6, so that a crossing takes 1e9 steps on average.  Here two chains start on either
    side of the density's minimum at -0.82; beside them stands the density of each mode alone.
    Within the wide mode a chain decorrelates in 250 steps, so the histogram takes many chains.  The
    density at the starts is at least a thousand times the density at the minimum, so that hardly
    any chain begins by climbing into the other mode.
    """
    mixture, tau = example_3_2(ops), 0.001
    T, count = (2000, 1000) if quick else (20_000, 100)
    start = np.repeat([[0.0], [-1.2]], count, axis=0)
    sample = np.arange(2 * count)
    states = chain(langevin(mixture.score, start, tau, T, 33, sample, ops=ops), start)
    paths = states.reshape(T + 1, 2, count)
    title = rf"Fig 3.3: Langevin chains stay in their mode.  {EX_3_2}, $\tau$ = 0.001"
    note = (
        f"Chosen: T = {T}, starts 0 and -1.2, one of {count} chains drawn from each.  "
        "A crossing takes about $10^9$ steps on average: each start reaches one mode only."
    )
    figure, axes = plotting.subplots(1, 2, 12, 4.8, title, note, sharey=True, width_ratios=(3, 1))
    line, side = axes[0]
    colors = np.array([plotting.VERMILION, plotting.BLUE])
    for path in paths[:, :, 0].T:
        mode = mixture.responsibilities(path[:, None]).argmax(axis=1)
        line.scatter(np.arange(T + 1), path, c=colors[mode], s=1.5, linewidths=0, rasterized=True)
    x = np.linspace(-3, 4, 701)
    edges = np.linspace(-3, 4, 141)
    for k, label in enumerate(("mode at 2", "mode at -2")):
        line.plot([], [], "o", color=colors[k], label=label)
        late = paths[T // 2 :, k]
        chains = f"{count} chains from {start[k * count, 0]:g}"
        plotting.histogram(side, late, edges, chains, colors[k], horizontal=True, fill=False)
        p = gaussian(x, mixture.means[k, 0], mixture.covariances[k] ** 0.5)
        exact = None if k else "mode alone, exact"
        side.plot(p, x, color=plotting.BLACK, linestyle="--", linewidth=1, label=exact)
    line.set(xlabel="step t", ylabel="$x_t$")
    side.set(xlabel="density")
    side.set_title(f"the last {T // 2} steps", fontsize=11)
    for panel in axes[0]:
        panel.legend(loc="center right", fontsize=9)
    return figure


def langevin_densities(mixture, x, tau, steps):
    """step -> density on x of the chain from U[-3, 3], for the given ``steps``: the limit of the
    histograms for many particles.
    """
    step = transition(x, x + tau * mixture.score(x[:, None])[:, 0], (2 * tau) ** 0.5)
    p, densities = np.where(np.abs(x) < 3, 1 / 6, 0.0), {}
    for n in range(max(steps) + 1):
        if n in steps:
            densities[n] = p
        p = step @ p
    return densities


def left_mode(x, p):
    """(mass, variance) of a density left of -0.82, the minimum of the density of Ex 3.2."""
    x, p = x[x < -0.82], p[x < -0.82] * (x[1] - x[0])
    mean = x @ p / p.sum()
    return p.sum(), (x - mean) ** 2 @ p / p.sum()


def figure_3_4(quick=False, ops=reference_ops):
    """10,000 particles from U[-3, 3] through 100 Langevin steps (Ex 3.3), the target, and the exact
    distribution of the chain.

    The tutorial does not state tau; here tau is 0.05, as in Ex 3.2.  100 steps do not reach the
    target (E9): hardly any particle crosses from basin to basin, and the step is too long for the
    narrow mode.
    """
    mixture, tau, count = example_3_2(ops), 0.05, 10_000
    sample = np.arange(count)
    start = 6 * ops.uniform(34, sample, 0, Purpose.PRIOR, (1,), np.float64) - 3
    steps = langevin(mixture.score, start, tau, max(STEPS), 34, sample, ops=ops)
    states = chain(steps, start)[..., 0]
    h = 0.005
    # -3 and 3, where the density jumps, are midway between points
    x = np.arange(-5, 5.5, h) + h / 2
    densities = langevin_densities(mixture, x, tau, STEPS)
    target = density(mixture, x)
    mass, variance = left_mode(x, densities[100])
    target_mass, _ = left_mode(x, target)
    title = (
        f"Fig 3.4: {count} particles from U[-3, 3] by Langevin, and their distribution.  {EX_3_2}"
    )
    note = (
        "Chosen: $\\tau$ = 0.05, as in Ex 3.2, and the steps shown.  After 100 steps the left mode "
        f"holds {mass:.3f} instead of {target_mass:.3f} of the mass, nearly its initial share,\n"
        f"and is too wide (variance {variance:.3f} instead of 0.04): contrary to the text, the "
        "chain does not reach the target."
    )
    figure, axes = plotting.subplots(1, 4, 14, 4.6, title, note, sharex=True, sharey=True)
    edges = np.linspace(-3.5, 4.5, 81 if quick else 121)
    for panel, step in zip(axes[0], STEPS):
        plotting.histogram(panel, states[step], edges, "particles")
        panel.plot(x, target, color=plotting.BLACK, linestyle=":", label="target p(x)")
        label = "distribution of the chain"
        panel.plot(x, densities[step], color=plotting.VERMILION, label=label)
        panel.set(xlabel="$x_t$", xlim=(-3.6, 4.2))
        panel.set_title(f"step {step}", fontsize=11)
    axes[0, 0].set_ylabel("density")
    axes[0, -1].legend(fontsize=9)
    return figure
