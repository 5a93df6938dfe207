"""White noise and Brownian motion: Figs 5.1 and 5.2."""

import numpy as np

from reference import ops as reference_ops
from reference import plotting
from reference.data.metrics import autocorrelation
from reference.ops.random import Purpose
from reference.sde.sde import Brownian
from reference.tutorial.figures.common import draw_paths, forward_sde, gaussian, paths_of


def both_sides(chain):
    """The autocorrelation at the lags -(n-1) .. n-1."""
    rho = autocorrelation(chain)
    return np.concatenate((rho[:0:-1], rho))


def figure_5_1(quick=False, ops=reference_ops):
    """1,000 values of N(0, 1), and the sample autocorrelation at all 1,999 lags of two such series,
    and of many.

    For N independent values the autocorrelation at lag k has mean -(1 - k/N)/N, because the sample
    mean is subtracted, and deviation sqrt(N - k) / N.  The mean of M series has sqrt(M) times less.
    """
    N, M = 1000, 100 if quick else 1000
    noise = ops.normal(51, np.arange(M), 0, Purpose.PROBE, (N,), np.float64)
    title = f"Fig 5.1: white noise.  N = {N} values of N(0, 1), and their autocorrelation"
    note = (
        f"Chosen: the mean is over {M} series.  The tutorial's axis counts the lags from 0 to "
        "1998: its 999 is lag 0."
    )
    figure, axes = plotting.subplots(2, 2, 13, 7, title, note)
    for k, color in enumerate((plotting.BLUE, plotting.VERMILION)):
        axes[0, k].plot(noise[k], color=color, linewidth=0.7, label=f"sample {k + 1}")
        axes[0, k].set(xlabel="n", ylabel="value", ylim=(-4.6, 4.6), xlim=(0, N))
    whole, enlarged = axes[1]
    for panel in (whole, enlarged):
        _draw_autocorrelations(panel, noise)
    enlarged.set(ylim=(-0.15, 0.2))
    enlarged.set_title("the same, enlarged", fontsize=11)
    for panel in axes.flat:
        panel.legend(fontsize=9, loc="upper right", ncols=1 if panel is whole else 2)
    return figure


def _draw_autocorrelations(axes, noise):
    """Of the first two of the series noise[M,N], and the mean of all."""
    M, N = noise.shape
    lags = np.arange(1 - N, N)
    for k, color in enumerate((plotting.BLUE, plotting.VERMILION)):
        options = {"linewidth": 0.6, "alpha": 1 - 0.4 * k, "label": f"sample {k + 1}"}
        axes.plot(lags, both_sides(noise[k]), color=color, **options)
    mean = both_sides(noise.T)
    axes.plot(lags, mean, color=plotting.BLACK, linewidth=1, label=f"mean of {M} samples")
    limit = 2 * np.sqrt(N - abs(lags)) / N
    options = {"color": plotting.GREEN, "linestyle": "--", "linewidth": 1.4}
    axes.plot(lags, limit, label=r"$\pm 2\sqrt{N - |k|}/N$", **options)
    axes.plot(lags, -limit, **options)
    axes.set(xlabel="lag k", ylabel="autocorrelation", xlim=(-1.08 * N, 1.08 * N))


def figure_5_2(quick=False, ops=reference_ops):
    """Paths of Brownian motion and their distribution N(0, q t) (Thm 5.4), as a map and at three
    times.  q and the length are chosen.
    """
    q = 1.0
    count = 1000 if quick else 10_000
    steps = 100 if quick else 500
    sde = Brownian(a=q**0.5)
    grid = np.linspace(0, 1, steps + 1)
    paths = paths_of(forward_sde(sde), grid, 0.0, count, 52, ops)
    title = r"Fig 5.2: Brownian motion, $\dot\xi = \Gamma$ with intensity q, $\xi_0$ = 0"
    note = (
        f"Chosen: q = 1, Δt = {1 / steps:g}, one unit of time.  At t = 0 the density is a point "
        "mass: shades end at 1.5."
    )
    figure, axes = plotting.subplots(1, 2, 12.5, 5, title, note, width_ratios=(2, 1))
    plane, side = axes[0]
    t = np.linspace(0.005, 1, 100 if quick else 200)
    x = np.linspace(-3, 3, 151 if quick else 401)
    p = np.stack([gaussian(x, 0.0, sde.noise_scale(time)) for time in t], axis=1)
    plotting.density_map(plane, t, x, p, "density p(x, t)", largest=1.5)
    limit = 2 * sde.noise_scale(grid)
    options = {"color": plotting.BLACK, "linestyle": "--"}
    plane.plot(grid, limit, label=r"$\pm 2\sqrt{qt}$, exact", **options)
    plane.plot(grid, -limit, **options)
    draw_paths(plane, grid, paths, "paths over p(x, t)", shown=5)
    plane.set(xlim=(0, 1), ylim=(-3, 3), ylabel=r"$\xi(t)$")
    edges = np.linspace(-3, 3, 61)
    for share, color in ((0.1, plotting.VERMILION), (0.4, plotting.GREEN), (1.0, plotting.BLUE)):
        at_time = paths[round(share * steps)]
        plotting.histogram(side, at_time, edges, f"t = {share:g}", color, fill=False)
        label = None if share < 1 else "exact"
        exact = gaussian(x, 0.0, sde.noise_scale(share))
        side.plot(x, exact, color=plotting.BLACK, linewidth=1, label=label)
    side.set(xlabel="x", ylabel="density")
    side.set_title(f"the distribution at three times, {count} paths", fontsize=11)
    plane.legend(fontsize=9, loc="upper left")
    side.legend(fontsize=9, loc="upper right")
    return figure
