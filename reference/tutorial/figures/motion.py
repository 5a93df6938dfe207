"""An animation: the reverse process of a mixture."""

import numpy as np

from reference import ops as reference_ops
from reference import plotting
from reference.diffusion.mixtures import example_2_1
from reference.ops.random import Purpose
from reference.samplers.sde import euler_maruyama
from reference.sde.sde import VP
from reference.tutorial.figures.common import chain, density, noised

# beta of the VP SDE that has the marginals of alpha_t = 0.97 at every whole t
BETA = float(-np.log(0.97))


def reverse(quick=False, ops=reference_ops):
    """(figure, updates): particles from N(0, 1) at T = 150 to the data of Ex 2.1 by the reverse SDE
    (4.16) with the exact score.

    The map behind the particles is p_t (2.13).  Euler-Maruyama takes five steps per unit of time.
    The generator ``updates`` draws the next frame into the figure.
    """
    mixture = example_2_1(ops)
    sde = VP(beta_min=BETA, beta_max=BETA, t_max=150.0)
    count, substeps, every = (300, 5, 15) if quick else (5000, 5, 2)
    drift, diffusion = sde.reverse(lambda x, t: noised(mixture, sde, t).score(x))
    x = ops.normal(21, np.arange(count), 0, Purpose.PRIOR, (1,), np.float64)
    grid = np.linspace(150, 0, 150 * substeps + 1)
    steps = euler_maruyama(drift, diffusion, grid, x, 21, np.arange(count), ops)
    states = chain(steps, x)[..., 0]
    return _stage(mixture, sde, grid, states, range(0, len(grid), every * substeps), quick)


def _stage(mixture, sde, grid, states, shown, quick):
    """(figure, updates) for the states [len(grid), n] at the indices ``shown``."""
    title = r"The reverse process of Ex 2.1's mixture, $\alpha_t = 0.97$, exact score"
    note = (
        "Reverse SDE (4.16), Euler-Maruyama, from N(0, 1) at T = 150.  "
        "Behind the particles, the exact density $p_t$."
    )
    figure, axes = plotting.subplots(1, 2, 8.4, 4.4, title, note, sharey=True, width_ratios=(3, 1))
    plane, side = axes[0]
    x = np.linspace(-5, 5, 101 if quick else 301)
    t = np.arange(151)
    p = np.stack([density(noised(mixture, sde, k), x) for k in t], axis=1)
    plotting.density_map(plane, t, x, p, "density $p_t(x)$")
    tails = [plane.plot([], [], color=color, linewidth=0.9)[0] for color in plotting.PATH_COLORS]
    (cloud,) = plane.plot([], [], ".", color=plotting.BLACK, markersize=3, alpha=0.25)
    plane.set(xlim=(150.5, -0.5), ylim=(-5, 5), xlabel="time t", ylabel="$x_t$")
    (curve,) = side.plot([], [], color=plotting.VERMILION, label="$p_t$, exact")
    side.set(xlim=(0, 0.65), xlabel="density")
    edges = np.linspace(-5, 5, 51)
    label = f"{states.shape[1]} particles"

    def updates():
        bars = None
        for k in shown:
            for tail, path in zip(tails, states.T):
                tail.set_data(grid[: k + 1], path[: k + 1])
            cloud.set_data(np.full(len(states[k, :300]), grid[k]), states[k, :300])
            if bars:
                bars.remove()
            bars = plotting.histogram(side, states[k], edges, label, horizontal=True)
            curve.set_data(density(noised(mixture, sde, grid[k]), x), x)
            side.legend(fontsize=8, loc="upper right")
            plane.set_title(f"t = {grid[k]:.0f}", fontsize=11)
            yield

    return figure, updates()
