"""Gaussian mixtures that several test files share, with points and quadrature nodes for them."""

import numpy as np
import pytest

from reference.diffusion.mixtures import Mixture, example_2_1
from tests.oracle_tolerances import line


def full(seed, k, d):
    """A mixture of k Gaussians in d dimensions, with unequal weights and covariances of condition number below 40."""
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(k, d, d)) / np.sqrt(d)
    covariances = roots @ roots.swapaxes(1, 2) / 4 + 0.15 * np.eye(d)
    weights = np.arange(1.0, k + 1) / (k * (k + 1) / 2)
    return Mixture(weights, 1.5 * rng.normal(size=(k, d)), covariances)


def isotropic(seed, k, d):
    other = full(seed, k, d)
    return Mixture(other.weights, other.means, np.linspace(0.2, 0.9, k))


MIXTURES = {f"{make.__name__}-{d}": make(d, k, d) for make in (full, isotropic) for d, k in ((1, 3), (2, 4), (5, 3))}
MIXTURES |= {"example-2.1": example_2_1(), "one-gaussian": full(7, 1, 3)}
every_mixture = pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES)
in_1d = pytest.mark.parametrize("mixture", [m for m in MIXTURES.values() if m.dimension == 1], ids=["full", "isotropic", "example-2.1"])
in_2d = pytest.mark.parametrize("mixture", [m for m in MIXTURES.values() if m.dimension == 2], ids=["full", "isotropic"])
LEVELS = [(0.9, 0.3), (0.5, np.sqrt(0.75)), (1.0, 2.0), (0.1, 0.995)]
every_level = pytest.mark.parametrize("alpha, sigma", LEVELS)


def points(mixture, n=40, seed=0):
    """Points within some deviations of the mixture."""
    return mixture.mean + 2 * np.random.default_rng(seed).normal(size=(n, mixture.dimension))


def narrowest(mixture):
    return np.sqrt(np.linalg.eigvalsh(mixture.full).min())


def nodes(mixture):
    """Nodes on the line, as x[n,1], and their weight."""
    deviation = np.sqrt(mixture.full[:, 0, 0])
    x, h = line((mixture.means[:, 0] - 12 * deviation).min(), (mixture.means[:, 0] + 12 * deviation).max(), deviation.min())
    return x[:, None], h


def plane(mixture):
    """Nodes on the plane, as x[n,2], and their weight."""
    spread = 12 * np.sqrt(np.linalg.eigvalsh(mixture.full).max())
    sides = [line(mixture.means[:, i].min() - spread, mixture.means[:, i].max() + spread, narrowest(mixture) * 0.75) for i in (0, 1)]
    grid = np.stack(np.meshgrid(sides[0][0], sides[1][0], indexing="ij"), axis=-1)
    return grid.reshape(-1, 2), sides[0][1] * sides[1][1]
