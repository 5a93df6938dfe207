"""White noise and Brownian motion: Figs 5.1 and 5.2.  Each function takes ``quick`` and returns a matplotlib figure, as in chapter 2."""

import numpy as np

from reference import figures
from reference.metrics import autocorrelation
from reference.ops import normal
from reference.ops.random import Purpose
from reference.sde.sde import Brownian
from reference.tutorial_figures.chapter_4 import draw_paths, forward_sde, gaussian, paths_of


def both_sides(chain):
    """The autocorrelation at the lags -(n-1) .. n-1."""
    rho = autocorrelation(chain)
    return np.concatenate((rho[:0:-1], rho))


def figure_5_1(quick=False):
    """1,000 values of N(0, 1), and the sample autocorrelation of two such series, and of many, at all 1,999 lags.

    Of N independent values the autocorrelation at lag k has mean -(1 - k/N)/N, by the mean that is taken off, and deviation
    sqrt(N - k) / N; of M series it is sqrt(M) times less.
    """
    N, M = 1000, 100 if quick else 1000
    noise = normal(51, np.arange(M), 0, Purpose.PROBE, (N,))
    lags = np.arange(1 - N, N)
    note = f"Chosen: the mean is over {M} series.  The tutorial's axis counts lags from 0 to 1998; its 999 is lag 0."
    figure, axes = figures.panels(1, 2, 13, 4.8, f"Fig 5.1: white noise.  N = {N} values of N(0, 1)", note)
    series, correlation = axes[0]
    for k, color in enumerate((figures.SKY, figures.VERMILION)):
        series.plot(noise[k], color=color, linewidth=0.6, alpha=1 - 0.35 * k, label=f"sample {k + 1}")
        correlation.plot(lags, both_sides(noise[k]), color=color, linewidth=0.6, alpha=1 - 0.35 * k, label=f"sample {k + 1}")
    correlation.plot(lags, both_sides(noise.T), color=figures.BLACK, linewidth=1, label=f"mean of {M}")
    deviation = np.sqrt(N - abs(lags)) / N
    correlation.plot(lags, 2 * deviation, color=figures.GREEN, linestyle="--", linewidth=1.2, label=r"$\pm 2\sqrt{N - |k|}/N$, exact")
    correlation.plot(lags, -2 * deviation, color=figures.GREEN, linestyle="--", linewidth=1.2)
    series.set(xlabel="n", ylabel="value", ylim=(-4.6, 4.6), xlim=(0, N))
    correlation.set(xlabel="lag k", ylabel="autocorrelation")
    correlation.set_title("their autocorrelation: 1 at lag 0, else 0", fontsize=11)
    series.set_title("two series", fontsize=11)
    for panel in axes[0]:
        panel.legend(fontsize=9, loc="upper right")
    return figure


def figure_5_2(quick=False):
    """Paths of Brownian motion and their law N(0, q t) (Thm 5.4), as a map and at three times.  q and the horizon are chosen."""
    q, count, steps = 1.0, 1000 if quick else 10_000, 100 if quick else 500
    sde, grid = Brownian(a=q**0.5), np.linspace(0, 1, steps + 1)
    paths = paths_of(*forward_sde(sde), grid, 0.0, count, 52)
    note = f"Chosen: q = 1, Δt = {1 / steps:g}, one unit of time.  At t = 0 the density is a point mass: shades end at 1.5."
    figure, axes = figures.panels(1, 2, 12.5, 5, r"Fig 5.2: Brownian motion, $\dot\xi = \Gamma$ with intensity q, $\xi_0$ = 0", note, width_ratios=(2, 1))
    plane, side = axes[0]
    t, x = np.linspace(0.005, 1, 100 if quick else 200), np.linspace(-3, 3, 151 if quick else 401)
    p = np.stack([gaussian(x, 0.0, sde.noise_scale(time)) for time in t], axis=1)
    figures.density_map(plane, t, x, p, "density p(x, t)", largest=1.5)
    plane.plot(grid, 2 * sde.noise_scale(grid), color=figures.BLACK, linestyle="--", label=r"$\pm 2\sqrt{qt}$, exact")
    plane.plot(grid, -2 * sde.noise_scale(grid), color=figures.BLACK, linestyle="--")
    draw_paths(plane, grid, paths, "paths over p(x, t)", drawn=5)
    plane.set(xlim=(0, 1), ylim=(-3, 3), ylabel=r"$\xi(t)$")
    for share, color in ((0.1, figures.VERMILION), (0.4, figures.GREEN), (1.0, figures.BLUE)):
        figures.histogram(side, paths[round(share * steps)], np.linspace(-3, 3, 61), f"{count} paths, t = {share:g}", color, fill=False)
        side.plot(x, gaussian(x, 0.0, sde.noise_scale(share)), color=figures.BLACK, linewidth=1, label=None if share < 1 else "N(0, qt), exact")
    side.set(xlabel="x", ylabel="density")
    side.set_title("the law at three times", fontsize=11)
    for panel in axes[0]:
        panel.legend(fontsize=8.5, loc="upper left")
    return figure
