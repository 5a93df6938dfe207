"""The exact sampler: each step draws from q(x_prev | x_t) of a Gaussian mixture, in closed form."""

from itertools import pairwise

import numpy as np

from reference import ops as reference_ops
from reference.ops.random import Purpose


def exact_kernel(mixture, schedule, grid, x, seed, sample, ops=reference_ops):
    """From x[n,d] ~ p at time grid[0] to exact samples at grid[-1], in any number of steps; yields
    (t_prev, x, None).
    """
    for step, (t, t_prev) in enumerate(pairwise(grid)):
        weights, means, covariances = mixture.reverse_kernel(x, schedule, t, t_prev)
        u = ops.uniform(seed, sample, step, Purpose.STEP_COMPONENT, (1,), np.float64)
        z = ops.normal(seed, sample, step, Purpose.STEP_NOISE, x.shape[1:], np.float64)
        component = (np.cumsum(weights, axis=1)[:, :-1] < u).sum(axis=1)
        factors = np.linalg.cholesky(covariances)
        x = means[np.arange(len(x)), component] + np.einsum("nij,nj->ni", factors[component], z)
        yield t_prev, x, None
