"""Shared by several figures: densities on the line, chains, paths of SDEs."""

from itertools import pairwise

import numpy as np

from reference import ops as reference_ops
from reference import plotting
from reference.diffusion.forward_process import forward_step
from reference.diffusion.mixtures import Mixture
from reference.ops.random import Key, Purpose
from reference.samplers.sde import euler_maruyama


def mixture(weights, means, covariances, ops=reference_ops):
    """A ``Mixture`` from lists."""
    return Mixture(np.array(weights), np.array(means), np.array(covariances), ops)


def gaussian(x, mean, deviation):
    """The density of N(mean, deviation^2) at x[n]."""
    return density(mixture([1.0], [[mean]], [deviation**2]), x)


def noised(mixture, schedule, t):
    """p_t, the mixture with noise (2.13)."""
    return mixture.noised(schedule.signal(t), schedule.noise_scale(t))


def density(mixture, x):
    """p(x[n]) on the line."""
    return np.exp(mixture.log_density(x[:, None]))


def chain(states, x):
    """x[n,d] followed by all states of a sampler: [steps+1,n,d]."""
    return np.array([x, *(x for _, x, _ in states)])


def forward_paths(mixture, schedule, times, count, seed):
    """x[len(times), count]: ``count`` data points, carried from time to time by the chain (2.1)."""
    sample = np.arange(count)
    x, _ = mixture.sample(seed, sample)
    paths = [x]
    for t_prev, t in pairwise(times):
        key = Key(seed, sample, t, Purpose.STEP_NOISE)
        x = forward_step(schedule, x, t, t_prev, key, mixture.ops)
        paths.append(x)
    return np.array(paths)[..., 0]


def forward_sde(sde):
    """(drift, diffusion) of an SDE as functions of x and t."""
    return lambda x, t: sde.drift_coefficient(t) * x, lambda x, t: sde.diffusion(t)


def paths_of(equation, grid, x0, count, seed, ops=reference_ops):
    """``count`` paths [len(grid), count] of ``equation`` = (drift, diffusion) by Euler-Maruyama,
    from x0, a number or [count].
    """
    drift, diffusion = equation
    x = np.zeros((count, 1)) + np.reshape(x0, (-1, 1))
    steps = euler_maruyama(drift, diffusion, grid, x, seed, np.arange(count), ops)
    return chain(steps, x)[..., 0]


def map_with_paths(axes, mixture, schedule, quick, paths, times):
    """p_t(x) as shades over (t, x), with paths[len(times), n] over it."""
    t = np.arange(schedule.T + 1)
    x = np.linspace(-6, 6, 181 if quick else 481)
    p = np.stack([density(noised(mixture, schedule, k), x) for k in t], axis=1)
    plotting.density_map(axes, t, x, p, "density $p_t(x)$")
    shown = min(paths.shape[1], len(plotting.PATH_COLORS))
    _draw_lines(axes, times, paths, shown, f"{shown} paths", linewidth=1)
    axes.set(xlabel="step t", ylabel="$x_t$", ylim=(-6, 6))


def draw_paths(axes, times, paths, title, shown=6):
    """The first ``shown`` of paths[len(times), n]."""
    _draw_lines(axes, times, paths, shown, f"{shown} of {paths.shape[1]} paths", linewidth=0.9)
    axes.set(xlabel="time t", ylabel="x(t)")
    axes.set_title(title, fontsize=11)


def _draw_lines(axes, times, paths, shown, label, linewidth):
    for i, (path, color) in enumerate(zip(paths.T[:shown], plotting.PATH_COLORS)):
        axes.plot(times, path, color=color, linewidth=linewidth, label=None if i else label)
