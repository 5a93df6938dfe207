"""The chain of DDPM as an SDE, forward and reverse: Figs 4.5 and 4.6."""

from dataclasses import replace

import numpy as np

from reference import ops as reference_ops
from reference import plotting
from reference.diffusion.schedules import constant
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral, prior
from reference.tutorial.figures.common import chain, density, forward_paths, map_with_paths, mixture

PAIR = mixture([0.5, 0.5], [[3.0], [-3.0]], [1.0, 1.0])  # Ex 4.6
PAIR_TITLE = r"$p_0 = \frac{1}{2} N(3, 1) + \frac{1}{2} N(-3, 1)$, $\beta_i$ = 0.05"


def figure_4_5(quick=False, ops=reference_ops):
    """p_t as a map, with paths of the chain with beta_i = 0.05 from the mixture of Ex 4.6.  The
    number of steps is chosen.
    """
    pair, schedule = replace(PAIR, ops=ops), constant(100, 0.05)
    times = range(schedule.T + 1)
    paths = forward_paths(pair, schedule, times, 6, 477)
    title = f"Fig 4.5: the forward process.  {PAIR_TITLE}"
    note = "Chosen: N = 100, six paths.  $p_t$ has one mode from step 43 on."
    figure, axes = plotting.subplots(1, 1, 9, 5, title, note)
    map_with_paths(axes[0, 0], pair, schedule, quick, paths, times)
    axes[0, 0].legend(loc="upper right")
    return figure


def figure_4_6(quick=False, ops=reference_ops):
    """The reverse chain x_{i-1} = (x_i + beta_i s) / sqrt(1 - beta_i) + sqrt(beta_i) z from N(0, 1)
    for the mixture of Ex 4.6.

    (4.17) prints beta_i / 2 for beta_i (E5), half of the predicted noise: it ends with a variance
    of about 20, where the data have 10.  Both chains end without noise, as DDPM does.
    """
    pair, schedule = replace(PAIR, ops=ops), constant(100, 0.05)
    count = 2000 if quick else 20_000
    sample = np.arange(count)
    grid = schedule.timesteps(schedule.T)
    predict_noise = lambda x, t: pair.expected_noise(x, schedule.signal(t), schedule.noise_scale(t))
    half = lambda x, t: predict_noise(x, t) / 2
    start = prior(48, sample, (1,), np.float64, ops=ops)
    steps = lambda predict: ancestral(predict, schedule, grid, start, 48, sample, "beta", ops=ops)
    printed = final_sample(steps(half))[:, 0]
    states = chain(steps(predict_noise), start)
    paths = states[..., 0]
    title = f"Fig 4.6: the reverse process.  {PAIR_TITLE}"
    note = (
        "Chosen: N = 100, six paths.  The paths follow (4.17) corrected, with $\\beta_i$ times the "
        "score; as printed, with $\\beta_i/2$, it ends with twice the variance."
    )
    figure, axes = plotting.subplots(1, 2, 12.5, 5, title, note, width_ratios=(2, 1))
    plane, side = axes[0]
    map_with_paths(plane, pair, schedule, quick, paths[:, :6], grid)
    plane.set(xlim=(100.5, -0.5))
    x = np.linspace(-12, 12, 601)
    edges = np.linspace(-12, 12, 97)
    plotting.histogram(side, paths[-1], edges, f"corrected, variance {paths[-1].var():.2f}")
    label = rf"with $\beta_i/2$, variance {printed.var():.2f}"
    plotting.histogram(side, printed, edges, label, plotting.PURPLE, fill=False)
    side.plot(x, density(pair, x), color=plotting.VERMILION, label="data, exact, variance 10")
    side.set(xlabel="$x_0$", ylabel="density", ylim=(0, 0.3))
    side.set_title(f"{count} particles at step 0", fontsize=11)
    plane.legend(loc="upper right")
    side.legend(fontsize=8.5)
    return figure
