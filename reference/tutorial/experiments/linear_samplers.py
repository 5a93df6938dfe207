"""The exact law of the samples of a linear sampler, without particles.

If the model is linear in x and in a measurement y, so is a sampler:

    x = a y + b x_T + sum_n b_n z_n,

with independent standard normal z_n.  One batch returns all of the coefficients: each of its
samples has one input, x_T = 1, y = 1, or the noise z_n = 1 of the n-th draw, and 0 for all others.
So x given y is N(a y, v) with

    v = b^2 Var[x_T] + sum_n b_n^2.
"""

from types import SimpleNamespace

import numpy as np

from reference.samplers import final_sample


def impulse_port(first=1):
    """A port with noise 1 for one sample at each draw and 0 for all others: ``first`` at the first
    draw, the next sample at the next.
    """
    drawn = first - 1

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


def law(sampler, start, draws=0):
    """(a, v) of the samples N(a y, v) of ``sampler(x, y, sample, ops)``, a generator that draws
    noise at most ``draws`` times, from x ~ N(0, ``start``).  x and y are [b,1].
    """
    n = draws + 2
    x, y = np.zeros((n, 1)), np.zeros((n, 1))
    x[0], y[1] = 1.0, 1.0
    response = final_sample(sampler(x, y, np.arange(n), impulse_port(2)))[:, 0]
    of_start, of_y, of_noise = response[0], response[1], response[2:]
    return float(of_y), float(start * of_start**2 + of_noise @ of_noise)


def variance(sampler, start, draws=0):
    """v of ``law`` for ``sampler(x, sample, ops)``, which has no measurement."""
    return law(lambda x, y, sample, ops: sampler(x, sample, ops), start, draws)[1]
