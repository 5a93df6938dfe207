"""What several figures draw or simulate: densities on the line, chains, paths of equations."""

from itertools import pairwise

import numpy as np

from reference import plotting
from reference.diffusion.forward_process import forward_step
from reference.diffusion.mixtures import Mixture
from reference.ops.random import Key, Purpose
from reference.samplers.sde import euler_maruyama


def mixture(weights, means, covariances):
    """A ``Mixture`` from lists."""
    return Mixture(np.array(weights), np.array(means), np.array(covariances))


def gaussian(x, mean, deviation):
    """The density of N(mean, deviation^2) at x[n]."""
    return density(mixture([1.0], [[mean]], [deviation**2]), x)


def noised(mixture, schedule, t):
    """p_t (2.13)."""
    return mixture.noised(schedule.signal(t), schedule.noise_scale(t))


def density(mixture, x):
    """p(x[n]) on the line."""
    return np.exp(mixture.log_density(x[:, None]))


def chain(states, x):
    """The states of a sampler from x[n,d] on, [steps+1,n,d]."""
    return np.array([x, *(x for _, x, _ in states)])


def forward_paths(mixture, schedule, times, count, seed):
    """x[len(times), count]: ``count`` particles of the data carried from time to time by the chain
    (2.1).
    """
    x, sample = mixture.sample(seed, np.arange(count))[0], np.arange(count)
    paths = [x]
    for t_prev, t in pairwise(times):
        x = forward_step(schedule, x, t, t_prev, Key(seed, sample, t, Purpose.STEP_NOISE))
        paths.append(x)
    return np.array(paths)[..., 0]


def forward_sde(sde):
    """(drift, diffusion) of an SDE as functions of x and t."""
    return lambda x, t: sde.drift_coefficient(t) * x, lambda x, t: sde.diffusion(t)


def paths_of(equation, grid, x0, count, seed):
    """Euler-Maruyama for ``count`` paths of ``equation`` = (drift, diffusion) from x0, a number or
    [count]: [len(grid), count].
    """
    drift, diffusion = equation
    x = np.zeros((count, 1)) + np.reshape(x0, (-1, 1))
    return chain(euler_maruyama(drift, diffusion, grid, x, seed, np.arange(count)), x)[..., 0]


def map_with_paths(axes, mixture, schedule, quick, paths, times):
    """p_t(x) as shades over (t, x), and paths[len(times), n] over it."""
    t, x = np.arange(schedule.T + 1), np.linspace(-6, 6, 181 if quick else 481)
    p = np.stack([density(noised(mixture, schedule, k), x) for k in t], axis=1)
    plotting.density_map(axes, t, x, p, "density $p_t(x)$")
    for i, (path, color) in enumerate(zip(paths.T, plotting.PATH_COLORS)):
        axes.plot(
            times,
            path,
            color=color,
            linewidth=1,
            label=f"{min(paths.shape[1], len(plotting.PATH_COLORS))} paths" if not i else None,
        )
    axes.set(xlabel="step t", ylabel="$x_t$", ylim=(-6, 6))


def draw_paths(axes, times, paths, title, drawn=6):
    """The first few of paths[len(times), n]."""
    for i, (path, color) in enumerate(zip(paths.T[:drawn], plotting.PATH_COLORS)):
        axes.plot(
            times,
            path,
            color=color,
            linewidth=0.9,
            label=None if i else f"{drawn} of {paths.shape[1]} paths",
        )
    axes.set(xlabel="time t", ylabel="x(t)")
    axes.set_title(title, fontsize=11)
