"""DDIM (tutorial, (2.59)): the loop of ancestral sampling with another kernel; and DDIM inversion,
from an image to its noise.
"""

from itertools import pairwise

from reference import ops as reference_ops
from reference.ddpm.ddim import ddim_deviation, ddim_kernel
from reference.diffusion.conversions import conversion, convert
from reference.diffusion.denoiser import split_prediction
from reference.samplers import check_falling
from reference.samplers.ancestral import reverse_process


def ddim(
    predict,
    schedule,
    grid,
    x,
    seed,
    sample,
    eta=0.0,
    clip=None,
    ops=reference_ops,
    prediction="noise",
):
    """eta = 0 draws no noise, eta = 1 is DDPM with the posterior variance.  The other arguments and
    the results are those of ``reverse_process``.

    With eta = 0 each step is an Euler step of dy/ds = eps, with y = x / signal and
    s = noise_scale / signal (not an Euler step in x and t).
    """

    def kernel(t, t_prev, v):
        deviation = ddim_deviation(schedule, t, t_prev, eta)
        return *ddim_kernel(schedule, t, t_prev, deviation), deviation

    return reverse_process(predict, schedule, grid, x, kernel, seed, sample, clip, ops, prediction)


def ddim_invert(predict, schedule, grid, x, ops=reference_ops, prediction="noise"):
    """From data x[b,...] up the grid (given downwards, as for ``ddim``) to the noise from which
    ``ddim`` with eta = 0 returns to x.

    ``ddim`` evaluates the noise at the upper end of a step, this function at the lower end, so the
    round trip has an error O(1/steps).  At t = 0 there is no noise to predict: the first step
    evaluates the prediction at its upper end.
    """
    check_falling(grid)
    for t, t_next in pairwise(grid[::-1]):
        at = t or t_next
        predicted, _ = split_prediction(predict(x, at))
        eps = convert(
            predicted, x, prediction, "noise", schedule.signal(at), schedule.noise_scale(at)
        )
        a, b = conversion("noise", "x0", schedule.signal(t), schedule.noise_scale(t))
        x0 = ops.reverse_step(x, eps, a, b, 0, None)
        x = ops.reverse_step(
            x0, eps, schedule.signal(t_next), schedule.noise_scale(t_next), 0, None
        )
        yield t_next, x, x0
