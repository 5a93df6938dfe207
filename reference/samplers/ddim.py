"""DDIM (tutorial, (2.59)): the loop of ancestral sampling with another kernel, and the way back from an image to its noise."""

from itertools import pairwise

from reference import ops as reference_ops
from reference.conversions import conversion
from reference.ddpm.ddim import ddim_deviation, ddim_kernel
from reference.ddpm.ddpm import noise_and_say
from reference.samplers.ancestral import reverse


def ddim(noise_of, schedule, grid, x, seed, sample, eta=0.0, clip=None, ops=reference_ops):
    """eta = 0 draws no noise, eta = 1 is DDPM with the posterior variance.

    With eta = 0 each step is Euler's for dy/dsigma = eps in y = x / signal, sigma = noise_scale / signal (not in x and t).
    """

    def kernel(t, t_prev, v):
        deviation = ddim_deviation(schedule, t, t_prev, eta)
        return *ddim_kernel(schedule, t, t_prev, deviation), deviation

    return reverse(noise_of, schedule, grid, x, kernel, seed, sample, clip, ops)


def ddim_invert(noise_of, schedule, grid, x, ops=reference_ops):
    """From data x[b,...] up the grid (given downwards, as to ``ddim``) to the noise that ``ddim`` with eta = 0 leads back to x from.

    Euler's method run backwards takes the noise at the end of the step it is about to make for that at its beginning, so the way there
    and back misses by O(1/steps).  At t = 0 there is no noise to predict: the prediction is taken at the step's upper end.
    """
    for t, t_next in pairwise(grid[::-1]):
        eps, _ = noise_and_say(noise_of(x, t or t_next))
        a, b = conversion("noise", "x0", schedule.signal(t), schedule.noise_scale(t))
        x0 = ops.reverse_step(x, eps, a, b, 0, None)
        x = ops.reverse_step(x0, eps, schedule.signal(t_next), schedule.noise_scale(t_next), 0, None)
        yield t_next, x, x0
