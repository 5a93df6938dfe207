"""Samplers are generators: each yields ``(t, x, x0)`` after every step, and ``final_sample`` runs
one to its end.  x0 is the estimate of x_0 that the step used, None where it used none.

A sampler's model is a function: a trained network, or an exact formula.

Predictions:

    predict(x, t)         the noise, x_0, v ..., as named by ``prediction``        ancestral, ddim
    predict_noise(x, t)   the noise in x_t                                         dpm_solver
    denoise(x, t)         E[x_0 | x_t]                                             indi
    denoise(x, sigma)     E[x_0 | x] for x = x_0 + sigma eps                       edm

``predict`` returns the prediction [b,...] or, for learned variances, a pair (prediction, v);
``diffusion.denoiser.split_prediction`` accepts both.  A ``noise`` is an array or a ``Key``, never a
function.

Scores, the gradients ∇log p(x), where p is

    score(x)                          one density                                  langevin, mala
    score_estimate(x, n)              one density, estimated at step n             sgld
    score_at_sigma(x, sigma)          the density of x_0 + sigma eps               annealed_langevin
    score_at_t(x, t)                  the density of x_t                           sde, SDE.reverse
    score(x, alpha, sigma)            the density of alpha x_0 + sigma eps
                                      (returned by ``Denoiser.score_function``)

The last form gives the others: ``score_at_sigma`` is score(x, 1, sigma), and ``score_at_t`` is
score(x, *sde.marginal(t)).

Drifts ``drift(x, t)`` and right-hand sides ``f(x, t)`` take x first.

Random numbers come from ``Key(seed, sample, step, ...)``; ``step`` counts the steps of the sampler
and ``sample`` [b] holds the indices of the samples, so a sample does not depend on its batch.  A
docstring states how often a method calls its model.
"""

from itertools import pairwise


class SamplingWarning(UserWarning):
    """The distribution of the samples is, or may be, far from the right one."""


def final_sample(steps):
    """The x of a sampler's last step."""
    *_, (_, x, _) = steps
    return x


def with_denoising_step(steps, denoise):
    """The steps and then (0, denoise(x, t), None): the mean of x_0 given the last x, without the
    noise that is left in x.
    """
    for t, x, x0 in steps:
        yield t, x, x0
    yield 0.0, denoise(x, t), None


def check_grid(grid):
    """The times of a solver as floats.  ValueError unless there are two or more, strictly rising or
    strictly falling.
    """
    times = [float(t) for t in grid]
    steps = [b - a for a, b in pairwise(times)]
    if not steps or not (all(h > 0 for h in steps) or all(h < 0 for h in steps)):
        raise ValueError(
            f"grid must hold two or more times, rising or falling strictly, got {times}"
        )
    return times


def check_falling(grid):
    """ValueError unless a chain's times fall strictly, to 0 or more."""
    times = list(grid)
    if len(times) < 2 or times[-1] < 0 or any(after >= before for before, after in pairwise(times)):
        raise ValueError(
            "grid must hold two or more times that fall strictly, such as"
            f" schedule.timesteps(steps), got {times}"
        )
