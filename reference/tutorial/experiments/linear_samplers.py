"""The exact variance of the samples of a linear sampler, without particles.

If the model is linear in x, so is a sampler: x = a x_T + sum_n b_n z_n, with independent standard
normal z_n.  One batch returns all of the coefficients: its first sample starts from 1 and draws no
noise, and sample n >= 1 starts from 0 and draws the noise z_n = 1 alone.  So the variance is

    a^2 Var[x_T] + sum_n b_n^2.
"""

from types import SimpleNamespace

import numpy as np

from reference.samplers import final_sample


def impulse_port():
    """A port with noise 1 for sample n at the n-th draw, n = 1, 2 .., and 0 else."""
    drawn = 0

    def impulse(x):
        nonlocal drawn
        drawn += 1
        z = np.zeros_like(x)
        z[drawn] = 1.0
        return z

    def reverse_step(x, prediction, a, b, c, noise):
        return a * x + b * prediction + (0.0 if noise is None else c * impulse(x))

    return SimpleNamespace(
        normal=lambda seed, sample, step, purpose, shape, dtype: impulse(
            np.zeros((len(sample), *shape), dtype)
        ),
        reverse_step=reverse_step,
    )


def variance(sampler, start, draws=0):
    """The variance of the samples of ``sampler(x, sample, ops)``, a generator that draws noise
    ``draws`` times, from x ~ N(0, ``start``).
    """
    x = np.zeros((draws + 1, 1))
    x[0] = 1.0
    response = final_sample(sampler(x, np.arange(draws + 1), impulse_port()))[:, 0]
    return float(start * response[0] ** 2 + response[1:] @ response[1:])
